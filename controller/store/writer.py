"""The writer: the one task that commits.

It takes every unit of work that is ready, puts them into one transaction, commits once, and then wakes the callers.

Invariant: a unit is committed whole or not at all, and its caller hears which. A unit that fails costs nobody else
anything: it is rolled back to its savepoint and tried again alone. The queue of units is bounded.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import anyio
from anyio.abc import TaskStatus

from controller.errors import FencedOutError, StoreError, StoreUnavailableError
from controller.measures import Histogram
from controller.seams import Clock, Failpoint
from controller.store.database import Database, Transaction, WritingConnection
from controller.store.faults import DRIVER_ERRORS, translate, translated

T = TypeVar("T")

UNITS_QUEUED_MAX: Final = 1024
UNITS_AT_ONCE: Final = 64
WAIT_S: Final = 30.0
"""How long a unit may wait before its caller is told that nothing was committed."""
READ_BACK_S: Final = 60.0
READ_BACK_PAUSE_S: Final = 0.5

Work = Callable[[Transaction], Awaitable[T]]
Happened = Callable[[Transaction, T], Awaitable[bool]]
"""Whether a unit's effect is in the store, judged by what the unit returned."""


@dataclass(slots=True, eq=False)
class Unit(Generic[T]):
    """One caller's work. `happened` is None where doing it twice is the same as doing it once."""

    work: Work[T]
    happened: Happened[T] | None
    done: anyio.Event = field(default_factory=anyio.Event)
    begun: bool = False
    withdrawn: bool = False
    result: T | None = None
    error: BaseException | None = None

    def begin(self) -> bool:
        """Whether the unit is still wanted; from now on it cannot be withdrawn."""
        self.begun = not self.withdrawn
        return self.begun

    def withdraw(self) -> bool:
        """Whether the unit surely has no effect, now or later."""
        self.withdrawn = not self.begun
        return self.withdrawn

    def answer(self, result: T) -> None:
        self.result = result
        self.done.set()

    def fail(self, error: BaseException) -> None:
        if not self.done.is_set():
            self.error = error
            self.done.set()


