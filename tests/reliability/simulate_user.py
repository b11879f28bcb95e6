"""The user of a seed: sends and says what its plan says, through every life, and leaves when nothing happens any more.

Invariant: what the plan has due is done at the next look, and done again until the daemon has heard it.
"""

import json
from typing import TYPE_CHECKING, Any, cast

import anyio

from controller.control import Control
from controller.errors import NotFoundError, StoreUnavailableError
from controller.intake import InboxFullError
from controller.store import EntryType, Selection
from tests.documents import RECOMMENDATION, spec_of
from tests.reliability.cases import CREATES
from tests.reliability.simulate_faults import LONG, STOPS, Happening
from tests.reliability.simulate_plan import Plan
from tests.reliability.user import User
from tests.reliability.world import World

if TYPE_CHECKING:
    from tests.reliability.simulate_world import SimulatedWorld

LOOK_S = 1.0
GRACE_S = 20.0
ALIVE = frozenset({"created", "adopted", "running", "resolved", "stopping"})
CHANGING = frozenset({*CREATES.values(), *STOPS})


class SimulatedUser(User):
    """Sends what the plan says, when it says so, and leaves when nothing has happened for ten passes.

    Attributes:
        down_s: how long the process stays away after the stop that the user asked for.
        sent_at: by name, when its first document was handed over.
        poison: lines handed over that are no documents.
    """

    world: "SimulatedWorld"

    def __init__(self, plan: Plan) -> None:
        super().__init__([], plan.policy)
        self.names = set(plan.versions)
        self.plan = plan
        self.down_s = 0.0
        self.sent_at: dict[str, float] = {}
        self.poison = 0
        self.commanded: set[str] = set()
        self._sendings = list(plan.sendings)
        self._happenings = list(plan.happenings)
        self._files = 0

    def enter(self, world: World) -> None:
        self.world = cast("SimulatedWorld", world)

    # Doing

    async def watch(self, control: Control) -> None:
        self._calm_since = None
        self._left_at = None
        world = self.world
        world.serves = True
        while True:
            world.tick()
            self.look()
            self._send()
            if await self._happen(control):
                return
            if not world.faulty:
                await self._answer(control)
                if self._is_calm():
                    world.final = await self._jobs(control)
                    world.finished = True
                    self._leave(control)
                    return
            await anyio.sleep(LOOK_S)

    def _leave(self, control: Control) -> None:
        self._left_at = self.world.now()
        control.shutdown()

    def _send(self) -> None:
        now = self.world.elapsed
        while self._sendings and self._sendings[0].at <= now:
            sending = self._sendings.pop(0)
            self._files += 1
            lines = [json.dumps(document) for document in sending.documents] + list(sending.poison)
            part = self.world.spool / f".{self._files:04d}.part"
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            part.rename(self.world.spool / f"{self._files:04d}.jsonl")
            self.poison += len(sending.poison)
            if sending.poison:
                self.world.count("P32 lines that are no documents")
            self._acted_at = self.world.now()
            for document in sending.documents:
                self.sent_at.setdefault(str(document["name"]), self.world.now())

    async def _happen(self, control: Control) -> bool:
        """Do what is due; whether the process was asked to leave."""
        while self._happenings and self._happenings[0].at <= self.world.elapsed:
            happening = self._happenings[0]
            try:
                if not await self._do(happening, control):
                    return False
            except (StoreUnavailableError, InboxFullError):
                return False  # once more at the next look
            self._happenings.pop(0)
            self.world.count(happening.what)
            if happening.what == "P43 graceful stop":
                self.down_s = happening.data["down_s"]
                self._leave(control)
                return True
        return False

    async def _do(self, happening: Happening, control: Control) -> bool:
        world, data = self.world, happening.data
        match happening.what:
            case "P28 delivered again":
                if (world.spool / "done").exists():
                    world.deliver_again()
            case "P19 foreign jobs":
                self._plant(data["kind"], data["count"])
            case "P19 quota lowered":
                quotas = {**world.plan.options["quotas"], data["kind"]: {"*": data["jobs"]}}
                world.simulator.configure(quotas=quotas)
            case "command":
                return await self._command(data["name"], EntryType(data["type"]), control)
            case "pause and resume":
                await control.pause(f"default/{data['kind']}", wait_s=0)
                self._happenings.append(Happening("resume", max(world.elapsed, world.plan.faulty_s), data))
            case "resume":
                await control.resume(f"default/{data['kind']}", wait_s=0)
        self._acted_at = world.now()
        return True

    def _plant(self, kind: str, count: int) -> None:
        """Jobs of somebody else, each with a blueprint of its own."""
        simulator = self.world.simulator
        for number in range(count):
            parameters = {"jobName": f"theirs-{number}-{len(simulator.ledger.entries)}", **spec_of(kind, 900 + number)}
            simulator.plant(kind, parameters, region="us-east-1")

    async def _command(self, name: str, type_: EntryType, control: Control) -> bool:
        kind = str(self.plan.versions[name][0]["kind"])
        try:
            view = await control.command(type_, control.identity("default", kind, name), {}, wait_s=3)
            self.world.trace(f"{type_} {name}: {view['answer']}")
        except NotFoundError:
            return not self.world.faulty
        if view["answer"] not in {"accepted", "unchanged"}:
            return False
        self.commanded.add(name)
        self._acted_at = self.world.now()
        return True

    async def _answer(self, control: Control) -> None:
        """What is still on its way may yet arrive: a person says nothing before."""
        if not self.world.wire.on_their_way:
            await super()._answer(control)

    async def _jobs(self, control: Control) -> dict[str, dict[str, Any]]:
        page = await control.jobs(Selection(), None, 500)
        return {job["name"]: job for job in page["items"]}

    # Seeing

    def unsettled(self) -> list[str]:
        waiting = [f"file {each.at}" for each in self._sendings] + [each.what for each in self._happenings]
        unread = [path.name for path in self.world.spool.glob("*.jsonl")]
        jobs = [
            f"{name}: {self.jobs[name].last if name in self.jobs else 'nothing'}"
            for name in sorted(self.names)
            if not (self.has_ended(name) or self._held(name) or self.goes_on(name))
        ]
        return [*waiting, *unread, *jobs]

    def goes_on(self, name: str) -> bool:
        """Whether it runs, and will for ever: nobody wants it to end, or nobody can end it."""
        if not name.startswith(LONG) or name not in self.jobs or self.jobs[name].last not in ALIVE:
            return False
        if self.plan.versions[name][0]["kind"] == RECOMMENDATION:
            return True
        if self.jobs[name].data["desired"] != "Completed":
            return False
        return "deadlineSeconds" not in self.plan.versions[name][-1] or self.plan.may_be_refused(name)

    def _is_calm(self) -> bool:
        """Whether nothing at all has happened for ten passes since all was settled."""
        now = self.world.now()
        calls = self.world.simulator.ledger.calls
        changing = sum(sum(counts.values()) for operation, counts in calls.items() if operation in CHANGING)
        mark = (changing, self.world.events.stat().st_size if self.world.events.exists() else 0)
        if not self.settled() or self.world.wire.on_their_way or mark != self._mark:
            self._calm_since, self._mark = now, mark
            return False
        return self._calm_since is not None and now - self._calm_since >= self.plan.quiet_s

    def check_stop(self) -> None:
        took_s = self.world.now() - self._left_at if self._left_at is not None else 0.0
        if took_s > GRACE_S + 1:
            self.world.problems.append(f"O9: the stop took {took_s:.1f} s")
