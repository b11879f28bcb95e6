"""Intents, and the outcomes of creates.

Invariant: an attempt is `maybe_sent` from its intent until its outcome is known. Once one of its sends ended without
an answer it is `unknown`, and stays so whatever later sends answer, until it is made, adopted, or proved absent. While
it is unknown, nothing but the same attempt, with the same token and name, is ever sent.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from controller.errors import (
    AlreadyKnownError,
    AwsError,
    BusyError,
    DeniedError,
    MissingError,
    QuotaFullError,
    RefusedError,
    ScopeUnavailableError,
    ThrottledError,
)
from controller.model import (
    Attempt,
    FailReason,
    Job,
    Observation,
    OnUncertain,
    Phase,
    Records,
    Todo,
    WaitReason,
    make_remote_name,
    make_token,
)
from controller.transitions.running import fail_attempt, observe
from controller.transitions.step import Abilities, Context, Step, end, settle


@dataclass(frozen=True, slots=True)
class CreatePolicy:
    """Times, in seconds, by which creates are repeated, searched for and given up."""

    token_life_s: float = 3600
    list_lag_s: float = 180
    signature_life_s: float = 300
    denied_tries_max: int = 6
    """Denials in a row, each after a longer wait, until the job fails; together about ten minutes."""


def intend(job: Job, prefix: str, name_length_max: int, now: float) -> Step:
    """Commit to one attempt: the present one where it was surely not made, else a new one."""
    current = job.current
    step = Step(job)
    if current is not None and current.ended_at is None:
        resumed = replace(current, phase=Phase.CREATING, maybe_sent=True, last_send_at=now, scans_without=0)
        attempts = (*job.attempts[:-1], resumed)
    else:
        number = job.attempt + 1
        step = step.change(remote_status=None, records=Records())  # they were the last attempt's
        attempts = (
            *job.attempts,
            Attempt(
                incarnation=job.incarnation,
                number=number,
                token=make_token(job.uid, number),
                remote_name=make_remote_name(prefix, job.uid, number, name_length_max),
                phase=Phase.CREATING,
                created_at=now,
                maybe_sent=True,
                last_send_at=now,
            ),
        )
    return step.move(
        Phase.CREATING, None, attempts=attempts, attempt=attempts[-1].number, reason=None, message=None, todo=None
    )


def withdraw(job: Job, context: Context) -> Step:
    """An intent of this process that was never handed to the network."""
    return _wait(Step(job), WaitReason.QUEUED, None, context.now, context)


def made(job: Job, remote_id: str, context: Context, next_get_at: float | None) -> Step:
    """AWS answered with an id."""
    return settle(_run(Step(job), remote_id, context, "created", next_get_at), context)


def adopt(
    step: Step,
    observation: Observation,
    context: Context,
    *,
    said: str = "adopted",
    next_get_at: float | None = None,
) -> Step:
    """An unknown create was found at AWS, or a person named it."""
    if next_get_at is None and not context.abilities.can_list:
        next_get_at = context.now  # nothing but a Get will ever tell of it
    running = _run(step, observation.remote_id, context, said, next_get_at)
    if not observation.status:  # found by a tag, which says nothing of the status
        return settle(running, context)
    return observe(running.job, observation, context, next_get_at=next_get_at, before=running)


def _run(step: Step, remote_id: str, context: Context, said: str, next_get_at: float | None) -> Step:
    uri, manifest = context.abilities.output(step.job.spec or {}, remote_id)
    attempts = step.attempts_with(
        phase=Phase.RUNNING, remote_id=remote_id, maybe_sent=False, unknown=False, conflicted=False, ended_at=None
    )
    return step.move(
        Phase.RUNNING,
        said,
        attempts=attempts,
        reason=None,
        message=None,
        refusals=0,
        output_uri=uri,
        output_manifest=manifest,
        todo=Todo.GET if next_get_at is not None else None,
        due_at=next_get_at if next_get_at is not None else context.now,
    )


def refused(job: Job, error: AwsError, context: Context, policy: CreatePolicy, backoff_s: float) -> Step:
    """A send of the present attempt ended in an error; `backoff_s` is the wait before this job's next try."""
    step = Step(job)
    current = job.current
    unknown = not error.definite or (current is not None and current.unknown)
    if isinstance(error, AlreadyKnownError):
        return step.attempt(unknown=True, conflicted=True).change(todo=Todo.RESOLVE, due_at=context.now)
    if unknown:
        tries = (current.resolve_tries if current else 0) + 1
        return step.attempt(unknown=True, resolve_tries=tries).change(
            todo=Todo.RESOLVE, due_at=context.now + backoff_s, message=error.message
        )
    if isinstance(error, RefusedError | MissingError):
        return settle(
            fail_attempt(step.attempt(maybe_sent=False), FailReason.CREATE_REFUSED, error.message, context.now),
            context,
        )
    return _not_made(step, error, context, policy, backoff_s)


def _not_made(
    step: Step,
    error: AwsError,
    context: Context,
    policy: CreatePolicy,
    backoff_s: float,
) -> Step:
    if isinstance(error, ThrottledError):
        return _wait(step, WaitReason.RATE_LIMITED, None, context.now, context)
    if isinstance(error, QuotaFullError):
        return _wait(step, WaitReason.QUOTA_FULL, error.message, context.now, context)
    if isinstance(error, ScopeUnavailableError):
        return _wait(step, WaitReason.SCOPE_UNAVAILABLE, error.message, context.now, context)
    if isinstance(error, DeniedError):
        refusals = step.job.refusals + 1
        step = step.change(refusals=refusals)
        if refusals >= policy.denied_tries_max:
            failed = fail_attempt(step.attempt(maybe_sent=False), FailReason.ACCESS_DENIED, error.message, context.now)
            return settle(failed, context)
        return _wait(step, WaitReason.ACCESS_DENIED, error.message, context.now + backoff_s, context)
    tries = (step.job.current.resolve_tries if step.job.current else 0) + 1
    step = step.attempt(resolve_tries=tries).change(refusals=0)  # denials count in a row
    message = error.message if isinstance(error, BusyError) else f"AWS could not be reached: {error.message}"
    return _wait(step, WaitReason.BACKOFF, message, context.now + backoff_s, context)


