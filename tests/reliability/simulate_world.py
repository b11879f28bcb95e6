"""One seed, performed: the world of a plan, its lives, and the user who sees all of it through.

Invariant: what happens depends on the plan and on sources of chance seeded from it, never on this host. Everything
that reaches AWS and every side effect is written into a trace, whose digest tells two runs of one seed apart.
"""

import datetime as dt
import hashlib
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite.core
import anyio
import botocore.auth
from aiobotocore.awsrequest import AioAWSResponse

import controller.upkeep as upkeep_module
from controller.sinks import Later, Outcome
from controller.sinks.file import FileSink
from controller.store import OutboxEvent
from tests.documents import BLUEPRINT
from tests.reliability.cases import CREATES
from tests.reliability.fuzz_answers import spoil
from tests.reliability.simulate_plan import Plan
from tests.reliability.simulate_user import CHANGING, SimulatedUser
from tests.reliability.steps import Mode, Steps, armed
from tests.reliability.virtual import _AtOnce
from tests.reliability.world import LATE_S, Hosts, Wire, World, _Content

LIVENESS_S = 1500.0
"""How long after the last fault everything may take to come to rest: every backoff and grace time once, and more."""
DEADLINES_S = 15.0
"""How often deadlines are looked at: more seldom than in production, since most of a seed's virtual time is idle."""
LIVES_MAX = 60
CRASHES_MAX = 4
CHANGES_MEET_MORE = 4
WORST_POINTS = 10
"""How much more likely a crash is beside a call that changes something, and beside an acknowledgement."""
CLOCKS = ("P23 clock an hour ahead", "P23 clock an hour behind")
FULL = "P25 disk full"
DOWN = "P34 sink down"
FORGETFUL = "P35 sink accepts, then fails"
_DELIVER = FileSink.deliver
NOISE = (Mode.LOST, Mode.LOST, Mode.DROPPED, Mode.LATE, Mode.TWICE, Mode.SLOW)

LATER_S_MAX = 40.0
"""What came late may come later still while no process runs; AWS remembers a token for longer than that."""


class SimulatedSteps(Steps):
    """The failpoint of a seed: writes the trace, and lets processes die and calls go wrong by chance."""

    def __init__(self, world: "SimulatedWorld") -> None:
        super().__init__(world.cut, world.deliver_again)
        self._world = world
        self._chance = random.Random(world.plan.seed ^ 0x5EED)
        self.crashes = 0

    async def __call__(self, point: str) -> None:
        world = self._world
        world.trace(point)
        step, _, side = point.rpartition(":")
        likely = world.strength("crashes") * (WORST_POINTS if _is_worst(step) else 1)
        if self.crashes < CRASHES_MAX and self._chance.random() < likely:
            self.crashes += 1
            world.trace(f"dies at {point}")
            world.cut()
            await anyio.sleep_forever()
        if side == "before":
            self.counts[step] += 1
            if step.startswith("aws."):
                self._trouble_call(step.removeprefix("aws."))
        if step == "sink.send" and (pause_s := world.strength("P33 slow sink")):
            world.met["P33 slow sink"] = 1
            await anyio.sleep(pause_s)
        if step == "store.commit" and (pause_s := world.strength("slow commits")):
            await anyio.sleep(pause_s)

    def _trouble_call(self, operation: str) -> None:
        armed.set(None)
        world = self._world
        # What changes something at AWS meets trouble most, since its trouble costs most.
        likely = world.strength("wire") * (CHANGES_MEET_MORE if operation in CHANGING else 1)
        if self._chance.random() >= likely:
            return
        mode = self._chance.choice(NOISE)
        if mode is Mode.TWICE and operation == CREATES[BLUEPRINT]:
            return  # AWS has nothing by which it could tell the second request from another job
        world.count(f"wire: {mode}")
        armed.set(mode)


def _is_worst(step: str) -> bool:
    return step == "queue.acknowledge" or step.removeprefix("aws.") in CHANGING


