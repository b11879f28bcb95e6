"""A real daemon in this process, whose AWS says what a test puts into its mouth.

The simulator answers as AWS does, and what it answered is changed on the way back. The judges are the simulator's
ledger, the events file, and the daemon itself, which must live on.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio
from aiobotocore.awsrequest import AioAWSResponse
from botocore.awsrequest import AWSPreparedRequest

from controller.control import Control
from controller.daemon import RunOptions, Seams, run_daemon
from controller.seams import SystemClock
from controller.settings import Settings
from controller.simulator import IN_PROCESS_ENDPOINT, Simulator, SimulatorOptions, in_process_session
from controller.store import Selection
from tests.documents import KINDS
from tests.harness import attempt_of

FAST = {"rate": 500, "burst": 50}
TIMEOUT_S = 20.0

Answer = dict[str, Any]
Change = Callable[[Answer], Answer | bytes | None]
"""Given an answer's JSON: what to answer instead; None: the answer as it is."""


@dataclass
class Hostile:
    """AWS, as far as a test lets it be itself."""

    simulator: Simulator
    control: Control | None = None
    change: Change | None = None
    """Applied to every answer while it is set."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Put over the headers of every answer."""
    changed: int = 0
    """Answers that were not as the simulator gave them."""

    @property
    def ferryman(self) -> Control:
        assert self.control is not None
        return self.control

    async def send(self, *documents: Mapping[str, Any]) -> None:
        items = await self.ferryman.submit(json.dumps(documents).encode(), wait_s=TIMEOUT_S)
        assert {item["answer"] for item in items} == {"accepted"}, items

    async def jobs(self) -> dict[str, dict[str, Any]]:
        page = await self.ferryman.jobs(Selection(), None, 100)
        return {job["name"]: job for job in page["items"]}

    async def until(self, fact: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
        """Wait until the jobs, by name, are so."""
        with anyio.fail_after(TIMEOUT_S):
            while True:
                jobs = await self.jobs()
                if fact(jobs):
                    return jobs
                await anyio.sleep(0.02)

    async def until_changed(self, more: int) -> None:
        """Wait until so many more answers were changed."""
        wanted = self.changed + more
        with anyio.fail_after(TIMEOUT_S):
            while self.changed < wanted:
                await anyio.sleep(0.02)

    def nothing_twice(self) -> None:
        made = [attempt_of(entry) for entry in self.simulator.ledger.entries if entry.effect == "create"]
        assert len(made) == len(set(made))


def _session(hostile: Hostile) -> type[Any]:
    honest: Any = in_process_session(hostile.simulator)

    class Session(honest):  # type: ignore[misc]
        async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
            answer = await super().send(request)
            answer.headers.update(hostile.headers)
            body = await answer.content
            changed = _changed(hostile, body)
            if changed == body:
                return answer
            hostile.changed += 1
            return AioAWSResponse(request.url, answer.status_code, answer.headers, _Body(changed))

    return Session


class _Hasty(Random):
    """Chance that draws the shortest of every pause."""

    def random(self) -> float:
        return 0.0


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content


def _changed(hostile: Hostile, body: bytes) -> bytes:
    if hostile.change is None or not body.startswith(b"{"):
        return body
    said = hostile.change(json.loads(body))
    if said is None or isinstance(said, bytes):
        return body if said is None else said
    return json.dumps(said).encode()


def member(name: str, value: Any) -> Change:
    """Puts a value into every member of this name, wherever it stands."""

    def put(found: Any) -> Any:
        if isinstance(found, list):
            return [put(item) for item in found]
        if not isinstance(found, dict):
            return found
        return {key: value if key == name else put(item) for key, item in found.items()}

    def change(answer: Answer) -> Answer:
        changed: Answer = put(answer)
        return changed

    return change


@asynccontextmanager
async def daemon(
    folder: Path, monkeypatch: Any, *, rules: Sequence[Mapping[str, Any]] = (), **groups: Any
) -> AsyncIterator[Hostile]:
    """A daemon until the block ends; that it ends by itself is a failure."""
    _environment(monkeypatch)
    options = SimulatorOptions.model_validate({"speed": 36_000, "rules": list(rules)})
    clock = SystemClock()
    with Simulator(options, now=clock.now, random=Random(1)) as simulator:
        hostile = Hostile(simulator)
        seams = Seams(clock=clock, random=_Hasty(), transport=_session(hostile), signals=False)
        ready = anyio.Event()

        async def watch(control: Control) -> None:
            hostile.control = control
            ready.set()
            await anyio.sleep_forever()

        async def run() -> None:
            await run_daemon(_settings(folder, groups), RunOptions(), watch=watch, seams=seams)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            with anyio.fail_after(TIMEOUT_S):
                await ready.wait()
            yield hostile
            hostile.ferryman.shutdown()


def _settings(folder: Path, groups: Mapping[str, Any]) -> Settings:
    operations = ("create", "get", "list", "stop", "delete")
    return Settings(
        **{
            "store": {"url": f"sqlite:///{folder}/ferryman.db"},
            "events": {"sinks": [f"file:{folder}/events.jsonl"]},
            "http": {"enabled": False},
            "reconcile": {"interval": 0.3, "interval_min": 0.1},
            "aws": {"pool": 8},
            "scopes": {"default": {"region": "us-east-1", "endpoint_url": IN_PROCESS_ENDPOINT}},
            "limits": {kind: dict.fromkeys(operations, FAST) for kind in KINDS},
            **groups,
        }
    )


def _environment(monkeypatch: Any) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def events_of(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
