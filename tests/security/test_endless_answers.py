"""AWS endpoints that never end an answer, on real sockets: each is left, and little of it is read."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from controller.kinds.connections import BrokenAnswerError, Connections

WITHIN_S = 60.0
HEAD = b"HTTP/1.1 200 OK\r\n"
PIECE = 64 * 1024
READ_MAX = 32 * 2**20
"""What the buffers of both ends may hold, and what was read; far from what a minute could bring."""


@dataclass
class Endless:
    """Sends a beginning, and then the same again and again for as long as anybody reads."""

    beginning: bytes
    again: bytes
    url: str = ""
    sent: int = 0

    async def serve(self, stream: SocketStream) -> None:
        try:
            async with stream:
                await stream.receive()
                await stream.send(self.beginning)
                piece = self.again * max(1, PIECE // len(self.again))
                while True:
                    await stream.send(piece)
                    self.sent += len(piece)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            return


@asynccontextmanager
async def serving(endless: Endless) -> AsyncIterator[None]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    endless.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/"  # noqa: S610 - this is no Django
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, endless.serve)
        yield
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(Endless(HEAD + b"x: ", b"y"), id="a header"),
        pytest.param(Endless(HEAD, b"x: y\r\n"), id="headers"),
        pytest.param(Endless(HEAD, b"n"), id="a header's name"),
        pytest.param(Endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="informational answers"),
        pytest.param(Endless(b"HTTP/1.1 200 ", b"O"), id="a reason"),
        pytest.param(Endless(HEAD + b"\r\n", b"x"), id="a body"),
        pytest.param(Endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"),
    ],
)
async def test_an_answer_without_an_end(endless: Endless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.kinds.connections.BODY_BYTES_MAX", 2**20)
    connections = Connections(ssl.create_default_context(), connect_timeout_s=10, idle_max=1)
    async with serving(endless):
        with anyio.fail_after(WITHIN_S), pytest.raises(BrokenAnswerError):
            await connections.exchange("POST", endless.url, {}, b"{}")
    connections.close()
    assert endless.sent <= READ_MAX
