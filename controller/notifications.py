"""Notifications: an SQS queue with EventBridge's "Batch Inference Job State Change" events.

Invariant: a message only says which remote job is worth a look; what is true of it is read from AWS. So a message that
is foreign, malformed, early, late, repeated, forged or lost changes nothing but when somebody looks, and every message
is deleted once it is handed on.

What a lane does about it is `notified`'s business.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import anyio
import orjson
import structlog

from controller.limits import full_jitter
from controller.queues import Settled, Source, SourceUnavailableError
from controller.queues.sqs import open_sqs_source
from controller.seams import Clock
from controller.settings import QueueSettings
from controller.untrusted import fit_identifier, fit_text

SOURCE: Final = "aws.bedrock"
DETAIL_TYPE: Final = "Batch Inference Job State Change"
RECEIVERS: Final = 2
_BACKOFF_S: Final = 1.0
_BACKOFF_MAX_S: Final = 60.0

_log = structlog.get_logger(__name__)

Tell = Callable[[str, str], None]
"""Takes a remote id and the status that it is said to have."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What an event says."""

    remote_id: str
    status: str


def read_notice(body: bytes) -> Notice | None:
    """Read one message; None for anything but such an event."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, Mapping) or event.get("source") != SOURCE or event.get("detail-type") != DETAIL_TYPE:
        return None
    detail = event.get("detail")
    if not isinstance(detail, Mapping):
        return None
    remote_id, status = fit_identifier(detail.get("batchJobArn")), fit_text(detail.get("status"))
    return Notice(remote_id, status) if remote_id is not None and status else None


class Notifications:
    """Receives from the queue and tells the lanes; open it with `open_notifications`."""

    def __init__(self, source: Source, tell: Tell, clock: Clock, chance: Random) -> None:
        self._source = source
        self._tell = tell
        self._clock = clock
        self._chance = chance

    async def run(self) -> None:
        """Receive until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self._source.receivers):
                tasks.start_soon(self._receive_all)

    async def _receive_all(self) -> None:
        failures = 0
        while True:
            try:
                await self._receive()
            except SourceUnavailableError as error:
                _log.warning("notifications.unavailable", source=self._source.name, problem=str(error))
                failures += 1
                await self._clock.sleep(_BACKOFF_S + full_jitter(_BACKOFF_S, failures, _BACKOFF_MAX_S, self._chance))
            else:
                failures = 0

    async def _receive(self) -> None:
        deliveries = await self._source.receive()
        notices = [read_notice(delivery.body) for delivery in deliveries]
        for notice in notices:
            if notice is not None:
                self._tell(notice.remote_id, notice.status)
        if None in notices:
            _log.warning("notifications.ignored", source=self._source.name, messages=notices.count(None))
        if deliveries:
            await self._source.acknowledge([Settled(delivery, accepted=1) for delivery in deliveries])


@asynccontextmanager
async def open_notifications(
    setting: str, tell: Tell, *, clock: Clock, chance: Random, environment: Mapping[str, str], **settings: Any
) -> AsyncIterator[Notifications]:
    """Open `reconcile.notifications`, and receive from it once; `settings` are of the queue.

    Raises:
        SettingsError: it is not the URL of a queue, or the queue is missing, out of reach or forbidden.
    """
    queue = QueueSettings(receivers=RECEIVERS, **settings)
    async with open_sqs_source(setting, queue, clock=clock, chance=chance, environment=environment) as source:
        yield Notifications(source, tell, clock, chance)
