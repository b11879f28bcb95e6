"""Events as log lines."""

from collections.abc import Sequence
from typing import Final

import orjson
import structlog

from controller.sinks import Delivered, Outcome
from controller.store import OutboxEvent

LOG_PREFIX: Final = "log:"
_CARRIED: Final = ("id", "subject", "sequence", "time", "data")


class LogSink:
    """Writes each event through structlog, wherever the process logs to; its type is the line's text.

    The writing is not handed to a thread: who does not read the process's output stops all its logging anyway.
    """

    name = "log"
    batch_max = 100
    bytes_max = 1024 * 1024
    whole = True

    def __init__(self, logger: structlog.stdlib.BoundLogger | None = None) -> None:
        self._logger: structlog.stdlib.BoundLogger = logger or structlog.get_logger("ferryman.events")

    async def deliver(self, events: Sequence[OutboxEvent]) -> Sequence[Outcome]:
        for event in events:
            body = orjson.loads(event.body)
            self._logger.info(event.type, **{member: body[member] for member in _CARRIED if member in body})
        return [Delivered()] * len(events)
