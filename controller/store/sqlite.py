"""SQLite as the store: one file, one process, every commit on the disk before it returns.

Invariant: the lock is on a file of its own and is the kernel's, so that a killed daemon leaves nothing behind.
"""

import fcntl
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiosqlite
import anyio.to_thread
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from controller.errors import StoreError
from controller.seams import Clock
from controller.store.database import READERS, Channel, ManyRows
from controller.store.sqlite_driver import Connection, ReadingConnection, connect
from controller.store.target import Target

APPLICATION_ID: Final = 0x46455252
"""Marks a database file as a store of Ferryman's."""
_HEADER: Final = b"SQLite format 3\x00"
_MARK_AT: Final = 68
_MARK_LENGTH: Final = 4
"""Where the file format keeps that mark."""
_QUICK_CHECK_BYTES_MAX: Final = 64 * 1024 * 1024
"""A larger file is not read whole at start; damage then shows when it is met."""
_BUSY_TIMEOUT_MS: Final = 5000
_LAST_BUSY_TIMEOUT_MS: Final = 500
"""Of the last checkpoint, which the next start can do as well."""
_JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024
_CHECKPOINT_PAGES: Final = 4000
"""16 MiB: a page that many commits change is copied into the database once for all of them."""
_WRITER_CACHE_KIB: Final = 2048
_READER_CACHE_KIB: Final = 1024
"""Page caches fill with any store that is larger, and the kernel's cache is behind them."""
_STATEMENTS_KEPT: Final = 256
_LOCK_POLL_S: Final = 0.1


