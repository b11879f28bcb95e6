"""A world: a simulated AWS, a folder, a user, and one life of Ferryman after another on what is on the disk.

Invariant: when a life is cut, nothing of it touches store or AWS any more; the next one starts on a copy of the store's
files as of that moment. AWS, the folder of events, the spool and the user live on.
"""

import errno
import json
import os
import random
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import structlog
from aiobotocore.awsrequest import AioAWSResponse
from aiohttp import ClientOSError
from botocore.exceptions import EndpointConnectionError

from controller.daemon import RunOptions, Seams, run_daemon
from controller.errors import ExitCode, FerrymanError, StoreUnavailableError
from controller.settings import Settings
from controller.simulator import IN_PROCESS_ENDPOINT, Simulator, SimulatorOptions, in_process_session
from controller.store.opening import open_store
from tests.documents import KINDS
from tests.reliability.sharing import give_lanes_to, load_models, share_all
from tests.reliability.steps import Mode, Perturbation, Steps, armed
from tests.reliability.user import User
from tests.reliability.virtual import VirtualTimeLoop, abolish_threads

EPOCH = 1_790_000_000.0
LATE_S = 16.0
"""When a late request arrives: beyond the deadline of its call."""
SLOW_S = 8.0
DOWN_S = 3.0
"""Between a death and the next start."""
LIVES_MAX = 60
SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
FAST = {"rate": 50, "burst": 20}
DURATIONS = {
    "bedrock.ModelInvocationJob": {
        "Submitted": (1, 2),
        "Validating": (1, 2),
        "Scheduled": (1, 2),
        "InProgress": (4, 8),
        "Stopping": (2, 3),
    },
    "bedrock.AdvancedPromptOptimizationJob": {"InProgress": (5, 9), "Stopping": (2, 3), "Deleting": (1, 2)},
    "bedrock-data-automation.BlueprintOptimization": {"Created": (1, 2), "InProgress": (4, 8)},
    "personalize.BatchInferenceJob": {"CREATE PENDING": (1, 2), "CREATE IN_PROGRESS": (4, 8)},
}


@dataclass
class Hosts:
    """The clocks of one life: the loop's, and the wall's, which can be wrong."""

    world: "World"

    def now(self) -> float:
        return self.world.now() + self.world.host_clock_wrong_s

    def monotonic(self) -> float:
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(max(0.0, seconds))


