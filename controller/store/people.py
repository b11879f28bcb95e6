"""What people look at: lists, counts and searches over all lanes, a page at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, Integer, Select, and_, bindparam, delete, func, select, text

from controller.model import TERMINAL, Identity, Job, Phase, Stub
from controller.store import DeadLetter, OpenJobs, OutboxEvent, Selection
from controller.store.database import Database, Transaction
from controller.store.lane_reads import jobs_where, with_attempts
from controller.store.newest import cursor_behind, newest_of_all, newest_of_next, of_all
from controller.store.outbox import AFTER, read_event
from controller.store.places import read_places
from controller.store.rows import STUB_COLUMNS, read_jobs, read_phase, read_stub
from controller.store.schema import DEAD_LETTERS, EVENTS, JOBS, LANES, STUBS
from controller.store.writer import Writer

_J: Final = JOBS.c
_E: Final = EVENTS.c
_D: Final = DEAD_LETTERS.c
_LANE: Final = _J.lane == bindparam("of_lane")
_OPEN: Final = sorted(phase.value for phase in Phase if phase not in TERMINAL)
_WAITING: Final = text("jobs.todo = 'create'")
_JOB: Final = with_attempts(jobs_where(_LANE, _J.name == bindparam("of_name")), "id")
_STUB: Final = select(*(STUBS.c[name] for name in STUB_COLUMNS)).where(
    STUBS.c.lane == bindparam("of_lane"), STUBS.c.name == bindparam("of_name")
)
_COUNTS: Final = select(_J.lane, _J.phase, _J.reason, func.count()).group_by(_J.lane, _J.phase, _J.reason)
_WAITING_COUNTS: Final = select(_J.lane, _J.quota_key, func.count()).where(_WAITING).group_by(_J.lane, _J.quota_key)
_LANES: Final = select(LANES.c.lane).order_by(LANES.c.lane)
_OF_SUBJECT: Final = _E.subject == bindparam("of_subject")
_AFTER_OF_SUBJECT: Final = (
    select(*_E)
    .where(_OF_SUBJECT, _E.lane == bindparam("of_lane"), _E.seq > bindparam("after"))
    .order_by(_E.seq)
    .limit(bindparam("up_to", type_=Integer))
)
_LAST: Final = (
    select(*_E).where(_OF_SUBJECT).order_by(_E.lane.desc(), _E.seq.desc()).limit(bindparam("up_to", type_=Integer))
)
_UP_TO: Final[BindParameter[int]] = bindparam("up_to", type_=Integer)
_LETTERS: Final = select(*_D).where(_D.id > bindparam("after")).order_by(_D.id).limit(_UP_TO)
_NEWEST_LETTERS: Final = select(*_D).where(_D.id < bindparam("after")).order_by(_D.id.desc()).limit(_UP_TO)
_BEYOND_EVERY_LETTER: Final = 2**62


def _ahead() -> Any:
    """Jobs before a waiting one: three ranges of one index."""
    priority: BindParameter[int] = bindparam("of_priority")
    turn: BindParameter[int] = bindparam("of_turn")
    id_: BindParameter[int] = bindparam("of_id")
    ranges = (
        _J.priority > priority,
        and_(_J.priority == priority, _J.turn < turn),
        and_(_J.priority == priority, _J.turn == turn, _J.id < id_),
    )
    counts = [select(func.count()).where(_LANE, _WAITING, condition).scalar_subquery() for condition in ranges]
    return select(counts[0] + counts[1] + counts[2])


_AHEAD: Final = _ahead()


class PeopleReads:
    """Implements `StoreReads`."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def find_job(self, identity: Identity) -> Job | None:
        rows = await self._database.read(_JOB, {"of_lane": identity.lane, "of_name": identity.name})
        return next(iter(read_jobs(rows)), None)

    async def find_stub(self, identity: Identity) -> Stub | None:
        rows = await self._database.read(_STUB, {"of_lane": identity.lane, "of_name": identity.name})
        return read_stub(rows[0]) if rows else None

    async def list_jobs(self, selection: Selection, after: str | None, limit: int) -> tuple[Sequence[Job], str | None]:
        jobs: Sequence[Job] = ()
        if selection != Selection():
            jobs = read_jobs(await self._database.read(newest_of_next(selection, after, limit + 1)))
        if len(jobs) <= limit:
            jobs = read_jobs(await self._database.read(newest_of_all(selection, after, limit + 1)))
        page = jobs[:limit]
        return page, cursor_behind(page[-1]) if len(jobs) > limit and page else None

    async def count_jobs(self, selection: Selection) -> int:
        rows = await self._database.read(select(func.count()).select_from(JOBS).where(*of_all(selection)))
        return int(rows[0][0])

    async def counts(self) -> Sequence[tuple[str, Phase, str | None, int]]:
        rows = await self._database.read(_COUNTS)
        return [(lane, read_phase(phase), reason, count) for lane, phase, reason, count in rows]

    async def waiting_counts(self) -> Sequence[tuple[str, str, int]]:
        rows = await self._database.read(_WAITING_COUNTS)
        return [(lane, key, count) for lane, key, count in rows]

    async def open_jobs(self, lane: str, selection: Selection) -> Sequence[OpenJobs]:
        rows = await self._database.read(open_of(selection), {"of_lane": lane})
        return [OpenJobs(read_phase(phase), key, jobs, youngest) for phase, key, jobs, youngest in rows]

    async def last_waiting(self, lane: str, quota_key: str, selection: Selection) -> Job | None:
        rows = await self._database.read(last_of(selection), {"of_lane": lane, "key": quota_key})
        return next(iter(read_jobs(rows)), None)

    async def queue_position(self, job: Job) -> int:
        parameters = {
            "of_lane": job.identity.lane,
            "of_priority": job.wishes.priority,
            "of_turn": job.turn,
            "of_id": job.id,
        }
        return int((await self._database.read(_AHEAD, parameters))[0][0])

    async def queue_positions(self, lane: str, jobs: Sequence[Job]) -> Mapping[int, int]:
        return await read_places(self._database, lane, jobs)

    async def list_events(
        self, after: Mapping[str, int], subject: str | None, limit: int
    ) -> tuple[Sequence[OutboxEvent], Mapping[str, int]]:
        events: list[OutboxEvent] = []
        cursor = dict(after)
        for (lane,) in await self._database.read(_LANES):
            if len(events) >= limit:
                break
            parameters = {"of_lane": lane, "after": after.get(lane, 0), "up_to": limit - len(events)}
            if subject is None:
                rows = await self._database.read(AFTER, parameters)
            else:
                rows = await self._database.read(_AFTER_OF_SUBJECT, {**parameters, "of_subject": subject})
            if rows:
                events.extend(map(read_event, rows))
                cursor[lane] = events[-1].seq
        return events, cursor

    async def last_events(self, subject: str, limit: int) -> Sequence[OutboxEvent]:
        rows = await self._database.read(_LAST, {"of_subject": subject, "up_to": limit})
        return [read_event(row) for row in reversed(rows)]

    async def list_dead_letters(self, after: int, limit: int, *, newest: bool = False) -> Sequence[DeadLetter]:
        begin = after or _BEYOND_EVERY_LETTER if newest else after
        chosen = _NEWEST_LETTERS if newest else _LETTERS
        return list(map(_read_letter, await self._database.read(chosen, {"after": begin, "up_to": limit})))

    async def count_dead_letters(self) -> int:
        rows = await self._database.read(select(func.count()).select_from(DEAD_LETTERS))
        return int(rows[0][0])

    async def take_dead_letters(self, ids: Sequence[int]) -> Sequence[DeadLetter]:
        if not ids:
            return []

        async def work(transaction: Transaction) -> list[DeadLetter]:
            taken: list[DeadLetter] = []
            for id_ in sorted(set(ids)):
                rows = await transaction.execute(delete(DEAD_LETTERS).where(_D.id == id_).returning(*_D))
                taken.extend(map(_read_letter, rows))
            return taken

        async def happened(transaction: Transaction, taken: list[DeadLetter]) -> bool:
            if not taken:
                return True
            return (await transaction.execute(select(_D.id).where(_D.id == taken[0].id))).first() is None

        return await self._writer.submit(work, happened)


def open_of(selection: Selection) -> Select[Any]:
    """The statement of `open_jobs`."""
    return (
        select(_J.phase, _J.quota_key, func.count(), func.max(_J.began_at))
        .where(_LANE, _J.phase.in_(_OPEN), *of_all(selection))
        .group_by(_J.phase, _J.quota_key)
    )


def last_of(selection: Selection) -> Select[Any]:
    """The statement of `last_waiting`: from the end of the queue's index to the first that is selected."""
    chosen = jobs_where(_LANE, _WAITING, _J.quota_key == bindparam("key"), *of_all(selection))
    return with_attempts(chosen.order_by(_J.priority, _J.turn.desc(), _J.id.desc()).limit(1), "id")


def _read_letter(row: Sequence[Any]) -> DeadLetter:
    id_, what, source, subject, reason, body, at = row
    return DeadLetter(what=what, source=source, subject=subject, reason=reason, body=body, at=at, id=id_)
