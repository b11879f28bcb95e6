"""What the end-to-end tests stand on: a simulator on a socket, and `ferryman` as a real process.

A test waits for facts (an answer of the API, a line of the ledger, the end of a process) under a deadline; it never
sleeps in hope. The judge is the simulator's ledger and the events file, not Ferryman's own word.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from controller.simulator import Simulator, SimulatorOptions, serve
from tests.documents import KINDS
from tests.processes import ROOT, Borne, run, start

FAST = {"rate": 500, "burst": 50}
QUICK: dict[str, Any] = {"speed": 3600.0}
"""Simulator options under which a remote job lives about a second or two."""


@asynccontextmanager
async def simulated_aws(ledger: Path | None = None, **options: Any) -> AsyncIterator["Aws"]:
    """A simulated AWS on a socket of its own."""
    chosen = SimulatorOptions.model_validate({**QUICK, **options})
    with Simulator(chosen, now=time.time, random=random.Random(0), ledger_path=ledger) as simulator:
        async with serve(simulator) as url:
            yield Aws(simulator, url)


@dataclass
class Aws:
    simulator: Simulator
    url: str

    def creates(self) -> list[Any]:
        """Every remote job that was created, plants left out."""
        return [entry for entry in self.simulator.ledger.entries if entry.effect == "create" and not entry.foreign]

    def created_twice(self) -> list[str]:
        """Attempts, by their token, name or mark, of which more than one remote job exists."""
        return [
            attempt for attempt, count in Counter(attempt_of(entry) for entry in self.creates()).items() if count > 1
        ]

    def calls(self, operation: str) -> int:
        return sum(self.simulator.ledger.calls.get(operation, {}).values())


def attempt_of(entry: Any) -> str:
    """What Ferryman put into a create so that the attempt can be told."""
    if entry.name:
        return str(entry.name)
    tags = {tag["key"]: tag["value"] for tag in entry.parameters.get("tags", [])}
    return str(tags["ferryman:token"])


@dataclass
class Ferryman:
    """One folder with a store, and the settings with which `ferryman` runs in it."""

    folder: Path
    endpoint: str
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        limits = {kind: dict.fromkeys(("create", "get", "list", "stop", "delete"), FAST) for kind in KINDS}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FERRYMAN_", "AWS_"))}
        return {
            **clean,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CONFIG_FILE": str(self.folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "FERRYMAN_STORE__URL": f"sqlite:///{self.folder}/ferryman.db",
            "FERRYMAN_EVENTS__SINKS": json.dumps([f"file:{self.folder}/events.jsonl"]),
            "FERRYMAN_HTTP__PORT": "0",
            "FERRYMAN_LIMITS": json.dumps(limits),
            "FERRYMAN_RECONCILE__INTERVAL": "1",
            "FERRYMAN_RECONCILE__INTERVAL_MIN": "0.2",
            "FERRYMAN_QUEUE__POLL_S": "0.1",
            **self.settings,
        }

    def run(self, *arguments: str, stdin: str = "", timeout_s: float = 60, anew: bool = False) -> "Finished":
        """Run a command to its end, in the folder; `anew` in an interpreter of its own."""
        said = run(
            *arguments,
            folder=self.folder,
            environment=self.environment(),
            stdin=stdin,
            timeout_s=timeout_s,
            anew=anew,
        )
        return Finished(said.code, said.out, said.err)

    async def arun(self, *arguments: str, stdin: str = "", timeout_s: float = 60, anew: bool = False) -> "Finished":
        """`run` for tests which serve the simulator in the same loop."""
        return await anyio.to_thread.run_sync(lambda: self.run(*arguments, stdin=stdin, timeout_s=timeout_s, anew=anew))

    @asynccontextmanager
    async def daemon(self, *arguments: str, **settings: str) -> AsyncIterator["Daemon"]:
        """`ferryman run` as a process, ready when the block begins; killed at its end if it still runs."""
        environment = {**self.environment(), **settings}
        log = self.folder / "daemon.log"
        with log.open("ab") as output:
            offset = output.tell()
            process = await anyio.to_thread.run_sync(
                lambda: start("run", *arguments, folder=self.folder, environment=environment, stdout=output)
            )
        daemon = Daemon(process, log, offset, environment, self)
        try:
            await daemon.ready()
            yield daemon
        finally:
            process.kill()
            with anyio.CancelScope(shield=True):
                await daemon.ended()

    def events(self) -> list[dict[str, Any]]:
        path = self.folder / "events.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


@dataclass
class Daemon:
    process: Borne
    log: Path
    offset: int
    environment: Mapping[str, str]
    home: Ferryman
    url: str = ""

    def text(self) -> str:
        """What this process has written so far."""
        return self.log.read_bytes()[self.offset :].decode("utf-8", "replace")

    async def ready(self, timeout_s: float = 60) -> None:
        """Wait until it says where it serves, and is ready."""
        with anyio.fail_after(timeout_s):
            while not (self.url and '"ready"' in self.text()):
                for line in self.text().splitlines():
                    if '"serving"' in line:
                        self.url = json.loads(line)["url"].rstrip("/")
                if (code := self.process.poll()) is not None:
                    raise AssertionError(f"the daemon ended with {code}:\n{self.text()}")
                await anyio.sleep(0.02)  # the fact is a line in a file: there is nothing else to wait on

    def command(self, *arguments: str, stdin: str = "", timeout_s: float = 60) -> "Finished":
        home = Ferryman(self.home.folder, self.home.endpoint, {**self.home.settings, "FERRYMAN_SERVER": self.url})
        return home.run(*arguments, stdin=stdin, timeout_s=timeout_s)

    async def acommand(self, *arguments: str, stdin: str = "", timeout_s: float = 60) -> "Finished":
        return await anyio.to_thread.run_sync(lambda: self.command(*arguments, stdin=stdin, timeout_s=timeout_s))

    async def get(self, path: str, **parameters: str) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.get(self.url + path, params=parameters)
            answer.raise_for_status()
            return answer.json()

    async def post(self, path: str, body: Any = None, **parameters: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.post(self.url + path, json=body, params=parameters)

    async def until(self, fact: Callable[[], bool], timeout_s: float = 60) -> None:
        """Wait for a fact outside of the daemon."""
        with anyio.fail_after(timeout_s):
            while not fact():
                if (code := self.process.poll()) is not None:
                    raise AssertionError(f"the daemon ended with {code}:\n{self.text()}")
                await anyio.sleep(0.02)  # the fact is a ledger or a file: there is nothing else to wait on

    async def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 60) -> int:
        """Send a signal, and wait for the process to end."""
        self.process.send_signal(number)
        return await self.ended(timeout_s)

    async def ended(self, timeout_s: float = 60) -> int:
        """Wait for the process to end by itself."""
        with anyio.fail_after(timeout_s):
            while (code := self.process.poll()) is None:
                await anyio.sleep(0.01)  # the end of a process that is no child of this one
        return code


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    def plain(self) -> str:
        """Everything printed; asserts that it is for people."""
        text = self.out + self.err
        assert "Traceback" not in text, text
        return text


def write_documents(path: Path, documents: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    return path


def check_sequences(events: Sequence[Mapping[str, Any]]) -> None:
    """Every stream begins at 1, has no gap, and first deliveries are in order; ids tell the same."""
    streams: dict[str, list[int]] = {}
    for event in events:
        stream, _, number = event["id"].rpartition("-")
        assert number == event["sequence"]
        known = streams.setdefault(stream, [])
        if int(number) not in known:
            known.append(int(number))
    for stream, numbers in streams.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"{stream}: {numbers}"