@dataclass
class World:
    """Everything that outlives a life.

    Args:
        folder: empty, and this world's own.
        user: what happens besides Ferryman, and when the run is over.
        settings: groups of the settings over those of every run here.
        options: of the simulator, over its own.
        kinds: those that have a lane; one in which nothing happens costs half as much as another.
        limit_s: virtual seconds of one life, beyond which it counts as one that never settles.
    """

    folder: Path
    user: User
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    kinds: Sequence[str] = KINDS
    limit_s: float = 7200.0
    seed: int = 7
    host_clock_wrong_s: float = 0.0
    host_begins_at: float = 0.0
    log: list[str] = field(default_factory=list)
    lives: int = 0
    codes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        abolish_threads()
        share_all()
        self.loop: VirtualTimeLoop | None = None
        self.after_life: Callable[[], object] = lambda: None
        self._elapsed = 0.0
        self._graveyard: list[Any] = []
        self._store = 0
        self.steps = Steps(self.cut, self.deliver_again)
        self.random = random.Random(self.seed)
        given = dict(self.options)
        longer: Mapping[str, Mapping[str, Any]] = given.pop("durations", {})
        durations = {kind: {**stages, **longer.get(kind, {})} for kind, stages in DURATIONS.items()}
        options = SimulatorOptions.model_validate({"durations": durations, "enforce_quotas": False, **given})
        self.simulator = Simulator(options, now=self.now, random=random.Random(self.seed + 1))
        self.wire = Wire(self)
        self.spool = self.folder / "spool"
        self.spool.mkdir()
        self.events = self.folder / "events.jsonl"
        self._make_store()
        self.user.enter(self)

    # Clocks

    def now(self) -> float:
        """The true time, which AWS has."""
        return EPOCH + self._elapsed + (self.loop.elapsed if self.loop is not None else 0.0)

    @property
    def elapsed(self) -> float:
        return self.now() - EPOCH

    def started(self, elapsed: float) -> None:
        """Set the true time between two lives, in seconds since the world's beginning."""
        self._elapsed = elapsed

    def host(self) -> Hosts:
        """The clocks of a life."""
        return Hosts(self)

    # The store

    @property
    def store(self) -> Path:
        return self.folder / f"store{self._store}" / "ferryman.db"

    def _make_store(self) -> None:
        self.store.parent.mkdir()
        if not self.settings.get("instance"):
            shutil.copyfile(_empty_store(), self.store)

    def lose_store(self) -> None:
        """The disk is gone; the next life begins with nothing."""
        self._store += 1
        self._make_store()

    def _save_store(self) -> None:
        """What a machine that starts again would find."""
        before = self.store
        self._store += 1
        self.store.parent.mkdir()
        for suffix in ("", "-wal"):
            if Path(f"{before}{suffix}").exists():
                shutil.copyfile(f"{before}{suffix}", f"{self.store}{suffix}")

    def move(self, folder: Path) -> None:
        """Go on elsewhere with a copy of everything that is on the disk; what was written until now stays as it is."""
        before, self.folder = self.folder, folder
        shutil.copytree(before, folder, dirs_exist_ok=True)
        self.spool, self.events = folder / "spool", folder / "events.jsonl"

    # Lives

    def cut(self) -> None:
        assert self.loop is not None
        self.loop.cut()

    def deliver_again(self) -> None:
        """The queue hands out once more what was acknowledged."""
        for path in sorted((self.spool / "done").iterdir()):
            path.rename(self.spool / path.name)

    def live(self, limit_s: float | None = None) -> str:
        """One life: `cut`, `ended`, or an error's text; at most `limit_s` virtual seconds."""
        self.lives += 1
        give_lanes_to(self.kinds)
        loop = self.loop = VirtualTimeLoop(50.0 + 7919.0 * self.lives)
        try:
            end = loop.run_until_complete(self._live(self.limit_s if limit_s is None else limit_s))
        except RuntimeError as error:
            if "stopped before Future" not in str(error):
                raise
            end = "cut"
        self._elapsed += loop.elapsed + DOWN_S
        self.loop = None
        self._graveyard.append(loop)
        self.codes.append(end)
        self._save_store()
        self.after_life()
        return end

    async def _live(self, limit_s: float) -> str:
        seams = Seams(
            clock=self.host(),
            random=self.random,
            failpoint=self.steps,
            transport=self.wire.session,
            signals=False,
        )
        began = anyio.current_time()
        with anyio.move_on_after(limit_s) as scope:
            try:
                code = await run_daemon(self._settings(), RunOptions(), watch=self.user.watch, seams=seams)
            except (FerrymanError, StoreUnavailableError) as error:
                self.log.append(traceback.format_exc())
                return f"{type(error).__name__}: {error}"
            self.user.check_stop()
            return f"ended {ExitCode(code).value}"
        if scope.cancelled_caught:
            self.problems.append(f"not settled after {anyio.current_time() - began:.0f} s: {self.user.unsettled()}")
        return "timed out"

    def run(self, plan: Perturbation | None = None) -> None:
        """Lives, until one of them ends by itself."""
        self.steps.plan = plan
        while self.lives < LIVES_MAX:
            end = self.live()
            if end != "cut" and "took over" not in end:
                return
            self.user.after_cut()
        self.problems.append(f"still not settled after {LIVES_MAX} lives")

    def _settings(self) -> Settings:
        limits = {kind: dict.fromkeys(("create", "get", "list", "stop", "delete"), FAST) for kind in KINDS}
        given = dict(self.settings)
        groups: dict[str, Any] = {
            "store": {"url": f"sqlite:///{self.store}", "keep_terminal_s": 20.0},
            "queue": {"sources": [f"dir:{self.spool}"], "poll_s": 1.5},
            "events": {"sinks": [f"file:{self.events}"]},
            "http": {"enabled": False},
            "reconcile": {"interval": 2, "interval_min": 1, "list_lag_s": 8, "token_life_s": 90},
            "aws": {"pool": 8},
            "scopes": {"default": {"region": "us-east-1", "endpoint_url": IN_PROCESS_ENDPOINT}},
        }
        extra_limits = given.pop("limits", {})
        for name, group in given.items():
            groups[name] = {**groups[name], **group} if isinstance(groups.get(name), dict) else group
        groups["limits"] = {kind: {**limits[kind], **extra_limits.get(kind, {})} for kind in KINDS}
        return Settings(**groups)

    # What AWS and the sinks know

    def creates(self) -> list[Any]:
        return [entry for entry in self.simulator.ledger.entries if entry.effect == "create" and not entry.foreign]

    def event_list(self) -> list[dict[str, Any]]:
        if not self.events.exists():
            return []
        return [json.loads(line) for line in self.events.read_bytes().splitlines() if line.endswith(b"}")]


