"""The shape of a transition, and the rule that decides what a job needs next.

Invariant: a step never loses a happening, numbers them per uid without gaps, and ends with `settle`, so that `todo`
always follows from the rest of the job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final, Protocol

from controller.model import (
    TERMINAL,
    Attempt,
    Desired,
    FailReason,
    Job,
    Parameters,
    Phase,
    Todo,
    WaitReason,
    make_uid,
)

STOP_AGAIN_S_MAX: Final = 60.0


class Abilities(Protocol):
    """What the rules must know of a kind."""

    @property
    def can_stop(self) -> bool: ...
    @property
    def can_delete(self) -> bool: ...
    @property
    def can_list(self) -> bool: ...
    @property
    def repeatable(self) -> bool: ...
    @property
    def quota_keys(self) -> Callable[[Parameters], tuple[str, ...]]: ...
    @property
    def output(self) -> Callable[[Parameters, str | None], tuple[str | None, str | None]]: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What every rule may need besides the job."""

    abilities: Abilities
    now: float
    """Seconds since the epoch."""
    instance: str


@dataclass(frozen=True, slots=True)
class Happening:
    """One event to be: its type without the `ferryman.` prefix, and the job as it was right then."""

    type: str
    job: Job
    previous_phase: Phase | None
    data: Mapping[str, Any] | None = None
    """Instead of the job, where the event tells of something else."""


@dataclass(frozen=True, slots=True)
class Step:
    """A job after a fact, and what happened on the way, oldest first."""

    job: Job
    happenings: tuple[Happening, ...] = ()

    def change(self, **changes: Any) -> "Step":
        """Change fields of the job without an event."""
        return Step(replace(self.job, **changes), self.happenings)

    def say(self, type_: str, previous: Phase | None = None) -> "Step":
        """Record that something happened to the job as it is now."""
        job = replace(self.job, event_sequence=self.job.event_sequence + 1)
        return Step(job, (*self.happenings, Happening(f"job.{type_}", job, previous or job.phase)))

    def refuse_document(self, data: Mapping[str, Any]) -> "Step":
        """Record that a document about the job was rejected; the job itself stays as it is."""
        job = replace(self.job, event_sequence=self.job.event_sequence + 1)
        return Step(job, (*self.happenings, Happening("document.rejected", job, None, data)))

    def move(self, phase: Phase, type_: str | None, **changes: Any) -> "Step":
        """Change the phase, with its event; `None` only for Creating, which has none."""
        before = self.job.phase
        if before in TERMINAL and phase is not Phase.DELETED:
            raise AssertionError(f"{self.job.identity}: {before} is final for an incarnation")
        if type_ is None:
            return self.change(phase=phase, **changes)
        job = replace(self.job, phase=phase, event_sequence=self.job.event_sequence + 1, **changes)
        return Step(job, (*self.happenings, Happening(f"job.{type_}", job, before)))

    def attempt(self, **changes: Any) -> "Step":
        """Change the present attempt."""
        return self.change(attempts=self.attempts_with(**changes))

    def attempts_with(self, **changes: Any) -> tuple[Attempt, ...]:
        """The attempts, with the present one changed: for a change of the job in the same breath."""
        *earlier, current = self.job.attempts
        return (*earlier, replace(current, **changes))


class Goal(Enum):
    """Where a job's document wants it, its deadline and a replacement considered."""

    RUN = auto()
    STOP = auto()
    ABSENT = auto()


def goal_of(job: Job) -> Goal:
    if job.desired is Desired.ABSENT:
        return Goal.ABSENT
    if job.desired is Desired.STOPPED or job.deadline_exceeded or job.next_document is not None:
        return Goal.STOP
    return Goal.RUN


def end(
    step: Step,
    phase: Phase,
    now: float,
    reason: str | None = None,
    message: str | None = None,
    *,
    attempt_ended_at: float | None = None,
) -> Step:
    """Enter a terminal phase; the attempt may have ended before that was seen."""
    if step.job.current is not None and step.job.current.ended_at is None:
        ended_at = now if attempt_ended_at is None else attempt_ended_at
        step = step.attempt(phase=phase, reason=reason, ended_at=ended_at, maybe_sent=False, unknown=False)
    return step.move(
        phase, phase.value.lower(), reason=reason, message=message, ended_at=now, todo=None, missing_since=None
    )