def _wait(
    step: Step,
    reason: WaitReason,
    message: str | None,
    due_at: float,
    context: Context,
) -> Step:
    step = step.attempt(phase=Phase.PENDING, maybe_sent=False)
    step = step.move(Phase.PENDING, None, reason=reason, message=message, due_at=due_at, todo=None)
    return settle(step, context)


class Resolving(Enum):
    """What to do next about an unknown create."""

    SEND_AGAIN = auto()
    SEARCH_LIST = auto()
    SEARCH_TAG = auto()


def resolving(job: Job, abilities: Abilities, policy: CreatePolicy, now: float) -> Resolving:
    """Choose, by AWS's clock, how to learn what became of the present attempt.

    A token is trusted for an hour. A name that must be unique stops a second job for ever, but whoever only sends again
    never learns that nothing was made: a refusal after a lost answer proves nothing, two scans do.
    """
    current = job.current
    if not abilities.repeatable or current is None:
        return Resolving.SEARCH_TAG
    if current.conflicted:
        return Resolving.SEARCH_LIST
    young = now - current.created_at < policy.token_life_s
    proved_absent = current.scans_without >= SCANS_WANTED
    return Resolving.SEND_AGAIN if young or proved_absent else Resolving.SEARCH_LIST


UNCERTAIN_ATTEMPTS_MAX = 3
"""With `onUncertain: retry`: attempts after which even such a job holds, where its own `retry` allows no more."""
SCANS_WANTED = 2
"""Complete scans without a remote job before its absence is believed."""


def sending_again(job: Job, now: float) -> Step:
    """The same attempt goes out once more: from now on it may exist again."""
    return Step(job).attempt(last_send_at=now, scans_without=0).change(todo=None)


def not_in_list(job: Job, context: Context, policy: CreatePolicy, scan_began_at: float) -> Step:
    """A complete scan did not show the present attempt. Times by AWS's clock."""
    current = job.current
    if current is None:
        return Step(job)
    settled_at = (current.last_send_at or current.created_at) + policy.list_lag_s + policy.signature_life_s
    scans = current.scans_without
    if scans == 0 or scan_began_at >= settled_at:
        scans += 1
    step = Step(job).attempt(scans_without=scans)
    if scans < SCANS_WANTED:
        again = max(settled_at, context.now + 1) if scans else context.now + policy.list_lag_s / 10
        return step.change(todo=Todo.RESOLVE, due_at=again)
    if current.conflicted:
        return _uncertain(step, "AWS says that the token or name is known, but no scan shows its owner", context)
    # Proved absent: it waits for its turn as if it had never been sent, and ends where nobody wants it any more.
    return _wait(step.attempt(unknown=False), WaitReason.QUEUED, None, context.now, context)


def not_tagged(job: Job, context: Context, policy: CreatePolicy, backoff_s: float) -> Step:
    """The tagging API does not show the present attempt; silence proves nothing."""
    current = job.current
    sent_at = (current.last_send_at or current.created_at) if current else context.now
    visible_at = sent_at + policy.list_lag_s
    if job.wishes.on_uncertain is OnUncertain.RETRY:
        visible_at += policy.signature_life_s  # a request still under way must not become a second job
    if context.now < visible_at:
        tries = current.resolve_tries + 1 if current else 0
        due_at = min(context.now + backoff_s, visible_at)
        return Step(job).attempt(resolve_tries=tries).change(todo=Todo.RESOLVE, due_at=due_at)
    return _uncertain(Step(job), "the reply to the create was lost, and no tag shows whether it was made", context)


def _uncertain(step: Step, message: str, context: Context) -> Step:
    step = step.attempt(phase=Phase.UNCERTAIN)
    step = step.move(Phase.UNCERTAIN, "uncertain", message=message, todo=None)
    wishes = step.job.wishes
    attempts_max = max(wishes.retry.attempts, UNCERTAIN_ATTEMPTS_MAX)
    if wishes.on_uncertain is OnUncertain.HOLD or step.job.attempt >= attempts_max:
        return step
    return settle(new_attempt_wanted(step, context.now, "retrying"), context)


def new_attempt_wanted(step: Step, now: float, said: str) -> Step:
    """Leave an uncertain attempt behind; the next intent has a new number."""
    step = step.attempt(phase=Phase.UNCERTAIN, reason="Uncertain", ended_at=now, maybe_sent=False, unknown=False)
    return step.move(Phase.PENDING, said, reason=WaitReason.QUEUED, message=None, due_at=now, todo=None)


def name_taken(job: Job, message: str, context: Context) -> Step:
    """What carries our name or token is not ours: never adopted, never created again."""
    return settle(end(Step(job), Phase.FAILED, context.now, FailReason.NAME_TAKEN, message), context)


def found_at_start(job: Job, now: float) -> Step:
    """An intent whose process died: nobody knows whether it was sent."""
    return Step(job).attempt(unknown=True).change(todo=Todo.RESOLVE, due_at=now)
