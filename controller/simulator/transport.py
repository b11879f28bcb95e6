"""Calls a simulator from aiobotocore in the same process, without a socket.

Invariant: what botocore sends reaches the application byte for byte, and a broken exchange surfaces as the exception
that aiobotocore raises for a broken connection. Nothing waits but the application and the client's read timeout.
"""

import errno
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import anyio
from aiobotocore.awsrequest import AioAWSResponse
from aiohttp import ClientOSError
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from controller.simulator.exchange import Message, Scope
from controller.simulator.simulator import Simulator

IN_PROCESS_ENDPOINT: Final = "http://simulator.invalid"
_READ_TIMEOUT_DEFAULT_S: Final = 60.0


class _Body:
    """The body of a response, as aiobotocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content


class InProcessSession:
    """aiobotocore's HTTP session over one simulator. Made by `in_process_session`."""

    def __init__(self, simulator: Simulator, *, timeout: Any = None, **_: Any) -> None:
        self._app = simulator.app
        read_timeout = timeout[1] if isinstance(timeout, list | tuple) else timeout
        self._timeout_s = float(read_timeout or _READ_TIMEOUT_DEFAULT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing is held open."""

    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
        """Serves one request.

        Raises:
            EndpointConnectionError: the connection was reset; aiobotocore does not tell this from a connection that
                could not be made, except by the cause. ConnectionClosedError: it ended too soon.
            ReadTimeoutError: no answer in time.
        """
        answer = _Answer()
        try:
            with anyio.fail_after(self._timeout_s):
                await self._app(_scope(request), _receiver(_bytes(request.body)), answer.send)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except ConnectionResetError as error:
            cause = ClientOSError(errno.ECONNRESET, "Connection reset by peer")
            raise EndpointConnectionError(endpoint_url=request.url, error=cause) from error
        except ConnectionAbortedError as error:
            raise ConnectionClosedError(endpoint_url=request.url, request=request, error=error) from error
        return AioAWSResponse(request.url, answer.status, answer.headers, _Body(bytes(answer.body)))


def in_process_session(simulator: Simulator) -> type[InProcessSession]:
    """A class for `AioConfig(http_session_cls=...)`; use it with `endpoint_url=IN_PROCESS_ENDPOINT`."""

    class Session(InProcessSession):
        def __init__(self, **settings: Any) -> None:
            super().__init__(simulator, **settings)

    return Session


class _Answer:
    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


def _receiver(body: bytes) -> Callable[[], Any]:
    """The body once; after it nothing, since a client in the same process leaves by cancelling."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await anyio.sleep_forever()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _scope(request: AWSPreparedRequest) -> Scope:
    parts = urlsplit(request.url)
    headers = [(str(name).lower().encode(), _bytes(value)) for name, value in request.headers.items()]
    return {
        "type": "http",
        "method": request.method,
        "path": unquote(parts.path) or "/",
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": headers,
    }


def _bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value if isinstance(value, bytes) else str(value).encode()
