"""`GET /v1/events`: to read back, and as a stream of server-sent events.

Invariant: a stream misses nothing that the store still has: each event carries the cursor behind it as its id, which a
client sends back as `Last-Event-ID`. Streams are few, and end when the daemon stops or their client does not read.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from controller.control import Control
from controller.errors import StoreUnavailableError
from controller.http import examples
from controller.http.answers import json_answer
from controller.http.parameters import CURSOR_LENGTH_MAX, CURSOR_PATTERN, PAGE, UNPROCESSABLE, Cursor, Limit
from controller.http.problems import ProblemError, documented
from controller.http.requests import Text
from controller.http.schemas import EventPage

OK: Final = 200
BUSY: Final = 503
STREAM: Final = "text/event-stream"
STREAMS_MAX: Final = 32
AT_ONCE: Final = 200
LOOK_S: Final = 1.0
"""How often the store is looked at without being told of a commit: another process may have made one."""
PAUSE_S: Final = 0.05
"""Between two looks: commits of a moment are read together."""
HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2000


class Streams:
    """The open streams of one application."""

    def __init__(self) -> None:
        self.open = 0
        self.stopping = False


def events_router(control: Control, streams: Streams) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["events"])

    @router.get(
        "/events",
        summary="Events, to read back or as they come",
        responses={
            OK: {
                "model": EventPage,
                "content": {STREAM: {"schema": {"type": "string"}, "example": examples.EVENT_STREAM}},
            },
            **documented(422, BUSY),
        },
    )
    async def read_events(
        request: Request,
        after: Cursor = None,
        subject: Annotated[Text | None, Query(description="`<scope>/<kind>/<name>`")] = None,
        limit: Limit = PAGE,
        *,
        latest: Annotated[bool, Query(description="The newest events of `subject`, oldest first.")] = False,
        last_event_id: Annotated[
            str | None,
            Header(
                max_length=CURSOR_LENGTH_MAX, pattern=CURSOR_PATTERN, description="The id of the last event received."
            ),
        ] = None,
    ) -> Response:
        """Oldest first, of each job in the order of their sequence. Without `after` from the oldest that is kept.

        With `Accept: text/event-stream` they come as server-sent events: after `Last-Event-ID` or `after` (`start`:
        from the oldest), else from now on.
        """
        if STREAM in request.headers.get("accept", ""):
            cursor = last_event_id or after or await control.present()
            return await _stream(control, streams, cursor, subject)
        if latest:
            if not subject:
                raise ProblemError(UNPROCESSABLE, "latest: name a subject")
            return json_answer(await control.last_events(subject, limit))
        return json_answer(await control.events(after, subject, limit))

    return router


async def _stream(control: Control, streams: Streams, cursor: str, subject: str | None) -> Response:
    await control.following(cursor, subject, 1)  # a wrong cursor is answered before the stream begins
    if streams.open >= STREAMS_MAX:
        raise ProblemError(BUSY, f"{STREAMS_MAX} streams are open already: close one", headers={"retry-after": "5"})
    return _Counted(
        streams,
        _events(control, streams, cursor, subject),
        media_type=STREAM,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


class _Counted(StreamingResponse):
    """A stream that counts from the moment it is granted: many may ask at once before the first has begun."""

    def __init__(self, streams: Streams, content: AsyncIterator[bytes], **named: Any) -> None:
        super().__init__(content, **named)
        self._streams = streams
        streams.open += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


async def _events(control: Control, streams: Streams, cursor: str, subject: str | None) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\nid: {cursor}\n\n".encode()
    said_at = anyio.current_time()
    while not streams.stopping:
        seen = control.committed.count
        try:
            found, cursor = await control.following(cursor, subject, AT_ONCE)
        except StoreUnavailableError:
            found = []
        for event in found:
            yield b"id: " + event.cursor.encode() + b"\ndata: " + event.body + b"\n\n"
        if found:
            said_at = anyio.current_time()
            continue
        if anyio.current_time() - said_at >= HEARTBEAT_S:
            said_at = anyio.current_time()
            yield b": still here\n\n"
        await control.committed.beyond(seen, LOOK_S)
        await anyio.sleep(PAUSE_S)
