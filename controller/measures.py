"""What is measured while the daemon runs, for whoever asks later.

Invariant: pure; a measurement costs less than a microsecond and keeps a fixed number of values. How it is shown is
`http.metrics`' business.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """How often a value fell between bounds.

    Args:
        bounds: upper ends, ascending; what is above the last one is counted too.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0
        """Sum of all values."""

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, int]]:
        """Upper end as text, `+Inf` the last, and how many values were not above it."""
        ends = [*map(repr, map(float, self._bounds)), "+Inf"]
        return list(zip(ends, accumulate(self._counts), strict=True))
