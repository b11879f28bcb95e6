"""An SQS queue as a source: long polls, batches, every entry of every answer checked.

Invariant: a message is deleted only by `acknowledge`. Of a FIFO queue's message group a later message is never deleted
while an earlier one is left, so that a redelivery begins with the earliest; SQS itself gives a group to one receiver at
a time. While its processing lags, a message is kept invisible to others.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

import anyio
import structlog

from controller.errors import AwsError, DeniedError, NoAnswerError, ScopeUnavailableError, SettingsError
from controller.kinds.aws import AwsClients, open_clients
from controller.limits import full_jitter
from controller.queue_urls import SQS_PREFIX, QueueUrl, parse_queue_url
from controller.queues import Delivery, Settled, SourceUnavailableError
from controller.seams import Clock, no_failpoint
from controller.settings import AwsSettings, QueueSettings
from controller.untrusted import fit_identifier, fit_text, named, objects_in

BATCH: Final = 10
"""Most messages that SQS hands out, or deletes, in one call."""
VISIBILITY_S: Final = 60
"""How long a received message stays invisible to others, unless it is kept for longer."""
ANSWER_S: Final = 10.0
"""How long an answer may take, beyond the long poll itself."""
SHORT_POLL_S: Final = 1.0
"""The pause after an empty answer where `queue.wait_s` is 0: each poll is paid for."""
_TRIES: Final = 3
_BACKOFF_S: Final = 0.5
_BACKOFF_MAX_S: Final = 5.0
MISSING_QUEUE: Final = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "AWS.SimpleQueueService.QueueDeletedRecently"}
)

_log = structlog.get_logger(__name__)


class SqsSource:
    """One queue; open it with `open_sqs_source`."""

    def __init__(
        self, queue: QueueUrl, clients: AwsClients, settings: QueueSettings, clock: Clock, chance: Random
    ) -> None:
        self.name = f"{SQS_PREFIX}{queue.url}"
        self.receivers = settings.receivers
        self.batch = BATCH
        self._queue = queue
        self._clients = clients
        self._wait_s = settings.wait_s
        self._clock = clock
        self._chance = chance
        self._first: list[Delivery] = []

    async def probe(self) -> None:
        """Receive once without waiting; what comes is the first answer of `receive`.

        Raises:
            AwsError: the queue cannot be read.
        """
        self._first = await self._receive(0)

    async def receive(self) -> Sequence[Delivery]:
        """Up to ten messages, after at most `queue.wait_s` seconds and the time of an answer."""
        if self._first:
            first, self._first = self._first, []
            return first
        try:
            found = await self._receive(self._wait_s)
        except AwsError as error:
            raise SourceUnavailableError(_why(self._queue, error)) from error
        if not found and self._wait_s == 0:
            await self._clock.sleep(SHORT_POLL_S)
        return found

    async def _receive(self, wait_s: int) -> list[Delivery]:
        parameters: dict[str, Any] = {
            "QueueUrl": self._queue.url,
            "MaxNumberOfMessages": BATCH,
            "WaitTimeSeconds": wait_s,
            "VisibilityTimeout": VISIBILITY_S,
        }
        if self._queue.fifo:
            parameters["MessageSystemAttributeNames"] = ["MessageGroupId"]
        reply = await self._clients.call("sqs", "ReceiveMessage", parameters)
        return [delivery for message in objects_in(reply.body.get("Messages")) if (delivery := self._delivery(message))]

    def _delivery(self, message: Mapping[str, Any]) -> Delivery | None:
        id_, handle, body = (message.get(member) for member in ("MessageId", "ReceiptHandle", "Body"))
        id_ = fit_identifier(id_)
        if id_ is None or not isinstance(handle, str):
            _log.warning("sqs.message_without_id", source=self.name)
            return None
        text = body if isinstance(body, str) else ""
        attributes = message.get("Attributes")
        group = attributes.get("MessageGroupId") if isinstance(attributes, dict) else None
        return Delivery(
            id=id_,
            # A lone surrogate goes on as bytes which are not UTF-8, and is refused as such.
            body=text.encode("utf-8", "surrogatepass"),
            origin=f"{self.name}#{id_}",
            handle=handle,
            group=fit_text(group) or "",
        )

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Extend the invisibility of deliveries every third of it, until cancelled."""
        while True:
            await self._clock.sleep(VISIBILITY_S / 3)
            for batch in _batches(deliveries):
                await self._for_each(
                    "ChangeMessageVisibilityBatch", batch, lambda _delivery: {"VisibilityTimeout": VISIBILITY_S}
                )

    async def acknowledge(self, settled: Sequence[Settled]) -> None:
        """Delete messages; those that cannot be deleted are delivered again after a while."""
        for deliveries in _rounds([item.delivery for item in settled]):
            left: list[Delivery] = []
            for batch in _batches(deliveries):
                left += await self._delete(batch)
            if left:
                _log.warning("sqs.not_deleted", source=self.name, messages=len(left))
            if left and self._queue.fifo:
                return

    async def _delete(self, batch: Sequence[Delivery]) -> Sequence[Delivery]:
        """What is left of a batch after a few tries."""
        left = await self._for_each("DeleteMessageBatch", batch, lambda _delivery: {})
        for attempt in range(1, _TRIES):
            if not left:
                break
            await self._clock.sleep(full_jitter(_BACKOFF_S, attempt, _BACKOFF_MAX_S, self._chance))
            left = await self._for_each("DeleteMessageBatch", left, lambda _delivery: {})
        return left

    async def _for_each(
        self, operation: str, batch: Sequence[Delivery], more: Callable[[Delivery], dict[str, Any]]
    ) -> Sequence[Delivery]:
        """Call a batch operation; returns the deliveries which its answer does not name as successful."""
        entries = [
            {"Id": str(index), "ReceiptHandle": delivery.handle} | more(delivery)
            for index, delivery in enumerate(batch)
        ]
        try:
            with anyio.fail_after(ANSWER_S):
                reply = await self._clients.call("sqs", operation, {"QueueUrl": self._queue.url, "Entries": entries})
        except (AwsError, TimeoutError) as error:
            _log.warning("sqs.call_failed", source=self.name, operation=operation, problem=str(error) or "no answer")
            return batch
        done = named(objects_in(reply.body.get("Successful")), "Id")
        return [delivery for index, delivery in enumerate(batch) if str(index) not in done]


