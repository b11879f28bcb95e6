"""A lane's desk: its state in memory, and the one place from which its owner commits.

Invariant: read, decide, commit happens under one lock, so that no two parts of a lane decide about one job at a time;
what is in memory (slots, turns, jobs in flight) changes only after the commit that makes it true.

When to create, read or stop is decided in `dispatch`, `reconcile` and `upkeep`; how a job moves, in `transitions`.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeGuard

import anyio
import structlog

from controller.calls import Calls
from controller.errors import StoreUnavailableError
from controller.events import Event, of_job
from controller.kinds.aws import AwsClients
from controller.kinds.kind import Kind
from controller.learned import Learned
from controller.limits import (
    LastTurns,
    full_jitter,
)
from controller.model import HOLDING_A_SLOT, Job, Phase, Todo
from controller.pieces import InPieces
from controller.seams import Clock, Signal
from controller.settings import LimitSettings, Settings
from controller.store import DeadLetter, JobChange, LaneRecord, LaneStore, LaneWrite, RemoteIdTakenError
from controller.store.heads import QueueHeads
from controller.transitions.creating import CreatePolicy, found_at_start, name_taken
from controller.transitions.running import LossPolicy
from controller.transitions.step import Context, Happening, Step
from controller.untrusted import fit_identifier

Rule = Callable[[Job], Step | None]
"""Decides about a job as it is now; None: nothing to change."""

GROUPS_REMEMBERED_MAX: Final = 10_000
STORE_RETRY_S: Final = 2.0
DAY_S: Final = 86_400
BATCH: Final = 500
AT_ONCE: Final = 200
"""Jobs decided in one commit."""


@dataclass(slots=True)
class Wakeups:
    """Signals of one lane: what has changed for whom."""

    inbox: Signal = field(default_factory=Signal)
    dispatch: Signal = field(default_factory=Signal)
    reconcile: Signal = field(default_factory=Signal)
    deadlines: Signal = field(default_factory=Signal)
    todo: dict[Todo, Signal] = field(default_factory=lambda: {todo: Signal() for todo in Todo})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a desk is given from outside, the same for every lane of a daemon."""

    store: LaneStore
    settings: Settings
    clock: Clock
    random: Random
    instance: str
    committed: Callable[[], None]
    """Called after each commit that has events."""
    announce: Callable[[int, str, str, str | None], None]
    """Tells a waiting sender the verdict on its inbox entry: id, answer, message, job uid."""


