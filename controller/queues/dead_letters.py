"""The dead letter queue: an SQS queue that also receives the documents which were rejected.

Invariant: the store keeps every dead letter; this is a copy for whoever watches queues. A copy that cannot be sent
within a known time is given up with a log line and holds nothing back.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import anyio
import structlog

from controller.errors import AwsError
from controller.kinds.aws import AwsClients
from controller.limits import full_jitter
from controller.message_text import deduplication_key, sendable
from controller.queue_urls import SQS_PREFIX, QueueUrl, parse_queue_url
from controller.queues.sqs import ANSWER_S, BATCH, open_queue_clients
from controller.seams import Clock
from controller.untrusted import named, objects_in

GIVE_UP_S: Final = 30.0
"""How long a batch is tried."""
_BACKOFF_S: Final = 1.0
_BACKOFF_MAX_S: Final = 10.0
_REASON_BYTES_MAX: Final = 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RejectedCopy:
    """What goes to the queue: the document's text, and as message attributes where it came from and why it failed."""

    id: str
    body: str
    source: str
    reason: str


class DeadLetterQueue:
    """Open it with `open_dead_letter_queue`."""

    def __init__(self, queue: QueueUrl, clients: AwsClients, clock: Clock, chance: Random) -> None:
        self.name = f"{SQS_PREFIX}{queue.url}"
        self._queue = queue
        self._clients = clients
        self._clock = clock
        self._chance = chance

    async def send(self, copies: Sequence[RejectedCopy]) -> int:
        """Send copies, for at most `GIVE_UP_S` seconds; returns how many the queue did not take."""
        left = list(copies)
        with anyio.move_on_after(GIVE_UP_S):
            attempt = 0
            while left:
                left = await self._send_once(left)
                if left:
                    await self._clock.sleep(full_jitter(_BACKOFF_S, attempt, _BACKOFF_MAX_S, self._chance))
                attempt += 1
        if left:
            _log.error("dead_letter_queue.given_up", queue=self.name, documents=len(left))
        return len(left)

    async def _send_once(self, copies: Sequence[RejectedCopy]) -> list[RejectedCopy]:
        left: list[RejectedCopy] = []
        for start in range(0, len(copies), BATCH):
            batch = copies[start : start + BATCH]
            left += await self._send_batch(batch)
        return left

    async def _send_batch(self, batch: Sequence[RejectedCopy]) -> Sequence[RejectedCopy]:
        entries = [self._entry(index, copy) for index, copy in enumerate(batch)]
        try:
            reply = await self._clients.call(
                "sqs", "SendMessageBatch", {"QueueUrl": self._queue.url, "Entries": entries}
            )
        except AwsError as error:
            _log.warning("dead_letter_queue.unavailable", queue=self.name, problem=error.message)
            return batch
        done = named(objects_in(reply.body.get("Successful")), "Id")
        return [copy for index, copy in enumerate(batch) if str(index) not in done]

    def _entry(self, index: int, copy: RejectedCopy) -> dict[str, Any]:
        reason = copy.reason.encode("utf-8")[:_REASON_BYTES_MAX].decode("utf-8", "ignore")
        entry: dict[str, Any] = {
            "Id": str(index),
            "MessageBody": sendable(copy.body) or "(empty)",
            "MessageAttributes": {
                "reason": {"DataType": "String", "StringValue": sendable(reason) or "(none)"},
                "source": {"DataType": "String", "StringValue": sendable(copy.source) or "(none)"},
            },
        }
        if self._queue.fifo:
            entry |= {"MessageGroupId": "ferryman", "MessageDeduplicationId": deduplication_key(copy.id)}
        return entry


@asynccontextmanager
async def open_dead_letter_queue(
    setting: str, *, clock: Clock, chance: Random, environment: Mapping[str, str]
) -> AsyncIterator[DeadLetterQueue]:
    """Open `queue.dead_letter_queue`.

    Raises:
        SettingsError: it is not the URL of a queue, or no Region is known.
    """
    queue = parse_queue_url(setting)
    async with open_queue_clients(queue, pool=2, timeout_s=ANSWER_S, clock=clock, environment=environment) as clients:
        yield DeadLetterQueue(queue, clients, clock, chance)
