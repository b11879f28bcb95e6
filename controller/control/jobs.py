"""Jobs as people see them: with the reason why they wait, their place in the queue and an estimate.

Invariant: a page costs a bounded number of queries, whatever the queue's length. The reason of a waiting job is derived
from its lane's present state (`status.wait_reason`), so a filter that names such a reason is applied here, after the
store's own; a page may then be short, or empty, and still have a `next`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from controller.control.answers import View
from controller.control.overview import DERIVED, NOTHING, Counts, Lanes, rounded
from controller.errors import NotFoundError
from controller.model import Identity, Job, Phase, Todo, WaitReason
from controller.status import LaneStatus, estimate_s, wait_reason
from controller.store import Selection, Store
from controller.views import job_view, rfc3339

WAIT_REASONS: Final = frozenset(WaitReason)
READS_MAX: Final = 10
"""Pages of the store read for one page of jobs with a derived reason."""
SCANNED_PAGE: Final = 200


class Jobs:
    """Reads jobs.

    Args:
        counts: how many wait in each queue, lately.
    """

    def __init__(self, store: Store, lanes: Lanes, counts: Callable[[], Awaitable[Counts]]) -> None:
        self._store = store
        self._lanes = lanes
        self._counts = counts

    async def one(self, identity: Identity) -> View:
        """One job.

        Raises:
            NotFoundError: there is none, or only what pruning left of it.
        """
        job = await self._store.find_job(identity)
        if job is None:
            raise await self.missing(identity)
        (view,) = await self._views([job])
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
        return {"items": await self._views(jobs), "next": cursor}

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

    async def _views(self, jobs: Sequence[Job]) -> list[View]:
        places = await self._places(jobs)
        counts = await self._counts() if places else Counts()
        lanes = self._lanes()
        return [
            _view(
                job,
                places.get(job.id),
                lanes.get(job.identity.lane),
                counts.lanes.get(job.identity.lane, NOTHING).share(job.quota_keys[0]),
            )
            for job in jobs
        ]

    async def _places(self, jobs: Iterable[Job]) -> Mapping[int, int]:
        """How many jobs go before each waiting one."""
        waiting: dict[str, list[Job]] = {}
        for job in jobs:
            if job.phase is Phase.PENDING and job.todo is Todo.CREATE:
                waiting.setdefault(job.identity.lane, []).append(job)
        places: dict[int, int] = {}
        for lane, queue in waiting.items():
            places |= await self._store.queue_positions(lane, queue)
        return places


def _as_stored(selection: Selection) -> Selection | None:
    """The store's share of a filter by a wait reason; None where no job can satisfy it."""
    wanted = selection.reasons
    phases = selection.phases
    if wanted <= DERIVED:
        if phases and Phase.PENDING not in phases:
            return None
        phases = frozenset({Phase.PENDING})
    return replace(selection, reasons=wanted | DERIVED if wanted & DERIVED else wanted, phases=phases)


def _view(job: Job, before: int | None, status: LaneStatus | None, share: float) -> View:
    """`share`: how much of its lane's queue wants the same slots; the place among those is estimated by it."""
    queue: View = {"position": None, "etaSeconds": None}
    if before is not None:
        eta_s = estimate_s(job, before, status, round(before * share))
        queue = {"position": before + 1, "etaSeconds": rounded(eta_s)}
    return job_view(job, queue, wait_reason(job, status))