class Desk:
    """State and commits of one lane.

    Args:
        unproven: the store is new while its instance is not, so remote jobs of an earlier store may exist.
    """

    def __init__(self, scope: str, kind: Kind, clients: AwsClients, around: Surroundings, *, unproven: bool) -> None:
        self.scope = scope
        self.kind = kind
        self.lane = f"{scope}/{kind.name}"
        self.clients = clients
        self.store = around.store
        self.settings = around.settings
        self.clock = around.clock
        self.random = around.random
        self.instance = around.instance
        self.announce = around.announce
        self.limits: LimitSettings = around.settings.limits_of(kind.name)
        self.create_policy = CreatePolicy(
            token_life_s=self.settings.reconcile.token_life_s, list_lag_s=self.settings.reconcile.list_lag_s
        )
        self.loss_policy = LossPolicy(grace_s=2 * self.settings.reconcile.list_lag_s)
        self.wake = Wakeups()
        self.in_flight: dict[int, Job] = {}
        self.queue_keys: dict[str, None] = {}
        self.heads = QueueHeads(around.store, self.lane)
        self.attempts = 0
        self.phase_changes = dict.fromkeys(Phase, 0)
        self.slots_known = not kind.can_list
        self.drain = anyio.Event()
        self.has_orphans = kind.can_list
        self.reads_idle = True
        """Whether the reconciler found nothing that runs, and wants to hear of the first."""
        self.passes = 0
        self.last_complete_pass_at: float | None = None
        self.log = structlog.get_logger("ferryman").bind(scope=scope, kind=kind.name)
        self.calls = Calls(
            clients,
            kind.service,
            limits=self.limits,
            clock=self.clock,
            drain=self.drain,
            log=self.log,
            say=self.say,
            found=self.wake.dispatch.set,
        )
        self.learned = Learned(kind, self.limits, self.calls, self.aws_now, unproven=unproven)
        self._shields: set[anyio.CancelScope] = set()
        self._given_up = False
        self._committed = around.committed
        self._lock = anyio.Lock()
        self._record: LaneRecord | None = None
        self._last_turns = LastTurns(self.learned.turns, GROUPS_REMEMBERED_MAX)

    # Opening

    async def open(self) -> None:
        """Become the lane's owner, and take up what an earlier process left."""
        self._record = await self.store.take_lane(self.lane)
        self.learned.restore(self._record.state, self.clock.monotonic())
        for job, keys in await self.store.slots_taken(self.lane):
            self.learned.slots.occupy(job, keys)
        await self._rebuild_turns()
        self.queue_keys = dict.fromkeys(await self.store.queue_keys(self.lane))
        await self._take_up_interrupted()

    async def save(self) -> None:
        """Keep what was learned for the next start; the store being away costs nothing else."""
        with suppress(StoreUnavailableError):
            await self.write(LaneWrite(self.lane, state=self.learned.state()))

    async def _rebuild_turns(self) -> None:
        waiting = await self.store.turns_waiting(self.lane)
        self._last_turns = LastTurns(self.learned.turns, GROUPS_REMEMBERED_MAX, waiting)

    async def _take_up_interrupted(self) -> None:
        """Intents of a process that died are unknown: whether they were sent, nobody can tell."""
        while jobs := await self.store.interrupted(self.lane, BATCH):
            async with self._lock:
                # Due at once, even where this host's clock is ahead of AWS's and nobody can know it yet.
                await self.commit_locked([(job, found_at_start(job, min(job.due_at, self.aws_now()))) for job in jobs])

    # Reading and deciding

    @property
    def is_open(self) -> bool:
        return self._record is not None

    @property
    def record(self) -> LaneRecord:
        if self._record is None:
            raise RuntimeError(f"{self.lane} is not open")
        return self._record

    @property
    def draining(self) -> bool:
        return self.drain.is_set()

    def begin_drain(self) -> None:
        """No new calls; those in flight finish and are recorded."""
        self.drain.set()
        self.calls.wake()
        wake = self.wake
        for signal in (wake.inbox, wake.dispatch, wake.reconcile, wake.deadlines, *wake.todo.values()):
            signal.set()

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """What is done here is not cut short by a stop, until the stop's own time is over."""
        with anyio.CancelScope(shield=True) as scope:
            self._shields.add(scope)
            if self._given_up:
                scope.cancel()
            try:
                yield
            finally:
                self._shields.discard(scope)

    def give_up(self) -> None:
        """The grace time is over: what is not recorded by now is found out by the next start."""
        self._given_up = True
        for scope in tuple(self._shields):
            scope.cancel()

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the desk drains: a stop must not sit out a backoff."""
        with anyio.move_on_after(seconds):
            await self.drain.wait()

    @property
    def paused(self) -> bool:
        return self.record.paused

    def context(self) -> Context:
        return Context(abilities=self.kind, now=self.aws_now(), instance=self.instance)

    def aws_now(self) -> float:
        """By AWS's clock where it is known, else by this host's.

        Whatever a lane keeps of times is by this clock: the host's may jump, and be another one at the next start.
        """
        return self.clients.aws_now() or self.clock.now()

    def can_own(self, remote_id: object) -> TypeGuard[str]:
        """Whether this can be the id of a remote job of this lane: nothing else is ever adopted."""
        known = fit_identifier(remote_id)
        region, account = self.clients.region or "", self.clients.account
        return known is not None and self.kind.can_be(known, region=region, account=account)

    def backoff(self, tries: int, *, base_s: float = 1.0, ceiling_s: float = 60.0) -> float:
        """A jittered wait that is never so short as to be a spin."""
        return max(base_s / 2, full_jitter(base_s, tries, ceiling_s, self.random))

    async def apply(self, rules: Sequence[tuple[int, Rule]]) -> None:
        """Decide about jobs as they are now, and commit; waits for the store as long as it cannot be written.

        Many are decided in several commits, between which others may commit.
        """
        for begin in range(0, len(rules), AT_ONCE):
            await self._apply(rules[begin : begin + AT_ONCE])

    async def _apply(self, rules: Sequence[tuple[int, Rule]]) -> None:
        taken: set[str] = set()
        while True:
            try:
                async with self._lock:
                    await self.commit_locked(await self._decide(rules, taken))
            except StoreUnavailableError as error:
                self.log.warning("the store cannot be written; trying again", error=str(error))
                await self.clock.sleep(STORE_RETRY_S)
            except RemoteIdTakenError as error:
                if error.remote_id in taken:
                    raise
                taken.add(error.remote_id)
            else:
                return

    async def _decide(self, rules: Sequence[tuple[int, Rule]], taken: AbstractSet[str]) -> list[tuple[Job, Step]]:
        """While holding the lock, so that no job changes although the event loop turns now and then."""
        jobs = await self.load([job for job, _ in rules])
        decided: list[tuple[Job, Step]] = []
        async for piece in InPieces(rules):
            decided += [
                (jobs[job], self._unless_taken(jobs[job], step, taken))
                for job, rule in piece
                if job in jobs and (step := rule(jobs[job])) is not None
            ]
        return decided

    def _unless_taken(self, job: Job, step: Step, taken: AbstractSet[str]) -> Step:
        """A remote id belongs to one attempt: whoever is given one that another holds has met somebody else's job."""
        now = step.job.current.remote_id if step.job.current is not None else None
        before = job.current.remote_id if job.current is not None else None
        if now is None or now == before or now not in taken:
            return step
        return name_taken(job, f"{now} belongs to another job already", self.context())

    async def load(self, ids: Sequence[int]) -> dict[int, Job]:
        """Jobs as they are now; those with a create in flight come from memory."""
        jobs = {job: self.in_flight[job] for job in ids if job in self.in_flight}
        missing = [job for job in ids if job not in jobs]
        if missing:
            jobs |= {job.id: job for job in await self.store.jobs_by_id(missing)}
        return jobs

    @contextmanager
    def departing(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Jobs are in flight from here on, unless the commit made inside does not happen."""
        self.in_flight.update({job.id: job for job in jobs})
        try:
            yield
        except BaseException:  # cancelled or refused, nothing was committed: memory must not say otherwise
            self.heads.forget()
            for job in jobs:
                self.in_flight.pop(job.id, None)
            raise

    def lock(self) -> anyio.Lock:
        """For parts that must read and decide about more than named jobs; commit with `commit_locked`."""
        return self._lock

    async def commit_locked(
        self,
        decided: Sequence[tuple[Job | None, Step]],
        *,
        consumed: Sequence[int] = (),
        events: Sequence[Event] = (),
        dead_letters: Sequence[DeadLetter] = (),
        paused: bool | None = None,
        pause_reason: str = "",
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Commit while holding `lock`; `state` as `learned.state` gives it."""
        changes = tuple(JobChange(before, step.job) for before, step in decided if before is not step.job)
        if not (changes or consumed or events or dead_letters or paused is not None):
            return
        now = self.clock.now()
        told: list[Event] = []
        async for piece in InPieces(decided):
            told += [of_job(happening, now) for _, step in piece for happening in step.happenings]
        write = LaneWrite(
            lane=self.lane,
            changes=changes,
            events=(*told, *events),
            consumed=consumed,
            dead_letters=dead_letters,
            paused=paused,
            pause_reason=pause_reason,
            state=state,
        )
        await self._write(write)
        self._after_commit(changes)
        if write.events:
            self._committed()
        for _, step in decided:
            self._tell(step.happenings)

    async def write(self, write: LaneWrite) -> None:
        """Commit a write that changes no job's phase."""
        async with self._lock:
            await self._write(write)

    async def prune(self, ended_before: float) -> bool:
        """Replace a batch of ended jobs by stubs; a document must not revive one between the look and the commit."""
        async with self._lock:
            jobs = await self.store.prunable(self.lane, ended_before, BATCH)
            if jobs:
                await self._write(LaneWrite(self.lane, pruned=jobs))
        return bool(jobs)

    async def _write(self, write: LaneWrite) -> None:
        with anyio.CancelScope(shield=True):  # memory must learn of a commit that happens; the store bounds the wait
            self._record = await self.store.commit(self.record, write)

    def _after_commit(self, changes: Iterable[JobChange]) -> None:
        for change in changes:
            before, after = change.before, change.after
            if after.id in self.in_flight:
                self.in_flight[after.id] = after
            self.heads.changed(before, after)
            if before is None or before.phase is not after.phase:
                self.phase_changes[after.phase] += 1
                if after.attempt and (before is None or before.attempt != after.attempt):
                    self.attempts += 1
            if before is None or before.phase is not after.phase or before.quota_keys != after.quota_keys:
                self._slot(before, after)
            self._wake(before, after)
            self.learned.observe(before, after)

    def _wake(self, before: Job | None, after: Job) -> None:
        if after.todo is Todo.CREATE:
            self.queue_keys[after.quota_keys[0]] = None
            self.wake.dispatch.set()
            if not self.slots_known:
                self.wake.reconcile.set()
        elif after.todo is not None:
            self.wake.todo[after.todo].set()
        if after.awaits_deadline:
            self.wake.deadlines.set()
        if self.reads_idle and before is not None and after.phase is Phase.RUNNING is not before.phase:
            self.reads_idle = False
            self.wake.reconcile.set()

    def _slot(self, before: Job | None, after: Job) -> None:
        if after.id == 0:
            return
        if after.phase in HOLDING_A_SLOT:
            self.learned.slots.occupy(after.id, after.quota_keys)
            if after.current is not None and after.current.remote_id is not None:
                # A pass may have met it before we knew its id.
                self.learned.slots.foreign_ended([after.current.remote_id])
        elif before is not None and before.phase in HOLDING_A_SLOT:
            self.learned.slots.release(after.id)
            self.wake.dispatch.set()

    def _tell(self, happenings: Sequence[Happening]) -> None:
        for happening in happenings:
            job = happening.job
            self.log.debug(
                happening.type, name=job.identity.name, phase=job.phase, reason=job.reason, attempt=job.attempt
            )

    # Turns

    def turn_of(self, job: Job) -> int:
        """The place of a newly waiting job among the groups of its priority."""
        return self._last_turns.next(job.wishes.priority, job.wishes.group)

    # Events of the lane itself

    async def say(self, name: str, data: Mapping[str, Any]) -> None:
        """Commit an event of the lane's own stream; the store being unavailable costs the event, not the caller."""
        try:
            async with self._lock:
                await self.commit_locked((), events=(self.lane_event(name, data),))
        except StoreUnavailableError as error:
            self.log.warning("an event of the lane was not written", type=name, error=str(error))

    def lane_event(self, name: str, data: Mapping[str, Any]) -> Event:
        """The next event of the lane's stream; to be committed under the lock."""
        return Event(
            type=f"ferryman.lane.{name}",
            stream=self.lane,
            sequence=self.record.stream_sequence + 1,
            subject=self.lane,
            time=self.clock.now(),
            data={"lane": self.lane, **data},
        )


async def wait_for_store(desk: Desk, action: Callable[[], Awaitable[bool]]) -> bool:
    """Run an action that reads or writes the store; when the store is away, wait a little and say False."""
    try:
        return await action()
    except StoreUnavailableError as error:
        desk.log.warning("the store is unavailable; trying again", error=str(error))
        await desk.sleep(STORE_RETRY_S)
        return False
