"""Token buckets per account, region and operation.

Invariant: arithmetic on the instants it is given; nothing waits, and the number of buckets is bounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from controller.simulator.options import Rate

BUCKETS_MAX: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Throttles:
    """Which calls are let through."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}

    def admits(self, rates: Mapping[str, Rate], operation: str, account: str, region: str, now: float) -> bool:
        """Takes a token for the call, if the operation has a rate; False where none is left."""
        rate = next((rate for pattern, rate in rates.items() if fnmatchcase(operation, pattern)), None)
        if rate is None:
            return True
        bucket = self._bucket((operation, account, region), rate, now)
        bucket.tokens = min(rate.burst, bucket.tokens + max(0.0, now - bucket.at) * rate.rate)
        bucket.at = now
        if bucket.tokens < 1 - 1e-9:  # a burst of one must be whole again after exactly 1 / rate seconds
            return False
        bucket.tokens -= 1
        return True

    def _bucket(self, key: tuple[str, str, str], rate: Rate, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[key] = _Bucket(rate.burst, now)
        return bucket