class Wire:
    """Between Ferryman and AWS: loses, delays and repeats.

    Attributes:
        script: marks in a create's body, and what happens to the first request that carries one.
        hidden: documents whose remote jobs the tagging API does not show.
        on_their_way: requests which the network still has.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.script: dict[str, Mode] = {}
        self.hidden: set[str] = set()
        self._met: set[str] = set()
        self.on_their_way = 0
        self._late: list[Any] = []
        wire = self
        base = in_process_session(world.simulator)

        class Session(base):  # type: ignore[valid-type,misc]
            async def send(self, request: Any) -> Any:
                return await wire.send(super().send, request)

        self.session = Session

    async def send(self, deliver: Any, request: Any) -> Any:
        body = request.body or b""
        body = body if isinstance(body, bytes) else str(body).encode()
        mode = self._scripted(body) or armed.get()
        armed.set(None)
        if mode is Mode.DROPPED:
            raise _reset(request)
        if mode is Mode.LATE:
            self._deliver_late(deliver, request)
            await anyio.sleep_forever()
        answer = await deliver(request)
        if mode is Mode.TWICE:
            answer = await deliver(request)
        if self.hidden and b"TagFilters" in body:
            answer = await self._without_hidden(answer)
        if mode is Mode.SLOW:
            await anyio.sleep(SLOW_S)
        if mode is Mode.LOST:
            raise _reset(request)
        return answer

    def _scripted(self, body: bytes) -> Mode | None:
        for mark, mode in self.script.items():
            if mark not in self._met and mark.encode() in body:
                self._met.add(mark)
                return mode
        return None

    async def _without_hidden(self, answer: Any) -> Any:
        """An answer of the tagging API, less what is hidden."""
        shown = json.loads(await answer.content)
        shown["ResourceTagMappingList"] = [
            item
            for item in shown.get("ResourceTagMappingList", [])
            if not any(tag["Key"] == "document" and tag["Value"] in self.hidden for tag in item["Tags"])
        ]
        return AioAWSResponse(answer.url, answer.status_code, answer.headers, _Content(json.dumps(shown).encode()))

    def _deliver_late(self, deliver: Any, request: Any) -> None:
        """The network still has the request; nobody waits for its answer."""
        loop = self.world.loop
        assert loop is not None

        self.on_their_way += 1

        async def arrive() -> None:
            await deliver(request)
            self.on_their_way -= 1

        loop.call_later(LATE_S, lambda: self._late.append(loop.create_task(arrive())))


class _Content:
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content


def _reset(request: Any) -> Exception:
    cause = ClientOSError(errno.ECONNRESET, "Connection reset by peer")
    error: Exception = EndpointConnectionError(endpoint_url=request.url, error=cause)
    return error


# What every world shares, made once before the forks


@cache
def _empty_store() -> Path:
    """A store with its schema and an instance of its own, as the first start leaves it."""
    folder = Path(os.environ.get("FERRYMAN_TEST_FOLDER", "/tmp")) / f"ferryman-empty-{os.getpid()}"  # noqa: S108
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / "ferryman.db"

    class Still:
        def now(self) -> float:
            return EPOCH

        def monotonic(self) -> float:
            return 0.0

        async def sleep(self, seconds: float) -> None:
            await anyio.sleep(seconds)

    async def nothing(_: str) -> None:
        return

    async def make() -> None:
        async with open_store(
            f"sqlite:///{path}", clock=Still(), failpoint=nothing, lock_wait_s=1, mint=lambda: "matrix"
        ):
            return

    anyio.run(make)
    return path


def warm() -> None:
    """Do once, before the forks, what every run needs."""
    _empty_store()
    load_models()
    Simulator(SimulatorOptions(), now=lambda: EPOCH, random=random.Random(0)).close()


def set_environment() -> None:
    """What the SDK reads; nothing of this host."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "FERRYMAN_")) and name != "FERRYMAN_TEST_FOLDER":
            del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="AKIAEXAMPLE",
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_REGION="us-east-1",
        AWS_CONFIG_FILE="/nonexistent",
        AWS_SHARED_CREDENTIALS_FILE="/nonexistent",
        AWS_EC2_METADATA_DISABLED="true",
    )


def capture_log(lines: list[str]) -> None:
    """Keep what is logged, to be searched and to be shown when a run fails."""

    class Lines:
        def msg(self, message: str) -> None:
            lines.append(message)

        log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg

    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(10),
        logger_factory=lambda *_: Lines(),
        cache_logger_on_first_use=False,
    )
