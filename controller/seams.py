"""What comes in from outside: clock, chance, failpoints.

Invariant: nothing else in the product reads a clock, draws a random number or stops on purpose. Production passes
`SystemClock`, `random.Random()` and `no_failpoint`; a test passes its own through the same parameters. The network is
the fourth seam, in `kinds.aws`.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, by this host; may jump."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clocks of this host."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(max(0.0, seconds))


Failpoint = Callable[[str], Awaitable[None]]
"""Awaited with a step's name at both sides of every side effect: `<step>:before` and `<step>:after`.

Steps: `store.commit`, `aws.<Operation>`, `queue.acknowledge`, `sink.send`.
"""


async def no_failpoint(_step: str) -> None:
    """The failpoint of production: nothing happens."""


class Signal:
    """Wakes those who wait, as often as it is set; a signal nobody waits for is kept once."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether it was set since somebody last waited for it."""
        return self._event.is_set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, or until the time is over; returns whether it was set, and clears it."""
        with anyio.move_on_after(max(0.0, timeout_s)):
            await self._event.wait()
        was_set = self._event.is_set()
        if was_set:
            self._event = anyio.Event()
        return was_set


class Broadcast:
    """Tells any number of listeners that something has happened; one that was busy meanwhile learns it later."""

    def __init__(self) -> None:
        self.count = 0
        """How often it was announced."""
        self._event: anyio.Event | None = None

    def announce(self) -> None:
        self.count += 1
        if self._event is not None:
            self._event.set()
            self._event = None

    async def beyond(self, count: int, timeout_s: float) -> None:
        """Wait until it was announced more often than so, or until the time is over."""
        if self.count == count:
            self._event = self._event or anyio.Event()
            with anyio.move_on_after(timeout_s):
                await self._event.wait()
