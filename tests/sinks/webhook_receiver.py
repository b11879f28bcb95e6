"""A real HTTP receiver on a socket, which answers as it is told."""

import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

HANG, RESET, CLOSE, DRIP = b"hang", b"reset", b"close", b"drip"


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Request:
    line: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    port: int
    answers: list[bytes] = field(default_factory=list)
    """Given in turn; the last one for ever."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"http://{host}:{self.port}{path}"

    async def serve(self, stream: ByteStream) -> None:
        self.connections += 1
        reader = BufferedByteReceiveStream(stream)
        try:
            async with stream:
                while True:
                    await self._exchange(reader, stream)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def _exchange(self, reader: BufferedByteReceiveStream, stream: ByteStream) -> None:
        head = (await reader.receive_until(b"\r\n\r\n", 65536)).decode("latin-1")
        line, *fields = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in fields)}
        body = await reader.receive_exactly(int(headers.get("content-length", "0")))
        self.requests.append(Request(line, headers, body))
        reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await _reply(reply, stream)


async def _reply(reply: bytes, stream: ByteStream) -> None:
    if reply == HANG:
        await anyio.sleep_forever()
    if reply == RESET:
        raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - this is no Django
        raw.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    if reply in (RESET, CLOSE):
        raise anyio.EndOfStream
    if reply == DRIP:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.01)
    await stream.send(reply)


@asynccontextmanager
async def receiving(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is no Django
    receiver = Receiver(port, list(answers))
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(
            (TLSListener(listener, tls, standard_compatible=False) if tls else listener).serve, receiver.serve
        )
        yield receiver
        serving.cancel_scope.cancel()
