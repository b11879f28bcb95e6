"""Opens a store: the lock, the checks, the migrations, the writer.

Invariant: whatever a user or a disk can do wrong ends in one sentence; a store that cannot be used safely is not used.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from controller.errors import StoreError, StoreUnavailableError
from controller.seams import Clock, Failpoint
from controller.store import Store
from controller.store.database import Database, WritingConnection
from controller.store.facts import INSTANCE, mint_instance, read_facts, settle_facts, write_facts
from controller.store.faults import translated
from controller.store.postgresql import PostgresqlBackend
from controller.store.sqlite import SqliteBackend
from controller.store.store import SqlStore
from controller.store.target import parse_target
from controller.store.upgrading import upgrade
from controller.store.writer import Writer


@asynccontextmanager
async def open_store(
    url: str,
    *,
    clock: Clock,
    failpoint: Failpoint,
    lock_wait_s: float,
    instance: str = "",
    on_wait: Callable[[str], None] | None = None,
    mint: Callable[[], str] = mint_instance,
) -> AsyncIterator[Store]:
    """The store at `url`, open for one daemon until the block is left; what is being written then is written still.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user:password@host/database`.
        clock: for waits and times.
        failpoint: awaited at both sides of every COMMIT.
        lock_wait_s: how long to wait for another daemon to leave.
        instance: the installation's name; empty: the one that the store remembers, or a new one of `mint`.
        on_wait: told once, in a sentence, that another daemon is being waited for.
        mint: a new name for an installation.

    Raises:
        StoreError: it cannot be opened; the text says why, and what to do.
        SettingsError: `url` is not the URL of a store.
    """
    target = parse_target(url)
    backend = SqliteBackend(target) if target.path is not None else PostgresqlBackend(target)
    async with backend.locked(clock, lock_wait_s, on_wait):
        await backend.check_file()
        database = Database(backend)
        writing = await _connect(database)
        try:
            known = await _prepare(database, backend, writing, instance=instance, minted=mint(), now=clock.now())
        except BaseException:  # a stop while it opens, too: the connection is this block's until the writer has it
            await database.close(writing)
            raise
        writer = Writer(database, clock, failpoint, writing)
        async with _running(writer):
            yield SqlStore(database, writer, clock, known[INSTANCE])


async def _connect(database: Database) -> WritingConnection:
    try:
        return await database.connect_writer()
    except StoreUnavailableError as error:
        raise StoreError(str(error)) from error


async def _prepare(
    database: Database,
    backend: SqliteBackend | PostgresqlBackend,
    writing: WritingConnection,
    *,
    instance: str,
    minted: str,
    now: float,
) -> dict[str, str]:
    """Check, upgrade, and settle whose store this is; returns its facts."""
    try:
        with translated(database.shown):
            await backend.check_content(writing.connection)
            await upgrade(writing.connection, begin=backend.begin, shown=database.shown)
            known = dict(await read_facts(database))
            changed = settle_facts(known, shown=database.shown, instance=instance, minted=minted, now=now)
            if changed:
                transaction = await writing.begin(backend.begin)
                await write_facts(transaction, changed)
                await transaction.channel.command("COMMIT")
    except StoreUnavailableError as error:
        raise StoreError(str(error)) from error
    return known | changed


@asynccontextmanager
async def _running(writer: Writer) -> AsyncIterator[None]:
    """Run the writer until the block is left; the block's own exception passes as it is, not in a group."""
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(writer.run)
            try:
                yield
            finally:
                writer.close()
    except BaseExceptionGroup as group:  # of the block or of the writer, a stop included: nothing is swallowed
        # What ends the writer ends its callers too, with the very same exception.
        error = group.exceptions[0]
        if any(other is not error for other in group.exceptions):
            raise
        raise error from error.__cause__
