"""What the owner of a lane writes: taking the lane, and its commits.

Invariant: every commit begins by moving the lane's `seq` from the value that its owner knows, under the owner's epoch;
where that moves no row, nothing else is written. Rows are written in bulk, one statement for all rows of one shape.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress
from operator import ne
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, func, insert, select, update

from controller.errors import FencedOutError
from controller.events import render
from controller.model import TERMINAL, UID_LENGTH_IN_NAME, Attempt, Desired, Job, Phase
from controller.seams import Clock
from controller.store import DeadLetter, JobChange, LaneRecord, LaneWrite, RemoteIdTakenError
from controller.store.database import Database, ManyRows, Transaction, in_lists
from controller.store.faults import DRIVER_ERRORS, is_unique_violation
from controller.store.rows import (
    ATTEMPT_COLUMNS,
    ATTEMPT_KEY,
    HOT_COLUMNS,
    JOB_COLUMNS,
    STUB_COLUMNS,
    attempt_values,
    document_text,
    hot_values,
    plain,
    same_document,
    state_text,
    state_values,
    stub_values,
)
from controller.store.schema import ATTEMPTS, DEAD_LETTERS, EVENTS, INBOX, JOBS, LABELS, LANES, ORPHANS, STUBS
from controller.store.sql import Statements
from controller.store.writer import Writer

JOBS_OF_A_LANE: Final = 2**40
"""A job's id is its lane's number times this, plus a count."""

_ALL_ATTEMPT_COLUMNS: Final = (*ATTEMPT_KEY, "lane", *ATTEMPT_COLUMNS)
_EVENT_COLUMNS: Final = ("lane", "seq", "id", "type", "subject", "at", "body")
_DEAD_LETTER_COLUMNS: Final = ("what", "source", "subject", "reason", "body", "at")
_SEQ: Final = select(LANES.c.epoch, LANES.c.seq).where(LANES.c.lane == bindparam("of_lane"))
_TAKE: Final = (
    update(LANES).where(LANES.c.lane == bindparam("of_lane")).values(epoch=LANES.c.epoch + 1).returning(*LANES.c)
)

_HOLDERS: Final = select(ATTEMPTS.c.remote_id, ATTEMPTS.c.job_id, ATTEMPTS.c.incarnation, ATTEMPTS.c.number).where(
    ATTEMPTS.c.lane == bindparam("of_lane"), ATTEMPTS.c.remote_id.in_(bindparam("remote_ids", expanding=True))
)

_STUB_UIDS: Final = select(STUBS.c.name, STUBS.c.uid).where(
    STUBS.c.lane == bindparam("of_lane"), STUBS.c.name.in_(bindparam("names", expanding=True))
)

Rows = list[tuple[Any, ...]]


def read_lane(row: Sequence[Any]) -> LaneRecord:
    """A lane, of a row with the columns of `lanes`."""
    lane, number, epoch, seq, stream_sequence, last_job, paused, pause_reason, state = row
    return LaneRecord(
        lane=lane,
        number=number,
        epoch=epoch,
        seq=seq,
        stream_sequence=stream_sequence,
        last_job=last_job,
        paused=paused,
        pause_reason=pause_reason,
        state=orjson.loads(state),
    )


class LaneWrites:
    """The writing half of `LaneStore`."""

    def __init__(self, database: Database, writer: Writer, clock: Clock, instance: str) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._instance = instance

    async def take_lane(self, lane: str) -> LaneRecord:
        async def work(transaction: Transaction) -> LaneRecord:
            row = (await transaction.execute(_TAKE, {"of_lane": lane})).one_or_none()
            return read_lane(row) if row is not None else await _new_lane(transaction, lane)

        return await self._writer.submit(work)

    async def commit(self, record: LaneRecord, write: LaneWrite) -> LaneRecord:
        prepared = _Prepared(record, write, self._instance, self._clock)
        try:
            return await self._writer.submit(prepared.execute, _moved)
        except DRIVER_ERRORS as error:
            if is_unique_violation(error, index="attempts_remote", column="attempts.remote_id"):
                raise RemoteIdTakenError(await self._taken(prepared)) from error
            raise

    async def _taken(self, prepared: "_Prepared") -> str:
        """Which remote id of a refused write belongs to another attempt."""
        wanted = prepared.remote_ids
        for part in in_lists([remote_id for remote_id, _ in wanted]):
            rows = await self._database.read(_HOLDERS, {"of_lane": prepared.lane, "remote_ids": part})
            holders = {row[0]: tuple(row[1:]) for row in rows}
            for remote_id, key in wanted:
                if holders.get(remote_id, key) != key:
                    return remote_id
        counted = Counter(remote_id for remote_id, _ in wanted)
        return counted.most_common(1)[0][0]


async def _new_lane(transaction: Transaction, lane: str) -> LaneRecord:
    highest = (await transaction.execute(select(func.max(LANES.c.number)))).scalar_one()
    record = LaneRecord(
        lane=lane,
        number=(highest or 0) + 1,
        epoch=1,
        seq=0,
        stream_sequence=0,
        last_job=0,
        paused=False,
        pause_reason="",
    )
    await transaction.execute(
        insert(LANES).values(
            lane=lane,
            number=record.number,
            epoch=record.epoch,
            seq=0,
            stream_sequence=0,
            last_job=0,
            paused=False,
            pause_reason="",
            state="{}",
        )
    )
    return record


async def _moved(transaction: Transaction, record: LaneRecord) -> bool:
    row = (await transaction.execute(_SEQ, {"of_lane": record.lane})).one_or_none()
    return row is not None and tuple(row) == (record.epoch, record.seq)


class _Prepared:
    """A lane's write, turned into rows before it waits for its turn; may be executed more than once."""

    def __init__(self, record: LaneRecord, write: LaneWrite, instance: str, clock: Clock) -> None:
        if write.lane != record.lane:
            raise ValueError(f"a write of {write.lane} under the record of {record.lane}")
        self.lane = record.lane
        self.remote_ids: list[tuple[str, tuple[int, int, int]]] = []
        """Those which this write gives to an attempt, and the attempt's key."""
        self._old = record
        self._write = write
        self._instance = instance
        self._clock = clock
        self._inserts: Rows = []
        self._updates: dict[tuple[str, ...], Rows] = defaultdict(list)
        self._attempts: Rows = []
        self._attempt_updates: dict[tuple[str, ...], Rows] = defaultdict(list)
        self._labels: Rows = []
        self._unlabelled: Rows = []
        self._unstubbed: Rows = []
        self._last_job = record.last_job
        for change in write.changes:
            self._prepare(change)
        self._events = self._render()
        self._new = self._advanced()

    def _prepare(self, change: JobChange) -> None:
        before, after = change.before, change.after
        if after.identity.lane != self._old.lane:
            raise ValueError(f"{after.identity} is not of the lane {self._old.lane}")
        if before is None:
            self._insert(after)
        else:
            if before.id != after.id or not after.id:
                raise ValueError(f"{after.identity} changes its id from {before.id} to {after.id}")
            self._update(before, after)

    def _insert(self, job: Job) -> None:
        id_ = job.id
        if not id_:
            self._last_job += 1
            id_ = self._old.number * JOBS_OF_A_LANE + self._last_job
        identity = job.identity
        self._inserts.append(
            (
                id_,
                identity.lane,
                identity.scope,
                identity.kind,
                identity.name,
                *hot_values(job),
                state_text(state_values(job)),
                document_text(job),
            )
        )
        for attempt in job.attempts:
            self._insert_attempt(id_, attempt)
        self._labels.extend((id_, key, value) for key, value in job.wishes.labels.items())
        self._unstubbed.append((identity.lane, identity.name))

    def _update(self, before: Job, after: Job) -> None:
        columns, values = _JOB_DIFFERENCES.between(hot_values(before), hot_values(after))
        state = state_values(after)
        if state != state_values(before):
            columns.append("state")
            values.append(state_text(state))
        if not same_document(before, after):
            columns.append("document")
            values.append(document_text(after))
        if columns:
            self._updates[tuple(columns)].append((*values, after.id))
        if before.attempts is not after.attempts:
            self._change_attempts(before, after)
        labels = after.wishes.labels
        if before.wishes is not after.wishes and before.wishes.labels != labels:
            self._unlabelled.append((after.id,))
            self._labels.extend((after.id, key, value) for key, value in labels.items())

    def _change_attempts(self, before: Job, after: Job) -> None:
        known = {(attempt.incarnation, attempt.number): attempt for attempt in before.attempts}
        for attempt in after.attempts:
            key = (attempt.incarnation, attempt.number)
            earlier = known.get(key)
            if earlier is None:
                self._insert_attempt(after.id, attempt)
            elif earlier is not attempt:
                columns, values = _ATTEMPT_DIFFERENCES.between(attempt_values(earlier), attempt_values(attempt))
                if attempt.remote_id is not None and attempt.remote_id != earlier.remote_id:
                    self.remote_ids.append((attempt.remote_id, (after.id, *key)))
                if columns:
                    self._attempt_updates[tuple(columns)].append((*values, after.id, *key))

    def _insert_attempt(self, job: int, attempt: Attempt) -> None:
        key = (job, attempt.incarnation, attempt.number)
        self._attempts.append((*key, self.lane, *attempt_values(attempt)))
        if attempt.remote_id is not None:
            self.remote_ids.append((attempt.remote_id, key))

    def _render(self) -> Rows:
        lane, seq = self._old.lane, self._old.seq
        return [
            (lane, seq + place, event.id, event.type, event.subject, event.time, render(event, self._instance))
            for place, event in enumerate(self._write.events, start=1)
        ]

    def _advanced(self) -> LaneRecord:
        old, write = self._old, self._write
        streamed = [event.sequence for event in write.events if event.stream == old.lane]
        paused = old.paused if write.paused is None else write.paused
        reason = old.pause_reason if write.paused is None else write.pause_reason
        return replace(
            old,
            seq=old.seq + max(1, len(write.events)),
            stream_sequence=max([old.stream_sequence, *streamed]),
            last_job=self._last_job,
            paused=paused,
            pause_reason=reason if paused else "",
            state=old.state if write.state is None else write.state,
        )

    async def execute(self, transaction: Transaction) -> LaneRecord:
        """Write everything.

        Raises:
            FencedOutError: this is not the lane's owner, or not its latest record.
            the driver's own error: among others, a remote id belongs to another attempt.
        """
        await self._move(transaction)
        texts = transaction.statements
        await transaction.many_of((*self._of_jobs(texts), *self._of_attempts(texts), *self._of_rest(texts)))
        await self._execute_rest(transaction)
        return self._new

    async def _move(self, transaction: Transaction) -> None:
        old, new = self._old, self._new
        columns = ["seq", "stream_sequence", "last_job", "paused", "pause_reason"]
        values = [new.seq, new.stream_sequence, new.last_job, new.paused, new.pause_reason]
        if self._write.state is not None:
            columns.append("state")
            values.append(orjson.dumps(self._write.state, option=orjson.OPT_NON_STR_KEYS).decode())
        text = transaction.statements.update(LANES, columns, ("lane", "epoch", "seq"))
        if await transaction.channel.change(text, (*values, old.lane, old.epoch, old.seq)) != 1:
            raise FencedOutError(f"the lane {old.lane} has another owner")

    def _of_jobs(self, texts: Statements) -> Iterator[ManyRows]:
        for columns, rows in self._updates.items():
            yield texts.update(JOBS, columns, ("id",)), rows
        yield texts.delete(STUBS, ("lane", "name")), self._unstubbed
        yield texts.insert(JOBS, JOB_COLUMNS), self._inserts
        yield texts.delete(LABELS, ("job_id",)), self._unlabelled
        yield texts.insert(LABELS, ("job_id", "key", "value")), self._labels

    def _of_attempts(self, texts: Statements) -> Iterator[ManyRows]:
        for columns, rows in self._attempt_updates.items():
            yield texts.update(ATTEMPTS, columns, ATTEMPT_KEY), rows
        yield texts.insert(ATTEMPTS, _ALL_ATTEMPT_COLUMNS), self._attempts

    def _of_rest(self, texts: Statements) -> Iterator[ManyRows]:
        yield texts.insert(EVENTS, _EVENT_COLUMNS), self._events
        yield texts.delete(INBOX, ("id",)), [(entry,) for entry in self._write.consumed]

    async def _execute_rest(self, transaction: Transaction) -> None:
        write = self._write
        await insert_dead_letters(transaction, write.dead_letters)
        if write.pruned:
            await self._execute_pruned(transaction, write.pruned)
        if write.orphans:
            await self._execute_orphans(transaction)

    async def _execute_pruned(self, transaction: Transaction, jobs: Sequence[Job]) -> None:
        texts, now = transaction.statements, self._clock.now()
        for job in jobs:
            if job.phase not in TERMINAL or job.next_document is not None or _to_be_deleted(job):
                raise ValueError(f"{job.identity} is {job.phase} and has more to do: it must not be pruned")
        ids = [(job.id,) for job in jobs]
        for table, key in ((JOBS, "id"), (ATTEMPTS, "job_id"), (LABELS, "job_id")):
            await transaction.many(texts.delete(table, (key,)), ids)
        names = [(job.identity.lane, job.identity.name) for job in jobs]
        await transaction.many(texts.delete(STUBS, ("lane", "name")), names)
        await transaction.many(texts.insert(STUBS, STUB_COLUMNS), [stub_values(job, now) for job in jobs])

    async def _execute_orphans(self, transaction: Transaction) -> None:
        texts, lane = transaction.statements, self._old.lane
        found = {seen.name: seen.remote_id for seen in self._write.orphans if seen.name}
        await transaction.many(texts.delete(ORPHANS, ("lane", "remote_name")), [(lane, name) for name in found])
        await transaction.many(
            texts.insert(ORPHANS, ("lane", "remote_name", "remote_id")),
            [(lane, name, found[name]) for name in found.keys() - await self._of_stubs(transaction, list(found))],
        )

    async def _of_stubs(self, transaction: Transaction, remote_names: Sequence[str]) -> set[str]:
        """Those of jobs that ended and were pruned: nobody will look for them.

        Only where a remote name begins with its job's own name, which finds the stub without a look through them all.
        """
        begun: dict[tuple[str, str], list[str]] = {}
        for remote_name in remote_names:
            name, _, uid = remote_name.rpartition("-")[0].rpartition("-")
            begun.setdefault((name, uid), []).append(remote_name)
        of_stubs: set[str] = set()
        for part in in_lists(sorted({name for name, _ in begun})):
            rows = await transaction.execute(_STUB_UIDS, {"of_lane": self._old.lane, "names": part})
            for stub in rows:
                of_stubs.update(begun.get((stub.name, stub.uid[:UID_LENGTH_IN_NAME]), ()))
        return of_stubs


def _to_be_deleted(job: Job) -> bool:
    return job.desired is Desired.ABSENT and job.phase is not Phase.DELETED


class _Differences:
    """Which of some columns differ between two rows: an index over columns that do not is then not touched."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._places = range(len(columns))

    def between(self, before: tuple[Any, ...], after: tuple[Any, ...]) -> tuple[list[str], list[Any]]:
        """The names of the columns that differ, and their values after."""
        places = list(compress(self._places, map(ne, before, after)))
        return [self._columns[place] for place in places], [after[place] for place in places]


_JOB_DIFFERENCES: Final = _Differences(HOT_COLUMNS)
_ATTEMPT_DIFFERENCES: Final = _Differences(ATTEMPT_COLUMNS)


async def insert_dead_letters(transaction: Transaction, letters: Iterable[DeadLetter]) -> None:
    rows = [
        (letter.what, plain(letter.source), plain(letter.subject), plain(letter.reason), letter.body, letter.at)
        for letter in letters
    ]
    await transaction.many(transaction.statements.insert(DEAD_LETTERS, _DEAD_LETTER_COLUMNS), rows)
