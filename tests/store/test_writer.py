"""Group commit, cancellation, and commits of which nobody knows what became."""

import tempfile
from pathlib import Path

import anyio
import asyncpg
import pytest

import controller.store.writer
from controller.errors import FencedOutError, StoreUnavailableError
from controller.store import DeadLetter, JobChange, LaneRecord, LaneWrite, RemoteIdTakenError, Selection, Store
from tests.store.building import LANE, Place, change, identity, insert, opened, running, waiting
from tests.store.gate import DEADLINE_S, Gate, LosingProxy, until_queued


class FailingError(Exception):
    """Raised by a failpoint: the process dies here."""


def lane_write(record: LaneRecord, name: str) -> LaneWrite:
    scope = record.lane.partition("/")[0]
    return LaneWrite(record.lane, changes=[JobChange(None, waiting(name, scope))])


async def take_lanes(store: Store, count: int) -> list[LaneRecord]:
    return [await store.take_lane(f"s{n}/bedrock.ModelInvocationJob") for n in range(count)]


async def test_commits_that_are_ready_share_one_transaction(place: Place) -> None:
    gate = Gate()
    async with opened(place, failpoint=gate) as store:
        records = await take_lanes(store, 6)
        before = gate.commits
        gate.close()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.commit, records[0], lane_write(records[0], "a"))
            await gate.someone_waits()
            for record in records[1:]:
                tasks.start_soon(store.commit, record, lane_write(record, "a"))
            await until_queued(store, 5)
            gate.open()
        assert gate.commits - before == 2
        assert await store.count_jobs(Selection()) == 6


async def test_a_unit_that_fails_costs_its_neighbours_nothing(place: Place) -> None:
    gate = Gate()
    errors: dict[str, Exception] = {}

    async def commit(store: Store, record: LaneRecord, name: str, write: LaneWrite) -> None:
        try:
            await store.commit(record, write)
        except (FencedOutError, RemoteIdTakenError) as error:
            errors[name] = error

    async with opened(place, failpoint=gate) as store:
        records = await take_lanes(store, 5)
        records[3] = await store.commit(
            records[3], LaneWrite(records[3].lane, changes=[JobChange(None, running(waiting("x", "s3"), "arn:x"))])
        )
        await store.take_lane(records[1].lane)
        writes = [lane_write(record, "a") for record in records]
        writes[3] = LaneWrite(records[3].lane, changes=[JobChange(None, running(waiting("a", "s3"), "arn:x"))])
        gate.close()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(commit, store, records[0], "first", writes[0])
            await gate.someone_waits()
            for n in (1, 2, 3, 4):
                tasks.start_soon(commit, store, records[n], f"s{n}", writes[n])
            await until_queued(store, 4)
            gate.open()
        assert {name: type(error) for name, error in errors.items()} == {"s1": FencedOutError, "s3": RemoteIdTakenError}
        found, _ = await store.list_jobs(Selection(name="a"), None, 10)
        assert {job.identity.scope for job in found} == {"s0", "s2", "s4"}


async def test_a_cancelled_caller_keeps_the_state_that_was_committed(place: Place) -> None:
    gate = Gate()
    kept: list[LaneRecord] = []
    async with opened(place, failpoint=gate) as store:
        record = await store.take_lane(LANE)
        gate.close()

        async def commit() -> None:
            kept.append(await store.commit(record, lane_write(record, "a")))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(commit)
            await gate.someone_waits()
            tasks.cancel_scope.cancel()
            gate.open()
        assert kept[0].seq == record.seq + 1
        await store.commit(kept[0], lane_write(kept[0], "b"))
        assert await store.count_jobs(Selection()) == 2


async def test_a_unit_that_never_begins_is_withdrawn(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    async with opened(place, failpoint=gate) as store:
        first, second = await take_lanes(store, 2)
        monkeypatch.setattr(controller.store.writer, "WAIT_S", 0.05)
        gate.close()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.commit, first, lane_write(first, "a"))
            await gate.someone_waits()
            with pytest.raises(StoreUnavailableError, match="too slow"):
                await store.commit(second, lane_write(second, "a"))
            gate.open()
        await store.commit(second, lane_write(second, "b"))
        found, _ = await store.list_jobs(Selection(), None, 10)
        assert {(job.identity.scope, job.identity.name) for job in found} == {("s0", "a"), ("s1", "b")}


