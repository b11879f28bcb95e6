"""All jobs of all accounts and regions, indexed, and the slots they hold.

Invariant: after `advance(now)` every job stands in the index of the status its timeline gives for `now`, and `usage`
is the number of active jobs per quota key; `peaks` is the most there ever were at one instant. Transitions are taken
from one heap in the order of their instants, so the world depends on what was done and when, never on who looked.
Nothing here knows requests, answers or faults.
"""

import heapq
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.simulator.families import Family
from controller.simulator.lifecycle import GONE, Plan, Timeline, position_at, timeline_of

GONE_KEPT_MAX: Final = 10_000

Place = tuple[str, str]  # account, region
SlotKey = tuple[str, str, str, str]  # account, region, kind, quota key
Ordered = tuple[float, int, "Job"]


@dataclass(slots=True, eq=False)
class Job:
    """One remote job. `timeline` is its whole life, past and planned; the rest never changes."""

    sequence: int
    family: Family
    place: Place
    identifier: str
    arn: str
    name: str | None
    token: str | None
    group: str | None
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]
    slots: tuple[SlotKey, ...]
    created_at: float
    plan: Plan
    timeline: Timeline
    foreign: bool
    listed_from: float
    seen_from: float
    tagged_from: float
    waiting: bool = False
    position: int = 0
    lives: int = 0  # how often the timeline was replaced: older entries of the heap are void

    @property
    def status(self) -> str:
        """The status at the instant the world was last advanced to."""
        return self.timeline[self.position][1]

    @property
    def ended(self) -> bool:
        return self.status in self.family.final

    def status_at(self, at: float) -> str:
        return self.timeline[position_at(self.timeline, at)][1]

    @property
    def order(self) -> Ordered:
        return (self.created_at, self.sequence, self)


@dataclass(slots=True)
class Shelf:
    """The jobs of one family in one account and region, oldest first in every index."""

    everything: list[Ordered] = field(default_factory=list)
    by_status: dict[str, list[Ordered]] = field(default_factory=dict)
    by_group: dict[str, list[Ordered]] = field(default_factory=dict)
    by_identifier: dict[str, Job] = field(default_factory=dict)
    by_name: dict[str, list[Job]] = field(default_factory=dict)
    gone: deque[Job] = field(default_factory=lambda: deque(maxlen=GONE_KEPT_MAX))

    def add(self, job: Job) -> None:
        insort(self.everything, job.order)
        insort(self.by_status.setdefault(job.status, []), job.order)
        if job.group is not None:
            insort(self.by_group.setdefault(job.group, []), job.order)
        self.by_identifier[job.identifier] = job
        if job.name is not None:
            self.by_name.setdefault(job.name, []).append(job)

    def remove(self, job: Job, status: str) -> None:
        _take_out(self.everything, job)
        _take_out(self.by_status[status], job)
        if job.group is not None:
            _take_out(self.by_group[job.group], job)
        del self.by_identifier[job.identifier]
        if job.name is not None:
            self.by_name[job.name].remove(job)
            if not self.by_name[job.name]:
                del self.by_name[job.name]
        self.gone.append(job)

    def move(self, job: Job, before: str, after: str) -> None:
        _take_out(self.by_status[before], job)
        insort(self.by_status.setdefault(after, []), job.order)


def _take_out(index: list[Ordered], job: Job) -> None:
    del index[bisect_left(index, (job.created_at, job.sequence))]


