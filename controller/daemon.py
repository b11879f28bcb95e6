"""The daemon: opens resources, starts lanes, stops them. The one place that knows everyone.

Invariant: whatever ends a run, calls in flight are answered and committed first, within the grace time; a second signal
cuts that short, and then the next start resolves what was left unknown. Resources close in the reverse order of their
opening, each under a deadline.
"""

import gc
import math
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import anyio
import structlog
from anyio.abc import TaskGroup

from controller import __version__
from controller.admission import policy_of
from controller.control import Control
from controller.desk import Desk, Surroundings
from controller.errors import (
    ExitCode,
    FencedOutError,
    FerrymanError,
    StoreError,
    StoreUnavailableError,
)
from controller.events import CONTROLLER_LANE, INTAKE_LANE, Event
from controller.http import Health, create_app, create_probe_app, serve_api
from controller.intake import Intake, Receipt
from controller.kinds import KINDS
from controller.kinds.aws import AwsClients, open_clients
from controller.lane import Lane, status_of
from controller.notifications import Notifications, open_notifications
from controller.publish import Publisher
from controller.queues import Source
from controller.queues.dead_letters import DeadLetterQueue, open_dead_letter_queue
from controller.queues.opening import open_source
from controller.rejections import IntakeLane
from controller.seams import Clock, Failpoint, Signal, SystemClock, no_failpoint
from controller.settings import LAST_WORDS_S, Settings
from controller.settling import Settling
from controller.sinks.opening import open_subscriptions
from controller.status import LaneStatus
from controller.store import LaneRecord, LaneWrite, Store
from controller.store.opening import open_store
from controller.store.target import parse_target
from controller.tidying import tidy
from controller.untrusted import fit_path
from controller.verdicts import Verdicts
from controller.world import REAL, SIMULATED, check_world, find_place

IDLE_S: Final = 60.0
YOUNG_OBJECTS_MAX: Final = 10_000
"""How many new objects there may be before the garbage collector looks for cycles among them."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `ferryman run` is asked for, besides the settings."""

    files: tuple[Path, ...] = ()
    """Of documents, no directories."""
    until_settled: bool = False
    simulate: bool = False


@dataclass(frozen=True, slots=True)
class Seams:
    """What comes in from outside; a test passes its own."""

    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=Random)
    failpoint: Failpoint = no_failpoint
    transport: type[Any] | None = None
    signals: bool = True


Watch = Callable[[Control], Coroutine[Any, Any, None]]


async def run_daemon(
    settings: Settings, options: RunOptions, *, watch: Watch | None = None, seams: Seams | None = None
) -> ExitCode:
    """Run until a signal, a shutdown request, or, if asked, until everything is settled.

    Raises:
        FerrymanError: with one sentence, where it cannot start or go on.
    """
    daemon = _Daemon(settings, options, seams or Seams())
    try:
        return await daemon.run(watch)
    except BaseExceptionGroup as group:  # of the task groups; a person reads one error
        raise _plain(group) from group


