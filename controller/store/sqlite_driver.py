"""SQLite's driver, with two changes: a connection that is stopped ends, and a read is one change of threads.

The driver changes threads to make a cursor, to execute, to fetch and to close, and each change waits for a turn of the
event loop, which under load takes longer than the statement. For a read these are one change.

Invariant: rows are fetched whole, so what is read this way has a limit of its own.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import aiosqlite

Description = tuple[tuple[str, None, None, None, None, None, None], ...]


class WholeCursor:
    """What the library asks of a driver's cursor, with nothing left to do after `execute`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection: Any = connection
        self._rows: Sequence[Any] = ()
        self.description: Description | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, text: str, parameters: Sequence[Any] = ()) -> Self:
        done = self._connection._execute(self._execute, self._connection._conn, text, parameters)  # noqa: SLF001 - the driver has no public way
        self._rows, self.description, self.rowcount, self.lastrowid = await done
        return self

    @staticmethod
    def _execute(connection: sqlite3.Connection, text: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
        cursor = connection.cursor()
        try:
            cursor.execute(text, parameters)
            return cursor.fetchall(), cursor.description, cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()

    async def fetchall(self) -> Sequence[Any]:
        rows, self._rows = self._rows, ()
        return rows

    async def close(self) -> None:
        self._rows = ()


class Connection(aiosqlite.Connection):
    """A connection that can be stopped while it is being closed."""

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread when it has done what it was given before.

        The driver's own would wait for a thread that has ended, for ever, where a cancelled statement makes the library
        both close and stop.
        """
        return super().stop() if self._running else None


class ReadingConnection(Connection):
    """A connection whose cursors are `WholeCursor`."""

    def cursor(self) -> WholeCursor:  # type: ignore[override]
        return WholeCursor(self)


async def connect(
    path: Path, timeout_s: float, cached_statements: int, kind: type[Connection] = Connection
) -> Connection:
    """A new connection in a thread of its own, which does not keep the process alive."""

    def connector() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=timeout_s, cached_statements=cached_statements, check_same_thread=False)

    connection = kind(connector, iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as the library does with connections that it makes itself
    await connection
    return connection
