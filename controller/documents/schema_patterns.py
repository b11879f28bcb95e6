"""Patterns of AWS's models as JSON Schema carries them: for engines that differ, and that backtrack.

Invariant: what matches a pattern matches what comes out here, in ECMAScript's dialect and in Python's; what comes out
may allow more. Nothing in it makes an engine that backtracks need exponential time.
"""

import re
from functools import cache
from typing import Final

from controller.validation.patterns import compile_pattern

_CLASS: Final = re.compile(r"\[(?:\\.|[^\]\\])*\]")
_PROPERTY: Final = re.compile(r"\\[pP]\{")
_AMBIGUOUS: Final = re.compile(r"\(-\*(\[(?:\\.|[^\]\\])*\\-(?:\\.|[^\]\\])*\])\)\{0,\d+\}")
"""Hyphens, then a character that may be a hyphen, again and again: each run of hyphens can be read in many ways."""
_ASCII: Final = tuple(map(chr, range(128)))


@cache
def portable(pattern: str) -> str | None:
    """The pattern, matching whole values; None where no engine but AWS's own knows it."""
    unambiguous = _AMBIGUOUS.sub(r"\1*", pattern)
    text = _CLASS.sub(lambda found: _without_properties(found[0]), unambiguous)
    if _PROPERTY.search(text):
        return None
    try:
        re.compile(text)
    except re.error:
        return None
    return f"^(?:{text})$"


def _without_properties(characters: str) -> str:
    """A class that names Unicode properties, which few engines know: the same in ASCII, and everything beyond it."""
    if not _PROPERTY.search(characters):
        return characters
    matcher = compile_pattern(characters)
    if matcher is None:
        return characters
    refused = [character for character in _ASCII if not matcher(character)]
    return "[^" + "".join(f"\\x{ord(character):02x}" for character in refused) + "]"