class SimulatedWire(Wire):
    """A wire on which a late request outlives the process that sent it."""

    world: "SimulatedWorld"

    def __init__(self, world: "SimulatedWorld") -> None:
        super().__init__(world)
        self._under_way: list[tuple[float, Any, Any]] = []
        self._chance = random.Random(world.plan.seed ^ 0xBAD)

    async def send(self, deliver: Any, request: Any) -> Any:
        body = request.body or b""
        digest = hashlib.sha256(body if isinstance(body, bytes) else str(body).encode()).hexdigest()[:16]
        path = str(request.url).partition("simulator.invalid")[2]
        self.world.trace(f"{request.method} {path} {digest} {armed.get()}")
        try:
            answer = await super().send(deliver, request)
        except Exception as error:
            self.world.trace(f"  {type(error).__name__}")
            raise
        if self._chance.random() < self.world.strength("answers of wrong shapes"):
            self.world.count("answers of wrong shapes")
            spoilt = spoil(await answer.content, self._chance)
            answer = AioAWSResponse(answer.url, answer.status_code, answer.headers, _Content(spoilt))
        self.world.trace(f"  {answer.status_code}")
        return answer

    def _deliver_late(self, deliver: Any, request: Any) -> None:
        self.on_their_way += 1
        self._under_way.append((self.world.now() + LATE_S, deliver, request))
        self._carry()

    def resume(self) -> None:
        """Let the network of a new life carry what an old one handed to it; what was being served died with that."""
        self.on_their_way = len(self._under_way)
        self._carry()

    def _carry(self) -> None:
        loop = self.world.loop
        assert loop is not None
        waiting, self._under_way = self._under_way, []
        for at, deliver, request in waiting:
            if self.world.now() - at > LATER_S_MAX:  # no network keeps a request for so long
                self.on_their_way -= 1
                continue
            entry = (at, deliver, request)
            self._under_way.append(entry)
            loop.call_later(max(0.0, at - self.world.now()), self._arrived, entry)

    def _arrived(self, entry: tuple[float, Any, Any]) -> None:
        assert self.world.loop is not None
        self._late.append(self.world.loop.create_task(self._arrive(entry)))

    async def _arrive(self, entry: tuple[float, Any, Any]) -> None:
        if entry not in self._under_way:
            return
        self._under_way.remove(entry)
        _, deliver, request = entry
        self.world.trace(f"late: {request.method} {str(request.url).partition('simulator.invalid')[2]}")
        try:
            await deliver(request)
        except Exception as error:  # noqa: BLE001 - whatever becomes of it, nobody waits for its answer
            self.world.trace(f"  {type(error).__name__}")
        self.on_their_way -= 1


@dataclass
class WrongHosts(Hosts):
    """Clocks of a host whose wall clock is wrong for a while."""

    def now(self) -> float:
        world = self.world
        assert isinstance(world, SimulatedWorld)
        return world.host_now()


