"""AWS's clock, as its answers tell it.

Invariant: it goes on with this host's monotonic clock, so it does not jump when the host's wall clock does; and one
answer alone does not move it far, nor set it far from the host's. Deadlines are judged by it, so a Date that lies must
not end anybody's job.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LENGTH_MAX: Final = 64
JUMP_S: Final = 300.0
"""Two answers that differ by no more agree: what a signature may be off by."""
RESOLUTION_S: Final = 1.0
"""Of a Date header."""
CONFIRMATIONS: Final = 2
"""Further answers in a row that must agree with a jump before it is believed: a host may have slept."""
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


class AwsClock:
    """Seconds since the epoch by AWS, from the Date header of its answers."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._heard: float | None = None
        self._jump: float | None = None
        self._agreed = 0
        self._last = ""

    def now(self, monotonic: float) -> float | None:
        """By the answers so far; None before the first, and while it has to be confirmed."""
        return None if self._offset is None else monotonic + self._offset

    def heard(self, monotonic: float) -> float | None:
        """By the last answer alone, believed or not; None before the first."""
        return None if self._heard is None else monotonic + self._heard

    def hear(self, date: object, sent: float, arrived: float, *, host: float) -> None:
        """Take a Date header; one that is none, or of no year of ours, changes nothing.

        It was true, to the second, at some moment between `sent` and `arrived`, by the monotonic clock: an answer that
        was long on its way says little, and must not set the clock back. `host` is this host's wall clock at `arrived`:
        a first Date that agrees with it needs no confirmation.
        """
        if not isinstance(date, str) or date == self._last:
            return
        self._last = date[:LENGTH_MAX]
        at = _seconds(self._last)
        if at is None:
            return
        offset, latest = at - arrived, at + RESOLUTION_S - sent
        self._heard = offset
        if self._offset is None and abs(at - host) <= JUMP_S:
            self._offset, self._jump = offset, None
        elif self._offset is not None and offset - JUMP_S <= self._offset <= latest + JUMP_S:
            self._offset, self._jump = min(max(self._offset, offset), latest), None
        elif self._jump is None or abs(offset - self._jump) > JUMP_S:
            self._jump, self._agreed = offset, 0
        else:
            self._agreed += 1
            if self._agreed >= CONFIRMATIONS:
                self._offset, self._jump = offset, None


def _seconds(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return at if _EARLIEST <= at <= _LATEST else None
