"""A rate over time as straight lines between knots, with its integral and the inverse of that integral.

Invariant: knot times never descend, the line has no jumps and every rate is above zero. So the calls that fit into a
span can be counted exactly, and the span that a number of calls needs always exists. What the lines mean is decided in
`rate`.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Curve"]


@dataclass(frozen=True, slots=True)
class Curve:
    """Calls per second at every moment. `knots` are (seconds on the caller's clock, rate); level before and after."""

    knots: tuple[tuple[float, float], ...]

    @property
    def ends_at(self) -> float:
        return self.knots[-1][0]

    def rate(self, moment: float) -> float:
        begin, begin_rate = self.knots[0]
        if moment <= begin:
            return begin_rate
        for end, end_rate in self.knots[1:]:
            if moment < end:
                return begin_rate + (end_rate - begin_rate) * (moment - begin) / (end - begin)
            begin, begin_rate = end, end_rate
        return begin_rate

    def calls(self, begin: float, end: float) -> float:
        """How many calls fit between two moments."""
        return sum(self._area(left, right) for left, right in pairwise(self._corners(begin, end)))

    def wait(self, begin: float, calls: float) -> float:
        """Seconds from `begin` until so many calls fit."""
        for left, right in pairwise(self._corners(begin, max(begin, self.ends_at))):
            area = self._area(left, right)
            if area >= calls:
                slope = (self.rate(right) - self.rate(left)) / (right - left)
                return left - begin + _solve(self.rate(left), slope, calls)
            calls -= area
        return max(0.0, self.ends_at - begin) + calls / self.knots[-1][1]

    def _area(self, left: float, right: float) -> float:
        return (self.rate(left) + self.rate(right)) / 2 * (right - left)

    def _corners(self, begin: float, end: float) -> list[float]:
        """The two moments and the distinct knots between them."""
        return [begin, *dict.fromkeys(at for at, _ in self.knots if begin < at < end), *([end] if end > begin else [])]


def _solve(rate: float, slope: float, calls: float) -> float:
    """The time t with rate * t + slope / 2 * t**2 = calls, in the form that stays exact when the slope is near zero."""
    return 2 * calls / (rate + math.sqrt(max(0.0, rate * rate + 2 * slope * calls)))
