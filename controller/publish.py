"""Outbox -> sinks: one loop for each sink, which delivers at least once and in order.

Invariant: a sink's cursor in a lane moves, durably, only past events that are settled: delivered, not wanted, or kept
as dead letters. A sink that is slow, failing or gone holds up nobody else, and holds a bounded number of events in
memory. What happens in which order is decided in `outgoing`; how an event is sent, in `sinks`.

A sink whose receiver is gone for good is disabled: it is sent nothing until the next start or `resume`, and its events
wait in the outbox, as for a sink that is down; those that become too old meanwhile are dead-lettered like any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import anyio
import structlog
from anyio.abc import TaskStatus

from controller.errors import NotFoundError, StoreUnavailableError
from controller.limits import full_jitter
from controller.masking import mask_text
from controller.outgoing import Outgoing, Waiting
from controller.seams import Clock, Failpoint, Signal
from controller.settings import EventSettings
from controller.sinks import Gone, Later, Outcome, Refused, Subscription
from controller.store import DeadLetter, Outbox

LOOK_S: Final = 5.0
"""How often the outbox is looked at without being woken."""
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 300.0
"""The longest pause between two tries of a sink that does not ask for more."""
RETRY_AFTER_MAX_S: Final = 86_400.0
RECORD_S: Final = 1.0
"""How long progress may be kept in memory while more is being sent: a crash sends so much again."""

OVERTIME_S: Final = 5.0
LAST_WORDS_S: Final = 3.0
"""How long a cancelled loop may take to record what it has delivered."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How one sink is doing."""

    name: str
    depth: int
    """Events committed and not settled; at most that many."""
    oldest_at: float | None
    """Time of the oldest of them that is in hand; None where there is none."""
    delivered: int
    """Since the start, as the next three."""
    dead_lettered: int
    retried: int
    failures: int
    """Batches in a row of which nothing was delivered."""
    problem: str
    """Why the last delivery failed; empty if it did not."""
    disabled: bool = False
    """It wants nothing more, and is sent nothing until the next start, or until a person lets it go on."""


