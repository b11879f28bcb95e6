"""Reading connections: a few, kept open, the last used first.

The library's pool takes a connection out and gives it back for each statement, which costs more than most statements;
and it takes the one that lay idle longest, whose cached pages and statements are the oldest.

Invariant: a connection on which anything went wrong, a cancelled caller included, is not used again. Reads change
nothing, so one that met a connection ended by the server is made once more on a new one.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

import anyio
from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Rows = Sequence[tuple[Any, ...]]

PLACE_WAIT_S: Final = 10.0
"""Reads are short: where none has ended for so long, the store is too busy."""


class Readers:
    """At most `places` connections of an engine.

    Args:
        drop: gives up a connection that may be broken; it is bounded in time.
    """

    def __init__(self, engine: AsyncEngine, places: int, drop: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        self._engine = engine
        self._drop = drop
        self._places = anyio.Semaphore(places, fast_acquire=True)
        self._idle: list[AsyncConnection] = []
        self._closed = False

    async def rows(self, statement: Executable, parameters: Any = None) -> Rows:
        """The rows of one statement.

        Raises:
            sqlalchemy.exc.TimeoutError: no place became free in time.
            the library's and the driver's other errors.
        """
        await self._take_place()
        try:
            try:
                return await self._rows(statement, parameters)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # The server has ended that connection, and most likely those beside it.
            await self._drop_idle()
            return await self._rows(statement, parameters)
        finally:
            self._places.release()

    async def _take_place(self) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(PLACE_WAIT_S):
                await self._places.acquire()
                return
            raise PoolTimeoutError("every reading connection is in use") from None

    async def _rows(self, statement: Executable, parameters: Any) -> Rows:
        connection = self._idle.pop() if self._idle else await self._engine.connect()
        try:
            rows = (await connection.execute(statement, parameters)).all()
        except BaseException:  # cancelled, too: an answer that is on its way must not be taken for the next
            await self._drop(connection)
            raise
        if self._closed:
            await self._drop(connection)
        else:
            self._idle.append(connection)
        return cast("Rows", rows)

    async def close(self) -> None:
        """End those that are idle; those in use end when they have answered."""
        self._closed = True
        await self._drop_idle()
        await self._engine.dispose()

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._drop(self._idle.pop())
