"""A service with everything real behind it but dispatching: store, intake, lanes that apply their inbox.

Without dispatchers nothing is created, so jobs stay where a test puts them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
import orjson

from controller.control import Control
from controller.desk import Desk, Surroundings
from controller.documents import Policy
from controller.events import INTAKE_LANE
from controller.http import Application, Health, create_app
from controller.intake import Intake
from controller.kinds import KINDS
from controller.kinds.aws import open_clients
from controller.lane import status_of
from controller.model import Attempt, Identity, Job, Phase
from controller.orders import Orders
from controller.rejections import IntakeLane
from controller.seams import SystemClock, no_failpoint
from controller.settings import Settings
from controller.simulator import IN_PROCESS_ENDPOINT, Simulator, SimulatorOptions, in_process_session
from controller.status import LaneStatus
from controller.store import Store
from controller.store.opening import open_store
from controller.transitions.step import Step
from controller.verdicts import Verdicts
from tests.documents import BATCH, document

TIMEOUT_S = 20.0
HOST = "127.0.0.1:8470"


@dataclass
class State:
    """What the daemon would tell the service of itself."""

    desks: Mapping[str, Desk]
    stopped: anyio.Event = field(default_factory=anyio.Event)
    ready: bool = True
    statuses: dict[str, LaneStatus] = field(default_factory=dict)
    """Instead of what the desks say."""

    def lanes(self) -> Mapping[str, LaneStatus]:
        return {lane: status_of(desk) for lane, desk in self.desks.items()} | self.statuses

    def is_ready(self) -> bool:
        return self.ready


@dataclass
class Service:
    """Everything behind one application."""

    store: Store
    intake: Intake
    control: Control
    app: Application
    health: Health
    state: State

    async def send(self, *documents: Mapping[str, Any], wait_s: float = TIMEOUT_S) -> list[dict[str, Any]]:
        return await self.control.submit(orjson.dumps(list(documents)), wait_s=wait_s)

    async def move(self, name: str, phase: Phase, kind: str = BATCH, **changes: Any) -> Job:
        """Put a job into a phase, with an attempt if it needs one."""
        desk = self.state.desks[f"default/{kind}"]
        job = await self.store.find_job(Identity("default", kind, name))
        assert job is not None
        await desk.apply([(job.id, lambda job: Step(_moved(job, phase, **changes)))])
        moved = await self.store.find_job(job.identity)
        assert moved is not None
        return moved


def _moved(job: Job, phase: Phase, **changes: Any) -> Job:
    attempt = Attempt(
        incarnation=job.incarnation,
        number=1,
        token=f"{job.uid}-1",
        remote_name=f"{job.identity.name}-{job.uid[:8]}-1",
        phase=phase,
        created_at=job.accepted_at,
        remote_id=None if phase is Phase.UNCERTAIN else f"arn:aws:bedrock:::{job.uid}",
        maybe_sent=phase is Phase.UNCERTAIN,
    )
    return replace(
        job, **{"phase": phase, "attempt": 1, "attempts": (attempt,), "todo": None, "reason": None, **changes}
    )


def batch(name: str, number: int = 0, **members: Any) -> dict[str, Any]:
    return document(BATCH, name, number, **members)


@asynccontextmanager
async def serving(path: Path, *, orders: bool = True, **settings: Any) -> AsyncIterator[Service]:
    """A service over a store below `path`; with `orders`, lanes apply their inbox."""
    chosen = Settings(**settings)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        simulator = stack.enter_context(Simulator(SimulatorOptions(), now=clock.now, random=Random(1)))
        store = await stack.enter_async_context(
            open_store(
                f"sqlite:///{path}/ferryman.db", clock=clock, failpoint=no_failpoint, lock_wait_s=5, instance="test"
            )
        )
        scope = chosen.scopes["default"].model_copy(update={"endpoint_url": IN_PROCESS_ENDPOINT, "region": "us-east-1"})
        clients = await stack.enter_async_context(
            open_clients(
                "default",
                scope,
                chosen.aws,
                clock=clock,
                failpoint=no_failpoint,
                transport=in_process_session(simulator),
            )
        )
        service = _service(store, clients, chosen, clock)
        lane = IntakeLane(store, clock, chance=Random(1), on_committed=service.control.committed.announce)
        service.intake._on_received = _waker(service.state.desks, lane)
        async with anyio.create_task_group() as tasks:
            for desk in service.state.desks.values():
                await desk.open()
                if orders:
                    tasks.start_soon(Orders(desk).run)
            await tasks.start(lane.run)
            try:
                yield service
            finally:
                tasks.cancel_scope.cancel()


def _service(store: Store, clients: Any, settings: Settings, clock: SystemClock) -> Service:
    verdicts = Verdicts()
    around = Surroundings(
        store=store,
        settings=settings,
        clock=clock,
        random=Random(1),
        instance="test",
        committed=lambda: control.committed.announce(),  # noqa: PLW0108 - control is made further down
        announce=verdicts.announce,
    )
    desks = {f"default/{kind.name}": Desk("default", kind, clients, around, unproven=False) for kind in KINDS.values()}
    intake = Intake(
        store,
        KINDS,
        Policy(scopes={"default": frozenset()}),
        clock=clock,
        failpoint=no_failpoint,
        settings=settings.queue,
        on_received=lambda _lanes: None,
        chance=Random(1),
    )
    state = State(desks)
    control = Control(
        store=store,
        intake=intake,
        verdicts=verdicts,
        lanes=state.lanes,
        kinds=KINDS,
        settings=settings,
        clock=clock,
        shutdown=state.stopped.set,
        ready=state.is_ready,
    )
    health = Health(clock=clock)
    return Service(store, intake, control, create_app(control, settings, health), health, state)


def _waker(desks: Mapping[str, Desk], intake_lane: IntakeLane) -> Callable[[set[str]], None]:
    def wake(lanes: set[str]) -> None:
        for lane in lanes:
            if lane == INTAKE_LANE:
                intake_lane.wake()
            else:
                desks[lane].wake.inbox.set()

    return wake


@asynccontextmanager
async def asking(service: Service, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, without a socket."""
    transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=True)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://{HOST}", headers=headers, timeout=TIMEOUT_S
    ) as client:
        yield client


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a fact."""
    with anyio.fail_after(TIMEOUT_S):
        while not await true():
            await anyio.sleep(0.01)


def names(views: Sequence[Mapping[str, Any]]) -> list[str]:
    return [view["name"] for view in views]
