"""The real daemon on virtual time, in a process of its own: ten minutes of a fault cost a second.

A scene is an async function that is given the stage: it sends documents, plants faults, turns clocks and looks at the
ledger while the daemon runs beside it. The judge is the simulator's ledger.
"""

import datetime as dt
import json
import os
import random
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import botocore.auth
import structlog

from controller.control import Control
from controller.daemon import RunOptions, Seams, run_daemon
from controller.settings import Settings
from controller.simulator import IN_PROCESS_ENDPOINT, Simulator, SimulatorOptions, in_process_session
from controller.store import Selection
from tests.documents import KINDS
from tests.harness import attempt_of
from tests.reliability.forks import run_forked
from tests.reliability.sharing import give_lanes_to, share_costs
from tests.reliability.virtual import VirtualTimeLoop, abolish_threads

EPOCH = 1_790_000_000.0
KEY = "AKIAEXAMPLE"
FAST = {"rate": 50, "burst": 20}
TICK_S = 0.25
LONG_TICK_S = 5.0
OPERATIONS = ("create", "get", "list", "stop", "delete")


@dataclass
class Stage:
    """What a scene acts on. Times are in virtual seconds since the curtain rose.

    Attributes:
        host_wrong_s: by how much the host's wall clock is wrong; AWS's is always right.
        facts: what the scene found, for the table.
    """

    folder: Path
    simulator: Simulator
    loop: VirtualTimeLoop
    host_wrong_s: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    failpoint: Callable[[str], Awaitable[None]] | None = None
    control: Control | None = None
    before_s: float = 0.0
    """Virtual seconds of earlier lives."""

    # Clocks

    def aws_now(self) -> float:
        return EPOCH + self.elapsed

    def now(self) -> float:
        return self.aws_now() + self.host_wrong_s

    def monotonic(self) -> float:
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(max(0.0, seconds))

    @property
    def elapsed(self) -> float:
        return self.before_s + self.loop.elapsed

    async def pass_time(self, seconds: float) -> None:
        """Virtual seconds: they cost nothing."""
        await anyio.sleep(seconds)

    async def until(self, fact: Callable[[], bool | Awaitable[bool]], within_s: float, what: str) -> float:
        """Wait for a fact; returns when it was true."""
        end = self.elapsed + within_s
        while True:
            found = fact()
            cheap = isinstance(found, bool)
            if found if isinstance(found, bool) else await found:
                return self.elapsed
            assert self.elapsed < end, f"not within {within_s:g} s: {what}"
            await anyio.sleep(TICK_S if cheap else LONG_TICK_S)

    # Ferryman

    @property
    def ferryman(self) -> Control:
        assert self.control is not None
        return self.control

    async def send(self, documents: Iterable[Mapping[str, Any]], answer: str = "accepted") -> None:
        items = await self.ferryman.submit(json.dumps(list(documents)).encode(), wait_s=60)
        assert {item["answer"] for item in items} == {answer}, items

    async def jobs(self) -> dict[str, dict[str, Any]]:
        """By name."""
        found: dict[str, dict[str, Any]] = {}
        after: str | None = None
        while True:
            page = await self.ferryman.jobs(Selection(), after, 500)
            found |= {job["name"]: job for job in page["items"]}
            after = page["next"]
            if after is None:
                return found

    async def all_in(self, *phases: str) -> bool:
        return all(job["phase"] in phases for job in (await self.jobs()).values())

    # AWS

    def creates(self) -> list[Any]:
        return [entry for entry in self.simulator.ledger.entries if entry.effect == "create" and not entry.foreign]

    def calls(self, operation: str, outcome: str | None = None) -> int:
        counts: Mapping[str, int] = self.simulator.ledger.calls.get(operation, {})
        return sum(counts.values()) if outcome is None else counts.get(outcome, 0)

    def nothing_twice(self) -> None:
        attempts = [attempt_of(entry) for entry in self.creates()]
        assert len(attempts) == len(set(attempts))

    def events(self) -> list[dict[str, Any]]:
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def told(self, type_: str) -> int:
        return sum(event["type"] == f"ferryman.{type_}" for event in self.events())


Scene = Callable[[Stage], Awaitable[None]]


