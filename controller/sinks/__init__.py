"""Sinks: where events go.

The law, for every sink:
- `deliver` takes events in their order, at most `batch_max` and `bytes_max` of them, and begins their sends in that
  order. It answers one outcome for each, in the same order, and raises for nothing that a receiver or the network does.
- `Delivered` is said only of what the receiver has taken; in doubt it is `Later`, and the event is sent again with the
  same id.
- A sink keeps no queue of its own: what is to be sent next, and when again, is decided in `publish`.
- `name` is the key under which its progress is stored: stable, and without secrets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Protocol

from controller.store import OutboxEvent

EVENT_OVERHEAD: Final = 256
"""Bytes that a sink may add to the body of an event: type, ids, attributes."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has the event."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never take this event: one line, without secrets."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not delivered, or not known to be: one line, without secrets."""

    reason: str
    retry_after_s: float | None = None
    """How long the receiver asks to be left alone; None where it did not say."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants nothing more, this event or any other, until a person says so: one line, without secrets."""

    reason: str


Outcome = Delivered | Refused | Later | Gone


class Sink(Protocol):
    name: str
    batch_max: int
    """Events in one `deliver`."""
    bytes_max: int
    """Bytes of them, `EVENT_OVERHEAD` each included; a larger event comes alone."""
    whole: bool
    """Whether a batch succeeds or fails as one and keeps its order: then it may hold several events of a job."""

    async def deliver(self, events: Sequence[OutboxEvent]) -> Sequence[Outcome]: ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """A sink, and the events that it wants."""

    sink: Sink
    types: tuple[str, ...]
    """Patterns (`*`, `?`) of event types."""

    def wants(self, event_type: str) -> bool:
        return any(fnmatchcase(event_type, pattern) for pattern in self.types)