class Publisher:
    """Delivers committed events to sinks.

    Args:
        owns: which lanes' events this process delivers; with several replicas those that it owns.
    """

    def __init__(
        self,
        outbox: Outbox,
        subscriptions: Sequence[Subscription],
        settings: EventSettings,
        *,
        clock: Clock,
        failpoint: Failpoint,
        chance: Random,
        owns: Callable[[str], bool] = lambda _lane: True,
    ) -> None:
        self._loops = [
            _SinkLoop(outbox, subscription, settings, clock=clock, failpoint=failpoint, chance=chance, owns=owns)
            for subscription in subscriptions
        ]
        self._ended = anyio.Event()

    def wake(self) -> None:
        """Say that events were committed."""
        for loop in self._loops:
            loop.signal.set()

    def status(self) -> Sequence[SinkStatus]:
        return [loop.status() for loop in self._loops]

    def resume(self, name: str) -> bool:
        """Let a disabled sink go on where it stopped; returns whether it was disabled.

        Raises:
            NotFoundError: there is no such sink.
        """
        for loop in self._loops:
            if loop.name in {name, name.removesuffix(":")}:  # `log:` in the settings is `log`
                return loop.resume()
        known = ", ".join(loop.name for loop in self._loops)
        raise NotFoundError(f"{name[:200]!r} is no sink of this daemon; its sinks are {known or 'none'}")

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled, or until drained."""
        async with anyio.create_task_group() as loops:
            for loop in self._loops:
                loops.start_soon(loop.run)
            task_status.started()
        self._ended.set()

    async def drain(self, timeout_s: float) -> bool:
        """Let each sink take what it takes right now, then end `run`; returns whether all was settled in time.

        A sink that fails is not waited for: what is left is sent at the next start.
        """
        for loop in self._loops:
            loop.draining = True
        self.wake()
        with anyio.move_on_after(timeout_s):
            await self._ended.wait()
        return self._ended.is_set() and not any(status.depth for status in self.status())


class _SinkLoop:
    def __init__(
        self,
        outbox: Outbox,
        subscription: Subscription,
        settings: EventSettings,
        *,
        clock: Clock,
        failpoint: Failpoint,
        chance: Random,
        owns: Callable[[str], bool],
    ) -> None:
        self.signal = Signal()
        self.draining = False
        self._look = True
        self._outbox = outbox
        self._subscription = subscription
        self._sink = subscription.sink
        self._settings = settings
        self._clock = clock
        self._failpoint = failpoint
        self._chance = chance
        self._owns = owns
        self._outgoing = Outgoing({}, settings.batch_max)
        self._dead_letters: list[DeadLetter] = []
        self._recorded_at = 0.0
        self._hold_until = 0.0
        self._looked_at = 0.0
        self._delivered = self._dead_lettered = self._retried = self._failures = 0
        self._problem = ""
        self._disabled = False
        self._log = _log.bind(sink=self._sink.name)

    @property
    def name(self) -> str:
        return self._sink.name

    def status(self) -> SinkStatus:
        return SinkStatus(
            name=self._sink.name,
            depth=self._outgoing.depth,
            oldest_at=self._outgoing.oldest_at,
            delivered=self._delivered,
            dead_lettered=self._dead_lettered,
            retried=self._retried,
            failures=self._failures,
            problem=self._problem,
            disabled=self._disabled,
        )

    def resume(self) -> bool:
        if not self._disabled:
            return False
        self._disabled = False
        self._failures = 1  # so that it is asked with one event whether it is well again
        self._hold_until = 0.0
        self._log.info("publish.resumed")
        self.signal.set()
        return True

    async def run(self) -> None:
        try:
            await self._run()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(LAST_WORDS_S, shield=True):
                await self._try_to_record()
            raise

    async def _run(self) -> None:
        loaded = False
        store_failures = 0
        while True:
            try:
                if not loaded:
                    cursors = await self._outbox.cursors(self._sink.name)
                    self._outgoing = Outgoing(cursors, self._settings.batch_max)
                    loaded = True
                busy = await self._turn()
            except StoreUnavailableError as error:
                store_failures += 1
                self._log.warning("publish.store_unavailable", problem=mask_text(str(error)))
                await self._clock.sleep(full_jitter(BACKOFF_S, store_failures, BACKOFF_MAX_S, self._chance))
                continue
            store_failures = 0
            if busy:
                continue
            if self.draining and not self.signal.is_set:
                return
            await self.signal.wait(self._pause_s())
            self._look = True

    async def _turn(self) -> bool:
        """Read, send and record once; returns whether there may be more to do right now."""
        more = await self._read()
        batch = self._next_batch()
        if batch:
            await self._send(batch)
        self._expire()
        due = self._clock.monotonic() - self._recorded_at >= RECORD_S
        if not batch or due or self._outgoing.unrecorded >= self._settings.batch_max or self._dead_letters:
            await self._record()
        return bool(batch) or more

    async def _read(self) -> bool:
        """Fill the window when half of it is free; returns whether anything was read."""
        if self._outgoing.room * 2 < self._settings.batch_max:
            return False
        if not (self._look or self.signal.is_set or self._outgoing.behind):
            return False
        last = {lane: seq for lane, seq in (await self._outbox.lanes_with_events()).items() if self._owns(lane)}
        self._look = False
        readings = self._outgoing.to_read(last)
        for reading in readings:
            events = await self._outbox.events_after(reading.lane, reading.seq, reading.limit)
            wanted = [event for event in events if self._subscription.wants(event.type)]
            self._outgoing.add(reading, events, wanted)
        return bool(readings)

    def _next_batch(self) -> Sequence[Waiting]:
        self._looked_at = now = self._clock.monotonic()
        if self._disabled or now < self._hold_until:
            return ()
        # A sink that fails is asked with one event whether it is well again.
        limit = 1 if self._failures else self._sink.batch_max
        return self._outgoing.batch(self._sink, now, limit)

    async def _send(self, batch: Sequence[Waiting]) -> None:
        await self._failpoint("sink.send:before")
        events = [waiting.event for waiting in batch]
        outcomes: Sequence[Outcome] = [Later(f"no answer in {self._settings.timeout_s:g} s")] * len(batch)
        # The sink's own deadline is `timeout_s`; this one is for a sink that misses it.
        with anyio.move_on_after(self._settings.timeout_s + OVERTIME_S):
            outcomes = await self._sink.deliver(events)
        await self._failpoint("sink.send:after")
        self._settle(batch, outcomes)

    def _settle(self, batch: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
        later: list[Later] = []
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Later):
                later.append(outcome)
                self._put_off(waiting)
            elif isinstance(outcome, Refused):
                self._problem = outcome.reason
                self._give_up(waiting, outcome.reason)
            elif isinstance(outcome, Gone):
                self._disable(outcome.reason)
            else:
                self._delivered += 1
                self._outgoing.settle(waiting.event)
        if not self._disabled:
            self._note_failure(later, len(batch))

    def _disable(self, reason: str) -> None:
        """What was sent stays unsettled: it is not the event that was refused."""
        if not self._disabled:
            self._log.error("publish.disabled", problem=reason, hint="`ferryman resume SINK`, or the next start")
        self._disabled = True
        self._problem = reason

    def _put_off(self, waiting: Waiting) -> None:
        waiting.tries += 1
        self._retried += 1
        waiting.due_at = self._clock.monotonic() + full_jitter(BACKOFF_S, waiting.tries, BACKOFF_MAX_S, self._chance)

    def _give_up(self, waiting: Waiting, reason: str) -> None:
        event = waiting.event
        self._dead_letters.append(
            DeadLetter("event", self._sink.name, event.subject, reason, event.body, self._clock.now())
        )
        self._dead_lettered += 1
        self._outgoing.settle(event)
        self._log.error("publish.dead_letter", id=event.id, type=event.type, reason=reason)

    def _note_failure(self, later: Sequence[Later], sent: int) -> None:
        """Leave a sink alone for a while of which nothing was delivered, or that asks for it."""
        now = self._clock.monotonic()
        if len(later) < sent:
            if self._failures:
                self._log.info("publish.recovered")
            self._failures = 0
        if not later:
            return
        self._problem = later[0].reason
        asked_s = max((outcome.retry_after_s or 0.0 for outcome in later), default=0.0)
        hold_s = min(asked_s, RETRY_AFTER_MAX_S)
        if len(later) == sent:
            self._failures += 1
            hold_s = max(hold_s, full_jitter(BACKOFF_S, self._failures, BACKOFF_MAX_S, self._chance))
        self._hold_until = max(self._hold_until, now + hold_s)
        self._log.warning("publish.failed", problem=self._problem, events=len(later), retry_in_s=round(hold_s, 1))

    def _expire(self) -> None:
        """Give up what is too old: after a try of its own, or while its sink takes nothing at all."""
        before = self._clock.now() - self._settings.age_max_s
        for waiting in self._outgoing.older_than(before) if self._outgoing_is_late(before) else ():
            if waiting.tries or self._failures or self._disabled:
                self._give_up(waiting, f"not delivered for {self._settings.age_max_s:g} s: {self._problem}")

    def _outgoing_is_late(self, before: float) -> bool:
        oldest = self._outgoing.oldest_at
        return oldest is not None and oldest < before

    async def _record(self) -> None:
        cursors = self._outgoing.moved()
        dead_letters = self._dead_letters
        self._recorded_at = self._clock.monotonic()
        if not cursors and not dead_letters:
            return
        await self._outbox.advance(self._sink.name, cursors, dead_letters)
        self._outgoing.recorded(cursors)
        self._dead_letters = []

    async def _try_to_record(self) -> None:
        try:
            await self._record()
        except StoreUnavailableError as error:
            self._log.warning("publish.not_recorded", problem=mask_text(str(error)))

    def _pause_s(self) -> float:
        """How long nothing can be sent, unless events are committed.

        Judged as of the last look for a batch: what has come due since then was not seen by it.
        """
        if self._disabled:
            return LOOK_S
        due = self._outgoing.next_due(self._looked_at)
        if self._looked_at < self._hold_until:
            due = self._hold_until
        return LOOK_S if due is None else min(LOOK_S, due - self._clock.monotonic())