@pytest.mark.parametrize(("step", "committed"), [("store.commit:before", 0), ("store.commit:after", 1)])
async def test_a_death_at_either_side_of_a_commit(place: Place, step: str, committed: int) -> None:
    armed = False

    async def failpoint(at: str) -> None:
        if armed and at == step:
            raise FailingError

    async def die() -> None:
        nonlocal armed
        async with opened(place, failpoint=failpoint) as store:
            record = await store.take_lane(LANE)
            armed = True
            await store.commit(record, lane_write(record, "a"))

    with pytest.raises(FailingError):
        await die()
    async with opened(place, lock_wait_s=DEADLINE_S) as store:
        assert await store.count_jobs(Selection()) == committed


async def test_an_error_in_the_block_passes_as_it_is(place: Place) -> None:
    with pytest.raises(FailingError):
        async with opened(place):
            raise FailingError


async def test_a_closed_store_says_so(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
    with pytest.raises(StoreUnavailableError, match="is closed"):
        await store.commit(record, lane_write(record, "a"))


async def test_leaving_while_cancelled_still_writes_what_was_handed_over(place: Place) -> None:
    gate = Gate()
    with anyio.CancelScope() as scope:
        async with opened(place, failpoint=gate) as store:
            record = await store.take_lane(LANE)
            gate.close()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.commit, record, lane_write(record, "a"))
                await gate.someone_waits()
                scope.cancel()
                gate.open()
    async with opened(place) as again:
        assert await again.count_jobs(Selection()) == 1


# PostgreSQL alone: connections that break


async def _terminate(place: Place, state: str = "") -> None:
    connection = await asyncpg.connect(place.url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'ferryman' AND datname = current_database() AND (state = $1 OR $1 = '')",
            state,
        )
    finally:
        await connection.close()


async def test_a_connection_lost_before_the_commit_means_nothing_was_written(postgresql_place: Place) -> None:
    gate = Gate()
    async with opened(postgresql_place, failpoint=gate) as store:
        record, (job,) = await insert(store, await store.take_lane(LANE), [waiting("a")])
        gate.close()
        async with anyio.create_task_group() as tasks:

            async def commit() -> None:
                with pytest.raises(StoreUnavailableError):
                    await change(store, record, (job, running(job, "arn:a")))

            tasks.start_soon(commit)
            await gate.someone_waits()
            await _terminate(postgresql_place, "idle in transaction")
            gate.open()
        assert (await store.jobs_by_id([job.id])) == [job]
        await change(store, record, (job, running(job, "arn:a")))


async def test_a_reader_whose_connections_were_ended_reads_on(postgresql_place: Place) -> None:
    async with opened(postgresql_place) as store:
        await insert(store, await store.take_lane(LANE), [waiting("a")])
        await _terminate(postgresql_place)
        assert await store.count_jobs(Selection()) == 1
        for _ in range(2):
            try:
                record = await store.take_lane(LANE)
                break
            except StoreUnavailableError:
                continue
        await store.commit(record, LaneWrite(LANE))


async def test_a_commit_whose_answer_is_lost_is_read_back(postgresql_place: Place) -> None:
    directory = Path(postgresql_place.url.partition("host=")[2])
    proxy = LosingProxy(directory / ".s.PGSQL.5432")
    with tempfile.TemporaryDirectory(prefix="fm-px-") as between:
        place = Place(postgresql_place.url.replace(str(directory), between), None)
        async with proxy.running(Path(between)), opened(place) as store:
            record = await store.take_lane(LANE)
            proxy.armed = True
            record, (job,) = await insert(store, record, [waiting("a")])
            assert proxy.lost == 1
            await change(store, record, (job, running(job, "arn:a")))
            assert await store.find_job(identity("a")) is not None


async def test_dead_letters_taken_by_a_commit_whose_answer_is_lost_are_handed_over(postgresql_place: Place) -> None:
    directory = Path(postgresql_place.url.partition("host=")[2])
    proxy = LosingProxy(directory / ".s.PGSQL.5432")
    with tempfile.TemporaryDirectory(prefix="fm-px-") as between:
        place = Place(postgresql_place.url.replace(str(directory), between), None)
        async with proxy.running(Path(between)), opened(place) as store:
            record = await store.take_lane(LANE)
            await store.commit(record, LaneWrite(LANE, dead_letters=[DeadLetter("document", "s", "x", "r", b"", 1.0)]))
            proxy.armed = True
            assert [letter.subject for letter in await store.take_dead_letters([1])] == ["x"]
            assert proxy.lost == 1