def settle(step: Step, context: Context) -> Step:
    """Decide what the job needs next, and take every step that needs no call."""
    job = step.job
    if job.phase is Phase.PENDING:
        return _settle_pending(step, context)
    if job.phase is Phase.RUNNING:
        return _settle_running(step, context)
    if job.terminal:
        return _settle_terminal(step, context)
    if job.phase is Phase.STOPPING and job.todo not in {Todo.GET, None}:
        return step.change(todo=None)
    return step


def _settle_pending(step: Step, context: Context) -> Step:
    job = step.job
    goal = goal_of(job)
    if goal is Goal.RUN:
        return step.change(todo=Todo.CREATE if job.due_at <= context.now else Todo.DELAY)
    if job.deadline_exceeded and job.desired is Desired.COMPLETED and job.next_document is None:
        ended = end(
            step,
            Phase.FAILED,
            context.now,
            FailReason.DEADLINE_EXCEEDED,
            "the deadline passed before the job was created",
        )
    elif goal is Goal.ABSENT and not _remote_jobs(job):
        ended = end(step, Phase.DELETED, context.now)
    else:
        ended = end(step, Phase.STOPPED, context.now)
    return _settle_terminal(ended, context)


def _settle_running(step: Step, context: Context) -> Step:
    job = step.job
    if goal_of(job) is Goal.RUN:
        return step.change(todo=None) if job.todo is Todo.STOP else step
    if not context.abilities.can_stop:
        return step if job.stop_unsupported else step.change(stop_unsupported=True).say("stop_unsupported")
    if job.todo is Todo.GET:
        return step  # it may have ended; the read comes first, and settles again
    if job.todo is not Todo.STOP:
        return step.change(todo=Todo.STOP, due_at=context.now + _stop_wait_s(job.refusals))
    return step


def _stop_wait_s(refusals: int) -> float:
    """A job that runs on although its stop was refused is stopped again, ever more seldom."""
    return min(STOP_AGAIN_S_MAX, 2.0 ** min(refusals, 10)) if refusals else 0.0


def _settle_terminal(step: Step, context: Context) -> Step:
    job = step.job
    if job.next_document is not None and job.desired is not Desired.ABSENT:
        document = job.next_document
        return begin_incarnation(
            step.change(
                next_document=None,
                spec=document.spec,
                wishes=document.wishes,
                generation=document.generation,
                digest=document.digest,
                desired=document.desired,
            ),
            context,
        )
    if job.phase is Phase.DELETED or job.desired is not Desired.ABSENT:
        return step.change(todo=None)
    if context.abilities.can_delete and _remote_jobs(job):
        return step if job.todo is Todo.DELETE else step.change(todo=Todo.DELETE, due_at=context.now)
    return step.move(Phase.DELETED, "deleted", todo=None)


def begin_incarnation(step: Step, context: Context) -> Step:
    """A new life of the same identity: a new uid, no attempts, the first event of a new stream."""
    old = step.job
    incarnation = old.incarnation + 1
    job = Job(
        id=old.id,
        identity=old.identity,
        uid=make_uid(context.instance, old.identity, incarnation),
        incarnation=incarnation,
        generation=old.generation,
        digest=old.digest,
        desired=old.desired,
        spec=old.spec,
        wishes=old.wishes,
        phase=Phase.PENDING,
        reason=WaitReason.QUEUED,
        accepted_at=context.now,
        quota_keys=context.abilities.quota_keys(old.spec or {}),
        output_uri=context.abilities.output(old.spec, None)[0] if old.spec else None,
        turn=old.turn,
        due_at=context.now,
    )
    begun = Step(job, step.happenings).say("accepted")
    begun = Step(
        begun.job,
        (*begun.happenings[:-1], replace(begun.happenings[-1], previous_phase=None)),
    )
    return settle(begun, context)


def _remote_jobs(job: Job) -> tuple[Attempt, ...]:
    """Attempts whose remote job may still have a record at AWS."""
    return tuple(attempt for attempt in job.attempts if attempt.remote_id and not attempt.deleted)
