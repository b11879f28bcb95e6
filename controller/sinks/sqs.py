"""Events in an SQS queue. In a FIFO queue the group is the job and the event's id removes duplicates."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from controller.kinds.aws import AwsClients
from controller.message_text import deduplication_key, sendable
from controller.queue_urls import SQS_PREFIX, QueueUrl, parse_queue_url
from controller.seams import Clock
from controller.sinks import Outcome
from controller.sinks.aws_batch import AwsBatchSink, by_id, open_sink_clients
from controller.store import OutboxEvent


class SqsSink(AwsBatchSink):
    """SendMessageBatch; the type is a message attribute as well, for filters."""

    service = "sqs"
    operation = "SendMessageBatch"
    action = "sqs:SendMessage"
    content_codes = frozenset(
        {
            "AWS.SimpleQueueService.BatchRequestTooLong",
            "BatchRequestTooLong",
            "InvalidMessageContents",
            "InvalidParameterValue",
            "InvalidParameterValueException",
        }
    )

    def __init__(self, queue: QueueUrl, clients: AwsClients) -> None:
        super().__init__(f"{SQS_PREFIX}{queue.url}", clients)
        self._queue = queue

    def parameters(self, events: Sequence[OutboxEvent]) -> dict[str, Any]:
        return {"QueueUrl": self._queue.url, "Entries": [self._entry(*item) for item in enumerate(events)]}

    def _entry(self, index: int, event: OutboxEvent) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "Id": str(index),
            "MessageBody": sendable(event.body.decode("utf-8")),
            "MessageAttributes": type_attribute(event),
        }
        return entry | (fifo_members(event) if self._queue.fifo else {})

    def outcomes(self, answer: Mapping[str, Any], count: int) -> Sequence[Outcome]:
        return by_id(self, answer, count)


def type_attribute(event: OutboxEvent) -> dict[str, Any]:
    return {"type": {"DataType": "String", "StringValue": event.type}}


def fifo_members(event: OutboxEvent) -> dict[str, str]:
    return {
        "MessageGroupId": deduplication_key(event.subject or event.lane),
        "MessageDeduplicationId": deduplication_key(event.id),
    }


@asynccontextmanager
async def open_sqs_sink(
    url: str, *, timeout_s: float, clock: Clock, environment: Mapping[str, str]
) -> AsyncIterator[SqsSink]:
    """Open `sqs:<queue URL>`.

    Raises:
        SettingsError: it is not the URL of a queue, or no Region is known.
    """
    queue = parse_queue_url(url)
    scope = queue.scope(environment)
    async with open_sink_clients(queue.url, "sqs", scope, timeout_s=timeout_s, clock=clock) as clients:
        yield SqsSink(queue, clients)
