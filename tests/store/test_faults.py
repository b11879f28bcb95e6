"""Disks that fill up or break, and processes that are killed."""

import os
import random
import resource
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from controller.errors import StoreUnavailableError
from controller.model import Job
from controller.store import DeadLetter, EntryType, JobChange, LaneWrite, NewEntry, Selection, Store
from tests.store.building import LANE, Place, event_of, insert, opened, waiting
from tests.store.gate import DEADLINE_S

ENTRY = NewEntry(LANE, EntryType.DOCUMENT, "a", b"x" * 1000, "test")


async def _fills_up_and_recovers(store: Store, refill: Any) -> None:
    record, (job,) = await insert(store, await store.take_lane(LANE), [waiting("a")])
    with refill():
        with pytest.raises(StoreUnavailableError):
            await store.receive([ENTRY] * 2000, 1.0)
        with pytest.raises(StoreUnavailableError):
            await insert(store, record, [waiting(f"n{n}") for n in range(2000)])
        assert await store.jobs_by_id([job.id]) == [job]
    assert await store.writable()
    assert await store.inbox_size() == 0
    assert await store.count_jobs(Selection()) == 1
    assert len(await store.receive([ENTRY], 1.0)) == 1
    await insert(store, record, [waiting("b")])


async def test_a_full_database_refuses_and_recovers_by_itself(sqlite_place: Place) -> None:
    """What SQLite says when the disk is full, brought about by its own bound on pages."""
    async with opened(sqlite_place) as store:
        connection: Any = store._writer._connection.connection  # type: ignore[attr-defined]  # to reach its bound
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 30}")

        record, _ = await insert(store, await store.take_lane(LANE), [waiting("a")])
        with pytest.raises(StoreUnavailableError, match="has no space left on its disk"):
            await store.receive([ENTRY] * 2000, 1.0)
        assert await store.inbox_size() == 0
        await connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        await store.commit(record, LaneWrite(LANE))


async def test_writes_that_fail_on_the_disk_recover_by_themselves(sqlite_place: Place) -> None:
    @contextmanager
    def no_room() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    async with opened(sqlite_place) as store:
        await _fills_up_and_recovers(store, no_room)


async def test_a_full_disk_is_not_writable(sqlite_place: Place) -> None:
    async with opened(sqlite_place) as store:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            assert not await store.writable()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await store.writable()


async def test_a_program_that_holds_the_file_locked(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.store.sqlite._BUSY_TIMEOUT_MS", 50)
    async with opened(sqlite_place) as store:
        other = sqlite3.connect(str(sqlite_place.path), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="is locked by another program"):
            await store.receive([ENTRY], 1.0)
        assert await store.inbox_size() == 0
        other.execute("ROLLBACK")
        other.close()
        await store.receive([ENTRY], 1.0)


# Killed

COMMITS_A_ROUND = 40
ROUNDS = 4


async def _commit_until_killed(url: str) -> None:
    """Runs in a process of its own: says each number once it is committed."""
    async with opened(Place(url, None), lock_wait_s=DEADLINE_S) as store:
        record = await store.take_lane(LANE)
        while True:
            number = record.last_job + 1
            (entry,) = await store.receive([ENTRY], 1.0)
            job: Job = waiting(f"n{number}")
            record = await store.commit(
                record,
                LaneWrite(
                    LANE,
                    changes=[JobChange(None, job)],
                    events=[event_of(job), event_of(job, 2)],
                    consumed=[entry],
                    dead_letters=[DeadLetter("document", "s", f"n{number}", "r", b"", 1.0)],
                ),
            )
            os.write(1, f"{number}\n".encode())


async def _kill_after(place: Place, lines: int, pause_s: float) -> int:
    """Let the other process commit a while, kill it; returns the last number that it had said."""
    command = [sys.executable, "-m", "tests.store.test_faults", place.url]
    said = ""
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        with anyio.fail_after(60):
            async for text in TextReceiveStream(process.stdout):
                said += text
                if said.count("\n") >= lines:
                    break
        await anyio.sleep(pause_s)  # the moment is random on purpose
        process.kill()
        async for text in TextReceiveStream(process.stdout):
            said += text
    return int(said[: said.rindex("\n")].rpartition("\n")[2])


async def test_what_was_said_to_be_committed_survives_a_kill(place: Place) -> None:
    chance = random.Random(7)
    for _ in range(ROUNDS):
        last = await _kill_after(place, chance.randint(1, COMMITS_A_ROUND), chance.random() / 50)
        async with opened(place, lock_wait_s=DEADLINE_S) as store:
            jobs = await store.count_jobs(Selection())
            assert jobs in {last, last + 1}
            record = (await store.lane_records())[0]
            assert (record.last_job, record.seq) == (jobs, 2 * jobs)
            assert len(await store.events_after(LANE, 0, 10_000)) == 2 * jobs
            assert len(await store.list_dead_letters(0, 10_000)) == jobs
            assert await store.inbox_size() <= ROUNDS
    if place.path is not None:
        with sqlite3.connect(place.path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


async def test_closing_leaves_one_small_file(sqlite_place: Place) -> None:
    async with opened(sqlite_place) as store:
        await insert(store, await store.take_lane(LANE), [waiting(f"n{n}") for n in range(500)])
    assert sqlite_place.path is not None
    names = {path.name for path in Path(sqlite_place.path).parent.iterdir()}
    assert names == {"ferryman.db", "ferryman.db.lock"}


if __name__ == "__main__":
    anyio.run(_commit_until_killed, sys.argv[1])
