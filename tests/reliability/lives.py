"""Lives of `ferryman` processes: born cheaply, signalled at will, their ends known.

`template` is one for each process of the tests; it is started at its first use and ends with them.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
    hear: Callable[[], None]
    """Takes in what the template has said."""
    code: int | None = None
    _url: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        self.hear()
        return self.code is not None

    def send(self, number: signal.Signals) -> None:
        """A signal, unless it has ended; nobody but the template reaps it, which says so first."""
        if not self.over:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    async def wait(self, timeout_s: float = 60) -> int:
        """Its exit code; of a signal negative."""
        await until(lambda: self.over, timeout_s)
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
            if self.over and not fact():
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
        self._unborn: dict[int, Life] = {}
        self._living: dict[int, Life] = {}
        self._ready = self._gone = False
        self._rest = b""
        os.set_blocking(self._output.fileno(), False)

    @property
    def _output(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdout)

    def _hear(self) -> None:
        """No thread reads: whoever waits does, since a process with threads should not fork."""
        while not self._gone:
            try:
                data = os.read(self._output.fileno(), 1 << 16)
            except BlockingIOError:
                return
            self._gone = not data
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, fact: Mapping[str, int]) -> None:
        if "born" in fact:
            life = self._unborn.pop(fact["order"])
            life.pid = fact["born"]
            self._living[life.pid] = life
        elif "ended" in fact:
            self._living.pop(fact["ended"]).code = fact["code"]
        else:
            self._ready = True

    async def _until(self, fact: Callable[[], bool]) -> None:
        def heard() -> bool:
            self._hear()
            return fact() or self._gone

        await until(heard, START_S)
        assert not self._gone, "the template has ended"

    async def start(
        self,
        home: Ferryman,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Life:
        """`ferryman run` in a home; `limits` are those of the kernel, by name (`NOFILE`, `FSIZE`, `AS`)."""
        await self._until(lambda: self._ready)
        number = next(self._numbers)
        log = home.folder / f"life-{os.getpid()}-{number:05d}.log"
        life = self._unborn[number] = Life(0, log, self._hear)
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
        await self._until(lambda: life.pid != 0)
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
        self._output.close()


@cache
def template() -> Template:
    """The one of this process."""
    found = Template()
    atexit.register(found.close)
    return found
