"""PostgreSQL as the store: for containers without a disk of their own.

Invariant: the session that writes holds an advisory lock, so that a session which does not hold it cannot write; the
lock goes with its session, and every end of the connection ends both.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from controller.errors import StoreError, StoreUnavailableError
from controller.seams import Clock
from controller.store.database import READERS, Channel, ManyRows
from controller.store.target import Target

LOCK_CLASS: Final = 0x46455252
"""With the schema's name: the key of the advisory lock."""
_CONNECT_TIMEOUT_S: Final = 10.0
_COMMAND_TIMEOUT_S: Final = 30.0
_LOCK_POLL_S: Final = 0.25
_SESSION: Final = {
    "application_name": "ferryman",
    "statement_timeout": "25s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "synchronous_commit": "on",
    "timezone": "UTC",
}
_LOCK: Final = f"SELECT pg_try_advisory_lock({LOCK_CLASS}, hashtext(current_schema()))"
_HOLDER: Final = f"""
    SELECT 'backend ' || a.pid || ', from ' || coalesce(host(a.client_addr), 'the server''s own host')
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {LOCK_CLASS}
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LIMIT 1
"""  # noqa: S608 - a constant of this module


class PostgresqlChannel:
    """The driver sends many rows at once, and waits for one answer."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def many(self, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        await self._connection.executemany(text, rows)

    async def many_of(self, work: Sequence[ManyRows]) -> None:
        for text, rows in work:
            await self.many(text, rows)

    async def change(self, text: str, row: tuple[Any, ...]) -> int:
        tag: str = await self._connection.execute(text, *row)
        return int(tag.rpartition(" ")[2])

    async def command(self, text: str) -> None:
        await self._connection.execute(text)


class PostgresqlBackend:
    """One schema of one database."""

    begin = "BEGIN"

    def __init__(self, target: Target) -> None:
        self.shown = target.shown
        self._target = target
        self._clock: Clock | None = None
        self._wait_until = 0.0
        self._on_wait: Callable[[str], None] | None = None

    @asynccontextmanager
    async def locked(self, clock: Clock, wait_s: float, on_wait: Callable[[str], None] | None) -> AsyncIterator[None]:
        """Let the first connection that writes wait for the lock; a later one must have it at once."""
        self._clock = clock
        self._wait_until = clock.monotonic() + wait_s
        self._on_wait = on_wait
        yield

    async def check_file(self) -> None:
        """There is no file."""

    def readers(self) -> AsyncEngine:
        return self._engine(READERS, {**_SESSION, "default_transaction_read_only": "on"})

    def writer(self) -> AsyncEngine:
        return self._engine(1, _SESSION)

    def _engine(self, connections: int, session: dict[str, str]) -> AsyncEngine:
        return create_async_engine(
            self._target.url,
            isolation_level="AUTOCOMMIT",
            pool_size=connections,
            max_overflow=0,
            pool_timeout=_COMMAND_TIMEOUT_S,
            pool_reset_on_return=None,
            hide_parameters=True,
            connect_args={
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _COMMAND_TIMEOUT_S,
                "server_settings": session,
            },
        )

    async def channel(self, connection: AsyncConnection) -> Channel:
        return PostgresqlChannel((await connection.get_raw_connection()).driver_connection)

    async def prepare_writer(self, connection: AsyncConnection) -> None:
        if (await connection.exec_driver_sql("SELECT pg_is_in_recovery()")).scalar_one():
            raise self._read_only()
        if (await connection.exec_driver_sql("SHOW transaction_read_only")).scalar_one() == "on":
            raise self._read_only()
        first, self._wait_until = self._wait_until, 0.0
        if not await self._lock(connection, first):
            holder = await self._holder(connection)
            if first:
                raise StoreError(
                    f"another ferryman daemon ({holder}) is using {self.shown}; stop it or give this one another store"
                )
            raise StoreUnavailableError(f"another session ({holder}) holds the lock of {self.shown}")

    async def _lock(self, connection: AsyncConnection, until: float) -> bool:
        while not (await connection.exec_driver_sql(_LOCK)).scalar_one():
            if self._clock is None or self._clock.monotonic() >= until:
                return False
            if self._on_wait is not None:
                holder = await self._holder(connection)
                self._on_wait(f"another ferryman daemon ({holder}) is using {self.shown}; waiting for it to leave")
                self._on_wait = None
            await self._clock.sleep(_LOCK_POLL_S)
        return True

    async def _holder(self, connection: AsyncConnection) -> str:
        holder = (await connection.exec_driver_sql(_HOLDER)).scalar_one_or_none()
        return holder or "unknown process"

    def _read_only(self) -> StoreError:
        return StoreError(f"{self.shown} is a read-only endpoint: let store.url name the one that takes writes")

    async def check_content(self, connection: AsyncConnection) -> None:
        """The server looks after its data."""

    async def finish_writer(self, connection: AsyncConnection) -> None:
        """Closing the session gives the lock back."""
