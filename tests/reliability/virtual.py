"""Time that costs nothing: an event loop whose clock jumps to the next timer, and threads that are none.

Invariant: a run is a function of its inputs. Nothing waits for real, nothing runs beside the loop, so the order of
steps is the same in every run, and the nth step of one run is the nth of the next until they are made to differ.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import aiosqlite.core
import anyio.lowlevel
import anyio.to_thread

TURNS_MAX = 200_000
"""Turns of the loop without the clock moving, beyond which something spins."""


class StuckError(Exception):
    """Nothing will ever happen again, or too much happens at one moment."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits.

    Args:
        begins_at: what `time` says first; each process of the real world has another one.
    """

    def __init__(self, begins_at: float) -> None:
        self.begins_at = begins_at
        self._now = begins_at
        self._turns = 0
        super().__init__(_JumpingSelector(self._idle))

    def time(self) -> float:
        return self._now

    @property
    def elapsed(self) -> float:
        return self._now - self.begins_at

    def _idle(self, timeout: float | None) -> None:
        """Nothing is ready for `timeout` seconds: go there."""
        if timeout is None:
            raise StuckError("every task waits, and no timer is set")
        self._turns = self._turns + 1 if timeout <= 0 else 0
        if self._turns > TURNS_MAX:
            raise StuckError(f"the clock stands still at {self.elapsed:.3f} s: something spins")
        self._now += max(0.0, timeout)

    def cut(self) -> None:
        """End the run here: nothing that is ready or due will run, nothing is unwound, as when the power fails."""
        for handle in self._ready:  # type: ignore[attr-defined]  # the loop's own queue: there is no gentler way
            handle.cancel()
        self.stop()


class _JumpingSelector(selectors.BaseSelector):
    def __init__(self, idle: Callable[[float | None], None]) -> None:
        self._real = selectors.DefaultSelector()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._idle(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map() or {}


class _NoThread:
    """Stands for the thread of a database connection."""

    daemon = True

    def __init__(self, **_: Any) -> None:
        return

    def start(self) -> None:
        return


class _AtOnce:
    """Stands for the queue to that thread: what is put in is done, and answered in the loop's next turn."""

    def put_nowait(self, item: tuple[Any, Callable[[], Any]]) -> None:
        future, function = item
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - the caller's, as it would be from a thread
            if future is not None:
                future.get_loop().call_soon(aiosqlite.core.set_exception, future, error)
        else:
            if future is not None:
                future.get_loop().call_soon(aiosqlite.core.set_result, future, result)

    def get(self) -> NoReturn:
        raise AssertionError("there is no thread to take from it")


async def _run_here(
    function: Callable[..., Any],
    *arguments: Any,
    abandon_on_cancel: bool = False,
    cancellable: bool | None = None,
    limiter: Any = None,
) -> Any:
    del abandon_on_cancel, cancellable, limiter
    await anyio.lowlevel.checkpoint()
    return function(*arguments)


def abolish_threads() -> None:
    """From now on, in this process, the work of threads is done by the loop itself. Not to be undone: fork first."""
    aiosqlite.core.Thread = _NoThread  # type: ignore[attr-defined,assignment]
    aiosqlite.core.SimpleQueue = _AtOnce  # type: ignore[attr-defined,assignment]
    anyio.to_thread.run_sync = _run_here  # type: ignore[assignment]
