"""Jobs by phase over time, for people who look back: how the numbers came to be what they are.

Invariant: two rings of fixed length in memory, a fine one of the last hour and a coarse one of the last day; a restart
begins anew, for the store keeps what happened, not how it looked. Counting takes at most `SHARE_MAX` of the time,
however many jobs there are, and a store that is away leaves a gap, never a guess.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from controller.control.answers import View
from controller.control.overview import Counts, Lanes
from controller.errors import StoreUnavailableError
from controller.model import Phase
from controller.seams import Clock
from controller.views import rfc3339

FINE_S: Final = 10.0
FINE_MAX: Final = 360
COARSE_S: Final = 300.0
COARSE_MAX: Final = 288
SHARE_MAX: Final = 0.02
PRECISION_S: Final = 0.001
"""Of the times shown, one of which a reader gives back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stood at one moment."""

    at: float
    phases: tuple[int, ...]
    """Jobs, in the order of `Phase`."""
    created: int
    """Creates that AWS has accepted since the start of this daemon."""
    throttles: int
    """Calls that AWS has throttled since then."""


@dataclass(slots=True)
class Rings:
    """The samples kept: every one of the last hour, one in `COARSE_S` of the day before."""

    fine: deque[Sample] = field(default_factory=lambda: deque(maxlen=FINE_MAX))
    coarse: deque[Sample] = field(default_factory=lambda: deque(maxlen=COARSE_MAX))

    def add(self, sample: Sample) -> None:
        if not self.coarse or sample.at - self.coarse[-1].at >= COARSE_S:
            self.coarse.append(sample)
        self.fine.append(sample)

    def all(self) -> Sequence[Sample]:
        """Oldest first, each once."""
        if not self.fine:
            return []
        begin = self.fine[0].at
        return [*(sample for sample in self.coarse if sample.at < begin), *self.fine]


class Trend:
    """Takes samples and shows them.

    Args:
        counts: jobs by lane and phase, lately.
    """

    def __init__(self, clock: Clock, counts: Callable[[], Awaitable[Counts]], lanes: Lanes) -> None:
        self._clock = clock
        self._counts = counts
        self._lanes = lanes
        self._rings = Rings()

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            began = self._clock.monotonic()
            with suppress(StoreUnavailableError):
                self._rings.add(await self._sample())
            took_s = self._clock.monotonic() - began
            await self._clock.sleep(max(FINE_S, took_s / SHARE_MAX))

    def view(self, after: float | None = None) -> View:
        """`{times, phases, created, throttles}` of the samples after a time, oldest first; lists of one length."""
        samples = [sample for sample in self._rings.all() if after is None or sample.at - after >= PRECISION_S]
        return {
            "times": [rfc3339(sample.at) for sample in samples],
            "phases": {phase.value: [sample.phases[place] for sample in samples] for place, phase in enumerate(Phase)},
            "created": [sample.created for sample in samples],
            "throttles": [sample.throttles for sample in samples],
        }

    async def _sample(self) -> Sample:
        counts = await self._counts()
        rates = [rate for status in self._lanes().values() for rate in status.rates.items()]
        creates = [rate for operation, rate in rates if operation == "create"]
        return Sample(
            self._clock.now(),
            tuple(sum(lane.phases.get(phase, 0) for lane in counts.lanes.values()) for phase in Phase),
            sum(rate.calls - rate.throttles - rate.errors for rate in creates),
            sum(rate.throttles for _, rate in rates),
        )
