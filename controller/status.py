"""What a lane shows of itself while it runs, and why a job of it waits.

Invariant: a status is a snapshot; reading it changes nothing. The stored reason of a waiting job holds only what is its
own fault (Backoff, AccessDenied); what the whole lane or quota key waits for is derived here, so that a lane with a
hundred thousand waiting jobs need not rewrite them when its quota fills up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.limits import eta
from controller.model import Job, Phase, Todo, WaitReason


@dataclass(frozen=True, slots=True)
class RateStatus:
    """One operation's rate, in calls per second, and what became of its calls since the start."""

    rate: float
    ceiling: float
    calls: int = 0
    throttles: int = 0
    errors: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Answered calls by outcome: `ok`, or the word of the error."""
    waited_s: float = 0.0
    """How long calls have waited for their turn, all together."""


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One quota key: remote jobs that take a place, and how many places there are."""

    used: int
    ours: int
    ceiling: int
    configured: int
    parked: bool = False


@dataclass(frozen=True, slots=True)
class LaneStatus:
    lane: str
    paused: bool = False
    pause_reason: str = ""
    unavailable: str = ""
    """Why the lane's scope cannot be used; empty: it can."""
    rates: Mapping[str, RateStatus] = field(default_factory=dict)
    """By operation: create, get, list, stop, delete."""
    slots: Mapping[str, SlotStatus] = field(default_factory=dict)
    """By quota key."""
    median_s: Mapping[str, float] = field(default_factory=dict)
    """Learned durations of remote jobs, by quota key."""
    last_complete_pass_at: float | None = None
    passes: int = 0
    create_delay_s: float = 0.0
    """How long the next create must wait for its rate."""
    attempts: int = 0
    """Attempts begun since the start."""
    phase_changes: Mapping[Phase, int] = field(default_factory=dict)
    """Jobs that have come into each phase since the start."""


def wait_reason(job: Job, status: LaneStatus | None) -> str | None:
    """Why the job is in its phase: the stored reason, or for a waiting job what its lane waits for."""
    if job.phase is not Phase.PENDING or status is None or job.todo is Todo.DELAY:
        return job.reason
    if status.paused:
        return WaitReason.PAUSED
    if status.unavailable:
        return WaitReason.SCOPE_UNAVAILABLE
    if any(_full(status.slots.get(key)) for key in job.quota_keys):
        return WaitReason.QUOTA_FULL
    if status.create_delay_s > 0:
        return WaitReason.RATE_LIMITED
    return WaitReason.QUEUED


def _full(slot: SlotStatus | None) -> bool:
    return slot is not None and (slot.parked or slot.used >= slot.ceiling)


def estimate_s(job: Job, position: int, status: LaneStatus | None, in_queue: int | None = None) -> float | None:
    """Seconds until a waiting job is created, from learned durations; None where nothing was learned, or nothing moves.

    `position` counts the jobs of the lane that go before it, `in_queue` those of them that want the same slots; None:
    all of them.
    """
    if status is None or job.phase is not Phase.PENDING or status.paused or status.unavailable:
        return None
    create = status.rates.get("create")
    between_s = 1 / create.rate if create and create.rate > 0 else None
    by_rate = None if between_s is None else position * between_s
    slot = status.slots.get(job.quota_keys[0])
    ahead = position if in_queue is None else in_queue
    if slot is None or slot.used + ahead < slot.ceiling:
        return by_rate
    median = status.median_s.get(job.quota_keys[0])
    by_slots = eta(ahead + 1, slot.ceiling - slot.used, max(1, slot.ceiling), median, between_s or 0.0)
    return None if by_slots is None else max(by_rate or 0.0, by_slots)
