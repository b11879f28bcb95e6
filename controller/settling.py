"""Whether a run has come to its end: nothing arrives, nothing waits, and every job is terminal or held.

Invariant: it only reads. Leaving is the daemon's. A store that cannot be read says nothing: it is read again.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from controller.errors import ExitCode, StoreUnavailableError
from controller.intake import Intake
from controller.lane import Lane
from controller.model import TERMINAL, Phase, Todo
from controller.queues import Source
from controller.seams import Clock
from controller.store import Store

POLL_S: Final = 0.2
EMPTY_POLLS: Final = 2
STORE_RETRY_S: Final = 2.0
OUTCOME_S: Final = 10.0
"""How long a run that has ended waits for a store to say how."""

_log = structlog.get_logger("ferryman")


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
            try:
                if await self._settled():
                    return
            except StoreUnavailableError as error:
                await self._wait_for_store(error)
                continue
            took = self._clock.monotonic() - began
            await self._clock.sleep(max(POLL_S, 20 * took))

    async def _wait_for_store(self, error: StoreUnavailableError) -> None:
        _log.warning("the store cannot be read; looking again whether all is settled", error=str(error))
        await self._clock.sleep(STORE_RETRY_S)

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
        """DONE where every job has succeeded or was wanted gone, else NOT_ALL_SUCCEEDED.

        Raises:
            StoreUnavailableError: the store cannot be read for `OUTCOME_S`.
        """
        give_up_at = self._clock.monotonic() + OUTCOME_S
        while True:
            try:
                return await self._outcome()
            except StoreUnavailableError as error:
                if self._clock.monotonic() >= give_up_at:
                    raise
                await self._wait_for_store(error)

    async def _outcome(self) -> ExitCode:
        for name in self._lanes:
            counts = await self._store.phase_counts(name)
            if any(counts.get(phase) for phase in (Phase.FAILED, Phase.UNCERTAIN, Phase.PENDING)):
                return ExitCode.NOT_ALL_SUCCEEDED
        return ExitCode.DONE