def _batches(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    for start in range(0, len(deliveries), BATCH):
        yield deliveries[start : start + BATCH]


def _rounds(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Deliveries in rounds that hold at most one of a group each, in order; those without a group in the first one."""
    rounds: list[list[Delivery]] = []
    taken: dict[str, int] = {}
    for delivery in deliveries:
        place = taken.get(delivery.group, 0) if delivery.group else 0
        taken[delivery.group] = place + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(delivery)
    return rounds


def _why(queue: QueueUrl, error: AwsError) -> str:
    """Why a queue cannot be used, and what to do, in one line."""
    if error.code in MISSING_QUEUE:
        return f"the queue {queue.url} does not exist: check its URL, or create it"
    if isinstance(error, DeniedError):
        actions = "sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility"
        return f"not allowed to read the queue {queue.url}: grant {actions} ({error.message})"
    if isinstance(error, ScopeUnavailableError):
        return f"cannot read the queue {queue.url}: {error.message}"
    if isinstance(error, NoAnswerError):
        return f"cannot reach the queue {queue.url}: {error.message}"
    return f"the queue {queue.url} cannot be read: {error.message}"


@asynccontextmanager
async def open_queue_clients(
    queue: QueueUrl, *, pool: int, timeout_s: float, clock: Clock, environment: Mapping[str, str]
) -> AsyncIterator[AwsClients]:
    """The SDK's client for one queue.

    Raises:
        SettingsError: no Region is known, the SDK's own configuration cannot be read, or nothing gives credentials.
    """
    settings = AwsSettings(timeout_s=timeout_s, pool=pool)
    scope = queue.scope(environment)
    async with open_clients(queue.url, scope, settings, clock=clock, failpoint=no_failpoint) as clients:
        if clients.region is None:
            raise SettingsError(f"the queue {queue.url} names no Region: set AWS_REGION")
        try:
            await clients.open("sqs")
        except ScopeUnavailableError as error:
            raise SettingsError(_why(queue, error)) from error
        yield clients


@asynccontextmanager
async def open_sqs_source(
    setting: str, settings: QueueSettings, *, clock: Clock, chance: Random, environment: Mapping[str, str]
) -> AsyncIterator[SqsSource]:
    """Open `sqs:<queue URL>`, and receive from it once.

    Raises:
        SettingsError: the queue is missing, out of reach or forbidden.
    """
    queue = parse_queue_url(setting)
    pool = 3 * settings.receivers
    async with open_queue_clients(
        queue, pool=pool, timeout_s=settings.wait_s + ANSWER_S, clock=clock, environment=environment
    ) as clients:
        source = SqsSource(queue, clients, settings, clock, chance)
        await _probe(source, queue, clock, chance)
        yield source


async def _probe(source: SqsSource, queue: QueueUrl, clock: Clock, chance: Random) -> None:
    """One successful receive within a few tries: a network that is late at start is not a wrong setting."""
    attempt = 0
    while (failure := await _attempt(source)) is not None:
        attempt += 1
        if attempt >= _TRIES or not isinstance(failure, NoAnswerError):
            raise SettingsError(_why(queue, failure)) from failure
        await clock.sleep(full_jitter(_BACKOFF_S, attempt, _BACKOFF_MAX_S, chance))


async def _attempt(source: SqsSource) -> AwsError | None:
    """What went wrong with one probe; None if nothing did."""
    with anyio.move_on_after(ANSWER_S):
        try:
            await source.probe()
        except AwsError as error:
            return error
        return None
    return NoAnswerError(f"no answer in {ANSWER_S:g} s")
