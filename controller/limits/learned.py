"""What refusals teach about a limit the server does not tell.

Invariant: a pure value; it changes by refusals alone, and only from what was sent and what was refused. It is a belief
that paces calls and never a promise: a wrong one costs time, and the limiter tries beyond it by and by.

How the pace follows from the belief is decided in `rate`.
"""

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["LearnedLimit"]

BELOW: Final = 0.95
"""Where the rate stays while a limit is believed, as a part of that limit."""
NEAR: Final = 1.3
"""A refusal at up to this multiple of the limit confirms it; one above is doubted: a burst may have hidden it."""
FEW: Final = 5
"""Fewer successes than this since the last cut show that the cut did not go below the limit."""
UPWARD: Final = 1.05
"""How far a doubted limit is raised after it has proved to be true, lest it stay too low for ever."""
LOWEST: Final = 0.7
HOLD_FIRST_S: Final = 20.0
HOLD_S: Final = 40.0
HOLD_CALLS: Final = 300
"""A limit often confirmed is tried again after so many calls: one or two refusals among them stay below 1 %."""
HOLD_MAX_S: Final = 600.0
CONFIRMED_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class LearnedLimit:
    """A belief about the server's limit.

    Attributes:
        rate: calls per second; None while nothing is known.
        confirmed: how often it was met again. Each time doubles how long it is believed.
        doubted: the belief before a refusal far above it, until the next refusal or its absence decides.
    """

    rate: float | None = None
    confirmed: int = 0
    doubted: float | None = None

    @property
    def hold_rate(self) -> float | None:
        return None if self.rate is None else BELOW * self.rate

    @property
    def hold_s(self) -> float:
        """How long the rate stays just below the limit before it is tried. A limit met once holds nobody up."""
        if self.rate is None or self.confirmed == 0:
            return 0.0
        longest = min(max(HOLD_CALLS / self.rate, HOLD_S), HOLD_MAX_S)
        return min(HOLD_FIRST_S * 2.0 ** (self.confirmed - 1), longest)

    def after_refusal(self, refused: float, accepted: int, elapsed_s: float) -> "LearnedLimit":
        """The belief after a refusal that cuts the rate.

        Args:
            refused: the rate at which the refused call was sent, calls per second.
            accepted: successes of calls sent since the cut before.
            elapsed_s: seconds from the cut before to the sending of the refused call.
        """
        if self.rate is None:
            return LearnedLimit(refused)
        if self.doubted is not None and self.doubted < refused and accepted < FEW:
            return LearnedLimit(min(refused, UPWARD * self.doubted), self._confirmed_again())
        if accepted == 0:
            # Nothing passes at all: an outage, or a limit far below. Neither says where the limit is.
            return LearnedLimit(min(self.rate, refused))
        if refused > NEAR * self.rate:
            return LearnedLimit(refused, self.confirmed, self.rate) if self.confirmed else LearnedLimit(refused)
        if refused < self.rate:
            # The server's bucket was empty at both refusals: what it let through between them is its rate.
            refused = max(LOWEST * refused, min(refused, (accepted + 0.5) / elapsed_s))
        return LearnedLimit(refused, max(self.confirmed, 1) if accepted < FEW else self._confirmed_again())

    def within(self, lowest: float, highest: float) -> "LearnedLimit":
        return self if self.rate is None else replace(self, rate=min(max(self.rate, lowest), highest))

    def _confirmed_again(self) -> int:
        return min(self.confirmed + 1, CONFIRMED_MAX)
