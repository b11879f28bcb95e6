"""Documents and commands: what users want, applied to what there is.

Invariant: an older document never undoes a newer one; an identical one changes nothing; no document and no command
begins a remote job while an earlier one of the same identity may still be running.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from controller.documents import spec_digest
from controller.model import (
    Desired,
    Document,
    Job,
    Observation,
    OnSpecChange,
    Phase,
    Stub,
    Todo,
    WaitReason,
    Wishes,
    make_uid,
)
from controller.transitions.creating import adopt, new_attempt_wanted
from controller.transitions.step import Context, Step, begin_incarnation, end, settle


class Answer(StrEnum):
    """What a sender hears of a document or command."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    IGNORED = "ignored"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Verdict:
    answer: Answer
    message: str
    step: Step | None = None
    """None where nothing is to be written."""


def apply_document(known: Job | Stub | None, document: Document, context: Context) -> Verdict:
    """Judge one document against the job, or what is left of it, by the table desired x phase."""
    if known is None:
        return _accept_new(document, context, incarnation=1)
    if document.digest == known.digest and (isinstance(known, Stub) or known.next_document is None):
        return Verdict(Answer.UNCHANGED, f"identical to the last applied document{_how_again(known, document)}")
    if isinstance(known, Job) and known.next_document is not None and document.digest == known.next_document.digest:
        return Verdict(Answer.UNCHANGED, "identical to the document that waits for the present job to end")
    generation = known.generation
    if isinstance(known, Job) and known.next_document is not None:
        generation = known.next_document.generation
    if not _newer(document.generation, generation):
        return Verdict(Answer.IGNORED, _why_older(document.generation, generation))
    if isinstance(known, Stub):
        return _apply_to_stub(known, document, context)
    return _apply_to_job(known, document, context)


def _how_again(known: Job | Stub, document: Document) -> str:
    """What a sender must hear whose document wants a job that was stopped or deleted since."""
    if document.desired is not Desired.COMPLETED or known.phase not in {Phase.DELETED, Phase.STOPPED}:
        return ""
    retry = " (or use `ferryman retry`)" if isinstance(known, Job) and known.phase is Phase.STOPPED else ""
    return f"; the job is {known.phase}: {_higher(known.generation)} to run it again{retry}"


def _higher(generation: int | None) -> str:
    """The one change to a document that makes it newer, whatever its spec."""
    return "give the document a generation" + ("" if generation is None else f" above {generation}")


def _newer(generation: int | None, applied: int | None) -> bool:
    if applied is None:
        return True
    return generation is not None and generation > applied


def _why_older(generation: int | None, applied: int | None) -> str:
    if generation is None:
        return f"it has no generation, and generation {applied} was applied: give a higher one"
    if generation == applied:
        return f"generation {applied} was already applied with other content: give a higher one"
    return f"generation {generation} is older than the applied {applied}"


def _accept_new(document: Document, context: Context, incarnation: int) -> Verdict:
    job = Job(
        id=0,
        identity=document.identity,
        uid=make_uid(context.instance, document.identity, incarnation),
        incarnation=incarnation,
        generation=document.generation,
        digest=document.digest,
        desired=document.desired,
        spec=document.spec,
        wishes=document.wishes,
        phase=Phase.PENDING,
        reason=WaitReason.QUEUED,
        accepted_at=context.now,
        quota_keys=context.abilities.quota_keys(document.spec or {}),
        output_uri=context.abilities.output(document.spec, None)[0] if document.spec else None,
        due_at=context.now,
    )
    step = Step(job).say("accepted")
    step = Step(step.job, (replace(step.happenings[0], previous_phase=None),))
    return Verdict(Answer.ACCEPTED, "accepted", settle(step, context))


def _apply_to_stub(stub: Stub, document: Document, context: Context) -> Verdict:
    """A pruned job is terminal; only what would begin a new incarnation brings it back."""
    if document.desired is not Desired.COMPLETED:
        if stub.phase is Phase.DELETED or document.desired is Desired.STOPPED:
            return Verdict(Answer.UNCHANGED, f"the job has ended {stub.phase} and was pruned")
        return _accept_new(replace(document, spec=None), context, stub.incarnation + 1)
    changed = document.spec is not None and spec_digest(document.spec) != stub.spec_digest
    if stub.phase is Phase.DELETED:
        return _accept_new(document, context, stub.incarnation + 1)
    if changed and stub.spec_digest and document.on_spec_change is OnSpecChange.REJECT:
        return Verdict(Answer.REJECTED, _spec_changed(stub.phase))
    if changed or stub.phase is Phase.STOPPED:
        return _accept_new(document, context, stub.incarnation + 1)
    return Verdict(Answer.UNCHANGED, f"the job has ended {stub.phase} and was pruned")


