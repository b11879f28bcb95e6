"""HTTP/1.1 to AWS: connections that are kept, each with one request at a time.

Invariant: a request is written once, to one connection, and never again. What failed before that raises
`NotConnectedError`; whatever happens afterwards raises `BrokenAnswerError`, and the request may have had its effect. A
connection that did not end its answer in order, or whose caller went away, is not used again. An answer is bounded in
size; how long it may take is bounded by the caller.

What a request or an answer means does not belong here, nor do redirects, proxies and retries.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import httptools

IDLE_S: Final = 12.0
"""How long a connection may lie idle and still be used: a good deal shorter than AWS keeps one open."""
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
HEADER_BYTES_MAX: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}
_INFORMATIONAL: Final = range(100, 200)
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class NotConnectedError(OSError):
    """There was no connection: nothing of the request was written."""


class BrokenAnswerError(Exception):
    """The request was written, or a part of it, and no whole answer came back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a URL leads, and how a request to it begins."""

    tls: bool
    host: str
    port: int
    path: str
    authority: str


@lru_cache(maxsize=256)
def _target(url: str) -> _Target:
    parts = urlsplit(url)
    host, default = parts.hostname or "", _PORTS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    port = parts.port or default
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return _Target(parts.scheme == "https", host, port, path, shown if port == default else f"{shown}:{port}")


class Connections:
    """Connections to whatever hosts are asked for.

    Args:
        tls: how a connection is secured, where the URL asks for it.
        idle_max: how many are kept, of each host.
        socket_options: level, name and value, for each connection.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        connect_timeout_s: float,
        idle_max: int,
        socket_options: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._idle_max = idle_max
        self._socket_options = socket_options
        self._idle: dict[tuple[bool, str, int], list[_Connection]] = {}

    async def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request, and wait for its whole answer.

        Raises:
            NotConnectedError: there is no connection to be had; its cause is an `ssl.SSLError` where that was why.
            TimeoutError: making a connection took too long; nothing was written.
            BrokenAnswerError: the answer did not come, is malformed or too large.
            ValueError: a header holds a line break; nothing was written.
        """
        target = _target(url)
        request = _written(method, target, headers, body)
        idle = self._idle.setdefault((target.tls, target.host, target.port), [])
        connection = _usable(idle) or await self._connect(target)
        answer = await connection.exchange(request)
        if connection.usable and len(idle) < self._idle_max:
            idle.append(connection)
        else:
            connection.close()
        while idle and idle[0].stale:  # those that a burst has left behind, the oldest first
            idle.pop(0).close()
        return answer

    async def _connect(self, target: _Target) -> "_Connection":
        loop = asyncio.get_running_loop()
        secured: dict[str, Any] = {"ssl": self._tls, "server_hostname": target.host} if target.tls else {}
        with anyio.fail_after(self._connect_timeout_s):
            try:
                transport, connection = await loop.create_connection(_Connection, target.host, target.port, **secured)
            except TimeoutError:
                raise
            except OSError as error:
                raise _not_connected(error) from error
        try:
            for option in self._socket_options:
                transport.get_extra_info("socket").setsockopt(*option)
        except OSError as error:
            transport.abort()
            raise _not_connected(error) from error
        return connection

    def close(self) -> None:
        """Close what is idle."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()


def _not_connected(error: OSError) -> NotConnectedError:
    return NotConnectedError(str(error) or type(error).__name__)


def _usable(idle: "list[_Connection]") -> "_Connection | None":
    """The connection that was used last, if it is still good."""
    while idle:
        connection = idle.pop()
        if connection.usable and not connection.stale:
            return connection
        connection.close()
    return None


def _written(method: str, target: _Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"{method} {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        "Accept: */*",
        "Accept-Encoding: identity",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if "Content-Length" not in headers and (body or method not in _WITHOUT_BODY):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header holds a line break")
    return f"{head}\r\n\r\n".encode() + body


class _Connection(asyncio.Protocol):
    """One connection, and the answer that it waits for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._used_at = 0.0
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._header_bytes = self._unread_head = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._headers_done = False

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def stale(self) -> bool:
        return self._loop.time() - self._used_at > IDLE_S

    async def exchange(self, request: bytes) -> Answer:
        """Write a request and wait for the answer; a caller who goes away takes the connection along."""
        if self._transport is None:
            raise AssertionError("not connected")
        self._begin()
        self._waiting = self._loop.create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        except BaseException:  # a cancelled caller too: an answer that nobody waits for must not be taken for the next
            self.close()
            raise
        finally:
            self._waiting = None
            self._used_at = self._loop.time()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # of a stream, always

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self.close()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"it is malformed: {error}")
        # The parser tells of a header when it is complete; until then it only gathers.
        self._unread_head += 0 if self._headers_done else len(data)
        if not self._headers_done and self._unread_head > HEADER_BYTES_MAX:
            self._fail("its headers are too large")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._headers_done and not self._bounded and exc is None:
            self._finish()
        else:
            self._fail(str(exc) if exc is not None else "the connection was closed")

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(BrokenAnswerError(why))
        self.close()

    def _finish(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._body))
            self._waiting.set_result(answer)

    @property
    def _bounded(self) -> bool:
        """Whether the answer says where it ends, other than by the end of the connection."""
        return "content-length" in self._headers or "transfer-encoding" in self._headers

    # Of the parser

    def on_message_begin(self) -> None:
        if self._waiting is not None and self._waiting.done():
            self.close()  # more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES_MAX:
            self._fail("its headers are too large")
            return
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._headers_done = True

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > BODY_BYTES_MAX:
            self._body.clear()
            self._fail("its body is too large")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() in _INFORMATIONAL:
            self._headers, self._body, self._headers_done = {}, [], False
            return
        self._finish()
        if not self._parser.should_keep_alive():
            self.close()
