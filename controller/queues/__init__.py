"""Queues: where documents come from.

The law, for every source:
- `receive` returns within a known time; an empty answer is an empty poll, and says that nothing waits just now.
- A delivery stays the source's until it is acknowledged: after a crash, a failed acknowledgement or a time-out it is
  delivered again. Nothing is lost by not acknowledging, so failures there are logged and left.
- `acknowledge` is called only once everything in a delivery is durable, the rejected as well.
- Deliveries that must stay in order are never in the hands of two receivers.
- `SourceUnavailableError` means: nothing was received, try again later. No other error leaves a source once it is open.

A source moves bytes. What they mean is `documents`' business, when to read is `intake`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message or file, as it came."""

    id: str
    """Unique within its source while it is out: a message id, a file name."""
    body: bytes
    origin: str
    """For records and people; without secrets."""
    suffix: str | None = None
    """Of a file, as in `Path.suffix`; None for a message."""
    problem: str = ""
    """Why it was refused unread; empty otherwise."""
    handle: str = ""
    """What the source needs to acknowledge it."""
    group: str = ""
    """Deliveries of one group keep their order; empty: no order."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a delivery, once that is durable."""

    delivery: Delivery
    accepted: int
    """Documents accepted."""
    problems: tuple[str, ...] = ()
    """One line for each document that was rejected."""


class SourceUnavailableError(Exception):
    """The source cannot be read just now; the text says why, in one line without secrets."""


class Source(Protocol):
    name: str
    """Stable, without secrets: `sqs:<URL>`, `dir:<path>`."""
    receivers: int
    """How many may receive at once."""
    batch: int
    """How many deliveries one answer brings at most."""

    async def receive(self) -> Sequence[Delivery]: ...

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Keep deliveries from being delivered again; runs beside their processing, until it is cancelled."""

    async def acknowledge(self, settled: Sequence[Settled]) -> None: ...