def _plain(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that a person should read, out of a group of task groups."""
    leaves = list(_leaves(group))
    for kind in (FerrymanError, FencedOutError):
        for leaf in leaves:
            if isinstance(leaf, FencedOutError):
                return StoreError(f"another daemon took over: {leaf}")
            if isinstance(leaf, kind):
                return leaf
    return leaves[0] if len(leaves) == 1 else group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Sequence[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else (error,))
    return found


class _Daemon:
    def __init__(self, settings: Settings, options: RunOptions, seams: Seams) -> None:
        self._settings = settings
        self._options = options
        self._seams = seams
        self._clock = seams.clock
        self._stop = anyio.Event()
        self._leave_by = math.inf
        self._committed = Signal()
        self._verdicts = Verdicts()
        self._lanes: dict[str, Lane] = {}
        self._ready = False
        self._health = Health(clock=self._clock)
        self._rejected = 0
        self._interrupted = False
        self._intake_lane: IntakeLane | None = None
        self._log = structlog.get_logger("ferryman")

    async def run(self, watch: Watch | None) -> ExitCode:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(self._open_store())
            scopes = await self._open_scopes(stack)
            unproven = await self._recognise(store, scopes)
            instance = (await store.facts())["instance"]
            self._make_lanes(store, scopes, instance, unproven=unproven)
            return await self._serve(stack, store, instance, watch)

    # Opening

    def _open_store(self) -> Any:
        return open_store(
            self._settings.store.url,
            clock=self._clock,
            failpoint=self._seams.failpoint,
            lock_wait_s=self._settings.store.lock_wait_s,
            instance=self._settings.instance,
            on_wait=self._log.warning,
        )

    async def _open_scopes(self, stack: AsyncExitStack) -> Mapping[str, AwsClients]:
        arguments: dict[str, Any] = {"clock": self._clock, "failpoint": self._seams.failpoint}
        if self._seams.transport is not None:
            arguments["transport"] = self._seams.transport
        scopes: dict[str, AwsClients] = {}
        for name, scope in self._settings.scopes.items():
            scopes[name] = await stack.enter_async_context(open_clients(name, scope, self._settings.aws, **arguments))
        return scopes

    async def _recognise(self, store: Store, scopes: Mapping[str, AwsClients]) -> bool:
        """Refuse a store of another world; returns whether remote jobs of an earlier store may exist."""
        places = [await find_place(clients) for clients in scopes.values()]
        facts = await store.facts()
        world = SIMULATED if self._options.simulate else REAL
        await store.remember(check_world(facts, world, places))
        given = facts.get("instance_given") == "true"
        return self._settings.reconcile.adopt and given

    def _make_lanes(self, store: Store, scopes: Mapping[str, AwsClients], instance: str, *, unproven: bool) -> None:
        around = Surroundings(
            store=store,
            settings=self._settings,
            clock=self._clock,
            random=self._seams.random,
            instance=instance,
            committed=self._committed.set,
            announce=self._verdicts.announce,
        )
        for scope, clients in scopes.items():
            for kind in KINDS.values():
                desk = Desk(scope, kind, clients, around, unproven=unproven)
                self._lanes[desk.lane] = Lane(desk)

    # Running

    async def _serve(self, stack: AsyncExitStack, store: Store, instance: str, watch: Watch | None) -> ExitCode:
        parts = await self._open_parts(stack, store, instance)
        async with anyio.create_task_group() as services:
            if self._seams.signals:
                services.start_soon(self._obey_signals, services.cancel_scope)
            await services.start(parts.publisher.run)
            await services.start(parts.intake_lane.run)
            services.start_soon(self._end_in_time, store)
            services.start_soon(self._wake_readers, parts)
            sinks = [sink.name for sink in parts.publisher.status()]
            services.start_soon(tidy, store, self._settings.store, sinks, self._clock)
            if self._settings.http.enabled:
                await self._start_http(services, parts.control)
            await self._run_lanes(store, parts, watch)
            await self._last_words(parts)
            services.cancel_scope.cancel()
        if self._interrupted:
            return ExitCode.INTERRUPTED
        if not self._options.until_settled:
            return ExitCode.DONE
        return ExitCode.REJECTED if self._rejected else await parts.settling.outcome()

    async def _open_parts(self, stack: AsyncExitStack, store: Store, instance: str) -> "_Parts":
        settings, seams = self._settings, self._seams
        intake = Intake(
            store,
            KINDS,
            policy_of(settings),
            clock=self._clock,
            failpoint=seams.failpoint,
            settings=settings.queue,
            on_received=self._wake,
            chance=seams.random,
        )
        subscriptions = await stack.enter_async_context(open_subscriptions(settings.events, clock=self._clock))
        sources = [
            await stack.enter_async_context(open_source(url, settings.queue, clock=self._clock, chance=seams.random))
            for url in settings.queue.sources
        ]
        notifications = await self._open_notifications(stack)
        letters = await self._open_dead_letter_queue(stack)
        publisher = Publisher(
            store, subscriptions, settings.events, clock=self._clock, failpoint=seams.failpoint, chance=seams.random
        )
        intake_lane = IntakeLane(
            store, self._clock, chance=seams.random, dead_letter_queue=letters, on_committed=self._on_rejected
        )
        self._intake_lane = intake_lane
        control = Control(
            store=store,
            intake=intake,
            verdicts=self._verdicts,
            lanes=self._statuses,
            kinds=KINDS,
            settings=settings,
            clock=self._clock,
            shutdown=self._stop.set,
            ready=lambda: self._ready and not self._stop.is_set(),
            sinks=publisher.status,
            resume_sink=publisher.resume,
        )
        settling = Settling(store, self._lanes, intake, sources, self._clock)
        return _Parts(instance, intake, intake_lane, sources, notifications, publisher, control, settling)

    async def _open_notifications(self, stack: AsyncExitStack) -> Notifications | None:
        setting, seams = self._settings.reconcile.notifications, self._seams
        if not setting:
            return None
        return await stack.enter_async_context(
            open_notifications(setting, self._notify, clock=self._clock, chance=seams.random, environment=os.environ)
        )

    def _notify(self, remote_id: str, status: str) -> None:
        for lane in self._lanes.values():
            lane.notified.tell(remote_id, status)

    async def _open_dead_letter_queue(self, stack: AsyncExitStack) -> DeadLetterQueue | None:
        url = self._settings.queue.dead_letter_queue
        if not url:
            return None
        return await stack.enter_async_context(
            open_dead_letter_queue(url, clock=self._clock, chance=self._seams.random, environment=os.environ)
        )

    async def _run_lanes(self, store: Store, parts: "_Parts", watch: Watch | None) -> None:
        async with anyio.create_task_group() as lanes:
            for lane in self._lanes.values():
                await lanes.start(lane.run)
            controller = await self._say(store, parts.instance, "started")
            if self._seams.signals:
                spare_the_collector()
            self._ready = self._health.started = True
            self._log.info("ready", store=parse_target(self._settings.store.url).shown_url, instance=parts.instance)
            async with anyio.create_task_group() as inputs:
                for source in parts.sources:
                    await inputs.start(parts.intake.run, source)
                if parts.notifications is not None:
                    inputs.start_soon(parts.notifications.run)
                if watch is not None:
                    inputs.start_soon(watch, parts.control)
                inputs.start_soon(self._take_files, parts)
                await self._stop.wait()
                # The grace time runs from here: a store that is slow just now must not prolong it.
                self._leave_by = anyio.current_time() + self._settings.grace_s
                lanes.cancel_scope.deadline = self._leave_by - LAST_WORDS_S
                for lane in self._lanes.values():
                    lane.desk.begin_drain()
                inputs.cancel_scope.cancel()
            self._log.info("draining: no new creates; calls in flight finish and are recorded")
            await self._say(store, parts.instance, "stopping", controller)

    async def _take_files(self, parts: "_Parts") -> None:
        """Apply the files of the command line, then, if asked, wait until everything is settled."""
        for path in self._options.files:
            data = await anyio.Path(path).read_bytes()
            await parts.intake.take_file(
                data, f"file:{fit_path(path.name)}", path.suffix, partial(self._say_rejected, path)
            )
        if self._options.until_settled:
            await parts.settling.wait()
            self._stop.set()

    def _say_rejected(self, path: Path, receipt: Receipt) -> None:
        for problem in receipt.problems:
            self._log.error("a document was rejected", file=fit_path(path), job=receipt.identity, problem=problem)

    async def _last_words(self, parts: "_Parts") -> None:
        """Events already committed go out, as far as their sinks take them now."""
        await parts.publisher.drain(min(LAST_WORDS_S, max(0.0, self._leave_by - anyio.current_time())))

    async def _say(self, store: Store, instance: str, name: str, record: LaneRecord | None = None) -> LaneRecord | None:
        """An event of the controller itself; a store that is away costs the event alone."""
        try:
            record = record or await store.take_lane(CONTROLLER_LANE)
            event = Event(
                type=f"ferryman.controller.{name}",
                stream=CONTROLLER_LANE,
                sequence=record.stream_sequence + 1,
                subject=instance,
                time=self._clock.now(),
                data={"version": __version__, "instance": instance},
            )
            record = await store.commit(record, LaneWrite(CONTROLLER_LANE, events=(event,)))
        except StoreUnavailableError as error:
            self._log.warning("an event was not written", event_type=name, error=str(error))
        self._committed.set()
        return record

    async def _end_in_time(self, store: Store) -> None:
        """Whatever is still being written when the grace time ends must not hold the process back."""
        await self._stop.wait()
        await anyio.sleep(self._settings.grace_s - LAST_WORDS_S)
        self._log.warning("the grace time is over; what is not recorded is found out by the next start")
        for lane in self._lanes.values():
            lane.desk.give_up()
        store.refuse_more()

    # Signals

    async def _obey_signals(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for number in received:
                if self._stop.is_set():
                    self._log.warning("stopping at once; what is in flight is resolved at the next start")
                    self._interrupted = True
                    scope.cancel()
                    return
                self._log.info("stopping", signal=signal.Signals(number).name)
                self._stop.set()

    def _wake(self, lanes: set[str]) -> None:
        for name in lanes:
            if name in self._lanes:
                self._lanes[name].desk.wake.inbox.set()
            elif name == INTAKE_LANE and self._intake_lane is not None:
                self._intake_lane.wake()

    def _on_rejected(self) -> None:
        self._rejected += 1
        self._committed.set()

    async def _wake_readers(self, parts: "_Parts") -> None:
        """Those who read events: the sinks' loops, and whoever follows them over HTTP."""
        while True:
            if await self._committed.wait(IDLE_S):
                parts.publisher.wake()
                parts.control.committed.announce()

    def _statuses(self) -> Mapping[str, LaneStatus]:
        """Of the lanes that are open: the API answers while the others are still being opened."""
        return {name: status_of(lane.desk) for name, lane in self._lanes.items() if lane.desk.is_open}

    async def _start_http(self, services: TaskGroup, control: Control) -> None:
        http = self._settings.http
        health = self._health
        app = create_app(control, self._settings, health)
        services.start_soon(health.run)
        services.start_soon(control.keep_trend)
        port = await services.start(serve_api, app, http.host, http.port)
        self._log.info("serving", url=f"http://{http.host}:{port}/")
        if http.probe_port is not None:
            await services.start(serve_api, create_probe_app(control, health), "0.0.0.0", http.probe_port)  # noqa: S104 - probes come from outside the pod


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a run is made of, besides its lanes."""

    instance: str
    intake: Intake
    intake_lane: IntakeLane
    sources: Sequence[Source]
    notifications: Notifications | None
    publisher: Publisher
    control: Control
    settling: Settling


def spare_the_collector() -> None:
    """Let the garbage collector leave alone what lives as long as the process: modules and the SDK's models.

    For a process of its own. To look through them all holds the event loop for a tenth of a second, and frees nothing.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, 20, 50)
