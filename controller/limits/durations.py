"""How long jobs take, learned from those that ended; and from that, estimates and the moment of the next read.

Invariant: bounded memory and exact repeatability: a histogram over logarithmic buckets (nine percent wide) in which old
observations fade. A few absurd values move the median by a few places, never far.

An estimate is for people and for the cadence of reads. Nothing is ever decided about a job by one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Durations", "DurationsState", "ReadCadence", "eta"]

BUCKETS_PER_OCTAVE: Final = 8
SHORTEST_S: Final = 0.001
LONGEST_S: Final = 4e7
BUCKET_MIN: Final = round(math.log2(SHORTEST_S) * BUCKETS_PER_OCTAVE)
BUCKET_MAX: Final = round(math.log2(LONGEST_S) * BUCKETS_PER_OCTAVE)
BUCKET_OF_TEXT: Final = {str(bucket): bucket for bucket in range(BUCKET_MIN, BUCKET_MAX + 1)}
FADE: Final = 0.99
"""What each new observation leaves of the weight of the older ones: half after 69."""
WEIGHT_MIN: Final = 1e-4
WEIGHT_MAX: Final = 1 / (1 - FADE)
EARLY: Final = 0.05
"""So many jobs of all end before a first end is looked for."""
IDLE_SHARE: Final = 0.04
"""Pause between two passes, as a part of a job's duration, while work waits: half of that a slot stands empty."""
BEYOND: Final = 0.25
"""A job older than all that were seen is expected to go on for this part of its age."""


@dataclass(frozen=True, slots=True)
class DurationsState:
    """The weight of each bucket, as JSON can carry it (its keys are strings)."""

    weights: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parsed(cls, raw: Mapping[str, Any]) -> "DurationsState":
        weights = raw.get("weights")
        return cls(weights=dict(weights) if isinstance(weights, Mapping) else {})


class Durations:
    """The durations of the jobs of one key, in seconds."""

    __slots__ = ("_weights",)

    def __init__(self) -> None:
        self._weights: dict[int, float] = {}

    @classmethod
    def restored(cls, state: DurationsState) -> "Durations":
        """What was learned before a restart, without buckets and weights that cannot be."""
        durations = cls()
        for text, weight in state.weights.items():
            bucket = BUCKET_OF_TEXT.get(text)
            if bucket is not None and _is_weight(weight):
                durations._weights[bucket] = float(weight)
        return durations

    def observe(self, seconds: float) -> None:
        """One job ended after so long. A value that is no duration is ignored."""
        if not (math.isfinite(seconds) and seconds >= 0):
            return
        faded = ((bucket, weight * FADE) for bucket, weight in self._weights.items())
        self._weights = {bucket: weight for bucket, weight in faded if weight >= WEIGHT_MIN}
        bucket = _bucket(seconds)
        self._weights[bucket] = self._weights.get(bucket, 0.0) + 1.0

    def median(self) -> float | None:
        """None while nothing has been observed."""
        return self._median_from(BUCKET_MIN)

    def expected_remaining(self, age: float) -> float | None:
        """Seconds a job of this age still takes: the median of those that took longer. None when nothing is known."""
        if not self._weights:
            return None
        age = max(age, 0.0)
        longer = self._median_from(_bucket(age) + 1)
        return age * BEYOND if longer is None else longer - age

    def first_end(self, age: float) -> float | None:
        """Seconds until a job of this age may end at the earliest, but for a few; None when nothing is known."""
        weights = sorted(self._weights.items())
        left = EARLY * sum(weight for _, weight in weights)
        for bucket, weight in weights:
            left -= weight
            if left <= 0:
                return float(2.0 ** ((bucket - 1) / BUCKETS_PER_OCTAVE)) - age
        return None

    def state(self) -> DurationsState:
        return DurationsState({str(bucket): weight for bucket, weight in sorted(self._weights.items())})

    def _median_from(self, lowest: int) -> float | None:
        weights = sorted((bucket, weight) for bucket, weight in self._weights.items() if bucket >= lowest)
        half = sum(weight for _, weight in weights) / 2
        for bucket, weight in weights:
            half -= weight
            if half <= 0:
                return float(2.0 ** (bucket / BUCKETS_PER_OCTAVE))
        return None


def eta(position: int, free_slots: int, slots: int, median: float | None, between_s: float = 0.0) -> float | None:
    """Seconds until a waiting job is created, when slots are what it waits for.

    Args:
        position: its place among those that wait for the same slots; 1 is the next.
        free_slots: how many are free now; below zero where more are taken than there are.
        slots: how many there are.
        median: how long a job keeps its slot; None when unknown.
        between_s: seconds from one create to the next where slots are free.

    Returns:
        None when it cannot be told. Jobs that run are taken to be spread evenly over their duration. Those that are
        created now, into slots that are free, end together, and so do those that follow them.
    """
    if position <= free_slots:
        return (position - 1) * between_s
    if median is None or slots < 1:
        return None
    free = max(0, free_slots)
    rounds, place = divmod(position - free_slots - 1, slots)
    taken = slots - free
    if place < taken:
        return (rounds + (place + 1) / taken) * median
    return (rounds + 1) * median + (place - taken) * between_s


@dataclass(frozen=True, slots=True)
class ReadCadence:
    """When to read again: at the interval, sooner when a slot is waited for, not at all when nothing is active."""

    interval_s: float
    minimum_s: float = 2.0
    waiting_s: float = 10.0
    """The longest pause while work waits for slots that may be free at any moment."""
    longest_s: float = 600.0

    def next_pass(
        self, *, active: bool, waiting: bool, oldest_s: float | None = None, durations: Sequence[Durations] = ()
    ) -> float | None:
        """Seconds from one List pass to the next; None: none until something is active.

        Args:
            active: whether any job is known to be active at AWS.
            waiting: whether work waits for a slot.
            oldest_s: for how long the oldest of our jobs has been running; None where none of ours is.
            durations: what was learned of the jobs that hold the slots which are waited for.
        """
        if not active:
            return None
        if not waiting:
            return self.interval_s
        typical = [median for each in durations if (median := each.median()) is not None]
        # Where nothing is known yet, a job is taken to need about as long again as it has needed so far.
        scale_s = min(typical) if typical else oldest_s
        pause_s = self.waiting_s if scale_s is None else min(max(IDLE_SHARE * scale_s, self.minimum_s), self.waiting_s)
        ends = [end for each in durations if (end := each.first_end(oldest_s or 0.0)) is not None]
        # Half of the way: where AWS does not tell ends, what was learned holds how late they were seen, and must not
        # make them be seen later still.
        until_s = min(ends) / 2 if ends and len(ends) == len(durations) and oldest_s is not None else 0.0
        return min(max(until_s, pause_s), self.interval_s)

    def next_get(self, remaining_s: float | None) -> float:
        """Seconds until one job is read again where there is no List: half of what it is expected to need still."""
        if remaining_s is None:
            return self.interval_s
        return min(max(remaining_s / 2, min(self.interval_s, self.longest_s)), self.longest_s)


def _bucket(seconds: float) -> int:
    return round(math.log2(min(max(seconds, SHORTEST_S), LONGEST_S)) * BUCKETS_PER_OCTAVE)


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and WEIGHT_MIN <= value <= WEIGHT_MAX