def _spec_changed(phase: Phase) -> str:
    return (
        f"spec differs from that of the {phase} job of this name: use another name, or onSpecChange: replace"
        " to run it again"
    )


def _apply_to_job(job: Job, document: Document, context: Context) -> Verdict:
    if document.desired is not Desired.COMPLETED:
        return _apply_end(job, document, context)
    changed = job.spec is not None and document.spec != job.spec
    if job.terminal:
        return _revive(job, document, context, changed=changed)
    if not changed or _before_first_intent(job):
        return _update(job, document, context)
    if document.on_spec_change is OnSpecChange.REJECT:
        return Verdict(Answer.REJECTED, _spec_changed(job.phase))
    step = Step(replace(job, next_document=document, wishes=document.wishes, desired=Desired.COMPLETED)).say("updated")
    message = _once_resolved(job) or "replaces the present job once that has ended"
    return Verdict(Answer.ACCEPTED, message, settle(step, context))


def _before_first_intent(job: Job) -> bool:
    return job.phase is Phase.PENDING and job.attempt == 0


def _apply_end(job: Job, document: Document, context: Context) -> Verdict:
    """Stopped or Absent: the document's spec, if it has one, does not matter."""
    wished = replace(
        job,
        desired=document.desired,
        generation=document.generation,
        digest=document.digest,
        next_document=None,
    )
    if job.terminal and (document.desired is Desired.STOPPED or job.phase is Phase.DELETED):
        return Verdict(Answer.UNCHANGED, f"the job has ended {job.phase}", Step(wished))
    if not job.terminal:
        wished = _placed_again(replace(wished, wishes=_wishes_kept(job, document)), job)
    return Verdict(Answer.ACCEPTED, "accepted", settle(Step(wished).say("updated"), context))


def _wishes_kept(job: Job, document: Document) -> Wishes:
    return document.wishes if document.spec is not None else job.wishes


def _update(job: Job, document: Document, context: Context) -> Verdict:
    spec = document.spec if _before_first_intent(job) else job.spec
    updated = replace(
        job,
        desired=document.desired,
        spec=spec,
        wishes=document.wishes,
        generation=document.generation,
        digest=document.digest,
        next_document=None,
        quota_keys=context.abilities.quota_keys(spec or {}),
        output_uri=job.output_uri if job.attempt else context.abilities.output(spec or {}, None)[0],
    )
    updated = _placed_again(updated, job)
    return Verdict(Answer.ACCEPTED, "updated", settle(Step(updated).say("updated"), context))


def _placed_again(updated: Job, before: Job) -> Job:
    """Another deadline counts at once, and one that has passed no more; but a stop that was sent keeps its reason."""
    if updated.wishes.deadline_s == before.wishes.deadline_s:
        return updated
    exceeded = before.deadline_exceeded and before.phase is Phase.STOPPING
    return replace(updated, deadline_at=None, deadline_exceeded=exceeded)


def _revive(job: Job, document: Document, context: Context, *, changed: bool) -> Verdict:
    """A newer document that wants a job which has ended."""
    wished = replace(
        job,
        desired=document.desired,
        generation=document.generation,
        digest=document.digest,
        spec=document.spec,
        wishes=document.wishes,
    )
    if job.phase is Phase.DELETED:
        return Verdict(Answer.ACCEPTED, "runs again", begin_incarnation(Step(wished), context))
    if changed and document.on_spec_change is OnSpecChange.REJECT:
        return Verdict(Answer.REJECTED, _spec_changed(job.phase))
    if changed or job.phase is Phase.STOPPED:
        return Verdict(Answer.ACCEPTED, "runs again", begin_incarnation(Step(wished), context))
    kept = replace(job, generation=document.generation, digest=document.digest)
    if job.desired is Desired.ABSENT:
        # The older document was not carried out yet, and the newer one wants what there is.
        step = Step(replace(kept, desired=Desired.COMPLETED)).say("updated")
        return Verdict(Answer.ACCEPTED, f"the job has ended {job.phase}, and is kept", settle(step, context))
    return Verdict(Answer.UNCHANGED, f"the job has ended {job.phase}", Step(kept))


