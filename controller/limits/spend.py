"""How many jobs a lane may still create today.

Invariant: a clock that is set back does not open the purse again; only a later day does.
"""

import re
from dataclasses import dataclass, replace

__all__ = ["Spend", "is_spent"]

_SPENT = re.compile(r"the [0-9]+ creates of this day are spent")


@dataclass(frozen=True, slots=True)
class Spend:
    """The creates of one lane on the latest day it has seen. Days are numbered, whole days since the epoch, UTC."""

    creates_per_day: int | None
    day: int = 0
    count: int = 0

    def allowed(self, day: int) -> int | None:
        """How many creates are left; None without a limit."""
        if self.creates_per_day is None:
            return None
        return self.creates_per_day if day > self.day else max(0, self.creates_per_day - self.count)

    def counted(self, day: int, creates: int) -> "Spend":
        """The same guard after so many creates more."""
        return replace(self, day=day, count=creates) if day > self.day else replace(self, count=self.count + creates)

    def refunded(self, creates: int) -> "Spend":
        """The same guard after so many of those counted were surely not made."""
        return replace(self, count=max(0, self.count - creates))

    @property
    def reason(self) -> str:
        """Why the guard pauses its lane."""
        return f"the {self.creates_per_day} creates of this day are spent"


def is_spent(pause_reason: str) -> bool:
    """Whether a lane was paused by its guard, and not by a person."""
    return _SPENT.fullmatch(pause_reason) is not None
