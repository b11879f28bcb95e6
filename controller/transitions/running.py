"""What AWS shows of a remote job, and what follows: progress, ends, stops, deletes, loss.

Invariant: a job ends only on what AWS said of its own remote id; silence ends nothing before two complete passes, a
grace period and a Get agree. Times are by the clock of AWS; only their differences matter.
"""

from dataclasses import dataclass, replace
from typing import Final

from controller.model import (
    AT_AWS,
    FINISHED,
    NEVER_RETRIED,
    Desired,
    FailReason,
    Job,
    Observation,
    Partial,
    Phase,
    Records,
    Standing,
    Todo,
    WaitReason,
)
from controller.transitions.step import Context, Goal, Step, end, goal_of, settle

PROGRESS_SHARE: Final = 0.05
"""Share of a job's records that is worth an event."""

_FAILURES: Final = {
    Standing.FAILED: FailReason.JOB_FAILED,
    Standing.EXPIRED: FailReason.EXPIRED,
    Standing.SERVICE_ERROR: FailReason.SERVICE_ERROR,
    Standing.CLIENT_ERROR: FailReason.CLIENT_ERROR,
    Standing.PARTIAL: FailReason.PARTIAL,
}


def worth_writing(job_status: str | None, job_records: Records, phase: Phase, observation: Observation) -> bool:
    """Whether an observation changes anything; the pages of a pass are full of those that do not."""
    if observation.status != job_status or phase is Phase.CREATING or observation.standing in FINISHED:
        return True
    return _advanced(job_records, observation.records)


def _advanced(before: Records, after: Records | None) -> bool:
    if after is None or after == before:
        return False
    if before.total != after.total:
        return True
    return after.processed - before.processed >= max(1, PROGRESS_SHARE * after.total)


def observe(
    job: Job,
    observation: Observation,
    context: Context,
    *,
    next_get_at: float | None = None,
    detail_wanted: bool = False,
    before: Step | None = None,
) -> Step:
    """Mirror what AWS shows of the present remote job.

    `next_get_at` is when a kind without List is read again; `detail_wanted` says that a Get must confirm the end.
    """
    step = before or Step(job)
    if step.job.phase not in AT_AWS:
        return step
    step = step.change(failing_gets=0, missing_since=None, missing_passes=0, message=None)
    if observation.standing in FINISHED and detail_wanted:
        return step.change(todo=Todo.GET, due_at=context.now)
    step = _mirror(step, observation, context.now)
    if observation.standing in FINISHED:
        return settle(_conclude(step, observation, context.now), context)
    if step.job.todo is Todo.GET:
        again = next_get_at is not None
        step = step.change(todo=Todo.GET if again else None, due_at=next_get_at if again else step.job.due_at)
    return settle(step, context)


def _mirror(step: Step, observation: Observation, now: float) -> Step:
    job = step.job
    status_changed = observation.status != job.remote_status
    records_advanced = _advanced(job.records, observation.records)
    finished = observation.standing in FINISHED
    records = observation.records or job.records
    changed = step.change(
        remote_status=observation.status, records=records if finished or records_advanced else job.records
    )
    if observation.standing is Standing.STOPPING and job.phase is Phase.RUNNING:
        return changed.attempt(phase=Phase.STOPPING).move(Phase.STOPPING, "stopping", todo=None)
    if finished:
        return changed
    if observation.standing in {Standing.WORKING, Standing.UNKNOWN} and job.started_at is None:
        return changed.change(started_at=now).say("running")
    return changed.say("progress") if status_changed or records_advanced else changed


def _conclude(step: Step, observation: Observation, now: float) -> Step:
    standing, message = observation.standing, observation.message
    job = step.job
    ended_at = _ended_at(job, observation, now)
    if standing is Standing.COMPLETED:
        return end(step, Phase.SUCCEEDED, now, message=message, attempt_ended_at=ended_at)
    if standing is Standing.PARTIAL and job.wishes.partial is Partial.SUCCESS:
        return end(step.change(partial=True), Phase.SUCCEEDED, now, message=message, attempt_ended_at=ended_at)
    if standing is Standing.STOPPED:
        if job.deadline_exceeded and job.desired is Desired.COMPLETED and job.next_document is None:
            text = "the deadline passed, and the job was stopped"
            return end(step, Phase.FAILED, now, FailReason.DEADLINE_EXCEEDED, text, attempt_ended_at=ended_at)
        return end(step, Phase.STOPPED, now, message=message, attempt_ended_at=ended_at)
    partial = standing is Standing.PARTIAL
    return fail_attempt(step.change(partial=partial), _FAILURES[standing], message, now, ended_at=ended_at)


