"""Sinks that send a batch in one AWS call whose answer says what became of each entry.

Invariant: an event is `Delivered` only where the answer names it so. A call that is refused because of what it carries
is split until the event at fault is alone; a call that fails otherwise is tried again later, whole.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from controller.errors import AwsError, DeniedError, ScopeUnavailableError, SettingsError
from controller.kinds.aws import AwsClients, open_clients
from controller.masking import mask_text
from controller.seams import Clock, no_failpoint
from controller.settings import AwsSettings, Scope
from controller.sinks import EVENT_OVERHEAD, Delivered, Later, Outcome, Refused
from controller.store import OutboxEvent
from controller.untrusted import fit_message, named, objects_in

KIB: Final = 1024
EVENT_BYTES_MAX: Final = 1024 * KIB
"""What EventBridge, SQS and, where the topic is set so, SNS take of one event: 1 MiB."""
BATCH_BYTES: Final = 256 * KIB
"""Packed into one call: what every queue and topic takes, whatever its own settings. A larger event goes alone."""
_CONNECTIONS: Final = 2


class AwsBatchSink(ABC):
    """What the three have in common; the differences are pure."""

    batch_max = 10
    bytes_max = BATCH_BYTES
    whole = False
    service: str
    operation: str
    action: str
    """The IAM action it needs."""
    content_codes: frozenset[str]
    """Error codes which say that what was sent is at fault, and will stay so."""

    def __init__(self, name: str, clients: AwsClients) -> None:
        self.name = name
        self._clients = clients

    @abstractmethod
    def parameters(self, events: Sequence[OutboxEvent]) -> dict[str, Any]:
        """Of the call that sends these events."""

    @abstractmethod
    def outcomes(self, answer: Mapping[str, Any], count: int) -> Sequence[Outcome]:
        """One for each event sent, as the answer says."""

    async def deliver(self, events: Sequence[OutboxEvent]) -> Sequence[Outcome]:
        fitting = [event for event in events if _fits(event)]
        outcomes = iter(await self._send(fitting) if fitting else ())
        too_big = Refused(f"the event is larger than {EVENT_BYTES_MAX} bytes")
        return [next(outcomes) if _fits(event) else too_big for event in events]

    async def _send(self, events: Sequence[OutboxEvent]) -> list[Outcome]:
        try:
            reply = await self._clients.call(self.service, self.operation, self.parameters(events))
        except AwsError as error:
            if error.code not in self.content_codes:
                return [Later(self._why(error), error.retry_after_s)] * len(events)
            if len(events) == 1:
                return [Refused(self._why(error))]
            half = len(events) // 2
            return [*await self._send(events[:half]), *await self._send(events[half:])]
        return list(self.outcomes(reply.body, len(events)))

    def judge(self, code: object, message: object) -> Outcome:
        """The outcome of an entry that failed."""
        reason = fit_message(f"{str(code)[:100]}: {str(message)[:400]}") or ""
        refused = isinstance(code, str) and code in self.content_codes
        return Refused(reason) if refused else Later(reason)

    def _why(self, error: AwsError) -> str:
        hint = f" (grant {self.action})" if isinstance(error, DeniedError) else ""
        return mask_text(f"{error.message}{hint}")


def by_id(sink: AwsBatchSink, answer: Mapping[str, Any], count: int) -> list[Outcome]:
    """Outcomes of an answer in the form of SQS and SNS: `Successful` and `Failed`, each entry with its `Id`."""
    done = named(objects_in(answer.get("Successful")), "Id")
    failed = {id_: entry for entry in objects_in(answer.get("Failed")) if isinstance(id_ := entry.get("Id"), str)}
    outcomes: list[Outcome] = []
    for id_ in map(str, range(count)):
        if id_ in done:
            outcomes.append(Delivered())
        elif id_ in failed:
            outcomes.append(sink.judge(failed[id_].get("Code"), failed[id_].get("Message")))
        else:
            outcomes.append(Later("the answer does not mention the event"))
    return outcomes


def _fits(event: OutboxEvent) -> bool:
    return len(event.body) + EVENT_OVERHEAD <= EVENT_BYTES_MAX


@asynccontextmanager
async def open_sink_clients(
    name: str, service: str, scope: Scope, *, timeout_s: float, clock: Clock
) -> AsyncIterator[AwsClients]:
    """The SDK's client of one sink.

    Raises:
        SettingsError: no Region is known, the SDK's own configuration cannot be read, or nothing gives credentials.
    """
    settings = AwsSettings(timeout_s=timeout_s, pool=_CONNECTIONS)
    async with open_clients(name, scope, settings, clock=clock, failpoint=no_failpoint) as clients:
        if clients.region is None:
            raise SettingsError(f"the sink {name} names no Region: set AWS_REGION")
        try:
            await clients.open(service)
        except ScopeUnavailableError as error:
            raise SettingsError(f"the sink {name}: {error.message}") from error
        yield clients