# Commands. They change what is wanted, and have no generation or digest: a redelivered document stays `unchanged`.


def _called_off(job: Job) -> Job:
    """Without the document that waits for its end. It was applied all the same: delivered again, it must not run."""
    waiting = job.next_document
    if waiting is None:
        return job
    return replace(job, next_document=None, generation=waiting.generation, digest=waiting.digest)


def command_stop(job: Job, context: Context) -> Verdict:
    if job.terminal:
        return Verdict(Answer.UNCHANGED, f"the job has ended {job.phase}")
    if job.desired is not Desired.COMPLETED:
        return Verdict(Answer.UNCHANGED, "it is being stopped already")
    step = Step(replace(_called_off(job), desired=Desired.STOPPED)).say("updated")
    return Verdict(Answer.ACCEPTED, _once_resolved(job) or "stopping", settle(step, context))


def command_delete(job: Job, context: Context) -> Verdict:
    if job.phase is Phase.DELETED or job.desired is Desired.ABSENT:
        return Verdict(Answer.UNCHANGED, "it is deleted, or being deleted, already")
    step = Step(replace(_called_off(job), desired=Desired.ABSENT)).say("updated")
    return Verdict(Answer.ACCEPTED, _once_resolved(job) or "deleting", settle(step, context))


def _once_resolved(job: Job) -> str:
    """What a person must hear who orders something that waits for another order."""
    waits = job.phase is Phase.UNCERTAIN
    return "its create is uncertain: done once `ferryman resolve` says what became of it" if waits else ""


def command_retry(job: Job, context: Context) -> Verdict:
    """Failed or Stopped: a new incarnation. Waiting in a backoff: now."""
    if job.phase in {Phase.FAILED, Phase.STOPPED} and job.spec is not None and job.desired is not Desired.ABSENT:
        wished = Step(replace(job, desired=Desired.COMPLETED))
        return Verdict(Answer.ACCEPTED, "runs again", begin_incarnation(wished, context))
    if job.phase is Phase.PENDING and job.todo is Todo.DELAY:
        waiting = replace(job, due_at=context.now, reason=WaitReason.QUEUED, message=None)
        return Verdict(Answer.ACCEPTED, "goes on now", settle(Step(waiting), context))
    if job.phase is Phase.UNCERTAIN:
        return Verdict(Answer.REJECTED, "its create is uncertain: use `ferryman resolve` to say what became of it")
    if job.terminal and job.desired is Desired.ABSENT:
        state = "it is deleted" if job.phase is Phase.DELETED else "it is being deleted"
        return Verdict(Answer.REJECTED, f"{state}: {_higher(job.generation)} to run it again")
    if job.terminal and job.spec is None:
        return Verdict(Answer.REJECTED, "it never had a spec: send a document with one")
    return Verdict(Answer.REJECTED, f"a {job.phase} job cannot be retried; only Failed and Stopped ones can")


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person says of an uncertain create: exactly one of the three."""

    observation: Observation | None = None
    """The remote job is this one, as a Get has just shown it."""
    retry: bool = False
    fail: bool = False


def command_resolve(job: Job, resolution: Resolution, context: Context) -> Verdict:
    if job.phase is not Phase.UNCERTAIN:
        return Verdict(Answer.REJECTED, f"the job is {job.phase}, not Uncertain")
    if resolution.observation is not None:
        step = adopt(Step(job), resolution.observation, context, said="resolved")
        return Verdict(Answer.ACCEPTED, "adopted", step)
    if resolution.retry:
        return Verdict(
            Answer.ACCEPTED,
            "runs again",
            settle(new_attempt_wanted(Step(job), context.now, "resolved"), context),
        )
    failed = end(Step(job).say("resolved"), Phase.FAILED, context.now, "Lost", "a person said that the create failed")
    return Verdict(Answer.ACCEPTED, "failed", settle(failed, context))
