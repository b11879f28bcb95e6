"""Steps: every side effect of a run, counted by name, and what is done to one of them.

A step is named as the product names it (`store.commit`, `aws.<Operation>`, `queue.acknowledge`, `sink.send`) and
numbered by its occurrence. The steps are learned from a run, never listed.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

import anyio


class Mode(StrEnum):
    """What happens at a step."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    LOST = "reply lost"
    """The call takes effect, and the connection is reset."""
    DROPPED = "request lost"
    """The connection is reset before AWS has read anything."""
    LATE = "arrives late"
    """The caller has given up when AWS reads the request."""
    TWICE = "duplicate"
    """The request reaches AWS twice; the second answer comes back. A queue delivers again what was acknowledged."""
    SLOW = "delay"


CRASHES = frozenset({Mode.CRASH_BEFORE, Mode.CRASH_AFTER})
ON_THE_WIRE = frozenset({Mode.LOST, Mode.DROPPED, Mode.LATE, Mode.TWICE, Mode.SLOW})
COMMIT_DELAY_S = 7.0
SEND_DELAY_S = 20.0

armed: ContextVar[Mode | None] = ContextVar("armed", default=None)
"""What the wire does to the next request of this task."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One thing that goes wrong, once."""

    step: str
    occurrence: int
    mode: Mode

    def __str__(self) -> str:
        return f"{self.step}#{self.occurrence}:{self.mode}"

    @classmethod
    def parsed(cls, text: str) -> "Perturbation":
        where, _, mode = text.rpartition(":")
        step, _, occurrence = where.rpartition("#")
        return cls(step, int(occurrence), Mode(mode))


class Steps:
    """The failpoint of a run: counts steps over all lives, and does what is to be done to one of them.

    Args:
        cut: ends the present life at this very moment.
        again: makes the queue deliver again what it has delivered.
    """

    def __init__(self, cut: Callable[[], None], again: Callable[[], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.plan: Perturbation | None = None
        self.happened = False
        self.before_send: Callable[[], None] = lambda: None
        self._cut = cut
        self._again = again

    async def __call__(self, point: str) -> None:
        step, _, side = point.rpartition(":")
        if side == "before":
            await self._before(step)
        else:
            await self._after(step)

    async def _before(self, step: str) -> None:
        self.counts[step] += 1
        if step.startswith("aws."):
            armed.set(None)
        if step == "sink.send":
            self.before_send()
        if not self._is_here(step):
            return
        match self.plan.mode if self.plan else None:
            case Mode.CRASH_BEFORE:
                await self._die()
            case Mode.SLOW if not step.startswith("aws."):
                self.happened = True
                await anyio.sleep(SEND_DELAY_S if step == "sink.send" else COMMIT_DELAY_S)
            case mode if mode in ON_THE_WIRE and step.startswith("aws."):
                self.happened = True
                armed.set(mode)

    async def _after(self, step: str) -> None:
        if self.plan is None or self.happened or not self._is_here(step):
            return
        if self.plan.mode is Mode.CRASH_AFTER:
            await self._die()
        elif self.plan.mode is Mode.TWICE and step == "queue.acknowledge":
            self.happened = True
            self._again()

    def _is_here(self, step: str) -> bool:
        plan = self.plan
        return plan is not None and not self.happened and step == plan.step and self.counts[step] == plan.occurrence

    async def _die(self) -> None:
        self.happened = True
        self._cut()
        await _never()


async def _never() -> None:
    """The rest of a life that is over."""
    await anyio.sleep_forever()


Deliver = Callable[[], Awaitable[object]]
