"""Jobs as people see them: with the reason why they wait, their place in the queue and an estimate.

Invariant: a page costs a bounded number of queries, whatever the queue's length. The reason of a waiting job is derived
from its lane's present state (`status.wait_reason`), so a filter that names such a reason is applied here, after the
store's own; a page may then be short, or empty, and still have a `next`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from controller.control.answers import View
from controller.errors import NotFoundError
from controller.model import Identity, Job, Phase, Todo, WaitReason
from controller.status import LaneStatus, estimate_s, wait_reason
from controller.store import Selection, Store
from controller.views import job_view, rfc3339

Lanes = Callable[[], Mapping[str, LaneStatus]]

DERIVED: Final = frozenset(
    {
        WaitReason.QUEUED,
        WaitReason.RATE_LIMITED,
        WaitReason.QUOTA_FULL,
        WaitReason.PAUSED,
        WaitReason.SCOPE_UNAVAILABLE,
    }
)
"""Reasons that a lane's state gives; a stored one of these is only what the last refusal was."""
WAIT_REASONS: Final = frozenset(WaitReason)
READS_MAX: Final = 10
"""Pages of the store read for one page of jobs with a derived reason."""
SCANNED_PAGE: Final = 200
PLACES_ASKED_MAX: Final = 24
"""Queries for places in the queue that one page may cost."""


class Jobs:
    """Reads jobs."""

    def __init__(self, store: Store, lanes: Lanes) -> None:
        self._store = store
        self._lanes = lanes

    async def one(self, identity: Identity) -> View:
        """One job.

        Raises:
            NotFoundError: there is none, or only what pruning left of it.
        """
        job = await self._store.find_job(identity)
        if job is None:
            raise await self.missing(identity)
        (view,) = await self._shown([job])
        return view

    async def missing(self, identity: Identity) -> NotFoundError:
        """Why there is no such job."""
        stub = await self._store.find_stub(identity)
        if stub is None:
            return NotFoundError(f"there is no job {identity}")
        return NotFoundError(f"the job {identity} has ended {stub.phase} and was pruned {rfc3339(stub.pruned_at)}")

    async def page(self, selection: Selection, after: str | None, limit: int) -> View:
        """`{items, next}`, newest first."""
        jobs, cursor = await self.chosen(selection, after, limit)
        return {"items": await self._shown(jobs), "next": cursor}

    async def chosen(self, selection: Selection, after: str | None, limit: int) -> tuple[Sequence[Job], str | None]:
        """Jobs of a selection, reasons as they are shown."""
        wanted = selection.reasons
        if not wanted & WAIT_REASONS:
            return await self._store.list_jobs(selection, after, limit)
        stored = _as_stored(selection)
        if stored is None:
            return [], None
        lanes = self._lanes()
        chosen: list[Job] = []
        cursor = after
        for _ in range(READS_MAX):
            jobs, cursor = await self._store.list_jobs(stored, cursor, min(SCANNED_PAGE, limit - len(chosen)))
            chosen += [job for job in jobs if wait_reason(job, lanes.get(job.identity.lane)) in wanted]
            if cursor is None or 2 * len(chosen) >= limit:
                break
        return chosen, cursor

    async def _shown(self, jobs: Sequence[Job]) -> list[View]:
        lanes = self._lanes()
        places = await self._places(jobs)
        return [_shown(job, places.get(job.id), lanes.get(job.identity.lane)) for job in jobs]

    async def _places(self, jobs: Iterable[Job]) -> Mapping[int, int]:
        """How many jobs go before each waiting one.

        Where two jobs are as far apart in the queue as on this page, all between them are known without asking. Beyond
        `PLACES_ASKED_MAX` queries the places that are still unknown are left out.
        """
        asking = _Places(self._store)
        for queue in _queues(jobs):
            await asking.learn(queue)
        return asking.known


class _Places:
    """Places in the queue, learned with few questions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._questions = PLACES_ASKED_MAX
        self.known: dict[int, int] = {}

    async def learn(self, queue: Sequence[Job]) -> None:
        """The places of jobs of one lane, in the order in which they go."""
        gaps = [(0, len(queue) - 1)]
        while gaps and await self._ask(queue[gaps[-1][0]]) and await self._ask(queue[gaps[-1][1]]):
            first, last = gaps.pop()
            low, high = self.known[queue[first].id], self.known[queue[last].id]
            if high - low == last - first:
                self.known |= {job.id: low + step for step, job in enumerate(queue[first : last + 1])}
            elif last - first > 1:
                middle = (first + last) // 2
                gaps += [(middle, last), (first, middle)]

    async def _ask(self, job: Job) -> bool:
        """Whether the job's place is known now."""
        if job.id not in self.known and self._questions:
            self._questions -= 1
            self.known[job.id] = await self._store.queue_position(job)
        return job.id in self.known


def _queues(jobs: Iterable[Job]) -> Iterable[list[Job]]:
    """The waiting jobs by lane, in the order in which they go."""
    queues: dict[str, list[Job]] = {}
    for job in jobs:
        if job.phase is Phase.PENDING and job.todo is Todo.CREATE:
            queues.setdefault(job.identity.lane, []).append(job)
    for queue in queues.values():
        yield sorted(queue, key=lambda job: (-job.wishes.priority, job.turn, job.id))


def _as_stored(selection: Selection) -> Selection | None:
    """The store's share of a filter by a wait reason; None where no job can satisfy it."""
    wanted = selection.reasons
    phases = selection.phases
    if wanted <= DERIVED:
        if phases and Phase.PENDING not in phases:
            return None
        phases = frozenset({Phase.PENDING})
    return replace(selection, reasons=wanted | DERIVED if wanted & DERIVED else wanted, phases=phases)


def _shown(job: Job, before: int | None, status: LaneStatus | None) -> View:
    queue: View = {"position": None, "etaSeconds": None}
    if before is not None:
        queue = {"position": before + 1, "etaSeconds": rounded(estimate_s(job, before, status))}
    return job_view(job, queue, wait_reason(job, status))


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
