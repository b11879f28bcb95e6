"""How many receive from one source at once: few while little comes, more the moment much does.

Invariant: never more than the source allows. Each receiver holds what one answer brought until that is durable, so what
is held at once, in number and in bytes, is bounded here. Arithmetic alone: who starts and ends receivers is `intake`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

IDLE: Final = 2
"""Kept where nothing comes: each poll is paid for, and one receiver should listen while the other is at work."""
HELD_BYTES_MAX: Final = 16 * 1024 * 1024
"""Beyond so much in the hands of all, no receiver is added, and those above the idle number leave."""


class Receivers:
    """The receivers of one source."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.idle = min(most, IDLE)
        self.count = self.idle
        self._polling = 0
        self._held_bytes = 0

    @contextmanager
    def polling(self) -> Iterator[None]:
        self._polling += 1
        try:
            yield
        finally:
            self._polling -= 1

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """So many bytes are in somebody's hands."""
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    def joined(self, *, full: bool) -> bool:
        """Whether an answer calls for one more, which then counts.

        Args:
            full: it brought as much as one can, so more is waiting.
        """
        wanted = full or self._polling == 0
        if not wanted or self.count >= self._most or self._held_bytes >= HELD_BYTES_MAX:
            return False
        self.count += 1
        return True

    def left(self, *, empty: bool) -> bool:
        """Whether one may leave after an answer that was empty or did not come, which then counts no more."""
        if self.count <= self.idle or not (empty or self._held_bytes >= HELD_BYTES_MAX):
            return False
        self.count -= 1
        return True
