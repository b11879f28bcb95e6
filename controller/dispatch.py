"""Jobs -> AWS: paces, chooses, creates, records.

Invariant: no request leaves before its intent is committed, and every outcome is committed before its job can be sent
again. The chooser commits intents in small batches a moment ahead of the senders; each sender waits for the rate, sends
one request, and hands the outcome to the recorder, which commits many at once.

What to do about an unknown outcome is `resolve`'s business; what an outcome means for a job is decided in
`transitions.creating`.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from controller.desk import BATCH, DAY_S, Desk, wait_for_store
from controller.errors import (
    AlreadyKnownError,
    AwsError,
    BusyError,
    DeniedError,
    MissingError,
    NoAnswerError,
    QuotaFullError,
    RefusedError,
    ScopeUnavailableError,
    ThrottledError,
)
from controller.kinds.kind import MARKER_TAG
from controller.model import Attempt, Job, Observation, Phase, Todo
from controller.store.heads import JOBS_KEPT_MAX, Order, order_of
from controller.transitions.creating import adopt, intend, made, name_taken, refused, withdraw
from controller.transitions.step import Step

AHEAD_S: Final = 0.1
"""How far ahead of their sending intents are committed: longer than a commit takes, shorter than anyone notices."""
KEYS_AT_ONCE: Final = 64
AHEAD_ROUNDS: Final = 4
"""How many rounds of choosing the queues are read ahead for."""
POOLS_IN_FLIGHT: Final = 4
"""Jobs in flight, by connections: on the wire, with an intent ahead of it, or with an outcome not yet recorded."""
GATHER_S: Final = 0.01
"""While more is in flight than fits on the wire, outcomes are gathered for so long before they are committed."""
IDLE_S: Final = 60.0
CREATED_AT_LEAST_S: Final = 1.0
TAGGING: Final = "resourcegroupstaggingapi"
TAG_PAGES_MAX: Final = 100
"""Pages may be empty and yet be followed by others."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and what became of it: a remote id, an observation, or an error."""

    job: int
    token: str
    remote_id: str | None = None
    observation: Observation | None = None
    differs: tuple[str, ...] = ()
    error: AwsError | None = None
    withdrawn: bool = False