class Writer:
    """Groups units of work into transactions."""

    def __init__(self, database: Database, clock: Clock, failpoint: Failpoint, connection: WritingConnection) -> None:
        self._database = database
        self._clock = clock
        self._failpoint = failpoint
        self._connection: WritingConnection | None = connection
        self.commit_seconds = Histogram()
        """How long transactions took, from their begin to the end of their commit."""
        self._send, self._receive = anyio.create_memory_object_stream[Unit[Any]](UNITS_QUEUED_MAX)
        self._leaving = False

    async def submit(self, work: Work[T], happened: Happened[T] | None = None) -> T:
        """Do `work` in a transaction; what it did is durable when this returns.

        A cancelled caller still gets the answer, and meets its cancellation at its next step.

        Raises:
            StoreUnavailableError: nothing was committed.
            FencedOutError: besides the work's own reasons, that nobody could find out what became of it.
        """
        if self._leaving:
            raise self._too_late()
        unit = Unit(work, happened)
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(WAIT_S):
                await self._enqueue(unit)
                await unit.done.wait()
            if not unit.done.is_set() and not unit.withdraw():
                await unit.done.wait()  # it has begun, and every step of the writer has its own deadline
        if unit.withdrawn:
            raise StoreUnavailableError(f"the store {self._database.shown} is too slow: nothing was written")
        if unit.error is not None:
            raise unit.error
        return unit.result  # type: ignore[return-value]  # None only where T is None

    async def _enqueue(self, unit: Unit[Any]) -> None:
        try:
            await self._send.send(unit)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            unit.fail(StoreUnavailableError(f"the store {self._database.shown} is closed"))

    def refuse_more(self) -> None:
        """Whoever waits, or comes from now on, is told that nothing was committed; what has begun goes to its end."""
        self._leaving = True
        self._refuse_rest(self._too_late())

    def _too_late(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"the store {self._database.shown} is too slow for a stop within its grace time")

    def close(self) -> None:
        """Take no more units; those that wait are still written."""
        self._send.close()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Write until `close`, whoever is cancelled meanwhile; then close the database."""
        with anyio.CancelScope(shield=True):
            try:
                async with self._receive:
                    task_status.started()
                    async for unit in self._receive:
                        await self._write(self._ready(unit))
            finally:
                self._refuse_rest(StoreUnavailableError(f"the store {self._database.shown} is closed"))
                await self._database.close(self._connection)

    def _ready(self, first: Unit[Any]) -> list[Unit[Any]]:
        units = [first]
        while len(units) < UNITS_AT_ONCE:
            try:
                units.append(self._receive.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
        return [unit for unit in units if unit.begin()]

    def _refuse_rest(self, error: StoreUnavailableError) -> None:
        while True:
            try:
                self._receive.receive_nowait().fail(error)
            except (anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError):
                return

    async def _write(self, units: list[Unit[Any]]) -> None:
        """Answer every unit."""
        try:
            for unit in await self._commit(units):
                await self._commit([unit])
        except (StoreUnavailableError, StoreError, FencedOutError) as error:
            for unit in units:
                unit.fail(error)
        except BaseException as error:  # a defect, or a cut: the daemon is about to end, and nobody must wait for this
            await self._roll_back()
            for unit in units:
                unit.fail(error)
            raise

    async def _commit(self, units: list[Unit[Any]]) -> list[Unit[Any]]:
        """One transaction; returns the units that must be tried alone.

        Raises:
            StoreUnavailableError, StoreError: nothing was committed.
            FencedOutError: nobody could find out.
        """
        if not units:
            return []
        began = self._clock.monotonic()
        try:
            with translated(self._database.shown):
                transaction = await self._begin()
                results, alone = await self._do(transaction, units)
        except (StoreUnavailableError, StoreError):
            await self._roll_back()
            raise
        if not results:
            await self._roll_back()
            return alone
        await self._failpoint("store.commit:before")
        if not await self._finish(transaction, results):
            raise StoreUnavailableError(f"the store {self._database.shown} did not take a commit")
        self.commit_seconds.observe(self._clock.monotonic() - began)
        await self._failpoint("store.commit:after")
        for unit, result in results:
            unit.answer(result)
        return alone

    async def _begin(self) -> Transaction:
        if self._connection is None:
            self._connection = await self._database.connect_writer()
        return await self._connection.begin(self._database.backend.begin)

    async def _do(
        self, transaction: Transaction, units: list[Unit[Any]]
    ) -> tuple[list[tuple[Unit[Any], Any]], list[Unit[Any]]]:
        results: list[tuple[Unit[Any], Any]] = []
        alone: list[Unit[Any]] = []
        grouped = len(units) > 1
        for unit in units:
            if grouped:
                await transaction.channel.command("SAVEPOINT unit")
            try:
                results.append((unit, await unit.work(transaction)))
            except Exception as error:  # noqa: BLE001 - whatever a unit raises is its caller's, unless the store is away
                self._raise_if_away(error)
                if grouped:
                    await transaction.channel.command("ROLLBACK TO SAVEPOINT unit")
                    alone.append(unit)
                else:
                    unit.fail(error)
            if grouped:
                await transaction.channel.command("RELEASE SAVEPOINT unit")
        return results, alone

    def _raise_if_away(self, error: Exception) -> None:
        known = translate(error, self._database.shown)
        if isinstance(known, StoreUnavailableError | StoreError):
            raise known from error

    async def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            await self._connection.channel.command("ROLLBACK")
        except DRIVER_ERRORS:
            # The database has rolled back by itself, or is gone; a new connection is sure to have nothing open.
            connection, self._connection = self._connection, None
            await self._database.drop(connection)

    async def _finish(self, transaction: Transaction, results: list[tuple[Unit[Any], Any]]) -> bool:
        """Whether the transaction is committed."""
        try:
            await transaction.channel.command("COMMIT")
        except DRIVER_ERRORS as error:
            await self._roll_back()
            known = translate(error, self._database.shown)
            happened = await self._read_back(results)
            if not happened and isinstance(known, StoreUnavailableError | StoreError):
                raise known from error
            if not happened and known is error:
                raise
            return happened
        return True

    async def _read_back(self, results: list[tuple[Unit[Any], Any]]) -> bool:
        """What became of a COMMIT without an answer: units share it, so that one which can tell speaks for all.

        Raises:
            FencedOutError: the database did not come back in time; whoever owns a lane must read it anew.
        """
        witness = next(((unit.happened, result) for unit, result in results if unit.happened is not None), None)
        if witness is None:
            return False
        happened, result = witness
        until = self._clock.monotonic() + READ_BACK_S
        while self._clock.monotonic() < until:
            try:
                with translated(self._database.shown):
                    transaction = await self._begin()
                    answer = await happened(transaction, result)
                    await transaction.channel.command("ROLLBACK")
                    return answer
            except StoreUnavailableError:
                await self._roll_back()
                await self._clock.sleep(READ_BACK_PAUSE_S)
        raise FencedOutError(f"the store {self._database.shown} went away in the middle of a commit")
