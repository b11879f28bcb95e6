"""Reading connections: which one is used, and which one never again. What a server does to them: `test_writer`."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from controller.store.database import READERS
from controller.store.readers import Readers
from controller.store.sqlite import SqliteBackend
from controller.store.target import parse_target
from tests.store.building import Place, opened

ONE = select(text("1"))
STEPS = 1_000_000
SLOW = text(
    f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {STEPS}) SELECT max(x) FROM n"  # noqa: S608
)
WAIT_S = 20.0
WRONG = text("SELECT nothing FROM nowhere")


class Watched(Readers):
    """Readers of a store's file, with the connections that were opened and dropped."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, READERS, self.note)
        self.opened: list[Any] = []
        self.dropped: list[AsyncConnection] = []
        event.listen(engine.sync_engine, "connect", lambda connection, _: self.opened.append(connection))

    async def note(self, connection: AsyncConnection) -> None:
        self.dropped.append(connection)
        await drop(connection)


async def drop(connection: AsyncConnection) -> None:
    with anyio.move_on_after(WAIT_S, shield=True):
        await connection.invalidate()
        await connection.close()


@pytest.fixture
async def readers(sqlite_place: Place) -> AsyncIterator[Watched]:
    async with opened(sqlite_place):
        """So that there is a file to read."""
    made = Watched(SqliteBackend(parse_target(sqlite_place.url)).readers())
    yield made
    await made.close()
    for connection in made.opened:  # a thread that still works when its loop is closed would say so
        await anyio.to_thread.run_sync(connection.driver_connection._thread.join, WAIT_S)


async def opened_by(readers: Watched, count: int = 1) -> None:
    while len(readers.opened) < count:
        await checkpoint()


async def test_one_after_another_takes_the_same_connection(readers: Watched) -> None:
    for _ in range(5):
        assert await readers.rows(ONE) == [(1,)]
    assert len(readers.opened) == 1
    await readers.close()
    assert len(readers.dropped) == 1


async def test_many_at_once_are_no_more_than_there_are_places(readers: Watched) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(readers.rows, ONE)
    assert 1 < len(readers.opened) <= READERS


async def test_who_finds_no_place_in_time_is_told(readers: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.store.readers.PLACE_WAIT_S", 0.01)
    async with anyio.create_task_group() as tasks:
        for _ in range(READERS):
            tasks.start_soon(readers.rows, SLOW)
        await opened_by(readers, READERS)
        with pytest.raises(PoolTimeoutError, match="in use"):
            await readers.rows(ONE)
    assert await readers.rows(ONE) == [(1,)]


async def test_a_connection_on_which_something_failed_is_not_used_again(readers: Watched) -> None:
    with pytest.raises(DBAPIError):
        await readers.rows(WRONG)
    assert len(readers.dropped) == 1
    assert await readers.rows(ONE) == [(1,)]
    assert len(readers.opened) == 2


async def test_neither_is_one_whose_caller_was_cancelled(readers: Watched) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(readers.rows, SLOW)
        await opened_by(readers)
        tasks.cancel_scope.cancel()
    assert len(readers.dropped) == 1
    assert await readers.rows(ONE) == [(1,)]
    assert len(readers.opened) == 2


async def test_one_in_use_at_the_end_goes_when_it_has_answered(readers: Watched) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(readers.rows, SLOW)
        await opened_by(readers)
        await readers.close()
    assert len(readers.dropped) == 1
