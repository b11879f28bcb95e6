"""How much a text may hold before it is refused unread."""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Bounds:
    size_max: int
    """Bytes."""
    documents_max: int
    nodes_max: int
    """Values in the whole, aliases counted as often as they stand."""
    depth_max: int = 64
    """Levels of objects and lists; an AWS request has less than ten."""

    @classmethod
    def of_size(cls, size_max: int) -> "Bounds":
        """Bounds that every sensible text of at most so many bytes keeps; time and memory are in proportion to it."""
        return cls(size_max=size_max, documents_max=max(100, size_max // 100), nodes_max=max(1_000, size_max // 7))


MESSAGE_BOUNDS: Final = Bounds.of_size(1 * MIB)
"""Of a message: what the largest SQS message can hold."""
FILE_BOUNDS: Final = Bounds.of_size(32 * MIB)
"""Of a file, which a person or a script wrote and a thread reads."""
YAML_BYTES_MAX: Final = 8 * MIB
"""Of a YAML file, which takes about 2 s a megabyte."""
INLINE_BYTES_MAX: Final = 8 * KIB
"""The longest message whose worst content is read in less than 50 ms; a longer one is read in a thread."""
