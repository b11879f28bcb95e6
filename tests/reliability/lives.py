"""Lives of `ferryman` processes: born cheaply, signalled at will, their ends known.

`template` is one for each process of the tests; it is started at its first use and ends with them.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO, Any, cast

import anyio
import httpx

from tests.harness import ROOT, Ferryman

POLL_S = 0.01
START_S = 60.0


@dataclass
class Life:
    """One process, from its birth to its end."""

    pid: int
    log: Path
    ended: threading.Event = field(default_factory=threading.Event)
    code: int | None = None
    _url: str = ""

    def send(self, number: signal.Signals) -> None:
        """A signal, unless it has ended; nobody but the template reaps it, which says so first."""
        if not self.ended.is_set():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    async def wait(self, timeout_s: float = 60) -> int:
        """Its exit code; of a signal negative."""
        await until(self.ended.is_set, timeout_s)
        assert self.code is not None
        return self.code

    async def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 25) -> int:
        self.send(number)
        return await self.wait(timeout_s)

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @property
    def url(self) -> str:
        """Where it serves; empty as long as it does not."""
        if not self._url:
            for line in self.text().splitlines():
                if '"serving"' in line and line.endswith("}"):
                    self._url = json.loads(line)["url"].rstrip("/")
        return self._url

    @property
    def ready(self) -> bool:
        return bool(self.url) and '"ready"' in self.text()

    async def until(self, fact: Callable[[], bool], timeout_s: float = 60) -> None:
        """Wait for a fact outside of the process, which must not end meanwhile."""

        def fact_or_end() -> bool:
            if self.ended.is_set() and not fact():
                raise AssertionError(f"the daemon ended with {self.code}:\n{self.text()[-4000:]}")
            return fact()

        await until(fact_or_end, timeout_s)

    async def get(self, path: str, **parameters: str) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.get(self.url + path, params=parameters)
            answer.raise_for_status()
            return answer.json()

    async def post(self, path: str, body: Any = None, **parameters: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.post(self.url + path, json=body, params=parameters)


async def until(fact: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for a fact that nothing announces: a file, a ledger, the end of a process."""
    with anyio.fail_after(timeout_s):
        while not fact():
            await anyio.sleep(POLL_S)


class Template:
    """The process that forks, and who it has borne."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.template"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._numbers = count(1)
        self._births: dict[int, tuple[threading.Event, Life]] = {}
        self._lives: dict[int, Life] = {}
        self._ready = threading.Event()
        self._gone = threading.Event()
        self._reader = threading.Thread(target=self._read, name="template", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in cast("IO[bytes]", self._process.stdout):
            fact = json.loads(line)
            if "born" in fact:
                event, life = self._births.pop(fact["order"])
                life.pid = fact["born"]
                self._lives[life.pid] = life
                event.set()
            elif "ended" in fact:
                life = self._lives.pop(fact["ended"])
                life.code = fact["code"]
                life.ended.set()
            else:
                self._ready.set()
        self._gone.set()

    async def start(
        self,
        home: Ferryman,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Life:
        """`ferryman run` in a home; `limits` are those of the kernel, by name (`NOFILE`, `FSIZE`, `AS`)."""
        await until(lambda: self._ready.is_set() or self._gone.is_set(), START_S)
        number = next(self._numbers)
        log = home.folder / f"life-{os.getpid()}-{number:05d}.log"
        event, life = threading.Event(), Life(0, log)
        self._births[number] = (event, life)
        order = {
            "order": number,
            "arguments": ["run", *arguments],
            "environment": {**home.environment(), **(settings or {})},
            "folder": str(home.folder),
            "log": str(log),
            "limits": dict(limits or {}),
        }
        stdin = cast("IO[bytes]", self._process.stdin)
        stdin.write(json.dumps(order).encode() + b"\n")
        stdin.flush()
        await until(lambda: event.is_set() or self._gone.is_set(), START_S)
        assert event.is_set(), "the template has ended"
        return life

    @asynccontextmanager
    async def life(
        self,
        home: Ferryman,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> AsyncIterator[Life]:
        """A daemon that is ready when the block begins, and dead when it is left."""
        life = await self.start(home, *arguments, settings=settings, limits=limits)
        try:
            await life.until(lambda: life.ready, START_S)
            yield life
        finally:
            life.send(signal.SIGCONT)
            life.send(signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await life.wait()

    def close(self) -> None:
        cast("IO[bytes]", self._process.stdin).close()
        self._process.wait(10)
        self._reader.join(10)
        cast("IO[bytes]", self._process.stdout).close()


@cache
def template() -> Template:
    """The one of this process."""
    found = Template()
    atexit.register(found.close)
    return found
