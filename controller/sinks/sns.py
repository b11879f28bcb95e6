"""Events to an SNS topic. In a FIFO topic the group is the job and the event's id removes duplicates."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from controller.errors import SettingsError
from controller.kinds.aws import AwsClients
from controller.message_text import sendable
from controller.seams import Clock
from controller.settings import Scope
from controller.sinks import Outcome
from controller.sinks.arns import region_of
from controller.sinks.aws_batch import AwsBatchSink, by_id, open_sink_clients
from controller.sinks.sqs import fifo_members, type_attribute
from controller.store import OutboxEvent

SNS_PREFIX: Final = "sns:"


class SnsSink(AwsBatchSink):
    """PublishBatch; the type is a message attribute as well, for subscription filters."""

    service = "sns"
    operation = "PublishBatch"
    action = "sns:Publish"
    content_codes = frozenset(
        {
            "BatchRequestTooLong",
            "BatchRequestTooLongException",
            "InvalidParameter",
            "InvalidParameterException",
            "InvalidParameterValue",
            "InvalidParameterValueException",
            "ParameterValueInvalid",
        }
    )

    def __init__(self, topic: str, clients: AwsClients) -> None:
        super().__init__(f"{SNS_PREFIX}{topic}", clients)
        self._topic = topic

    def parameters(self, events: Sequence[OutboxEvent]) -> dict[str, Any]:
        entries = [self._entry(*item) for item in enumerate(events)]
        return {"TopicArn": self._topic, "PublishBatchRequestEntries": entries}

    def _entry(self, index: int, event: OutboxEvent) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "Id": str(index),
            "Message": sendable(event.body.decode("utf-8")),
            "MessageAttributes": type_attribute(event),
        }
        return entry | (fifo_members(event) if self._topic.endswith(".fifo") else {})

    def outcomes(self, answer: Mapping[str, Any], count: int) -> Sequence[Outcome]:
        return by_id(self, answer, count)


@asynccontextmanager
async def open_sns_sink(url: str, *, timeout_s: float, clock: Clock) -> AsyncIterator[SnsSink]:
    """Open `sns:<topic ARN>`.

    Raises:
        SettingsError: it is not the ARN of a topic.
    """
    topic = url.removeprefix(SNS_PREFIX)
    region = region_of(topic)
    if not region or ":sns:" not in topic:
        raise SettingsError(f"{SNS_PREFIX}<topic ARN> needs an ARN like arn:aws:sns:eu-west-1:123456789012:name")
    async with open_sink_clients(url, "sns", Scope(region=region), timeout_s=timeout_s, clock=clock) as clients:
        yield SnsSink(topic, clients)
