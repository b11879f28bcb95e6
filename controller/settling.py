"""Whether a run has come to its end: nothing arrives, nothing waits, and every job is terminal or held.

Invariant: it only reads. Leaving is the daemon's.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from controller.errors import ExitCode
from controller.intake import Intake
from controller.lane import Lane
from controller.model import TERMINAL, Phase, Todo
from controller.queues import Source
from controller.seams import Clock
from controller.store import Store

POLL_S: Final = 0.2
EMPTY_POLLS: Final = 2


class Settling:
    """Looks at what one run works on."""

    def __init__(
        self, store: Store, lanes: Mapping[str, Lane], intake: Intake, sources: Sequence[Source], clock: Clock
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._intake = intake
        self._sources = sources
        self._clock = clock

    async def wait(self) -> None:
        """Until all is settled; a look that takes long is repeated less often."""
        while True:
            began = self._clock.monotonic()
            if await self._settled():
                return
            took = self._clock.monotonic() - began
            await self._clock.sleep(max(POLL_S, 20 * took))

    async def _settled(self) -> bool:
        """Sources are empty, nothing waits to be applied, and every job is terminal or held."""
        if any(self._intake.idle_polls(source.name) < EMPTY_POLLS for source in self._sources):
            return False
        if await self._store.inbox_size():
            return False
        for name, lane in self._lanes.items():
            for phase, jobs in (await self._store.phase_counts(name)).items():
                held = phase is Phase.UNCERTAIN or (phase is Phase.PENDING and lane.desk.paused)
                if jobs and phase not in TERMINAL and not held:
                    return False
            if await self._store.next_due(name, Todo.DELETE) is not None:
                return False
        return True

    async def outcome(self) -> ExitCode:
        """DONE where every job has succeeded or was wanted gone, else NOT_ALL_SUCCEEDED."""
        for name in self._lanes:
            counts = await self._store.phase_counts(name)
            if any(counts.get(phase) for phase in (Phase.FAILED, Phase.UNCERTAIN, Phase.PENDING)):
                return ExitCode.NOT_ALL_SUCCEEDED
        return ExitCode.DONE