def _ended_at(job: Job, observation: Observation, now: float) -> float:
    """When the remote job ended: as AWS says, as far as that can be; else now, when the end was seen."""
    began_at = job.current.created_at if job.current is not None else now
    return now if observation.ended_at is None else min(max(observation.ended_at, began_at), now)


def fail_attempt(
    step: Step, reason: FailReason, message: str | None, now: float, *, ended_at: float | None = None
) -> Step:
    """The present attempt failed: again after the backoff where the document allows it, else the job fails.

    `ended_at` is when its remote job ended; None: now.
    """
    job = step.job
    retry = job.wishes.retry
    again = (
        goal_of(job) is Goal.RUN
        and job.attempt < retry.attempts
        and reason in retry.reasons
        and reason not in NEVER_RETRIED
    )
    if not again:
        return end(step, Phase.FAILED, now, reason, message, attempt_ended_at=ended_at)
    ended_at = now if ended_at is None else ended_at
    step = step.attempt(phase=Phase.FAILED, reason=reason, ended_at=ended_at, maybe_sent=False, unknown=False)
    return step.move(
        Phase.PENDING,
        "retrying",
        reason=WaitReason.BACKOFF,
        message=message,
        due_at=now + retry.backoff_s,
        todo=None,
        refusals=0,
        started_at=None,
        stop_sent_at=None,
        stop_unsupported=False,
        partial=False,
    )


def stop_accepted(job: Job, context: Context) -> Step:
    """AWS took the stop."""
    if job.phase is not Phase.RUNNING:
        return Step(job).change(stop_sent_at=context.now, todo=None)
    step = Step(job).attempt(phase=Phase.STOPPING)
    step = step.move(Phase.STOPPING, "stopping", stop_sent_at=context.now, todo=None, message=None)
    return settle(step, context)


def stop_refused(job: Job, at: float) -> Step:
    """AWS did not take the stop: it has finished, perhaps, which a Get will tell; if not, it is stopped again later."""
    return Step(job).change(todo=Todo.GET, due_at=at, refusals=job.refusals + 1)


def read_again(job: Job, at: float) -> Step:
    """Something about the remote job is unclear, or it has finished: a Get will tell."""
    return Step(job).change(todo=Todo.GET, due_at=at)


def later(job: Job, todo: Todo, at: float, message: str) -> Step:
    """A call about the job failed; the same again, at a later time."""
    return Step(job).change(todo=todo, due_at=at, message=message)


def deadline_passed(job: Job, context: Context) -> Step:
    """Its deadline is over, by AWS's clock: acts as a stop."""
    return settle(Step(job).change(deadline_exceeded=True), context)


def deleted(job: Job, remote_ids: frozenset[str], context: Context) -> Step:
    """AWS deleted, or no longer knows, these remote jobs."""
    step = Step(job)
    attempts = tuple(
        replace(attempt, deleted=True) if attempt.remote_id in remote_ids else attempt for attempt in job.attempts
    )
    return settle(step.change(attempts=attempts, todo=None), context)


@dataclass(frozen=True, slots=True)
class LossPolicy:
    grace_s: float = 360
    """How long a remote job must have been missing before it counts as lost."""
    passes: int = 2
    """Complete passes in a row that must not show it, where the kind can be listed."""


def not_in_pass(job: Job, now: float, policy: LossPolicy) -> Step | None:
    """A complete pass did not show a job that was running before it and still is: a mark, and a Get unless one is due.

    None: as many passes agree as are asked for, and the Get is all that is waited for.
    """
    waits_for_get = job.todo is Todo.GET
    if waits_for_get and job.missing_passes >= policy.passes:
        return None
    return Step(job).change(
        missing_since=job.missing_since if job.missing_since is not None else now,
        missing_passes=job.missing_passes + 1,
        todo=Todo.GET,
        due_at=job.due_at if waits_for_get else now,
    )


def get_missed(job: Job, context: Context, policy: LossPolicy, backoff_s: float) -> Step:
    """A Get answered that the remote job does not exist."""
    since = job.missing_since if job.missing_since is not None else context.now
    step = Step(job).change(missing_since=since, failing_gets=job.failing_gets + 1)
    passes_agree = not context.abilities.can_list or job.missing_passes >= policy.passes
    if passes_agree and context.now - since >= policy.grace_s:
        lost = end(step, Phase.FAILED, context.now, FailReason.LOST, "AWS no longer knows the remote job")
        return settle(lost, context)
    return step.change(todo=Todo.GET, due_at=context.now + backoff_s)
