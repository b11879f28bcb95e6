"""Lives of `ferryman` processes: borne cheaply, signalled at will, their ends known."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests import processes
from tests.harness import Ferryman

POLL_S = 0.01
START_S = 60.0


@dataclass
class Life:
    """One process, from its birth to its end."""

    process: processes.Borne
    log: Path
    _url: str = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, of a signal negative; none as long as it runs."""
        return self.process.poll()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.code is not None

    def send(self, number: signal.Signals) -> None:
        """A signal, unless it has ended."""
        self.process.send_signal(number)

    async def wait(self, timeout_s: float = 60) -> int:
        """Its exit code; of a signal negative."""
        await until(lambda: self.over, timeout_s)
        assert self.code is not None
        return self.code

    async def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 60) -> int:
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


@dataclass
class Lives:
    """Where they begin."""

    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def start(
        self,
        home: Ferryman,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Life:
        """`ferryman run` in a home; `limits` are those of the kernel, by name (`NOFILE`, `FSIZE`, `AS`)."""
        log = home.folder / f"life-{os.getpid()}-{next(self._numbers):05d}.log"
        environment = {**home.environment(), **(settings or {})}
        with log.open("ab") as output:
            process = await anyio.to_thread.run_sync(
                lambda: processes.start(
                    "run", *arguments, folder=home.folder, environment=environment, stdout=output, limits=limits
                )
            )
        return Life(process, log)

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


@cache
def template() -> Lives:
    """The one of this process."""
    return Lives()
