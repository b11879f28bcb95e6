"""How many jobs a lane may still create today.

Invariant: a clock that is set back does not open the purse again; only a later day does.
"""

from dataclasses import dataclass, replace

__all__ = ["Spend"]


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