class Dispatcher:
    """Creates the jobs of one lane."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._orphans: dict[str, str] = {}
        """What an earlier store created, by the token of the attempt that stands for it now."""
        self._pool = desk.settings.aws.pool
        self._in_flight_max = POOLS_IN_FLIGHT * self._pool

    async def run(self) -> None:
        """Run until cancelled, or until the desk drains and everything in flight is recorded."""
        intents, to_send = anyio.create_memory_object_stream[Job](self._pool)
        outcomes, to_record = anyio.create_memory_object_stream[Sent](self._in_flight_max)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._record_all, to_record)
            async with outcomes, anyio.create_task_group() as senders:
                for _ in range(self._pool):
                    senders.start_soon(self._send_all, to_send.clone(), outcomes.clone())
                to_send.close()
                async with intents:
                    await self._choose_all(intents)

    # Choosing

    async def _choose_all(self, intents: MemoryObjectSendStream[Job]) -> None:
        desk = self._desk
        while not desk.draining:
            ahead = intents.statistics().current_buffer_used
            wait_s = self._wait_s(ahead)
            if wait_s > 0:
                await desk.wake.dispatch.wait(wait_s)
                continue
            chosen: list[Job] = []

            async def choose() -> bool:
                chosen.extend(await self._choose(self._room(ahead)))  # noqa: B023 - called at once
                return True

            if await wait_for_store(desk, choose) and not chosen:
                await desk.wake.dispatch.wait(IDLE_S)
            for job in chosen:
                await intents.send(job)

    def _wait_s(self, ahead: int) -> float:
        """How long until choosing makes sense, with so many intents ahead of the senders; 0: now."""
        desk = self._desk
        if desk.paused or not desk.queue_keys or not desk.slots_known:
            return IDLE_S
        if (rest := desk.calls.rest_s()) > 0:
            return rest
        # Not for a few at a time: a commit should carry many.
        crowded = 2 * ahead > self._pool or len(desk.in_flight) >= self._in_flight_max
        if crowded or (desk.calls.unavailable and desk.in_flight):
            return IDLE_S
        delay = desk.calls.delay_s("create")
        return delay if delay > AHEAD_S else 0.0

    def _room(self, ahead: int) -> int:
        """How many intents to commit now, slots aside."""
        desk = self._desk
        if desk.calls.unavailable or not desk.kind.repeatable:
            room = 1  # an intent that a crash leaves unsent could not be cleared up
        else:
            rate = desk.calls.present_rate("create")
            room = min(self._pool - ahead, self._in_flight_max - len(desk.in_flight), max(1, int(rate * AHEAD_S)))
        allowed = desk.learned.spend.allowed(self._day())
        return room if allowed is None else min(room, allowed)

    def _day(self) -> int:
        return int(self._desk.aws_now() // DAY_S)

    async def _choose(self, room: int) -> Sequence[Job]:
        """Commit the intents that go next, at most `room`; they are in flight from then on."""
        desk = self._desk
        if room <= 0:
            await self._spent()
            return ()
        async with desk.lock():
            heads = await self._heads(room)
            if not heads:
                return ()
            now = desk.aws_now()
            decided: list[tuple[Job | None, Step]] = [(job, self._intend(job, now)) for job in heads]
            if desk.has_orphans:
                await self._look_for_orphans([step.job for _, step in decided])
            limited, day, creates = desk.learned.spend.creates_per_day is not None, self._day(), len(decided)
            # What a guard has let pass is counted where a crash cannot undo it.
            state = desk.learned.state(desk.learned.spend.counted(day, creates)) if limited else None
            with desk.departing([step.job for _, step in decided]):
                desk.heads.take(heads)
                await desk.commit_locked(decided, state=state)
            for job in heads:
                desk.learned.turns.served(job.wishes.priority, job.turn)
            desk.learned.spend = desk.learned.spend.counted(day, creates)
            return [step.job for _, step in decided]

    def _intend(self, job: Job, now: float) -> Step:
        kind = self._desk.kind
        prefix = str((job.spec or {}).get(kind.name_member or "") or job.identity.name)
        return intend(job, prefix, kind.name_length_max, now)

    async def _heads(self, room: int) -> Sequence[Job]:
        """The jobs that go next, by priority, turn and age, each with its slots."""
        desk = self._desk
        now = desk.clock.monotonic()
        for key in desk.learned.slots.probe_due(now):
            desk.learned.slots.probe(key, now, desk.random.random())
        keys = list(islice((key for key in desk.queue_keys if desk.learned.slots.free((key,)) > 0), KEYS_AT_ONCE))
        limits = {key: min(room, desk.learned.slots.free((key,))) for key in keys}
        ahead = max(1, JOBS_KEPT_MAX // len(keys)) if keys else 0
        heads: list[tuple[Order, str, int, Job]] = []

        async def look(key: str, place: int) -> bool:
            # No further than what might go, and no more ahead than a few such rounds.
            job = await desk.heads.at(key, place, min(ahead, AHEAD_ROUNDS * limits[key]))
            if job is not None:
                heapq.heappush(heads, (order_of(job), key, place, job))
            return job is not None

        for key in keys:
            # Keys take turns to be looked at, where there are more of them than are looked at together.
            desk.queue_keys[key] = desk.queue_keys.pop(key)
            if not await look(key, 0):
                del desk.queue_keys[key]
        taken: dict[str, int] = {}
        chosen: list[Job] = []
        while heads and len(chosen) < room:
            _, key, place, job = heapq.heappop(heads)
            if all(desk.learned.slots.free((key,)) > taken.get(key, 0) for key in job.quota_keys):
                chosen.append(job)
                for taking in job.quota_keys:
                    taken[taking] = taken.get(taking, 0) + 1
            if place + 1 < limits[key] and len(chosen) < room:
                await look(key, place + 1)
        return chosen

    async def _look_for_orphans(self, jobs: Sequence[Job]) -> None:
        tokens = {job.current.remote_name: job.current.token for job in jobs if job.current is not None}
        for name, remote_id in (await self._desk.store.orphans(self._desk.lane, list(tokens))).items():
            self._orphans[tokens[name]] = remote_id

    async def _spent(self) -> None:
        desk = self._desk
        if desk.learned.spend.allowed(self._day()) != 0 or desk.paused or desk.in_flight:
            return  # what is in flight may yet be refused, and is not spent then
        reason = desk.learned.spend.reason
        async with desk.lock():
            event = desk.lane_event("paused", {"reason": reason})
            await desk.commit_locked((), events=(event,), paused=True, pause_reason=reason)

    # Sending

    async def _send_all(self, intents: MemoryObjectReceiveStream[Job], outcomes: MemoryObjectSendStream[Sent]) -> None:
        async with intents, outcomes:
            while True:
                try:
                    job = await self._next(intents)
                except anyio.EndOfStream:
                    return
                paced = await self._desk.calls.pace("create")
                with self._desk.shielded():  # an outcome must reach the recorder; calls have deadlines
                    sent = await self._send(job, paced=paced)
                    try:
                        outcomes.send_nowait(sent)
                    except anyio.WouldBlock:
                        await outcomes.send(sent)

    async def _next(self, intents: MemoryObjectReceiveStream[Job]) -> Job:
        """The next intent, without a turn of the event loop where one is ready."""
        try:
            return intents.receive_nowait()
        except anyio.WouldBlock:
            return await intents.receive()

    async def _send(self, job: Job, *, paced: bool) -> Sent:
        attempt = job.attempt_now
        orphan = self._orphans.pop(attempt.token, None)
        if not paced or self._desk.paused:
            return Sent(job.id, attempt.token, withdrawn=True)
        try:
            if orphan is None and self._desk.kind.marks_with_tag and self._desk.settings.reconcile.adopt:
                orphan = await self._look_for_tag(attempt)
            if orphan is not None:
                return await self._take_over(job, attempt, orphan)
        except AwsError as error:
            return Sent(job.id, attempt.token, error=error)
        return await self.create(job, attempt)

    async def create(self, job: Job, attempt: Attempt) -> Sent:
        """The create call of an intent that is committed and whose turn has come."""
        desk, kind = self._desk, self._desk.kind
        request = kind.parameters(job.spec or {}, attempt.token, attempt.remote_name)
        try:
            reply = await desk.calls.send("create", kind.create, request, paced=True)
        except AwsError as error:
            return Sent(job.id, attempt.token, error=error)
        remote_id = reply.body.get(kind.created_id)
        if desk.can_own(remote_id):
            return Sent(job.id, attempt.token, remote_id=remote_id)
        strange = NoAnswerError(f"an answer without the {kind.created_id} of such a job", definite=False)
        return Sent(job.id, attempt.token, error=strange)

    async def _look_for_tag(self, attempt: Attempt) -> str | None:
        """What a store that is lost, or later than the backup of this one, made, for a kind without List.

        A restored store cannot be told from another, so it is asked before every create. As long as nobody can tell,
        nothing is created.
        """
        try:
            return await find_tagged(self._desk, attempt.token)
        except ScopeUnavailableError:
            raise
        except AwsError as error:
            raise BusyError(
                f"cannot look for what an earlier store created: {error.message} (tag:GetResources is needed, or"
                " reconcile.adopt = false)"
            ) from error

    async def _take_over(self, job: Job, attempt: Attempt, remote_id: str) -> Sent:
        """An earlier store created this attempt already: look at it instead."""
        desk, kind = self._desk, self._desk.kind
        try:
            reply = await desk.calls.send("get", kind.get, {kind.get_parameter: remote_id})
        except MissingError:
            # It was made all the same; whether it is lost, the passes and Gets of every job will tell.
            unread = Observation(remote_id=remote_id, status="", standing=kind.standing(""))
            return Sent(job.id, attempt.token, observation=unread)
        except (ThrottledError, ScopeUnavailableError):
            raise
        except AwsError as error:  # of a read: the create was made long ago, and must not be sent
            raise BusyError(f"cannot look at what an earlier store created: {error.message}") from error
        observation = kind.observe_detail(reply.body, remote_id)
        body = reply.body.get(kind.detail, {}) if kind.detail else reply.body
        if observation is None:
            raise BusyError("AWS shows no status of what an earlier store created")
        return Sent(job.id, attempt.token, observation=observation, differs=kind.differs(job.spec or {}, body))

    # Recording

    async def _record_all(self, outcomes: MemoryObjectReceiveStream[Sent]) -> None:
        async with outcomes:
            async for first in outcomes:
                with self._desk.shielded():
                    if len(self._desk.in_flight) > self._pool:
                        await self._desk.clock.sleep(GATHER_S)
                    await self.record([first, *self._ready(outcomes)])

    def _ready(self, outcomes: MemoryObjectReceiveStream[Sent]) -> Iterator[Sent]:
        for _ in range(BATCH - 1):
            try:
                yield outcomes.receive_nowait()
            except (anyio.WouldBlock, anyio.EndOfStream):
                return

    async def record(self, batch: Sequence[Sent]) -> None:
        """Commit outcomes, then let limits and slots learn from them."""
        desk = self._desk
        refused_keys = self._learn_before(batch)
        desk.learned.spend = desk.learned.spend.refunded(sum(map(self._not_made, batch)))
        await desk.apply([(sent.job, partial(self._outcome, sent=sent)) for sent in batch])
        for sent in batch:
            desk.in_flight.pop(sent.job, None)
        desk.wake.dispatch.set()
        for name, data in refused_keys:
            await desk.say(name, data)

    def _not_made(self, sent: Sent) -> bool:
        """Whether the intent surely came to nothing."""
        job = self._desk.in_flight.get(sent.job)
        if job is None or job.attempt_now.unknown:
            return False
        refused_for_good = sent.error is not None and sent.error.definite
        return sent.withdrawn or (refused_for_good and not isinstance(sent.error, AlreadyKnownError))

    def _learn_before(self, batch: Sequence[Sent]) -> Sequence[tuple[str, dict[str, object]]]:
        """A refusal parks its key before the job's return to the queue could wake it."""
        desk, slots = self._desk, self._desk.learned.slots
        told: list[tuple[str, dict[str, object]]] = []
        for sent in batch:
            job = desk.in_flight.get(sent.job)
            if job is None:
                continue
            keys = job.quota_keys
            if isinstance(sent.error, QuotaFullError) and not job.attempt_now.unknown:
                was_parked = keys[0] in slots.parked()
                changed = slots.refused(keys, desk.clock.monotonic(), job=sent.job, jitter=desk.random.random())
                facts: dict[str, object] = {"key": keys[0], "ceiling": slots.ceiling(keys[0])}
                if not was_parked:
                    told.append(("quota_full", facts))
                if changed:
                    told.append(("quota_learned", facts))
            elif sent.remote_id is not None and slots.admitted(keys):
                told.append(("quota_learned", {"key": keys[0], "ceiling": slots.ceiling(keys[0])}))
        return told

    def _outcome(self, job: Job, sent: Sent) -> Step | None:
        desk = self._desk
        context = desk.context()
        attempt = job.current
        if attempt is None or attempt.token != sent.token or job.phase is not Phase.CREATING:
            return None
        if sent.withdrawn:
            return withdraw(job, context) if not attempt.unknown else Step(job).change(todo=Todo.RESOLVE)
        if sent.remote_id is not None:
            return made(job, sent.remote_id, context, self.first_get_at(job))
        if sent.observation is not None:
            if sent.differs:
                members = ", ".join(sent.differs)
                return name_taken(job, f"a remote job of this name exists, with another {members}", context)
            return adopt(Step(job), sent.observation, context, next_get_at=self.first_get_at(job))
        error = sent.error or NoAnswerError("no outcome", definite=False)
        return refused(job, error, context, desk.create_policy, self._backoff_s(job, error))

    def _backoff_s(self, job: Job, error: AwsError) -> float:
        attempt = job.attempt_now
        if isinstance(error, DeniedError | MissingError | RefusedError):
            return self._desk.backoff(job.refusals, base_s=40, ceiling_s=300)
        return self._desk.backoff(max(job.refusals, attempt.resolve_tries))

    def first_get_at(self, job: Job) -> float | None:
        """When a kind without List is read first: half of what such a job takes."""
        desk = self._desk
        if desk.kind.can_list:
            return None
        durations = desk.learned.durations.get(job.quota_keys[0])
        expected = durations.median() if durations else None
        interval = desk.settings.reconcile.interval
        return desk.aws_now() + max(
            CREATED_AT_LEAST_S, min(interval, expected / 2 if expected is not None else interval / 4)
        )


async def find_tagged(desk: Desk, token: str) -> str | None:
    """The ARN that carries the mark of an attempt, if it is of the kind's own type: a tag can be put on anything.

    Raises:
        AwsError: the tagging API did not answer, or not with all that carries the mark.
    """
    request: dict[str, Any] = {"TagFilters": [{"Key": MARKER_TAG, "Values": [token]}]}
    seen: set[str] = set()
    for _ in range(TAG_PAGES_MAX):
        reply = await desk.calls.send("list", "GetResources", request, service=TAGGING)
        resources, follows = reply.body.get("ResourceTagMappingList"), reply.body.get("PaginationToken")
        if not isinstance(resources, list):
            raise NoAnswerError("GetResources answered without ResourceTagMappingList", definite=False)
        arns = [item.get("ResourceARN") for item in resources if isinstance(item, Mapping)]
        found = next((arn for arn in arns if desk.can_own(arn)), None)
        if found is not None or not follows:
            return found
        if not isinstance(follows, str) or follows in seen:
            break
        seen.add(follows)
        request["PaginationToken"] = follows
    raise NoAnswerError("GetResources gave pages without an end", definite=False)
