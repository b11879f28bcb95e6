"""A failpoint that a test opens and closes, and a peer that loses answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

DEADLINE_S = 20.0


class Gate:
    """Holds every commit at `before` while it is closed, and counts them."""

    def __init__(self) -> None:
        self._open = anyio.Event()
        self._open.set()
        self._arrived = anyio.Event()
        self.commits = 0

    async def __call__(self, step: str) -> None:
        if step == "store.commit:before":
            self.commits += 1
            self._arrived.set()
            await self._open.wait()

    def close(self) -> None:
        self._open = anyio.Event()
        self._arrived = anyio.Event()

    def open(self) -> None:
        self._open.set()

    async def someone_waits(self) -> None:
        with anyio.fail_after(DEADLINE_S):
            await self._arrived.wait()


async def until_queued(store: Any, units: int) -> None:
    """Wait until so many units stand in the writer's queue."""
    with anyio.fail_after(DEADLINE_S):
        while store._writer._receive.statistics().current_buffer_used < units:
            await anyio.lowlevel.checkpoint()


class LosingProxy:
    """Stands between a client and a PostgreSQL socket; loses the answer to the next COMMIT when it is armed."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self.armed = False
        self.lost = 0

    async def serve(self, client: ByteStream) -> None:
        async with client, await anyio.connect_unix(str(self._server)) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(self._relay, server, client, tasks.cancel_scope)
            try:
                while True:
                    data = await client.receive()
                    losing = self.armed and b"COMMIT" in data
                    if losing:
                        self.armed = False
                        self._muted = True
                    await server.send(data)
                    if losing:
                        with anyio.fail_after(DEADLINE_S):
                            await self._swallowed.wait()
                        self.lost += 1
                        break
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            tasks.cancel_scope.cancel()

    async def _relay(self, server: ByteStream, client: ByteStream, scope: anyio.CancelScope) -> None:
        try:
            while True:
                data = await server.receive()
                if self._muted:
                    self._muted = False
                    self._swallowed.set()
                    return
                await client.send(data)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            scope.cancel()

    _muted = False

    @asynccontextmanager
    async def running(self, directory: Path) -> AsyncIterator[None]:
        self._swallowed = anyio.Event()
        listener = await anyio.create_unix_listener(directory / ".s.PGSQL.5432")
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self.serve)
            yield
            tasks.cancel_scope.cancel()