def perform(
    folder: Path,
    *scenes: Scene,
    settings: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    kinds: Sequence[str] = KINDS,
    between: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Play scenes to their ends, each in a life of the daemon, with the lanes of `kinds`; gives their facts.

    `between` is called after each life but the last, with its number.

    Raises:
        AssertionError: with the traceback of whatever failed in it.
    """

    def play() -> dict[str, Any]:
        give_lanes_to(kinds)
        return _play(folder, scenes, settings or {}, limits or {}, options or {}, between)

    ((_, answer),) = run_forked([(scenes[0].__name__, play)])
    assert "error" not in answer, answer["error"]
    return answer


def _play(
    folder: Path,
    scenes: Sequence[Scene],
    settings: Mapping[str, Any],
    limits: Mapping[str, Any],
    options: Mapping[str, Any],
    between: Callable[[int], None] | None,
) -> dict[str, Any]:
    stage = _set(folder, options)
    for life, scene in enumerate(scenes, 1):
        stage.loop.run_until_complete(_run(stage, scene, _settings(folder, settings, limits)))
        if life < len(scenes):
            if between is not None:
                between(life)
            stage.before_s = stage.elapsed + 1
            stage.loop = VirtualTimeLoop(1000.0 * (life + 1))
    return {"virtual_s": round(stage.elapsed), **stage.facts}


def _set(folder: Path, options: Mapping[str, Any]) -> Stage:
    """Make this process a stage; there is no way back."""
    abolish_threads()
    _set_environment()
    share_costs()
    log = (folder / "stage.log").open("a", encoding="utf-8")
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)],
        logger_factory=structlog.WriteLoggerFactory(log),
    )
    stages: list[Stage] = []
    chosen = SimulatorOptions.model_validate({"speed": 1, "check_signature_date": True, **options})
    simulator = Simulator(chosen, now=lambda: stages[0].aws_now() if stages else EPOCH, random=random.Random(1))
    stages.append(Stage(folder, simulator, VirtualTimeLoop(1000.0)))
    _let_the_sdk_sign_by(stages[0])
    return stages[0]


class _Power:
    """Fails at a step drawn by chance; what was written since the last commit is lost, renames included."""

    def __init__(self, stage: Stage, store: Path, steps: int) -> None:
        self.kept = store.parent / "as-of-the-last-commit"
        self.acknowledged: list[str] = []
        self._stage, self._store, self._left = stage, store, steps
        self._keep()

    def _keep(self) -> None:
        self.kept.mkdir(exist_ok=True)
        for suffix in ("", "-wal"):
            if Path(f"{self._store}{suffix}").exists():
                shutil.copyfile(f"{self._store}{suffix}", self.kept / f"{self._store.name}{suffix}")
        done = self._stage.folder / "spool" / "done"
        self.acknowledged = sorted(path.name for path in done.glob("*.jsonl"))

    async def step(self, step: str) -> None:
        if step == "store.commit:after":
            self._keep()
        self._left -= 1
        if self._left <= 0:
            self._stage.loop.cut()
            await anyio.sleep_forever()


def lose_power(folder: Path, seed: int, losses: int, scene: Scene, options: Mapping[str, Any]) -> dict[str, Any]:
    """Lives that end with the power, each begun on the files as of the last commit before; then a quiet one.

    To be called in a process of its own. The scene runs in every life; the last one ends when it does.
    """
    stage = _set(folder, options)
    chance = random.Random(seed)
    graveyard: list[Any] = []
    for life in range(losses + 1):
        store = folder / f"store-{life}" / "ferryman.db"
        store.parent.mkdir(exist_ok=True)
        settings = _settings(folder, {"store": {"url": f"sqlite:///{store}"}, "reconcile": {"list_lag_s": 20}}, {})
        if life == losses:
            stage.failpoint = None
            stage.loop.run_until_complete(_run(stage, scene, settings))
            break
        power = _Power(stage, store, chance.randrange(4, 160))
        stage.failpoint = power.step
        try:
            stage.loop.run_until_complete(_run(stage, scene, settings))
            break
        except RuntimeError as error:
            if "stopped before Future" not in str(error):
                raise
        shutil.copytree(power.kept, folder / f"store-{life + 1}")
        for path in (folder / "spool" / "done").glob("*.jsonl"):
            if path.name not in power.acknowledged:
                path.rename(folder / "spool" / path.name)
        stage.before_s = stage.elapsed + 3
        graveyard.append(stage.loop)
        stage.loop = VirtualTimeLoop(1000.0 * (life + 2))
    return {"lives": life + 1, "virtual_s": round(stage.elapsed), **stage.facts}


async def _run(stage: Stage, scene: Scene, settings: Settings) -> None:
    async def act(control: Control) -> None:
        stage.control = control
        await scene(stage)
        control.shutdown()

    async def failpoint(step: str) -> None:
        if stage.failpoint is not None:
            await stage.failpoint(step)

    seams = Seams(
        clock=stage,
        random=random.Random(2),
        failpoint=failpoint,
        transport=in_process_session(stage.simulator),
        signals=False,
    )
    await run_daemon(settings, RunOptions(), watch=act, seams=seams)


def _settings(folder: Path, given: Mapping[str, Any], limits: Mapping[str, Any]) -> Settings:
    (folder / "spool").mkdir(exist_ok=True)
    groups: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder}/ferryman.db"},
        "queue": {"sources": [f"dir:{folder}/spool"]},
        "events": {"sinks": [f"file:{folder}/events.jsonl"]},
        "http": {"enabled": False},
        "aws": {"pool": 16},
        "scopes": {"default": {"region": "us-east-1", "endpoint_url": IN_PROCESS_ENDPOINT}},
        "limits": {kind: {**dict.fromkeys(OPERATIONS, FAST), **limits.get(kind, {})} for kind in KINDS},
    }
    for name, group in given.items():
        groups[name] = {**groups[name], **group} if isinstance(groups.get(name), dict) else group
    return Settings(**groups)


def _let_the_sdk_sign_by(stage: Stage) -> None:
    """The SDK reads the host's clock itself; here that is the stage's. Done in a process that ends with the scene."""

    def host_time(*_: Any, **__: Any) -> dt.datetime:
        return dt.datetime.fromtimestamp(stage.now(), dt.UTC).replace(tzinfo=None)

    botocore.auth.get_current_datetime = host_time


def _set_environment() -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "FERRYMAN_")):
            del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID=KEY,
        AWS_SECRET_ACCESS_KEY="not-a-secret",
        AWS_REGION="us-east-1",
        AWS_CONFIG_FILE="/nonexistent",
        AWS_SHARED_CREDENTIALS_FILE="/nonexistent",
        AWS_EC2_METADATA_DISABLED="true",
    )
