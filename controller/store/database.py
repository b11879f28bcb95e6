"""Connections to one database: one that writes, a few that read.

Invariant: every connection is in autocommit mode as the library sees it, and transactions are begun and ended by
statements of our own, so that BEGIN, SAVEPOINT and COMMIT mean what they say on both databases. A read is one
statement, and so sees one state of the database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import anyio
from sqlalchemy import Executable
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from controller.errors import StoreUnavailableError
from controller.store.faults import DRIVER_ERRORS, translate, translated
from controller.store.readers import Readers, Rows
from controller.store.sql import Statements

T = TypeVar("T")

READERS: Final = 3
READ_TIMEOUT_S: Final = 60.0
CLOSE_TIMEOUT_S: Final = 10.0
IN_LIST_MAX: Final = 512
_IN_LIST_SIZES: Final = (1, 8, 64, IN_LIST_MAX)


ManyRows = tuple[str, Sequence[tuple[Any, ...]]]
"""A compiled statement, and the rows of its parameters."""


class Channel(Protocol):
    """The driver's own connection, below the library: for statements that are compiled already.

    The library opens a cursor, executes and closes for each statement, with a change of threads for each of the three;
    that costs more than the statements of a commit themselves.
    """

    async def many(self, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement once for each row of parameters."""

    async def many_of(self, work: Sequence[ManyRows]) -> None:
        """The same for several statements in their order, handed over together."""

    async def change(self, text: str, row: tuple[Any, ...]) -> int:
        """Execute a statement; returns how many rows it changed."""

    async def command(self, text: str) -> None:
        """Execute a statement without parameters or answer."""


class Backend(Protocol):
    """What differs between the databases."""

    @property
    def shown(self) -> str:
        """The store's name in messages."""

    @property
    def begin(self) -> str:
        """The statement that begins a transaction which will write."""

    def readers(self) -> AsyncEngine: ...

    def writer(self) -> AsyncEngine: ...

    async def channel(self, connection: AsyncConnection) -> Channel: ...

    async def prepare_writer(self, connection: AsyncConnection) -> None:
        """Make sure that a new connection may write, alone.

        Raises:
            StoreUnavailableError: another session writes.
            StoreError: this endpoint cannot write.
        """

    async def finish_writer(self, connection: AsyncConnection) -> None:
        """Tidy up before the last connection closes."""


class Transaction:
    """What one unit of work may do: execute statements, within a transaction that is begun and ended elsewhere."""

    __slots__ = ("_connection", "channel", "statements")

    def __init__(self, connection: AsyncConnection, channel: Channel, statements: Statements) -> None:
        self._connection = connection
        self.channel = channel
        self.statements = statements

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return await self._connection.execute(statement, parameters)

    async def many(self, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute a compiled statement once for each row."""
        if rows:
            await self.channel.many(text, rows)

    async def many_of(self, work: Iterable[ManyRows]) -> None:
        """Execute compiled statements, each once for each of its rows."""
        if wanted := [(text, rows) for text, rows in work if rows]:
            await self.channel.many_of(wanted)


@dataclass(frozen=True, slots=True)
class WritingConnection:
    """The one connection that writes, as the library and as the driver see it."""

    connection: AsyncConnection
    channel: Channel
    statements: Statements

    async def begin(self, text: str) -> Transaction:
        await self.channel.command(text)
        return Transaction(self.connection, self.channel, self.statements)


class Database:
    """The connections of an open store."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.shown = backend.shown
        self._readers = Readers(backend.readers(), READERS, self._drop)
        self._writers = backend.writer()
        self.statements = Statements(self._writers.dialect)

    async def connect_writer(self) -> WritingConnection:
        """The connection that writes.

        Raises:
            StoreUnavailableError, StoreError: there is none to be had.
        """
        with translated(self.shown):
            connection = await self._writers.connect()
            try:
                await self.backend.prepare_writer(connection)
                channel = await self.backend.channel(connection)
            except BaseException:  # cancelled, too: nobody else knows of the connection yet
                await self._drop(connection)
                raise
            return WritingConnection(connection, channel, self.statements)

    async def drop(self, writing: WritingConnection) -> None:
        """Give up a connection that may be broken."""
        await self._drop(writing.connection)

    async def _drop(self, connection: AsyncConnection) -> None:
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            try:
                await connection.invalidate()
                await connection.close()
            except DRIVER_ERRORS as error:
                if translate(error, self.shown) is error:
                    raise

    async def read(self, statement: Executable, parameters: Any = None) -> Rows:
        """The rows of one statement.

        A cancelled caller gets its answer first: reads are short, and a connection cut off in the middle of one would
        have to be thrown away.

        Raises:
            StoreUnavailableError, StoreError: see `faults`.
        """
        with anyio.move_on_after(READ_TIMEOUT_S, shield=True), translated(self.shown):
            return await self._readers.rows(statement, parameters)
        raise StoreUnavailableError(f"the store {self.shown} took too long to answer")

    async def close(self, writing: WritingConnection | None) -> None:
        """End every connection, the writing one last."""
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await self._readers.close()
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            if writing is not None:
                await self._finish(writing.connection)
            await self._writers.dispose()

    async def _finish(self, connection: AsyncConnection) -> None:
        try:
            await self.backend.finish_writer(connection)
        except DRIVER_ERRORS as error:
            if translate(error, self.shown) is error:
                raise
        await self._drop(connection)


def in_lists(values: Sequence[T]) -> list[list[T]]:
    """Values in parts for `IN`, in few different sizes, so that few different statements are prepared."""
    parts: list[list[T]] = []
    for begin in range(0, len(values), IN_LIST_MAX):
        part = list(values[begin : begin + IN_LIST_MAX])
        size = next(size for size in _IN_LIST_SIZES if size >= len(part))
        parts.append(part + [part[-1]] * (size - len(part)))
    return parts
