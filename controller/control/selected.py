"""How long a selection of jobs still takes, from learned durations and slots.

Invariant: one indexed read a lane, and two more for each quota key in which jobs of the selection wait; the estimate is
of the last of them. Nothing is decided by it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from controller.control.answers import View
from controller.control.overview import NOTHING, Counts, Lanes, rounded
from controller.model import AT_AWS, Phase
from controller.seams import Clock
from controller.status import LaneStatus, estimate_s
from controller.store import OpenJobs, Selection, Store


class Selected:
    """Estimates for selections.

    Args:
        counts: how many wait in each queue, lately.
    """

    def __init__(self, store: Store, lanes: Lanes, counts: Callable[[], Awaitable[Counts]], clock: Clock) -> None:
        self._store = store
        self._lanes = lanes
        self._counts = counts
        self._clock = clock

    async def estimate(self, selection: Selection) -> View:
        """`{waiting, running, etaSeconds, endSeconds}`.

        Seconds until the last waiting job is created, and until the last job has ended; None where that cannot be told.
        A selection's reasons are not asked for: why a job waits changes from moment to moment.
        """
        wanted = replace(selection, reasons=frozenset())
        counts = await self._counts()
        waiting, running = 0, 0
        created: list[float | None] = []
        ends: list[float | None] = []
        for lane, status in self._lanes().items():
            for group in await self._store.open_jobs(lane, wanted):
                created_s: float | None = 0.0
                if group.phase is Phase.PENDING:
                    waiting += group.jobs
                    share = counts.lanes.get(lane, NOTHING).share(group.quota_key)
                    created_s = await self._created_s(lane, group, wanted, status, share)
                    created.append(created_s)
                running += group.jobs if group.phase in AT_AWS else 0
                ends.append(self._ends_s(group, created_s, status))
        return {
            "waiting": waiting,
            "running": running,
            "etaSeconds": rounded(_latest(created)),
            "endSeconds": rounded(_latest(ends)),
        }

    async def _created_s(
        self, lane: str, group: OpenJobs, selection: Selection, status: LaneStatus, share: float
    ) -> float | None:
        """Until the last of a group is created; None where all of them still wait for their backoff."""
        last = await self._store.last_waiting(lane, group.quota_key, selection)
        if last is None:
            return None
        before = await self._store.queue_position(last)
        return estimate_s(last, before, status, round(before * share))

    def _ends_s(self, group: OpenJobs, created_s: float | None, status: LaneStatus) -> float | None:
        median_s = status.median_s.get(group.quota_key)
        if median_s is None or created_s is None:
            return None
        age_s = self._clock.now() - group.youngest if group.youngest is not None else 0.0
        return max(0.0, created_s + median_s - (max(0.0, age_s) if group.phase in AT_AWS else 0.0))


def _latest(moments: Sequence[float | None]) -> float | None:
    known = [moment for moment in moments if moment is not None]
    return max(known, default=0.0) if len(known) == len(moments) else None
