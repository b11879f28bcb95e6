"""One HTTP exchange over ASGI, including the ways it can break.

Invariant: after any method that ends an exchange nothing more is sent. Breaking a connection needs its transport: the
socket server puts one into `scope["extensions"]`; without it (in-process clients) `ConnectionResetError` or, where the
end of the stream would be seen, `ConnectionAbortedError` is raised to the caller of the application: the client.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

import anyio

from controller.simulator.answers import Answer
from controller.simulator.errors import AwsError

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]

CONNECTION_EXTENSION: Final = "ferryman.simulator.connection"
BODY_BYTES_MAX: Final = 4 * 1024 * 1024


class Connection(Protocol):
    """What a server offers below one exchange."""

    def reset(self) -> None:
        """Ends the connection at once; the peer sees a reset."""

    def close(self) -> None:
        """Ends the connection after what was sent; the peer sees the end of the stream."""


class ClientGoneError(Exception):
    """There is nobody left to answer."""


class Exchange:
    """A request that is being answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, sleep: Sleep) -> None:
        self._connection: Connection | None = (scope.get("extensions") or {}).get(CONNECTION_EXTENSION)
        self._receive = receive
        self._send = send
        self._sleep = sleep

    async def body(self) -> bytes:
        """The whole request body.

        Raises:
            ClientGoneError: the client left while it sent.
            AwsError: the body is larger than any AWS request.
        """
        message = await self._receive()
        if not message.get("more_body"):
            return self._part(message)
        parts, size = [self._part(message)], len(message.get("body", b""))
        while message.get("more_body"):
            message = await self._receive()
            parts.append(self._part(message))
            size += len(parts[-1])
            if size > BODY_BYTES_MAX:
                raise AwsError("RequestEntityTooLarge", "The request is too large.", status=413)
        return b"".join(parts)

    @staticmethod
    def _part(message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body: bytes = message.get("body", b"")
        return body

    async def pause(self, seconds: float) -> None:
        """Waits, unless the client leaves first.

        Raises:
            ClientGoneError: it left.
        """
        gone = False

        async def watch(scope: anyio.CancelScope) -> None:
            nonlocal gone
            while (await self._receive())["type"] != "http.disconnect":
                pass
            gone = True
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            await self._sleep(seconds)
            group.cancel_scope.cancel()
        if gone:
            raise ClientGoneError

    async def reply(self, answer: Answer) -> None:
        headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})

    async def truncate(self, answer: Answer) -> None:
        """Half of the body under the full length, then the end of the connection."""
        body = answer.body or b"{}"
        headers = [*answer.headers, (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await self.close()

    async def reset(self) -> None:
        await self._end(abruptly=True)

    async def close(self) -> None:
        await self._end(abruptly=False)

    async def _end(self, *, abruptly: bool) -> None:
        if self._connection is None:
            broken = ConnectionResetError if abruptly else ConnectionAbortedError
            raise broken("the simulator broke the connection")
        if abruptly:
            self._connection.reset()
        else:
            self._connection.close()
        while (await self._receive())["type"] != "http.disconnect":
            pass