class SimulatedWorld(World):
    """The world of one plan.

    Attributes:
        met: how often each thing that can go wrong went wrong.
        final: by name, the job as the API shows it at the very end.
        finished: whether everything was quiet for long enough.
        serves: whether the present life came as far as being ready to serve.
    """

    def __init__(self, folder: Path, plan: Plan, *, keep_trace: bool = False) -> None:
        self.plan = plan
        self.met: Counter[str] = Counter()
        self.final: dict[str, dict[str, Any]] = {}
        self.finished = False
        self.lines: list[str] | None = [] if keep_trace else None
        self.serves = False
        self.ended_faulty = False
        self._well = False
        self._digest = hashlib.sha256()
        self._planted = list(plan.planted)
        self._chance = random.Random(plan.seed ^ 0xACE)
        self.watcher = SimulatedUser(plan)
        super().__init__(folder, self.watcher, settings=plan.settings, options=plan.options, seed=plan.seed)
        self.steps = SimulatedSteps(self)
        self.post = SimulatedWire(self)
        self.wire = self.post
        self._be_this_host()

    # What goes wrong now

    def strength(self, what: str) -> float:
        """How strong something is that goes on for a while; 0 while it does not."""
        now = self.elapsed
        return sum(each.strength for each in self.plan.windows if each.what == what and each.begins <= now < each.ends)

    @property
    def faulty(self) -> bool:
        return self.elapsed < self.plan.faulty_s

    def tick(self) -> None:
        """Begin the faults at AWS that are due, and end all of them when it is over."""
        now = self.elapsed
        if not self.faulty:
            if not self._well:
                self._well = True
                self.simulator.faults.clear()
                self.simulator.configure(throttles={}, quotas=self.plan.options["quotas"])
                self.trace("the faults are over")
            return
        for planted in [each for each in self._planted if each.begins <= now]:
            self._planted.remove(planted)
            if planted.ends > now:
                self.count(planted.what)
                fault = planted.fault.model_copy(update={"for_s": planted.ends - now})
                self.simulator.faults.add(fault, now=self.now())

    def count(self, what: str) -> None:
        self.met[what] += 1

    def trace(self, text: str) -> None:
        line = f"{self.lives} {self.elapsed:.6f} {text}"
        self._digest.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """Of everything that happened, in its order."""
        return self._digest.hexdigest()[:20]

    # This host

    def host(self) -> Hosts:
        return WrongHosts(self)

    def host_now(self) -> float:
        wrong_s = 0.0
        for what in CLOCKS:
            if strength := self.strength(what):
                self.met[what] = 1
                wrong_s += strength
        return self.now() + wrong_s

    def _be_this_host(self) -> None:
        """Clock, disk and sink of this process, which ends with the seed."""
        upkeep_module.DEADLINES_S = DEADLINES_S  # type: ignore[misc]

        def signed_at(*_: Any, **__: Any) -> dt.datetime:
            return dt.datetime.fromtimestamp(self.host_now(), dt.UTC).replace(tzinfo=None)

        botocore.auth.get_current_datetime = signed_at
        aiosqlite.core.SimpleQueue = partial(Disk, self)  # type: ignore[attr-defined,assignment]

        async def delivered(sink: FileSink, events: Sequence[OutboxEvent]) -> Sequence[Outcome]:
            if self.strength(DOWN):
                self.count(DOWN)
                return [Later("no answer")] * len(events)
            outcomes = await _DELIVER(sink, events)
            if self._chance.random() < self.strength(FORGETFUL):
                self.count(FORGETFUL)
                return [Later("no answer")] * len(events)
            return outcomes

        FileSink.deliver = delivered  # type: ignore[assignment,method-assign]

    # Lives

    def perform(self) -> None:
        """All lives of the seed, until everything has been quiet for long enough."""
        until = self.plan.faulty_s + LIVENESS_S + self.plan.quiet_s
        while self.lives < LIVES_MAX:
            self.tick()
            self.serves = False
            end = self.live(max(1.0, until - self.elapsed))
            self.trace(f"ended: {end}".replace(str(self.folder), "FOLDER"))
            if self.finished or end == "timed out":
                return
            if end not in {"cut", "ended 0"} and (self.serves or not self.ended_faulty):
                self.problems.append(f"it left by itself: {end}")
                return
            self.user.after_cut()
            self._stay_down(end)
        self.problems.append(f"still not settled after {LIVES_MAX} lives")

    def _stay_down(self, end: str) -> None:
        if end == "cut":
            self.count("P1..P5 crash")
            down_s = self._chance.choice((0.0, 0.0, 20.0, 120.0))
        else:
            down_s = self.watcher.down_s
        self.started(self.elapsed + down_s)

    async def _live(self, limit_s: float) -> str:
        self.post.resume()
        end = await super()._live(limit_s)
        self.ended_faulty = self.faulty
        return end


class Disk(_AtOnce):
    """The connection to a database whose disk is full at times."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    def put_nowait(self, item: tuple[Any, Callable[[], Any]]) -> None:
        future, function = item
        given: Any = function
        if isinstance(given, partial) and given.args[:1] == ("COMMIT",) and self._world.strength(FULL):
            self._world.count(FULL)
            function = partial(_refuse, _cursor_of(given), self._world.met[FULL] % 2 == 0)
        super().put_nowait((future, function))


def _cursor_of(call: Any) -> sqlite3.Cursor:
    cursor: sqlite3.Cursor = call.func.__self__
    return cursor


def _refuse(cursor: sqlite3.Cursor, rolled_back: bool) -> None:
    """A commit for which there is no space; SQLite may roll back by itself, or leave that to the caller."""
    if rolled_back:
        cursor.execute("ROLLBACK")
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error
