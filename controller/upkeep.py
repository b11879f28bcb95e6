"""What a lane does about its jobs besides creating and listing: gets, stops, deletes, due times, deadlines, pruning.

Invariant: every handled job ends with another `todo` or a later due time, so that no handler spins; a call that fails
moves its job to a later time, and nothing but AWS's word on its own remote id ends a job.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio

from controller.desk import BATCH, DAY_S, Desk, Rule, wait_for_store
from controller.errors import (
    AlreadyKnownError,
    AwsError,
    DeniedError,
    MissingError,
    NoAnswerError,
    RefusedError,
    ThrottledError,
)
from controller.limits import ReadCadence, is_spent
from controller.model import AT_AWS, Attempt, Job, Observation, Phase, Todo
from controller.store import LaneWrite
from controller.transitions.running import (
    deadline_passed,
    deleted,
    get_missed,
    later,
    observe,
    stop_accepted,
    stop_refused,
)
from controller.transitions.step import Goal, Step, goal_of, settle
from controller.untrusted import fit_message, fit_text, objects_in

IDLE_S: Final = 60.0
AT_ONCE: Final = 16
"""Calls of one sort in flight in a lane."""
DEADLINES_S: Final = 5.0
SAVE_S: Final = 30.0
DENIED_WAIT_S: Final = 60.0

FAR_S: Final = 1800.0
"""Longer than any call of a job is put off, and shorter than a clock is ahead that is in another time zone."""
NEVER: Final = 1e12
_PACED_HERE: Final = (Todo.GET, Todo.STOP, Todo.DELETE, Todo.RESOLVE)
"""What is due when Ferryman says so; a pause between attempts is a person's wish, and may be long."""

Handler = Callable[[Sequence[Job]], Awaitable[None]]


async def work(desk: Desk, todo: Todo, handle: Handler, at_once: int = AT_ONCE) -> None:
    """Hand over the jobs whose `todo` is due, a bounded batch at a time, until the desk drains."""
    while not desk.draining:
        if (rest := desk.calls.rest_s()) > 0 and todo is not Todo.DELAY:
            await desk.wake.todo[todo].wait(rest)
            continue
        wait_s = [0.0]

        async def step() -> bool:
            due = await desk.store.next_due(desk.lane, todo)
            now = desk.aws_now()
            if due is not None and due <= now:
                await handle(await desk.store.jobs_to(desk.lane, todo, now, at_once))
            else:
                wait_s[0] = IDLE_S if due is None else min(IDLE_S, max(0.01, due - now))  # noqa: B023 - called at once
            return True

        if await wait_for_store(desk, step) and wait_s[0] > 0:
            await desk.wake.todo[todo].wait(wait_s[0])


