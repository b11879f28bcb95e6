"""What the owner of a lane reads.

Invariant: every query names its lane and is served by an index; the conditions of a partial index stand in the text of
the statement, since a database cannot see through a parameter. Jobs come with the attempts of their present
incarnation, of one statement, so that the two always fit together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, exists, func, literal_column, or_, select, text
from sqlalchemy.sql.selectable import CTE

from controller.model import Job, Phase, Stub, Todo
from controller.store import Brief, Entry, EntryType, Mirror
from controller.store.database import Database, in_lists
from controller.store.rows import (
    ATTEMPT_COLUMNS,
    JOB_COLUMNS,
    STUB_COLUMNS,
    read_jobs,
    read_phase,
    read_quota_keys,
    read_records,
    read_stub,
    read_todo,
)
from controller.store.schema import ATTEMPTS, INBOX, JOBS, ORPHANS, STUBS

_J: Final = JOBS.c
_A: Final = ATTEMPTS.c
_LANE: Final = _J.lane == bindparam("of_lane")
_WAITING: Final = text("jobs.todo = 'create'")
_HAS_TODO: Final = text("jobs.todo IS NOT NULL AND jobs.todo <> 'create'")
_LIVE: Final = text("jobs.live")
ROWS_AT_ONCE: Final = 2000
"""Of a read that needs them all, so that they are not in memory together."""
_RUNNING: Final = _J.phase.in_(["Running", "Stopping"])
_WANTS_DEADLINE: Final = text("jobs.deadline_wanted")
_OPEN_PHASES: Final = ("Pending", "Creating", "Running", "Stopping", "Uncertain")
_LIMIT: Final[ColumnElement[int]] = bindparam("up_to", type_=Integer)
_MIRROR: Final = (
    _J.id,
    _J.remote_id,
    _J.phase,
    _J.todo,
    _J.remote_status,
    _J.records_total,
    _J.records_processed,
    _J.records_succeeded,
    _J.records_failed,
)


def with_attempts(chosen: Select[Any], *order: str) -> Select[Any]:
    """The rows of `chosen` jobs, each joined with its attempts, for `read_jobs`.

    `order` names columns, `-` before one for descending; the attempts of a job are in order within it.
    """
    jobs = chosen.subquery("chosen")
    joined = jobs.outerjoin(ATTEMPTS, and_(_A.job_id == jobs.c.id, _A.incarnation == jobs.c.incarnation))
    columns = [jobs.c[name] for name in JOB_COLUMNS]
    attempts = [_A.incarnation.label("attempt_incarnation"), _A.number, *(_A[name] for name in ATTEMPT_COLUMNS)]
    orders = [jobs.c[name[1:]].desc() if name.startswith("-") else jobs.c[name] for name in order]
    return (
        select(*columns, *(column.label(f"attempt_{column.key}") for column in attempts))
        .select_from(joined)
        .order_by(*orders, _A.number)
    )


def jobs_where(*conditions: Any) -> Select[Any]:
    return select(*(_J[name] for name in JOB_COLUMNS)).where(*conditions)


_NAMED: Final = with_attempts(jobs_where(_LANE, _J.name.in_(bindparam("names", expanding=True))), "id")
_BY_ID: Final = with_attempts(jobs_where(_J.id.in_(bindparam("ids", expanding=True))), "id")
_STUBS_NAMED: Final = select(*(STUBS.c[name] for name in STUB_COLUMNS)).where(
    STUBS.c.lane == bindparam("of_lane"), STUBS.c.name.in_(bindparam("names", expanding=True))
)
_ENTRIES: Final = select(*INBOX.c).where(INBOX.c.lane == bindparam("of_lane")).order_by(INBOX.c.id).limit(_LIMIT)
_TO_DO: Final = with_attempts(
    jobs_where(
        _LANE,
        _HAS_TODO,
        _J.todo == bindparam("what"),
        _J.due_at <= bindparam("before"),
        _J.due_at > bindparam("after"),
    )
    .order_by(_J.due_at)
    .limit(_LIMIT),
    "due_at",
    "id",
)
_NEXT_DUE: Final = select(func.min(_J.due_at)).where(_LANE, _HAS_TODO, _J.todo == bindparam("what"))
_HEADS: Final = with_attempts(
    jobs_where(_LANE, _WAITING, _J.quota_key == bindparam("key"))
    .order_by(_J.priority.desc(), _J.turn, _J.id)
    .limit(_LIMIT),
    "-priority",
    "turn",
    "id",
)
_TURNS: Final = (
    select(_J.priority, _J.group_name, func.max(_J.turn)).where(_LANE, _WAITING).group_by(_J.priority, _J.group_name)
)
_SLOTS: Final = (
    select(_J.id, _J.quota_key, _J.state)
    .where(_LANE, _LIVE, _J.id > bindparam("after_id"))
    .order_by(_J.id)
    .limit(_LIMIT)
)
_MIRRORS: Final = select(*_MIRROR).where(_LANE, _J.remote_id.in_(bindparam("remote_ids", expanding=True)))
_RUNNING_AFTER: Final = (
    select(*_MIRROR)
    .where(_LANE, _LIVE, _RUNNING, _J.id > bindparam("after_id"), _J.remote_id.is_not(None))
    .order_by(_J.id)
    .limit(_LIMIT)
)
_BRIEFLY: Final = (
    select(_J.id, _J.remote_status, _J.began_at)
    .where(_LANE, _LIVE, _RUNNING, _J.id > bindparam("after_id"), _J.remote_id.is_not(None))
    .order_by(_J.id)
    .limit(_LIMIT)
)
_SUMMARY: Final = select(func.count(), func.min(_J.began_at)).where(_LANE, _RUNNING)
_KNOWN: Final = select(_A.remote_id).where(
    _A.lane == bindparam("of_lane"), _A.remote_id.in_(bindparam("remote_ids", expanding=True))
)
_ORPHANS: Final = select(ORPHANS.c.remote_name, ORPHANS.c.remote_id).where(
    ORPHANS.c.lane == bindparam("of_lane"), ORPHANS.c.remote_name.in_(bindparam("names", expanding=True))
)
_ANY_ORPHANS: Final = select(exists().where(ORPHANS.c.lane == bindparam("of_lane")))
_INTENTS: Final = (
    select(_A.remote_name, _J.id)
    .select_from(
        JOBS.join(
            ATTEMPTS,
            and_(_A.job_id == _J.id, _A.incarnation == _J.incarnation, _A.number == _J.attempt),
        )
    )
    .where(
        _LANE,
        _J.phase.in_(["Creating", "Uncertain"]),
        _A.remote_name.in_(bindparam("names", expanding=True)),
        _A.remote_id.is_(None),
    )
)
_OLDEST_OPEN: Final = select(func.min(_J.accepted_at)).where(_LANE, _J.phase.in_(_OPEN_PHASES))
_OVERDUE: Final = with_attempts(
    jobs_where(_LANE, _WANTS_DEADLINE, _J.deadline_at <= bindparam("before")).order_by(_J.deadline_at).limit(_LIMIT),
    "deadline_at",
    "id",
)
_DEADLINES: Final = select(
    exists().where(_LANE, _WANTS_DEADLINE, _J.deadline_at.is_(None)),
    select(func.min(_J.deadline_at)).where(_LANE, _WANTS_DEADLINE).scalar_subquery(),
)
_UNPLACED: Final = with_attempts(
    jobs_where(_LANE, _WANTS_DEADLINE, _J.deadline_at.is_(None)).limit(_LIMIT),
    "id",
)
_INTERRUPTED: Final = with_attempts(
    jobs_where(_LANE, _J.phase == Phase.CREATING.value, _J.todo.is_(None)).limit(_LIMIT), "id"
)
_PRUNABLE: Final = with_attempts(
    jobs_where(
        _LANE,
        _J.ended_at.is_not(None),
        _J.ended_at < bindparam("before"),
        _J.phase.in_(["Succeeded", "Failed", "Stopped", "Deleted"]),
        _J.next_wanted.is_(False),
        or_(_J.desired != "Absent", _J.phase == "Deleted"),
    )
    .order_by(_J.ended_at)
    .limit(_LIMIT),
    "ended_at",
    "id",
)
_PHASES: Final = select(_J.phase, func.count()).where(_LANE).group_by(_J.phase)


def _keys() -> CTE:
    """Steps from one quota key to the next in the index, instead of reading every job that waits."""
    first = select(func.min(_J.quota_key).label("key")).where(_LANE, _WAITING)
    keys = first.cte("keys", recursive=True)
    following = select(func.min(_J.quota_key)).where(_LANE, _WAITING, _J.quota_key > keys.c.key).scalar_subquery()
    return keys.union_all(select(following).where(keys.c.key.is_not(None)))


_KEYS: Final[Select[Any]] = select(literal_column("keys.key")).select_from(_keys()).where(text("keys.key IS NOT NULL"))


class LaneReads:
    """The reading half of `LaneStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def inbox(self, lane: str, limit: int) -> Sequence[Entry]:
        rows = await self._database.read(_ENTRIES, {"of_lane": lane, "up_to": limit})
        return [
            Entry(id_, of_lane, EntryType(type_), name, body, source, received_at)
            for id_, of_lane, type_, name, body, source, received_at in rows
        ]

    async def jobs_named(self, lane: str, names: Sequence[str]) -> Mapping[str, Job | Stub]:
        known: dict[str, Job | Stub] = {}
        for part in in_lists(names):
            jobs = await self._jobs(_NAMED, of_lane=lane, names=part)
            known |= {job.identity.name: job for job in jobs}
        missing = [name for name in names if name not in known]
        for part in in_lists(missing):
            stubs = map(read_stub, await self._database.read(_STUBS_NAMED, {"of_lane": lane, "names": part}))
            known |= {stub.identity.name: stub for stub in stubs}
        return known

    async def jobs_by_id(self, ids: Sequence[int]) -> Sequence[Job]:
        return [job for part in in_lists(ids) for job in await self._jobs(_BY_ID, ids=part)]

    async def jobs_to(
        self, lane: str, todo: Todo, due_before: float, limit: int, due_after: float = -1.0
    ) -> Sequence[Job]:
        if todo is Todo.CREATE:
            raise ValueError("jobs to create wait in queues: see queue_heads")
        return await self._jobs(_TO_DO, of_lane=lane, what=todo.value, before=due_before, after=due_after, up_to=limit)

    async def next_due(self, lane: str, todo: Todo) -> float | None:
        rows = await self._database.read(_NEXT_DUE, {"of_lane": lane, "what": todo.value})
        return _moment(rows[0][0])

    async def queue_heads(self, lane: str, quota_key: str, limit: int) -> Sequence[Job]:
        return await self._jobs(_HEADS, of_lane=lane, key=quota_key, up_to=limit)

    async def queue_keys(self, lane: str) -> Sequence[str]:
        return [row[0] for row in await self._database.read(_KEYS, {"of_lane": lane})]

    async def turns_waiting(self, lane: str) -> Sequence[tuple[int, str, int]]:
        rows = await self._database.read(_TURNS, {"of_lane": lane})
        return [(priority, group, turn) for priority, group, turn in rows]

    async def slots_taken(self, lane: str) -> Sequence[tuple[int, tuple[str, ...]]]:
        taken: list[tuple[int, tuple[str, ...]]] = []
        same: dict[tuple[str, ...], tuple[str, ...]] = {}  # few keys, many jobs
        after = 0
        while rows := await self._database.read(_SLOTS, {"of_lane": lane, "after_id": after, "up_to": ROWS_AT_ONCE}):
            for id_, key, state in rows:
                keys = read_quota_keys(key, state)
                taken.append((id_, same.setdefault(keys, keys)))
            after = taken[-1][0]
        return taken

    async def mirrors(self, lane: str, remote_ids: Sequence[str]) -> Mapping[str, Mirror]:
        found = [
            _read_mirror(row)
            for part in in_lists(remote_ids)
            for row in await self._database.read(_MIRRORS, {"of_lane": lane, "remote_ids": part})
        ]
        return {mirror.remote_id: mirror for mirror in found}

    async def running(self, lane: str, after_job: int, limit: int) -> Sequence[Mirror]:
        rows = await self._database.read(_RUNNING_AFTER, {"of_lane": lane, "after_id": after_job, "up_to": limit})
        return list(map(_read_mirror, rows))

    async def running_briefly(self, lane: str, after_job: int, limit: int) -> Sequence[Brief]:
        rows = await self._database.read(_BRIEFLY, {"of_lane": lane, "after_id": after_job, "up_to": limit})
        return [Brief(id_, status, _moment(began_at)) for id_, status, began_at in rows]

    async def running_summary(self, lane: str) -> tuple[int, float | None]:
        ((count, oldest),) = await self._database.read(_SUMMARY, {"of_lane": lane})
        return int(count), _moment(oldest)

    async def remote_ids_known(self, lane: str, remote_ids: Sequence[str]) -> frozenset[str]:
        known: set[str] = set()
        for part in in_lists(remote_ids):
            rows = await self._database.read(_KNOWN, {"of_lane": lane, "remote_ids": part})
            known.update(remote_id for (remote_id,) in rows)
        return frozenset(known)

    async def orphans(self, lane: str, remote_names: Sequence[str]) -> Mapping[str, str]:
        return {
            name: remote_id
            for part in in_lists(remote_names)
            for name, remote_id in await self._database.read(_ORPHANS, {"of_lane": lane, "names": part})
        }

    async def any_orphans(self, lane: str) -> bool:
        return bool((await self._database.read(_ANY_ORPHANS, {"of_lane": lane}))[0][0])

    async def open_intents(self, lane: str, remote_names: Sequence[str]) -> Mapping[str, int]:
        return {
            name: id_
            for part in in_lists(remote_names)
            for name, id_ in await self._database.read(_INTENTS, {"of_lane": lane, "names": part})
        }

    async def oldest_open(self, lane: str) -> float | None:
        return _moment((await self._database.read(_OLDEST_OPEN, {"of_lane": lane}))[0][0])

    async def deadlines(self, lane: str) -> tuple[bool, float | None]:
        ((unplaced, first),) = await self._database.read(_DEADLINES, {"of_lane": lane})
        return bool(unplaced), _moment(first)

    async def overdue(self, lane: str, before: float, limit: int) -> Sequence[Job]:
        return await self._jobs(_OVERDUE, of_lane=lane, before=before, up_to=limit)

    async def without_deadline(self, lane: str, limit: int) -> Sequence[Job]:
        return await self._jobs(_UNPLACED, of_lane=lane, up_to=limit)

    async def interrupted(self, lane: str, limit: int) -> Sequence[Job]:
        return await self._jobs(_INTERRUPTED, of_lane=lane, up_to=limit)

    async def prunable(self, lane: str, ended_before: float, limit: int) -> Sequence[Job]:
        return await self._jobs(_PRUNABLE, of_lane=lane, before=ended_before, up_to=limit)

    async def phase_counts(self, lane: str) -> Mapping[Phase, int]:
        rows = await self._database.read(_PHASES, {"of_lane": lane})
        return {read_phase(phase): count for phase, count in rows}

    async def _jobs(self, statement: Select[Any], **parameters: Any) -> list[Job]:
        return read_jobs(await self._database.read(statement, parameters))


def _moment(value: Any) -> float | None:
    return None if value is None else float(value)


def _read_mirror(row: Sequence[Any]) -> Mirror:
    id_, remote_id, phase, todo, remote_status, *records = row
    return Mirror(
        job_id=id_,
        remote_id=remote_id,
        phase=read_phase(phase),
        todo=read_todo(todo),
        remote_status=remote_status,
        records=read_records(*records),
    )