class World:
    """Jobs by place and family. Single-threaded; no method waits.

    `limit_of` gives the most jobs that run at once under a slot (None: any number); it is asked only for jobs that were
    added with `may_wait`.
    """

    def __init__(self, *, jobs_kept_max: int, limit_of: Callable[[SlotKey], int | None]) -> None:
        self.usage: Counter[SlotKey] = Counter()
        self.peaks: dict[SlotKey, int] = {}
        self.jobs_kept_max = jobs_kept_max
        self._limit_of = limit_of
        self._shelves: dict[tuple[Place, str], Shelf] = {}
        self._by_arn: dict[str, Job] = {}
        self._tagged: dict[tuple[Place, str, str] | Place, dict[str, Job]] = {}
        self._due: list[tuple[float, int, int, Job]] = []
        self._due_counter = 0
        self._waiting: dict[SlotKey, deque[Job]] = {}
        self._ended: deque[Job] = deque()

    def shelf(self, place: Place, family: Family) -> Shelf:
        key = (place, family.kind)
        found = self._shelves.get(key)
        if found is None:
            found = self._shelves[key] = Shelf()
        return found

    def jobs(self) -> Iterator[Job]:
        return iter(self._by_arn.values())

    def by_arn(self, arn: str) -> Job | None:
        return self._by_arn.get(arn)

    def tagged(self, place: Place, pair: tuple[str, str] | None) -> Iterable[Job]:
        """Jobs of every family that have a tag (key, value), or any tag; oldest first."""
        return self._tagged.get(place if pair is None else (place, *pair), {}).values()

    def has_room(self, slots: Iterable[SlotKey]) -> bool:
        """Whether one more active job stays within every limit, jobs that wait included."""
        return all(self.usage[slot] < limit for slot in slots if (limit := self._limit_of(slot)) is not None)

    def add(self, job: Job, *, may_wait: bool = False) -> None:
        """Takes the job in. With `may_wait` it stays in its first status until every one of its slots is free."""
        if may_wait and not self.has_room(job.slots):
            job.waiting = True
            job.timeline = job.timeline[:1]
            for slot in job.slots:
                self._waiting.setdefault(slot, deque()).append(job)
        self._by_arn[job.arn] = job
        self.shelf(job.place, job.family).add(job)
        for key in _tag_keys(job):
            self._tagged.setdefault(key, {})[job.arn] = job
        for slot in job.slots:
            self.usage[slot] += 1
            self.peaks[slot] = max(self.peaks.get(slot, 0), self.usage[slot])
        self._schedule(job)
        if len(self._by_arn) > self.jobs_kept_max:
            self._forget_oldest()

    def relive(self, job: Job, timeline: Timeline, now: float) -> None:
        """Replaces what is left of a job's life; the past up to its position must be kept."""
        if job.waiting:
            self._leave_queues(job)
        job.timeline = timeline
        job.lives += 1
        self._schedule(job)
        self.advance(now)

    def advance(self, now: float) -> None:
        """Brings every job to the instant."""
        due = self._due
        while due and due[0][0] <= now:
            at, _, lives, job = heapq.heappop(due)
            if lives == job.lives:
                self._step(job, job.position + 1, at)

    def start_waiting(self, slots: Iterable[SlotKey], at: float) -> None:
        """Starts jobs that wait for any of these slots, in the order they came, while there is room."""
        for slot in slots:
            for job in tuple(self._waiting.get(slot, ())):
                if not self._may_run(slot):
                    break
                if all(self._may_run(other) for other in job.slots):
                    self._leave_queues(job)
                    job.timeline = timeline_of(job.plan, job.created_at, max(at, job.created_at))
                    self._schedule(job)

    def waiting_slots(self) -> tuple[SlotKey, ...]:
        return tuple(slot for slot, queue in self._waiting.items() if queue)

    def _step(self, job: Job, upcoming: int, at: float) -> None:
        before, after = job.status, job.timeline[upcoming][1]
        if after == GONE:
            self._drop(job, before)
            return
        job.position = upcoming
        if after != before:
            self.shelf(job.place, job.family).move(job, before, after)
        if before in job.family.active and after not in job.family.active:
            for slot in job.slots:
                self.usage[slot] -= 1
            self.start_waiting(job.slots, at)
        if after in job.family.final:
            self._ended.append(job)
        self._schedule(job)

    def _schedule(self, job: Job) -> None:
        upcoming = job.position + 1
        if upcoming < len(job.timeline):
            self._due_counter += 1
            heapq.heappush(self._due, (job.timeline[upcoming][0], self._due_counter, job.lives, job))

    def _may_run(self, slot: SlotKey) -> bool:
        limit = self._limit_of(slot)
        return limit is None or self.usage[slot] - len(self._waiting.get(slot, ())) < limit

    def _leave_queues(self, job: Job) -> None:
        job.waiting = False
        for slot in job.slots:
            self._waiting[slot].remove(job)

    def _drop(self, job: Job, status: str) -> None:
        self.shelf(job.place, job.family).remove(job, status)
        del self._by_arn[job.arn]
        for key in _tag_keys(job):
            del self._tagged[key][job.arn]
            if not self._tagged[key]:
                del self._tagged[key]

    def _forget_oldest(self) -> None:
        while self._ended:
            job = self._ended.popleft()
            if self._by_arn.get(job.arn) is job and job.ended:
                self._drop(job, job.status)
                return


def _tag_keys(job: Job) -> list[tuple[Place, str, str] | Place]:
    return [job.place, *((job.place, key, value) for key, value in job.tags.items())] if job.tags else []