class SqliteChannel:
    """One cursor for every statement."""

    def __init__(self, cursor: aiosqlite.Cursor) -> None:
        self._cursor = cursor

    async def many(self, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        await self._cursor.executemany(text, rows)

    async def many_of(self, work: Sequence[ManyRows]) -> None:
        cursor: Any = self._cursor
        # Each change of threads waits for a turn of the event loop, which under load takes longer than the statement.
        await cursor._execute(_execute_all, cursor._cursor, work)  # noqa: SLF001 - the driver offers no public way

    async def change(self, text: str, row: tuple[Any, ...]) -> int:
        return (await self._cursor.execute(text, row)).rowcount

    async def command(self, text: str) -> None:
        await self._cursor.execute(text)


def _execute_all(cursor: sqlite3.Cursor, work: Sequence[ManyRows]) -> None:
    for text, rows in work:
        cursor.executemany(text, rows)


class SqliteBackend:
    """One database file."""

    begin = "BEGIN IMMEDIATE"

    def __init__(self, target: Target) -> None:
        if target.path is None:
            raise ValueError("not a file")
        self.shown = target.shown
        self._path = target.path
        self._target = target

    @asynccontextmanager
    async def locked(self, clock: Clock, wait_s: float, on_wait: Callable[[str], None] | None) -> AsyncIterator[None]:
        """Hold the only daemon's lock.

        Raises:
            StoreError: it cannot be had.
        """
        await anyio.to_thread.run_sync(_make_directory, self._path)
        descriptor = await anyio.to_thread.run_sync(_open_lock, self._path)
        try:
            await _wait_for_lock(descriptor, self.shown, clock, wait_s, on_wait)
            yield
        finally:
            os.close(descriptor)

    async def check_file(self) -> None:
        """Refuse what is not a store before anything touches it.

        Raises:
            StoreError: the file is not a SQLite database, or is another program's.
        """
        await anyio.to_thread.run_sync(_check_header, self._path)

    def readers(self) -> AsyncEngine:
        engine = self._engine(READERS, ReadingConnection)
        event.listen(engine.sync_engine, "connect", _prepare_reader)
        return engine

    def writer(self) -> AsyncEngine:
        engine = self._engine(1, Connection)
        event.listen(engine.sync_engine, "connect", _prepare_writer)
        return engine

    def _engine(self, connections: int, kind: type[Connection]) -> AsyncEngine:
        return create_async_engine(
            self._target.url,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=_BUSY_TIMEOUT_MS / 1000,
            pool_reset_on_return=None,
            hide_parameters=True,
            async_creator=lambda: connect(self._path, _BUSY_TIMEOUT_MS / 1000, _STATEMENTS_KEPT, kind),
        )

    async def channel(self, connection: AsyncConnection) -> Channel:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        return SqliteChannel(await driver.cursor())

    async def prepare_writer(self, connection: AsyncConnection) -> None:
        """Nothing more than the pragmas of every connection."""

    async def check_content(self, connection: AsyncConnection) -> None:
        """Refuse a damaged database while the damage is cheap to see.

        Raises:
            StoreError: it is damaged.
        """
        size = (await anyio.Path(self._path).stat()).st_size
        if size <= _QUICK_CHECK_BYTES_MAX:
            answer = (await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar_one()
            if answer != "ok":
                raise StoreError(
                    f"the store {self.shown} is damaged: restore a backup or move the file away and start again"
                )

    async def finish_writer(self, connection: AsyncConnection) -> None:
        await connection.exec_driver_sql(f"PRAGMA busy_timeout = {_LAST_BUSY_TIMEOUT_MS}")
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _prepare_writer(connection: Any, _record: Any) -> None:
    _mark(connection)
    _pragmas(
        connection,
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"journal_size_limit = {_JOURNAL_BYTES_MAX}",
        f"cache_size = -{_WRITER_CACHE_KIB}",
        "temp_store = MEMORY",
    )


def _prepare_reader(connection: Any, _record: Any) -> None:
    _pragmas(connection, "query_only = ON", f"cache_size = -{_READER_CACHE_KIB}", "temp_store = MEMORY")


def _mark(connection: Any) -> None:
    """Mark a new file, before its journal becomes one from which the mark would have to be recovered."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA application_id")
    if cursor.fetchone()[0] != APPLICATION_ID:
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    cursor.close()


def _pragmas(connection: Any, *settings: str) -> None:
    cursor = connection.cursor()
    for setting in (f"busy_timeout = {_BUSY_TIMEOUT_MS}", *settings):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _make_directory(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the directory {path.parent} of the store cannot be created ({error.strerror}):"
            " create it, or let store.url name another place"
        ) from error
    if path.is_dir():
        raise StoreError(f"{path} is a directory: let store.url name a file in it")


def _open_lock(path: Path) -> int:
    try:
        return os.open(f"{path.resolve()}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"the directory {path.parent} of the store cannot be written ({error.strerror}):"
            " change its permissions, or let store.url name another place"
        ) from error


async def _wait_for_lock(
    descriptor: int, shown: str, clock: Clock, wait_s: float, on_wait: Callable[[str], None] | None
) -> None:
    until = clock.monotonic() + wait_s
    told = False
    while not _try_lock(descriptor, shown):
        holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "unknown process"
        if clock.monotonic() >= until:
            raise StoreError(
                f"another ferryman daemon ({holder}) is using {shown}; stop it or give this one another store"
            )
        if on_wait is not None and not told:
            on_wait(f"another ferryman daemon ({holder}) is using {shown}; waiting for it to leave")
            told = True
        await clock.sleep(min(_LOCK_POLL_S, max(0.0, until - clock.monotonic())))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _try_lock(descriptor: int, shown: str) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(f"the store {shown} is on a file system without locks ({error.strerror})") from error
    return True


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            header = file.read(_MARK_AT + _MARK_LENGTH)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read ({error.strerror}): look at its permissions") from error
    if header and not header.startswith(_HEADER):
        raise StoreError(f"{path} is not a SQLite database: move it away, or let store.url name another file")
    if header and int.from_bytes(header[_MARK_AT:], "big") != APPLICATION_ID:
        raise StoreError(f"{path} is the database of another program: give ferryman a file of its own")
