"""The heads of a lane's queues, read ahead: so that a job that waits to be created is read about once.

Invariant: what is kept of a queue is its beginning as the store has it, without a gap. That holds because the lane's
owner alone changes its jobs, tells `changed` of every commit, and reads here only while no commit can happen.

Which job goes next is decided in `dispatch`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from controller.model import Job, Todo
from controller.store import LaneStore

JOBS_KEPT_MAX: Final = 512
"""How many are to be read ahead in all; beyond twice that, all are read anew."""

Order = tuple[int, int, float]


def order_of(job: Job) -> Order:
    """Where a job stands in its queue: lower goes first. One without an id is younger than all that have one."""
    return (-job.wishes.priority, job.turn, job.id or math.inf)


@dataclass(slots=True)
class _Beginning:
    """The first jobs of one queue; `whole` where there are no others."""

    jobs: list[Job]
    whole: bool
    ids: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = {job.id for job in self.jobs}


class QueueHeads:
    """The queues of one lane, by their quota keys."""

    def __init__(self, store: LaneStore, lane: str) -> None:
        self._store = store
        self._lane = lane
        self._kept: dict[str, _Beginning] = {}
        self._size = 0

    async def at(self, key: str, place: int, ahead: int) -> Job | None:
        """The job at a place of a queue, 0 for the next one; None beyond its end.

        Where it must be read, `ahead` jobs from that place on are read with it.
        """
        kept = self._kept.get(key)
        if kept is None or (place >= len(kept.jobs) and not kept.whole):
            kept = await self._read(key, place + max(1, ahead))
        return kept.jobs[place] if place < len(kept.jobs) else None

    async def _read(self, key: str, limit: int) -> _Beginning:
        self._drop(key)
        jobs = list(await self._store.queue_heads(self._lane, key, limit))
        if self._size + len(jobs) > 2 * JOBS_KEPT_MAX:
            self.forget()
        kept = self._kept[key] = _Beginning(jobs, whole=len(jobs) < limit)
        self._size += len(jobs)
        return kept

    def take(self, jobs: Sequence[Job]) -> None:
        """These are about to leave their queues; if their commit fails, `forget`."""
        gone = {job.id for job in jobs}
        for key in {job.quota_keys[0] for job in jobs}:
            kept = self._kept.get(key)
            if kept is not None and not gone.isdisjoint(kept.ids):
                self._size -= len(kept.jobs)
                kept.jobs = [job for job in kept.jobs if job.id not in gone]
                kept.ids -= gone
                self._size += len(kept.jobs)

    def changed(self, before: Job | None, after: Job) -> None:
        """A commit changed a job."""
        if before is not None and before.todo is Todo.CREATE:
            kept = self._kept.get(before.quota_keys[0])
            if kept is not None and before.id in kept.ids:
                self._drop(before.quota_keys[0])
        if after.todo is Todo.CREATE:
            self._joined(after)

    def _joined(self, job: Job) -> None:
        key = job.quota_keys[0]
        kept = self._kept.get(key)
        if kept is None:
            return
        if kept.jobs and order_of(kept.jobs[-1]) < order_of(job):
            kept.whole = False
        else:
            self._drop(key)

    def forget(self) -> None:
        """Read everything anew."""
        self._kept.clear()
        self._size = 0

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= len(kept.jobs)
