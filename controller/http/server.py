"""Serving an application on a port, inside the caller's task group.

Invariant: no signal handler, no access log, nothing said of the server; it stops when it is cancelled, within
`STOP_WITHIN_S`, answers that have begun included. A connection that does not send its request's head, or does not read
its answer, is closed.
"""

import asyncio
import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import anyio
import uvicorn
from anyio.abc import TaskStatus
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from controller.errors import SettingsError
from controller.http.app import Application
from controller.http.problems import MEDIA_TYPE, problem_body

STOP_WITHIN_S: Final = 4.0
HEAD_WITHIN_S: Final = 10.0
"""Within which the head of a request must arrive."""
HEAD_BYTES_MAX: Final = 96 * 1024
KEEP_ALIVE_S: Final = 30
UNREAD_S: Final = 60
"""How long an answer may stay unread."""
CONNECTIONS_MAX: Final = 512
BACKLOG: Final = 128


async def serve_api(
    app: Application, host: str, port: int, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; says the bound port once it listens (port 0: any free one).

    Raises:
        SettingsError: the address cannot be listened on.
    """
    listener = await _listen(host, port)
    server = _Server(_config(app))
    serving = anyio.CancelScope(shield=True)

    async def serve() -> None:
        with serving:
            await server.serve(sockets=[listener])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        try:
            task_status.started(listener.getsockname()[1])
            await anyio.sleep_forever()
        finally:
            app.streams.stopping = True
            server.should_exit = True
            serving.deadline = anyio.current_time() + STOP_WITHIN_S


def _config(app: Application) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(STOP_WITHIN_S) - 1,
    )


async def _listen(host: str, port: int) -> socket.socket:
    where = f"http.host {host}, port {port}"
    try:
        with anyio.fail_after(STOP_WITHIN_S):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise SettingsError(f"cannot listen on {where}: the name is not known") from error
    family, type_, protocol, _, address = found[0]
    listener = socket.socket(family, type_, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_S * 1000)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SettingsError(_why_not(where, error)) from error
    return listener


def _why_not(where: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {where}: another program uses it; stop that one or set http.port"
    return f"cannot listen on {where}: {error.strerror or error}"


class _Server(uvicorn.Server):
    """Leaves signals to the daemon."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Protocol(HttpToolsProtocol):
    """Closes connections whose request's head is slow or long; uvicorn itself bounds neither."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        awaited = self._head_deadline is not None
        super().data_received(data)
        if awaited and self._head_deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_arrived()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        body = problem_body(HTTPStatus.BAD_REQUEST, msg)
        head = (
            "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _await_head(self) -> None:
        if self._head_deadline is None:
            self._head_bytes = 0
            self._head_deadline = self.loop.call_later(HEAD_WITHIN_S, self.transport.abort)

    def _head_arrived(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
