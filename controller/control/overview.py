"""The overview: lanes, and everything known in numbers.

Invariant: it costs a few indexed counts, however many jobs there are, and is at most `FRESH_S` old; many who look at
once cost one reading.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import anyio

from controller.control.answers import View
from controller.model import TERMINAL, FailReason, Phase, WaitReason
from controller.publish import SinkStatus
from controller.seams import Clock
from controller.status import LaneStatus, estimate_s, wait_reason
from controller.store import Store
from controller.views import rfc3339

Lanes = Callable[[], Mapping[str, LaneStatus]]

FRESH_S: Final = 1.0
DERIVED: Final = frozenset(
    {
        WaitReason.QUEUED,
        WaitReason.RATE_LIMITED,
        WaitReason.QUOTA_FULL,
        WaitReason.PAUSED,
        WaitReason.SCOPE_UNAVAILABLE,
    }
)
"""Reasons that a lane's state gives; a stored one of these is only what the last refusal was."""

_FAILURES: Final = frozenset(FailReason) - frozenset(reason.value for reason in WaitReason)

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """A value read at most once in so many seconds."""

    def __init__(self, clock: Clock, read: Callable[[], Awaitable[Value]], fresh_s: float = FRESH_S) -> None:
        self._clock = clock
        self._read = read
        self._fresh_s = fresh_s
        self._lock = anyio.Lock()
        self._known: tuple[float, Value] | None = None

    async def value(self, *, fresh: bool = False) -> Value:
        async with self._lock:
            now = self._clock.monotonic()
            if fresh or self._known is None or now - self._known[0] >= self._fresh_s:
                self._known = (now, await self._read())
            return self._known[1]


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs of one quota key that wait to be created."""

    key: str
    waiting: int
    reason: str | None
    """Why its head waits."""
    eta_s: float | None
    """Until the last of them is created."""


@dataclass(frozen=True, slots=True)
class LaneCounts:
    """A lane's jobs in numbers."""

    phases: Mapping[Phase, int]
    reasons: Mapping[str, int]
    """Why jobs wait, failed or are held."""
    queues: Sequence[Queue] = ()

    def share(self, key: str) -> float:
        """How much of what waits in the lane waits in one of its queues."""
        waiting = sum(queue.waiting for queue in self.queues)
        return sum(queue.waiting for queue in self.queues if queue.key == key) / waiting if waiting else 1.0

    @property
    def eta_s(self) -> float | None:
        """Until the last waiting job is created; None where that cannot be told."""
        if any(queue.eta_s is None for queue in self.queues):
            return None
        return max((queue.eta_s for queue in self.queues if queue.eta_s is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Counts:
    lanes: Mapping[str, LaneCounts] = field(default_factory=dict)
    inbox: int = 0
    dead_letters: int = 0
    inbox_oldest_at: float | None = None
    """When the oldest entry of the inbox arrived; None where it is empty."""


class Overview:
    """Counts jobs and describes lanes."""

    def __init__(self, store: Store, lanes: Lanes, clock: Clock) -> None:
        self._store = store
        self._lanes = lanes
        self._recent = Recent(clock, self._count)

    async def counts(self, *, fresh: bool = False) -> Counts:
        """At most a second old, or read now."""
        return await self._recent.value(fresh=fresh)

    async def lanes(self) -> list[View]:
        """Every lane of this process, by name."""
        counts = await self.counts()
        statuses = self._lanes()
        return [lane_view(statuses[lane], counts.lanes.get(lane, NOTHING)) for lane in sorted(statuses)]

    async def summary(self, *, fresh: bool = False) -> View:
        """Jobs by phase, reason and lane; how long until everything that waits is created."""
        counts = await self.counts(fresh=fresh)
        statuses = self._lanes()
        phases: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for lane in counts.lanes.values():
            phases.update({phase.value: jobs for phase, jobs in lane.phases.items()})
            reasons.update(lane.reasons)
        etas = [lane.eta_s for lane in counts.lanes.values()]
        known = [eta_s for eta_s in etas if eta_s is not None]
        return {
            "phases": {phase.value: phases[phase.value] for phase in Phase},
            "reasons": dict(sorted(reasons.items())),
            "lanes": [
                _brief(lane, statuses.get(lane), counts.lanes.get(lane, NOTHING))
                for lane in sorted({*statuses, *counts.lanes})
            ],
            "waiting": sum(queue.waiting for lane in counts.lanes.values() for queue in lane.queues),
            "etaSeconds": rounded(max(known, default=0.0)) if len(known) == len(etas) else None,
            "inbox": counts.inbox,
            "deadLetters": counts.dead_letters,
        }

    async def _count(self) -> Counts:
        phases: dict[str, Counter[Phase]] = {}
        stored: dict[str, Counter[tuple[Phase, str]]] = {}
        for lane, phase, reason, jobs in await self._store.counts():
            phases.setdefault(lane, Counter())[phase] += jobs
            if reason:
                stored.setdefault(lane, Counter())[phase, reason] += jobs
        queues: dict[str, list[Queue]] = {}
        statuses = self._lanes()
        waiting = await self._store.waiting_counts()
        in_lane: Counter[str] = Counter()
        for lane, _, jobs in waiting:
            in_lane[lane] += jobs
        for lane, key, jobs in waiting:
            found = await self._queue(lane, key, (in_lane[lane], jobs), statuses.get(lane))
            queues.setdefault(lane, []).extend(found)
        lanes = {
            lane: LaneCounts(
                counted,
                _reasons(stored.get(lane, Counter()), queues.get(lane, ())),
                queues.get(lane, ()),
            )
            for lane, counted in phases.items()
        }
        return Counts(
            lanes,
            await self._store.inbox_size(),
            await self._store.count_dead_letters(),
            await self._store.inbox_oldest_at(),
        )

    async def _queue(self, lane: str, key: str, waiting: tuple[int, int], status: LaneStatus | None) -> Sequence[Queue]:
        """The queue as its head shows it, `waiting` in its lane and in itself; nothing where it has just emptied."""
        in_lane, in_queue = waiting
        return [
            Queue(
                key,
                in_queue,
                wait_reason(head, status),
                rounded(estimate_s(head, in_lane - 1, status, in_queue - 1)),
            )
            for head in await self._store.queue_heads(lane, key, 1)
        ]


NOTHING: Final = LaneCounts({}, {})


def _reasons(stored: Mapping[tuple[Phase, str], int], queues: Sequence[Queue]) -> Mapping[str, int]:
    """Reasons as they are shown: those of waiting jobs are their queue's, all others are the stored ones."""
    reasons: Counter[str] = Counter()
    waiting = sum(queue.waiting for queue in queues)
    for queue in queues:
        reasons[queue.reason or WaitReason.QUEUED.value] += queue.waiting
    for (phase, reason), jobs in stored.items():
        if _is_past(phase, reason):
            continue
        if phase is Phase.PENDING and reason in DERIVED:
            delayed = max(0, jobs - waiting)
            waiting -= jobs - delayed
            reasons[reason] += delayed
        else:
            reasons[reason] += jobs
    return {str(reason): jobs for reason, jobs in reasons.items() if jobs}


def _is_past(phase: Phase, reason: str) -> bool:
    """Whether the reason is of what was before: a job that failed and was then deleted is no failure any more."""
    failed = reason in _FAILURES and phase is not Phase.FAILED
    return failed or (phase in TERMINAL and phase is not Phase.FAILED)


def _phases(counts: LaneCounts) -> dict[str, int]:
    return {phase.value: counts.phases.get(phase, 0) for phase in Phase}


def _brief(lane: str, status: LaneStatus | None, counts: LaneCounts) -> View:
    return {
        "lane": lane,
        "paused": status.paused if status else False,
        "unavailable": status.unavailable if status else "",
        "phases": _phases(counts),
        "reasons": dict(counts.reasons),
        "etaSeconds": rounded(counts.eta_s),
    }


def lane_view(status: LaneStatus, counts: LaneCounts) -> View:
    """One lane as `GET /v1/lanes` shows it."""
    scope, _, kind = status.lane.partition("/")
    return {
        "lane": status.lane,
        "scope": scope,
        "kind": kind,
        "paused": status.paused,
        "pauseReason": status.pause_reason,
        "unavailable": status.unavailable,
        "phases": _phases(counts),
        "reasons": dict(counts.reasons),
        "etaSeconds": rounded(counts.eta_s),
        "queues": [
            {"key": queue.key, "waiting": queue.waiting, "reason": queue.reason, "etaSeconds": queue.eta_s}
            for queue in counts.queues
        ],
        "rates": {
            operation: {
                "rate": rate.rate,
                "ceiling": rate.ceiling,
                "calls": rate.calls,
                "throttles": rate.throttles,
                "errors": rate.errors,
            }
            for operation, rate in status.rates.items()
        },
        "slots": {
            key: {
                "used": slot.used,
                "ours": slot.ours,
                "ceiling": slot.ceiling,
                "configured": slot.configured,
                "parked": slot.parked,
            }
            for key, slot in status.slots.items()
        },
        "medianSeconds": {key: rounded(median_s) for key, median_s in status.median_s.items()},
        "lastCompletePassAt": rfc3339(status.last_complete_pass_at),
        "passes": status.passes,
    }


def sink_view(status: SinkStatus) -> View:
    """One sink as `GET /v1/summary` shows it."""
    return {
        "name": status.name,
        "depth": status.depth,
        "oldestAt": rfc3339(status.oldest_at),
        "delivered": status.delivered,
        "deadLettered": status.dead_lettered,
        "failures": status.failures,
        "problem": status.problem,
        "disabled": status.disabled,
    }


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
