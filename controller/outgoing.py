"""What one sink has still to be sent, and what may go next.

Invariant: events of a job go in their order, and none goes while an earlier one of its job is unsettled. A cursor never
passes an unsettled event. At most `capacity` events are held, and none lies further than `READ_AHEAD_MAX` beyond its
lane's cursor, which bounds what a crash sends again.

Pure: no clock, no I/O. How long to wait after a failure is `publish`'s business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from controller.sinks import EVENT_OVERHEAD, Sink
from controller.store import OutboxEvent

READ_AHEAD_MAX: Final = 5_000
"""How far, in events of a lane, others may go past one that fails again and again."""


@dataclass(slots=True)
class Waiting:
    """An event that is not settled."""

    event: OutboxEvent
    tries: int = 0
    due_at: float = 0.0
    """Monotonic seconds; not sent before."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read next from the outbox: at most `limit` events of `lane` after `seq`."""

    lane: str
    seq: int
    limit: int


@dataclass(slots=True)
class _Lane:
    recorded: int
    """The durable cursor."""
    read_to: int
    last: int = 0
    """Of the lane's last committed event, when last looked at."""
    waiting: dict[int, Waiting] = field(default_factory=dict)
    """By `seq`, ascending."""

    @property
    def settled_to(self) -> int:
        return next(iter(self.waiting)) - 1 if self.waiting else self.read_to


class Outgoing:
    """The window of one sink on the outbox."""

    def __init__(self, cursors: Mapping[str, int], capacity: int) -> None:
        self._lanes = {lane: _Lane(recorded=seq, read_to=seq) for lane, seq in cursors.items()}
        self._capacity = capacity
        self._held = 0
        self._first = 0

    @property
    def room(self) -> int:
        return self._capacity - self._held

    @property
    def behind(self) -> bool:
        """Whether some of what was committed, when last looked at, is not read yet."""
        return any(lane.last > lane.read_to for lane in self._lanes.values())

    @property
    def depth(self) -> int:
        """Events committed, when last looked at, and not behind the cursor."""
        return sum(max(0, lane.last - lane.settled_to) for lane in self._lanes.values())

    @property
    def unrecorded(self) -> int:
        """Events settled since their cursors were recorded."""
        return sum(lane.settled_to - lane.recorded for lane in self._lanes.values())

    @property
    def oldest_at(self) -> float | None:
        """Time of the oldest event held; None where none is."""
        return min(
            (next(iter(lane.waiting.values())).event.at for lane in self._lanes.values() if lane.waiting), default=None
        )

    def next_due(self, now: float) -> float | None:
        """When the next event that was put off may go; None where none was."""
        return min((waiting.due_at for waiting in self._all() if waiting.due_at > now), default=None)

    def to_read(self, last: Mapping[str, int]) -> Sequence[Reading]:
        """What to read, given each lane's last committed event; shares the room between the lanes."""
        for name, seq in last.items():
            self._lanes.setdefault(name, _Lane(recorded=0, read_to=0)).last = seq
        behind = [name for name, lane in self._lanes.items() if _may_read(lane)]
        share = self.room // len(behind) if behind else 0
        if behind and not share:
            behind, share = behind[: self.room], 1
        return [Reading(name, self._lanes[name].read_to, share) for name in behind]

    def add(self, reading: Reading, events: Sequence[OutboxEvent], wanted: Sequence[OutboxEvent]) -> None:
        """Take what was read; `wanted` are those of `events` that this sink receives."""
        lane = self._lanes[reading.lane]
        # A short answer says that there was nothing more up to what had been committed before it was asked for.
        lane.read_to = events[-1].seq if len(events) >= reading.limit else max(lane.last, *(e.seq for e in events), 0)
        for event in wanted:
            lane.waiting[event.seq] = Waiting(event)
        self._held += len(wanted)

    def batch(self, sink: Sink, now: float, limit: int) -> Sequence[Waiting]:
        """What may go now, in order: at most `limit` events, one of a job unless the sink takes batches whole.

        The lanes come first in turn, so that a long one does not hold up the others.
        """
        chosen: list[Waiting] = []
        size = 0
        for waiting in self._sendable(sink, now):
            size += len(waiting.event.body) + EVENT_OVERHEAD
            if chosen and size > sink.bytes_max:
                break
            chosen.append(waiting)
            if len(chosen) >= limit:
                break
        self._first += 1
        return chosen

    def _sendable(self, sink: Sink, now: float) -> Iterator[Waiting]:
        names = list(self._lanes)
        turn = self._first % len(names) if names else 0
        busy: set[str] = set()
        for name in names[turn:] + names[:turn]:
            for waiting in self._lanes[name].waiting.values():
                job = waiting.event.subject or name
                if job in busy:
                    continue
                if waiting.due_at > now:
                    if sink.whole:
                        break
                    busy.add(job)
                    continue
                if not sink.whole:
                    busy.add(job)
                yield waiting

    def settle(self, event: OutboxEvent) -> None:
        """This event needs nothing more."""
        del self._lanes[event.lane].waiting[event.seq]
        self._held -= 1

    def older_than(self, at: float) -> Sequence[Waiting]:
        """Events held that happened before."""
        return [waiting for waiting in self._all() if waiting.event.at < at]

    def moved(self) -> Mapping[str, int]:
        """The cursors that are not recorded yet."""
        return {name: lane.settled_to for name, lane in self._lanes.items() if lane.settled_to > lane.recorded}

    def recorded(self, cursors: Mapping[str, int]) -> None:
        """These cursors are durable."""
        for name, seq in cursors.items():
            self._lanes[name].recorded = seq

    def _all(self) -> Iterator[Waiting]:
        for lane in self._lanes.values():
            yield from lane.waiting.values()


def _may_read(lane: _Lane) -> bool:
    return lane.read_to < lane.last and lane.read_to - lane.settled_to < READ_AHEAD_MAX