class Upkeep:
    """Handlers of one lane."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._clock_known = False
        self._may_have_deadlines = True
        self._wall_ahead_s = desk.clock.now() - desk.clock.monotonic()
        settings = desk.settings.reconcile
        self._cadence = ReadCadence(settings.interval, settings.interval_min)

    # Delay

    async def release(self, jobs: Sequence[Job]) -> None:
        """A backoff is over: the job waits for its turn."""
        await self._desk.apply([(job.id, self._released) for job in jobs])

    def _released(self, job: Job) -> Step | None:
        if job.phase is not Phase.PENDING:
            return None
        return settle(Step(job).change(due_at=min(job.due_at, self._desk.aws_now())), self._desk.context())

    # Get

    async def read(self, jobs: Sequence[Job]) -> None:
        await self._each(jobs, self._read)

    async def _read(self, job: Job) -> Rule:
        desk, kind = self._desk, self._desk.kind
        attempt = job.current
        if attempt is None or attempt.remote_id is None:
            return partial(_forget, todo=Todo.GET)
        try:
            reply = await desk.calls.send("get", kind.get, {kind.get_parameter: attempt.remote_id})
        except MissingError:
            return partial(self._missed, attempt=attempt)
        except AwsError as error:
            return partial(self._not_read, error=error)
        observation = kind.observe_detail(reply.body, attempt.remote_id)
        if observation is None:
            return partial(self._later, todo=Todo.GET, error=NoAnswerError("an answer without a status"))
        return partial(self._observed, observation=observation, attempt=attempt)

    def _not_read(self, job: Job, *, error: AwsError) -> Step | None:
        step = self._later(job, todo=Todo.GET, error=error)
        if step is None or job.phase is not Phase.RUNNING or goal_of(job) is Goal.RUN or not self._desk.kind.can_stop:
            return step
        return settle(step.change(todo=None), self._desk.context())  # a stop needs no Get

    def _missed(self, job: Job, *, attempt: Attempt) -> Step | None:
        if not _same_attempt(job, attempt):
            return None
        desk = self._desk
        backoff = desk.backoff(job.failing_gets, base_s=2, ceiling_s=desk.settings.reconcile.interval)
        return get_missed(job, desk.context(), desk.loss_policy, backoff)

    def _observed(self, job: Job, *, observation: Observation, attempt: Attempt) -> Step | None:
        if not _same_attempt(job, attempt):
            return None
        desk = self._desk
        next_get_at = None if desk.kind.can_list else desk.aws_now() + self._next_get_s(job, attempt)
        return observe(job, observation, desk.context(), next_get_at=next_get_at)

    def _next_get_s(self, job: Job, attempt: Attempt) -> float:
        durations = self._desk.learned.durations.get(job.quota_keys[0])
        age = self._desk.aws_now() - attempt.created_at
        return self._cadence.next_get(durations.expected_remaining(age) if durations else None)

    # Stop

    async def stop(self, jobs: Sequence[Job]) -> None:
        await self._each(jobs, self._stop)

    async def _stop(self, job: Job) -> Rule:
        desk, kind = self._desk, self._desk.kind
        attempt = job.current
        if kind.stop is None or attempt is None or attempt.remote_id is None:
            return partial(_forget, todo=Todo.STOP)
        try:
            await desk.calls.send("stop", kind.stop, {kind.stop_parameter: attempt.remote_id})
        except (AlreadyKnownError, MissingError, RefusedError):
            # Finished already, or gone: success, and a Get tells which.
            return partial(self._stop_refused, attempt=attempt)
        except AwsError as error:
            return partial(self._later, todo=Todo.STOP, error=error)
        return partial(self._stopped, attempt=attempt)

    def _stopped(self, job: Job, *, attempt: Attempt) -> Step | None:
        return stop_accepted(job, self._desk.context()) if _same_attempt(job, attempt) else None

    def _stop_refused(self, job: Job, *, attempt: Attempt) -> Step | None:
        return stop_refused(job, self._desk.aws_now()) if _same_attempt(job, attempt) else None

    # Delete

    async def delete(self, jobs: Sequence[Job]) -> None:
        """Many a call, each item's own error read."""
        desk, kind = self._desk, self._desk.kind
        remote = {
            attempt.remote_id: job.id
            for job in jobs
            for attempt in job.attempts
            if attempt.remote_id and not attempt.deleted
        }
        ids = list(remote)
        for begin in range(0, len(ids), kind.delete_batch_max):
            batch = ids[begin : begin + kind.delete_batch_max]
            gone, errors = await self._delete_batch(batch)
            touched = {remote[remote_id] for remote_id in batch}
            await desk.apply([(job, partial(self._deleted, gone=frozenset(gone), errors=errors)) for job in touched])

    async def _delete_batch(self, batch: Sequence[str]) -> tuple[set[str], dict[str, AwsError]]:
        desk, kind = self._desk, self._desk.kind
        try:
            reply = await desk.calls.send("delete", kind.delete or "", {kind.delete_parameter: list(batch)})
        except (MissingError, RefusedError, AlreadyKnownError) as error:
            if len(batch) > 1:  # for the sake of one of them, perhaps
                return await self._delete_halves(batch)
            return (set(batch), {}) if isinstance(error, MissingError) else (set(), dict.fromkeys(batch, error))
        except AwsError as error:
            return set(), dict.fromkeys(batch, error)
        errors = _item_errors(reply.body, batch)
        gone = {remote_id for remote_id in batch if remote_id not in errors}
        missing = {remote_id for remote_id, error in errors.items() if isinstance(error, MissingError)}
        return gone | missing, {remote_id: error for remote_id, error in errors.items() if remote_id not in missing}

    async def _delete_halves(self, batch: Sequence[str]) -> tuple[set[str], dict[str, AwsError]]:
        middle = len(batch) // 2
        gone, errors = await self._delete_batch(batch[:middle])
        more_gone, more_errors = await self._delete_batch(batch[middle:])
        return gone | more_gone, errors | more_errors

    def _deleted(self, job: Job, *, gone: frozenset[str], errors: Mapping[str, AwsError]) -> Step | None:
        if job.todo is not Todo.DELETE:
            return None
        mine = [attempt.remote_id for attempt in job.attempts if attempt.remote_id in errors]
        if not mine:
            return deleted(job, gone, self._desk.context())
        step = self._later(job, todo=Todo.DELETE, error=errors[mine[0] or ""])
        attempts = deleted(job, gone, self._desk.context()).job.attempts
        return step.change(attempts=attempts) if step is not None else None

    # All of them

    async def _each(self, jobs: Sequence[Job], call: Callable[[Job], Awaitable[Rule]]) -> None:
        rules: list[tuple[int, Rule]] = []

        async def one(job: Job) -> None:
            rules.append((job.id, await call(job)))

        async with anyio.create_task_group() as tasks:
            for job in jobs:
                tasks.start_soon(one, job)
        await self._desk.apply(rules)

    def _later(self, job: Job, *, todo: Todo, error: AwsError) -> Step | None:
        if job.todo is not todo:
            return None
        desk = self._desk
        base_s = DENIED_WAIT_S if isinstance(error, DeniedError | RefusedError) else 2.0
        wait_s = 0.0 if isinstance(error, ThrottledError) else desk.backoff(1, base_s=base_s)
        return later(job, todo, desk.aws_now() + wait_s, error.message)

    # By the clock

    async def deadlines(self) -> None:
        """Place deadlines on AWS's clock, and act on those that have passed by it."""
        desk = self._desk
        while not desk.draining:
            await wait_for_store(desk, self._deadlines_once)
            await desk.sleep(DEADLINES_S)
            if not self._may_have_deadlines:
                await desk.wake.deadlines.wait(IDLE_S)

    async def _deadlines_once(self) -> bool:
        desk = self._desk
        self._may_have_deadlines = True
        aws_now = desk.clients.aws_now()
        if not self._clock_known:
            await self._bring_forward()
            self._clock_known = aws_now is not None
        if aws_now is None:
            return True
        unplaced, first = await desk.store.deadlines(desk.lane)
        if unplaced:
            jobs = await desk.store.without_deadline(desk.lane, BATCH)
            now = desk.clock.now()
            jumped_s = now - desk.clock.monotonic() - self._wall_ahead_s
            rule = partial(_place_deadline, now=now, jumped_s=jumped_s, aws_now=aws_now)
            await desk.apply([(job.id, rule) for job in jobs])
            unplaced, first = await desk.store.deadlines(desk.lane)
        if first is not None and first <= aws_now:
            jobs = await desk.store.overdue(desk.lane, aws_now, BATCH)
            await desk.apply([(job.id, partial(self._overdue, aws_now=aws_now)) for job in jobs])
        self._may_have_deadlines = unplaced or first is not None
        return True

    async def _bring_forward(self) -> None:
        """What is due later than any wait lasts was put off by a clock of this host's that was ahead: it is due now."""
        desk = self._desk
        now = desk.aws_now()
        beyond = now + max(FAR_S, 2 * desk.settings.reconcile.interval)
        for todo in _PACED_HERE:
            after = beyond
            while jobs := await desk.store.jobs_to(desk.lane, todo, NEVER, BATCH, due_after=after):
                await desk.apply([(job.id, partial(_due, now=now, beyond=beyond)) for job in jobs])
                after = jobs[-1].due_at

    def _overdue(self, job: Job, *, aws_now: float) -> Step | None:
        if not job.awaits_deadline or job.deadline_at is None or job.deadline_at > aws_now:
            return None
        return deadline_passed(job, self._desk.context())

    async def housekeeping(self) -> None:
        """Save what was learned, prune what is old, and begin a new day's spending."""
        desk = self._desk
        saved: dict[str, Any] = {}
        while not desk.draining:
            with anyio.move_on_after(SAVE_S):
                await desk.drain.wait()
            learned = desk.learned.state()
            if learned != saved and await wait_for_store(desk, partial(self._save, learned)):
                saved = learned
            await wait_for_store(desk, self._prune)
            await wait_for_store(desk, self._new_day)

    async def _save(self, learned: Mapping[str, Any]) -> bool:
        await self._desk.write(LaneWrite(self._desk.lane, state=learned))
        return True

    async def _prune(self) -> bool:
        desk = self._desk
        before = desk.aws_now() - desk.settings.store.keep_terminal_s
        while await desk.prune(before):
            pass
        return True

    async def _new_day(self) -> bool:
        desk = self._desk
        day = int(desk.aws_now() // DAY_S)
        allowed = desk.learned.spend.allowed(day)
        if not (desk.paused and is_spent(desk.record.pause_reason)) or allowed == 0:
            return True
        reason = "a new day" if day > desk.learned.spend.day else "creates_per_day allows more"
        async with desk.lock():
            event = desk.lane_event("resumed", {"reason": reason})
            await desk.commit_locked((), events=(event,), paused=False)
        desk.wake.dispatch.set()
        return True


def _due(job: Job, *, now: float, beyond: float) -> Step | None:
    return Step(job).change(due_at=now) if job.todo in _PACED_HERE and job.due_at > beyond else None


def _same_attempt(job: Job, attempt: Attempt) -> bool:
    """Whether the attempt that was asked about still runs.

    A pass may have seen its end while the call was on its way; what the job waits for since then is another matter.
    """
    current = job.current
    return job.phase in AT_AWS and current is not None and current.token == attempt.token


def _forget(job: Job, *, todo: Todo) -> Step | None:
    return Step(job).change(todo=None) if job.todo is todo else None


def _place_deadline(job: Job, *, now: float, jumped_s: float, aws_now: float) -> Step | None:
    """From the job's age. It was accepted by AWS's clock, or by this host's where AWS had not answered yet.

    The latter may have jumped since, or have been set right: of the ages which that leaves possible the
    youngest counts, since a deadline that comes early stops a job which nobody wanted to be stopped.
    """
    wanted = job.wishes.deadline_s
    if wanted is None or job.deadline_at is not None:
        return None
    age = now - job.accepted_at
    possible = (age, age - jumped_s, aws_now - job.accepted_at)
    return Step(job).change(deadline_at=aws_now + wanted - min((each for each in possible if each >= 0), default=0.0))


def _item_errors(body: Mapping[str, Any], batch: Sequence[str]) -> dict[str, AwsError]:
    """The errors of a batch answer by remote id; AWS may name an item by ARN or by its last part."""
    by_short = {remote_id.rpartition("/")[2]: remote_id for remote_id in batch}
    errors: dict[str, AwsError] = {}
    for item in objects_in(body.get("errors")):
        named = str(item.get("jobIdentifier", ""))
        remote_id = by_short.get(named.rpartition("/")[2])
        if remote_id is not None:
            code = fit_text(item.get("code")) or ""
            message = fit_message(item.get("message")) or code
            missing = "NotFound" in code or code == "404"
            errors[remote_id] = MissingError(message, code=code) if missing else NoAnswerError(message, code=code)
    return errors
