"""Events on an EventBridge bus: Source `ferryman`, DetailType the type, Detail the whole event."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from controller.kinds.aws import AwsClients
from controller.seams import Clock
from controller.settings import Scope
from controller.sinks import Delivered, Later, Outcome
from controller.sinks.arns import region_of
from controller.sinks.aws_batch import AwsBatchSink, open_sink_clients
from controller.store import OutboxEvent
from controller.untrusted import objects_in

EVENTBRIDGE_PREFIX: Final = "eventbridge:"
SOURCE: Final = "ferryman"


class EventBridgeSink(AwsBatchSink):
    """PutEvents takes at most ten entries; its answer has one entry for each, in order."""

    service = "events"
    operation = "PutEvents"
    action = "events:PutEvents"
    content_codes = frozenset({"InvalidArgument", "MalformedDetail", "ValidationException"})

    def __init__(self, bus: str, clients: AwsClients) -> None:
        super().__init__(f"{EVENTBRIDGE_PREFIX}{bus}", clients)
        self._bus = bus

    def parameters(self, events: Sequence[OutboxEvent]) -> dict[str, Any]:
        return {"Entries": [self._entry(event) for event in events]}

    def _entry(self, event: OutboxEvent) -> dict[str, Any]:
        return {
            "Source": SOURCE,
            "DetailType": event.type,
            "Detail": event.body.decode("utf-8"),
            "EventBusName": self._bus,
            "Time": event.at,
        }

    def outcomes(self, answer: Mapping[str, Any], count: int) -> Sequence[Outcome]:
        entries = objects_in(answer.get("Entries"))
        if len(entries) != count:
            return [Later("the answer does not have one entry for each event")] * count
        return [self._outcome(entry) for entry in entries]

    def _outcome(self, entry: Mapping[str, Any]) -> Outcome:
        if entry.get("EventId") and not entry.get("ErrorCode"):
            return Delivered()
        return self.judge(entry.get("ErrorCode"), entry.get("ErrorMessage"))


@asynccontextmanager
async def open_eventbridge_sink(url: str, *, timeout_s: float, clock: Clock) -> AsyncIterator[EventBridgeSink]:
    """Open `eventbridge:<bus>`, by name or ARN; no name: the default bus.

    Raises:
        SettingsError: no Region is known.
    """
    bus = url.removeprefix(EVENTBRIDGE_PREFIX) or "default"
    scope = Scope(region=region_of(bus))
    async with open_sink_clients(url, "events", scope, timeout_s=timeout_s, clock=clock) as clients:
        yield EventBridgeSink(bus, clients)
