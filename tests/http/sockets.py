"""The application on a real port, and raw connections to it."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
from anyio.abc import SocketStream

from controller.http import Application, serve_api
from tests.http.rig import TIMEOUT_S


@asynccontextmanager
async def listening(app: Application, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve on a free port, which is given."""
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve_api, app, host, 0)
        try:
            yield port
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def client_of(port: int, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=TIMEOUT_S, trust_env=False
    ) as client:
        yield client


async def all_of(stream: SocketStream) -> bytes:
    """Everything until the peer closes or resets."""
    received = b""
    with anyio.fail_after(TIMEOUT_S):
        while True:
            try:
                received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return received


async def raw(port: int, *parts: bytes) -> bytes:
    """Send parts, and give all that comes back until the connection is closed."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        for part in parts:
            try:
                await stream.send(part)
            except anyio.BrokenResourceError:
                break
        return await all_of(stream)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
