"""The rules by which a job moves, as tables: every row is a fact and what follows from it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.documents import Policy, digest_of, read_document, spec_digest
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
from controller.kinds import KINDS
from controller.model import (
    Desired,
    Document,
    Job,
    Observation,
    Phase,
    Records,
    Standing,
    Stub,
    Todo,
    make_remote_name,
    make_token,
    make_uid,
)
from controller.transitions.creating import (
    CreatePolicy,
    Resolving,
    adopt,
    found_at_start,
    intend,
    made,
    name_taken,
    not_in_list,
    not_tagged,
    refused,
    resolving,
    sending_again,
    withdraw,
)
from controller.transitions.running import (
    LossPolicy,
    deadline_passed,
    deleted,
    get_missed,
    later,
    not_in_pass,
    observe,
    read_again,
    stop_accepted,
    stop_refused,
    worth_writing,
)
from controller.transitions.step import Context, Step
from controller.transitions.wanting import (
    Answer,
    Resolution,
    Verdict,
    apply_document,
    command_delete,
    command_resolve,
    command_retry,
    command_stop,
)
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, document

NOW = 1_800_000_000.0
POLICY = CreatePolicy()
ANY = Policy(scopes={"default": frozenset()})
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"


def context(kind: str = BATCH, now: float = NOW) -> Context:
    return Context(KINDS[kind], now, "instance")


def doc(kind: str = BATCH, number: int = 0, **members: Any) -> Document:
    raw = document(kind, "job", number, **members)
    if raw.get("spec") is None:
        del raw["spec"]
    read = read_document(raw, KINDS, ANY)
    assert isinstance(read, Document), read.problems
    return read


def pending(kind: str = BATCH, **members: Any) -> Job:
    step = apply_document(None, doc(kind, **members), context(kind)).step
    assert step is not None
    return replace(step.job, id=1)


def creating(kind: str = BATCH, **members: Any) -> Job:
    return intend(pending(kind, **members), "job", 63, NOW).job


def running(kind: str = BATCH, **members: Any) -> Job:
    return made(creating(kind, **members), ARN, context(kind), None).job


def seen(status: str, standing: Standing, **members: Any) -> Observation:
    return Observation(remote_id=ARN, status=status, standing=standing, **members)


def ended(status: str, standing: Standing, kind: str = BATCH, **members: Any) -> Job:
    return observe(running(kind, **members), seen(status, standing), context(kind)).job


def types(step: Step | None) -> list[str]:
    assert step is not None
    return [happening.type.removeprefix("job.") for happening in step.happenings]


# Identifiers


def test_identifiers_are_the_same_in_every_release() -> None:
    uid = make_uid("instance", pending().identity, 1)
    assert uid == "yixl4jjdq5524hvi"
    assert make_token(uid, 2) == "yixl4jjdq5524hvi-2"
    assert make_remote_name("x" * 80, uid, 12, 63) == "x" * 51 + "-yixl4jjd-12"
    assert make_remote_name("night.-", uid, 1, 63) == "night-yixl4jjd-1"


def test_a_new_incarnation_has_another_uid() -> None:
    job = ended("Failed", Standing.FAILED)
    step = command_retry(job, context()).step
    assert step is not None
    assert step.job.uid != job.uid
    assert (step.job.incarnation, step.job.attempt, step.job.attempts) == (2, 0, ())
    assert step.happenings[-1].job.event_sequence == 1


# Documents


@pytest.mark.parametrize(
    ("applied", "arrives", "answer"),
    [
        pytest.param({}, {}, Answer.UNCHANGED, id="identical"),
        pytest.param({"generation": 7}, {"generation": 7}, Answer.UNCHANGED, id="identical generation"),
        pytest.param({"generation": 7}, {"generation": 6}, Answer.IGNORED, id="older generation"),
        pytest.param({"generation": 7}, {}, Answer.IGNORED, id="none is older than any"),
        pytest.param({"generation": 7}, {"generation": 7, "priority": 1}, Answer.IGNORED, id="same, other content"),
        pytest.param({"generation": 7}, {"generation": 8}, Answer.ACCEPTED, id="newer generation"),
        pytest.param({}, {"generation": 1}, Answer.ACCEPTED, id="any is newer than none"),
        pytest.param({}, {"priority": 3}, Answer.ACCEPTED, id="later arrival"),
    ],
)
def test_order_of_documents(applied: dict[str, Any], arrives: dict[str, Any], answer: Answer) -> None:
    assert apply_document(pending(**applied), doc(**arrives), context()).answer is answer


def test_wishes_apply_at_once_while_it_runs() -> None:
    verdict = apply_document(running(), doc(priority=5, group="b", labels={"a": "1"}), context())
    assert types(verdict.step) == ["updated"]
    assert verdict.step is not None
    assert (verdict.step.job.wishes.priority, verdict.step.job.wishes.group) == (5, "b")
    assert verdict.step.job.phase is Phase.RUNNING


def test_a_changed_spec_before_the_first_intent_replaces_it() -> None:
    verdict = apply_document(pending(), doc(number=3), context())
    assert verdict.step is not None
    assert verdict.step.job.spec == doc(number=3).spec
    assert verdict.step.job.quota_keys == ("anthropic.claude-3-haiku-20240307-v1:0",)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(creating(), id="Creating"),
        pytest.param(running(), id="Running"),
        pytest.param(ended("Completed", Standing.COMPLETED), id="Succeeded"),
        pytest.param(ended("Failed", Standing.FAILED), id="Failed"),
        pytest.param(ended("Stopped", Standing.STOPPED), id="Stopped"),
    ],
)
def test_a_changed_spec_after_the_first_intent_is_rejected(job: Job) -> None:
    verdict = apply_document(job, doc(number=3), context())
    assert (verdict.answer, verdict.step) == (Answer.REJECTED, None)


def test_replace_stops_the_job_and_then_begins_a_new_incarnation() -> None:
    verdict = apply_document(running(), doc(number=3, onSpecChange="replace"), context())
    assert verdict.step is not None
    stopping = stop_accepted(verdict.step.job, context()).job
    step = observe(stopping, seen("Stopped", Standing.STOPPED), context())
    assert types(step) == ["stopped", "accepted"]
    assert (step.job.incarnation, step.job.phase, step.job.spec) == (2, Phase.PENDING, doc(number=3).spec)
    assert step.job.digest == doc(number=3, onSpecChange="replace").digest


def test_replace_where_the_api_cannot_stop_waits_for_the_end() -> None:
    newer = doc(RECOMMENDATION, number=3, onSpecChange="replace")
    verdict = apply_document(running(RECOMMENDATION), newer, context(RECOMMENDATION))
    assert types(verdict.step) == ["updated", "stop_unsupported"]
    assert verdict.step is not None
    step = observe(verdict.step.job, seen("ACTIVE", Standing.COMPLETED), context(RECOMMENDATION))
    assert types(step) == ["succeeded", "accepted"]


# The table desired x phase

NEVER_CREATED = pending()


@pytest.mark.parametrize(
    ("job", "desired", "kind", "phase", "todo", "said"),
    [
        pytest.param(None, "Stopped", BATCH, Phase.STOPPED, None, ["accepted", "stopped"], id="Stopped: unknown"),
        pytest.param(None, "Absent", BATCH, Phase.DELETED, None, ["accepted", "deleted"], id="Absent: unknown"),
        pytest.param(
            pending(), "Stopped", BATCH, Phase.STOPPED, None, ["updated", "stopped"], id="Stopped: never made"
        ),
        pytest.param(pending(), "Absent", BATCH, Phase.DELETED, None, ["updated", "deleted"], id="Absent: never made"),
        pytest.param(running(), "Stopped", BATCH, Phase.RUNNING, Todo.STOP, ["updated"], id="Stopped: running"),
        pytest.param(running(), "Absent", BATCH, Phase.RUNNING, Todo.STOP, ["updated"], id="Absent: running"),
        pytest.param(
            running(RECOMMENDATION),
            "Stopped",
            RECOMMENDATION,
            Phase.RUNNING,
            None,
            ["updated", "stop_unsupported"],
            id="Stopped: cannot stop",
        ),
        pytest.param(
            running(RECOMMENDATION),
            "Absent",
            RECOMMENDATION,
            Phase.RUNNING,
            None,
            ["updated", "stop_unsupported"],
            id="Absent: cannot stop",
        ),
        pytest.param(
            ended("Completed", Standing.COMPLETED), "Stopped", BATCH, Phase.SUCCEEDED, None, [], id="Stopped: ended"
        ),
        pytest.param(
            ended("Completed", Standing.COMPLETED),
            "Absent",
            BATCH,
            Phase.DELETED,
            None,
            ["updated", "deleted"],
            id="Absent: ended, API cannot delete",
        ),
        pytest.param(
            ended("Completed", Standing.COMPLETED, PROMPT),
            "Absent",
            PROMPT,
            Phase.SUCCEEDED,
            Todo.DELETE,
            ["updated"],
            id="Absent: ended, API can delete",
        ),
        pytest.param(creating(), "Stopped", BATCH, Phase.CREATING, None, ["updated"], id="Stopped: being made"),
    ],
)
def test_desired_by_phase(
    job: Job | None, desired: str, kind: str, phase: Phase, todo: Todo | None, said: list[str]
) -> None:
    step = apply_document(job, doc(kind, desired=desired, spec=None), context(kind)).step
    assert (types(step), step.job.phase, step.job.todo) == (said, phase, todo) if step else said == []


@pytest.mark.parametrize(
    ("job", "answer", "incarnation"),
    [
        pytest.param(ended("Stopped", Standing.STOPPED), Answer.ACCEPTED, 2, id="Stopped"),
        pytest.param(ended("Completed", Standing.COMPLETED), Answer.UNCHANGED, 1, id="Succeeded"),
        pytest.param(ended("Failed", Standing.FAILED), Answer.UNCHANGED, 1, id="Failed"),
        pytest.param(stop_accepted(running(), context()).job, Answer.ACCEPTED, 1, id="a stop is not undone"),
    ],
)
def test_completed_and_newer(job: Job, answer: Answer, incarnation: int) -> None:
    verdict = apply_document(job, doc(generation=9), context())
    assert verdict.answer is answer
    assert verdict.step is not None
    assert verdict.step.job.incarnation == incarnation


def test_a_tombstone_is_not_revived_by_an_older_document() -> None:
    stone = apply_document(None, doc(desired="Absent", generation=5, spec=None), context()).step
    assert stone is not None
    assert apply_document(stone.job, doc(generation=4), context()).answer is Answer.IGNORED
    assert apply_document(stone.job, doc(generation=6), context()).answer is Answer.ACCEPTED


def stub(phase: Phase = Phase.SUCCEEDED) -> Stub:
    first = doc()
    assert first.spec is not None
    return Stub(first.identity, "u" * 16, 1, 1, None, first.digest, phase, spec_digest(first.spec), NOW)


@pytest.mark.parametrize(
    ("phase", "arrives", "answer"),
    [
        pytest.param(Phase.SUCCEEDED, doc(), Answer.UNCHANGED, id="redelivered"),
        pytest.param(Phase.FAILED, doc(generation=3), Answer.UNCHANGED, id="newer, same spec"),
        pytest.param(Phase.SUCCEEDED, doc(number=2), Answer.REJECTED, id="other spec"),
        pytest.param(Phase.SUCCEEDED, doc(number=2, onSpecChange="replace"), Answer.ACCEPTED, id="replaced"),
        pytest.param(Phase.STOPPED, doc(generation=3), Answer.ACCEPTED, id="stopped, newer"),
        pytest.param(Phase.DELETED, doc(generation=3), Answer.ACCEPTED, id="deleted, newer"),
    ],
)
def test_what_pruning_leaves_still_judges(phase: Phase, arrives: Document, answer: Answer) -> None:
    verdict = apply_document(stub(phase), arrives, context())
    assert verdict.answer is answer
    if verdict.step is not None:
        assert verdict.step.job.incarnation == 2


# Creates

DEFINITE: list[tuple[AwsError, Phase, str | None, Todo | None]] = [
    (ThrottledError("slow"), Phase.PENDING, "RateLimited", Todo.CREATE),
    (QuotaFullError("full"), Phase.PENDING, "QuotaFull", Todo.CREATE),
    (BusyError("busy"), Phase.PENDING, "Backoff", Todo.DELAY),
    (DeniedError("no"), Phase.PENDING, "AccessDenied", Todo.DELAY),
    (ScopeUnavailableError("none"), Phase.PENDING, "ScopeUnavailable", Todo.CREATE),
    (NoAnswerError("not connected", definite=True), Phase.PENDING, "Backoff", Todo.DELAY),
    (RefusedError("wrong"), Phase.FAILED, "CreateRefused", None),
    (MissingError("no such model"), Phase.FAILED, "CreateRefused", None),
    (AlreadyKnownError("known"), Phase.CREATING, None, Todo.RESOLVE),
    (NoAnswerError("reset", definite=False), Phase.CREATING, None, Todo.RESOLVE),
]


@pytest.mark.parametrize(
    ("error", "phase", "reason", "todo"),
    [pytest.param(*row, id=type(row[0]).__name__ + row[0].message) for row in DEFINITE],
)
def test_a_first_send_that_failed(error: AwsError, phase: Phase, reason: str | None, todo: Todo | None) -> None:
    job = refused(creating(), error, context(), POLICY, 5).job
    assert (job.phase, job.reason, job.todo) == (phase, reason, todo)
    assert job.current is not None
    assert job.current.maybe_sent is (phase is Phase.CREATING)


@pytest.mark.parametrize("error", [pytest.param(row[0], id=type(row[0]).__name__ + row[0].message) for row in DEFINITE])
def test_unknown_is_sticky(error: AwsError) -> None:
    lost = refused(creating(), NoAnswerError("reset", definite=False), context(), POLICY, 5).job
    again = refused(sending_again(lost, NOW + 5).job, error, context(), POLICY, 5).job
    assert (again.phase, again.todo) == (Phase.CREATING, Todo.RESOLVE)
    assert again.current is not None
    assert (again.current.unknown, again.current.maybe_sent, again.attempt) == (True, True, 1)


def test_a_definite_refusal_keeps_the_attempt_and_its_token() -> None:
    job = refused(creating(), ThrottledError("slow"), context(), POLICY, 5).job
    again = intend(job, "job", 63, NOW + 9).job
    assert (again.attempt, len(again.attempts)) == (1, 1)
    assert again.current is not None
    assert again.current.token == make_token(again.uid, 1)


def test_denials_end_in_failure_only_after_a_while() -> None:
    job = creating()
    for _ in range(POLICY.denied_tries_max - 1):
        job = refused(job, DeniedError("no"), context(), POLICY, 5).job
        assert job.phase is Phase.PENDING
        job = intend(replace(job, todo=Todo.CREATE), "job", 63, NOW).job
    job = refused(job, DeniedError("no"), context(), POLICY, 5).job
    assert (job.phase, job.reason) == (Phase.FAILED, "AccessDenied")


def test_only_denials_in_a_row_count() -> None:
    job = creating()
    for error in (*[BusyError("busy")] * 9, DeniedError("no"), BusyError("busy"), *[DeniedError("no")] * 5):
        job = refused(job, error, context(), POLICY, 5).job
        assert job.phase is Phase.PENDING
        job = intend(replace(job, todo=Todo.CREATE), "job", 63, NOW).job


def test_an_intent_that_was_never_sent_goes_back() -> None:
    job = withdraw(creating(), context()).job
    assert (job.phase, job.todo) == (Phase.PENDING, Todo.CREATE)
    assert job.current is not None
    assert not job.current.maybe_sent


@pytest.mark.parametrize(
    ("kind", "age_s", "conflicted", "scans", "way"),
    [
        pytest.param(BATCH, 10, False, 0, Resolving.SEND_AGAIN, id="token young"),
        pytest.param(BATCH, 3601, False, 0, Resolving.SEARCH_LIST, id="token old"),
        pytest.param(BATCH, 3601, False, 2, Resolving.SEND_AGAIN, id="proved absent"),
        pytest.param(BATCH, 10, True, 0, Resolving.SEARCH_LIST, id="conflict"),
        pytest.param(PROMPT, 3601, False, 1, Resolving.SEARCH_LIST, id="one scan is not two"),
        pytest.param(RECOMMENDATION, 3599, False, 0, Resolving.SEND_AGAIN, id="unique name young"),
        pytest.param(RECOMMENDATION, 3601, False, 0, Resolving.SEARCH_LIST, id="unique name old"),
        pytest.param(RECOMMENDATION, 99_999, False, 2, Resolving.SEND_AGAIN, id="unique name proved absent"),
        pytest.param(BLUEPRINT, 1, False, 0, Resolving.SEARCH_TAG, id="never sent again"),
    ],
)
def test_how_an_unknown_create_is_resolved(
    kind: str, age_s: float, conflicted: bool, scans: int, way: Resolving
) -> None:
    job = found_at_start(creating(kind), NOW).job
    job = Step(job).attempt(conflicted=conflicted, scans_without=scans).job
    assert resolving(job, KINDS[kind], POLICY, NOW + age_s) is way


def test_absence_is_believed_after_two_scans_the_second_late_enough() -> None:
    job = found_at_start(creating(), NOW).job
    job = not_in_list(job, context(now=NOW + 10), POLICY, NOW + 10).job
    assert job.current is not None
    assert job.current.scans_without == 1
    job = not_in_list(job, context(now=NOW + 20), POLICY, NOW + 20).job
    assert job.current is not None
    assert (job.current.scans_without, job.current.unknown) == (1, True)
    assert job.due_at == NOW + 480
    job = not_in_list(job, context(now=NOW + 481), POLICY, NOW + 481).job
    assert job.current is not None
    assert (job.phase, job.current.unknown, job.current.maybe_sent, job.todo) == (
        Phase.PENDING,
        False,
        False,
        Todo.CREATE,
    )
    again = intend(job, "job", 63, NOW + 500).job
    assert again.current is not None
    assert (again.attempt, again.current.token, again.current.scans_without) == (1, job.current.token, 0)


@pytest.mark.parametrize(
    ("wanted", "phase", "reason"),
    [
        pytest.param({"desired": "Stopped"}, Phase.STOPPED, None, id="Stopped"),
        pytest.param({"desired": "Absent"}, Phase.DELETED, None, id="Absent"),
        pytest.param(None, Phase.FAILED, "DeadlineExceeded", id="deadline"),
    ],
)
def test_what_was_proved_absent_and_is_not_wanted_is_not_created(
    wanted: dict[str, Any] | None, phase: Phase, reason: str | None
) -> None:
    job = found_at_start(creating(), NOW).job
    if wanted is None:
        job = deadline_passed(job, context()).job
    else:
        step = apply_document(job, doc(spec=None, **wanted), context()).step
        assert step is not None
        job = step.job
    job = not_in_list(job, context(now=NOW + 10), POLICY, NOW + 10).job
    job = not_in_list(job, context(now=NOW + 481), POLICY, NOW + 481).job
    assert (job.phase, job.reason) == (phase, reason)


def test_a_conflict_without_an_owner_is_uncertain_never_failed() -> None:
    job = refused(creating(), AlreadyKnownError("known"), context(), POLICY, 1).job
    job = not_in_list(job, context(now=NOW + 1), POLICY, NOW + 1).job
    step = not_in_list(job, context(now=NOW + 500), POLICY, NOW + 500)
    assert types(step) == ["uncertain"]
    assert step.job.phase is Phase.UNCERTAIN


def test_silence_of_the_tags_proves_nothing() -> None:
    job = found_at_start(creating(BLUEPRINT), NOW).job
    early = not_tagged(job, context(BLUEPRINT, NOW + 10), POLICY, 5)
    assert (early.job.phase, early.job.todo) == (Phase.CREATING, Todo.RESOLVE)
    late = not_tagged(job, context(BLUEPRINT, NOW + 181), POLICY, 5)
    assert types(late) == ["uncertain"]
    willing = found_at_start(creating(BLUEPRINT, onUncertain="retry"), NOW).job
    still_valid = not_tagged(willing, context(BLUEPRINT, NOW + 181), POLICY, 5)
    assert still_valid.job.phase is Phase.CREATING
    retried = not_tagged(willing, context(BLUEPRINT, NOW + 481), POLICY, 5)
    assert types(retried) == ["uncertain", "retrying"]
    assert intend(retried.job, "job", 63, NOW).job.attempt == 2


def test_retrying_an_uncertain_create_ends_in_a_hold() -> None:
    job = creating(BLUEPRINT, onUncertain="retry")
    for _ in range(2):
        job = intend(not_tagged(job, context(BLUEPRINT, NOW + 999), POLICY, 5).job, "job", 63, NOW).job
    assert not_tagged(job, context(BLUEPRINT, NOW + 999), POLICY, 5).job.phase is Phase.UNCERTAIN


def test_adoption_mirrors_what_was_found() -> None:
    step = adopt(Step(found_at_start(creating(), NOW).job), seen("InProgress", Standing.WORKING), context())
    assert types(step) == ["adopted", "running"]
    assert step.job.current is not None
    assert (step.job.phase, step.job.current.remote_id, step.job.current.unknown) == (Phase.RUNNING, ARN, False)


def test_a_name_of_somebody_else_is_never_adopted() -> None:
    step = name_taken(creating(), "another model", context())
    assert (step.job.phase, step.job.reason) == (Phase.FAILED, "NameTaken")


# Running


@pytest.mark.parametrize(
    ("status", "standing", "members", "phase", "reason"),
    [
        pytest.param("Completed", Standing.COMPLETED, {}, Phase.SUCCEEDED, None, id="completed"),
        pytest.param("PartiallyCompleted", Standing.PARTIAL, {}, Phase.SUCCEEDED, None, id="partial is success"),
        pytest.param(
            "PartiallyCompleted", Standing.PARTIAL, {"partial": "failure"}, Phase.FAILED, "Partial", id="partial fails"
        ),
        pytest.param("Failed", Standing.FAILED, {}, Phase.FAILED, "JobFailed", id="failed"),
        pytest.param("Expired", Standing.EXPIRED, {}, Phase.FAILED, "Expired", id="expired"),
        pytest.param("ServiceError", Standing.SERVICE_ERROR, {}, Phase.FAILED, "ServiceError", id="service error"),
        pytest.param("ClientError", Standing.CLIENT_ERROR, {}, Phase.FAILED, "ClientError", id="client error"),
        pytest.param("Stopped", Standing.STOPPED, {}, Phase.STOPPED, None, id="stopped by somebody"),
        pytest.param("Failed", Standing.FAILED, {"retry": {"attempts": 2}}, Phase.PENDING, "Backoff", id="again"),
        pytest.param(
            "ClientError",
            Standing.CLIENT_ERROR,
            {"retry": {"attempts": 2}},
            Phase.FAILED,
            "ClientError",
            id="not listed",
        ),
        pytest.param("Whatever", Standing.UNKNOWN, {}, Phase.RUNNING, None, id="unknown status runs on"),
    ],
)
def test_ends(status: str, standing: Standing, members: dict[str, Any], phase: Phase, reason: str | None) -> None:
    job = ended(status, standing, **members)
    assert (job.phase, job.reason, job.remote_status) == (phase, reason, status)


@pytest.mark.parametrize(
    ("status", "standing"),
    [pytest.param("Completed", Standing.COMPLETED, id="done"), pytest.param("Failed", Standing.FAILED, id="failed")],
)
@pytest.mark.parametrize(
    ("told", "attempt_ended_at"),
    [
        pytest.param(NOW + 60, NOW + 60, id="before it was seen"),
        pytest.param(NOW - 5, NOW, id="not before the attempt began"),
        pytest.param(NOW + 1000, NOW + 85, id="not in the future"),
        pytest.param(None, NOW + 85, id="untold: when it was seen"),
    ],
)
def test_an_attempt_ends_when_aws_says_and_its_job_when_that_is_seen(
    told: float | None, attempt_ended_at: float, status: str, standing: Standing
) -> None:
    job = observe(running(), seen(status, standing, ended_at=told), context(now=NOW + 85)).job
    assert job.current is not None
    assert job.current.ended_at == attempt_ended_at
    assert job.ended_at == NOW + 85
    again = running(retry={"attempts": 2, "backoffSeconds": 60})
    retried = observe(again, seen("Failed", Standing.FAILED, ended_at=told), context(now=NOW + 85)).job
    assert retried.phase is Phase.PENDING
    assert retried.attempts[0].ended_at == attempt_ended_at


def test_a_failed_attempt_says_retrying_and_never_failed() -> None:
    job = running(retry={"attempts": 2, "backoffSeconds": 30})
    step = observe(job, seen("Failed", Standing.FAILED, message="bad input"), context())
    assert types(step) == ["retrying"]
    assert (step.job.todo, step.job.due_at) == (Todo.DELAY, NOW + 30)
    again = intend(step.job, "job", 63, NOW + 31).job
    assert [attempt.number for attempt in again.attempts] == [1, 2]
    assert (step.job.remote_status, again.remote_status) == ("Failed", None)
    failed = observe(made(again, ARN + "2", context(), None).job, seen("Failed", Standing.FAILED), context())
    assert types(failed) == ["failed"]


def test_progress_is_told_by_status_and_by_five_percent() -> None:
    job = running()
    step = observe(job, seen("Validating", Standing.WAITING, records=Records(0)), context())
    assert types(step) == ["progress"]
    step = observe(step.job, seen("InProgress", Standing.WORKING, records=Records(1000, 0)), context())
    assert types(step) == ["running"]
    small = seen("InProgress", Standing.WORKING, records=Records(1000, 49, 49))
    assert not worth_writing(step.job.remote_status, step.job.records, step.job.phase, small)
    step = observe(step.job, seen("InProgress", Standing.WORKING, records=Records(1000, 50, 50)), context())
    assert types(step) == ["progress"]


def test_a_stop_that_came_too_late_keeps_the_true_end() -> None:
    stopping = stop_accepted(apply_document(running(), doc(desired="Stopped"), context()).step.job, context())  # type: ignore[union-attr]
    assert types(stopping) == ["stopping"]
    assert observe(stopping.job, seen("Completed", Standing.COMPLETED), context()).job.phase is Phase.SUCCEEDED


def test_a_stop_that_is_refused_is_sent_again_ever_more_seldom() -> None:
    step = apply_document(running(), doc(desired="Stopped"), context()).step
    assert step is not None
    job, waits = step.job, []
    for _ in range(8):
        job = observe(stop_refused(job, NOW).job, seen("InProgress", Standing.WORKING), context()).job
        waits.append(job.due_at - NOW)
        assert job.todo is Todo.STOP
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


def test_what_went_wrong_with_a_read_is_forgotten_once_it_is_read() -> None:
    job = later(read_again(running(), NOW).job, Todo.GET, NOW, "no answer").job
    assert observe(job, seen("InProgress", Standing.WORKING), context()).job.message is None


def test_deadlines() -> None:
    waiting = deadline_passed(pending(), context())
    assert (waiting.job.phase, waiting.job.reason) == (Phase.FAILED, "DeadlineExceeded")
    job = deadline_passed(running(), context()).job
    assert job.todo is Todo.STOP
    stopped = observe(stop_accepted(job, context()).job, seen("Stopped", Standing.STOPPED), context()).job
    assert (stopped.phase, stopped.reason) == (Phase.FAILED, "DeadlineExceeded")
    unstoppable = deadline_passed(running(RECOMMENDATION), context(RECOMMENDATION))
    assert types(unstoppable) == ["stop_unsupported"]
    true_end = observe(unstoppable.job, seen("ACTIVE", Standing.COMPLETED), context(RECOMMENDATION)).job
    assert (true_end.phase, true_end.deadline_exceeded) == (Phase.SUCCEEDED, True)


def test_a_deadline_first_resolves_what_may_have_been_sent() -> None:
    job = deadline_passed(found_at_start(creating(), NOW).job, context()).job
    assert (job.phase, job.todo) == (Phase.CREATING, Todo.RESOLVE)
    step = adopt(Step(job), seen("InProgress", Standing.WORKING), context())
    assert step.job.todo is Todo.STOP


def test_lost_needs_two_passes_a_grace_period_and_a_get() -> None:
    loss = LossPolicy(grace_s=360)

    def marked(job: Job, now: float) -> Job:
        step = not_in_pass(job, now, loss)
        assert step is not None
        return step.job

    job = marked(running(), NOW)
    assert job.todo is Todo.GET
    job = get_missed(job, context(now=NOW + 400), loss, 5).job
    assert job.phase is Phase.RUNNING
    job = marked(job, NOW + 400)
    assert not_in_pass(job, NOW + 401, loss) is None
    early = get_missed(replace(job, missing_since=NOW + 100), context(now=NOW + 400), loss, 5).job
    assert early.phase is Phase.RUNNING
    lost = get_missed(job, context(now=NOW + 400), loss, 5).job
    assert (lost.phase, lost.reason) == (Phase.FAILED, "Lost")
    found = observe(job, seen("InProgress", Standing.WORKING), context()).job
    assert (found.missing_passes, found.missing_since) == (0, None)


def test_deleted_once_every_remote_job_is_gone() -> None:
    job = ended("Completed", Standing.COMPLETED, PROMPT)
    job = command_delete(job, context(PROMPT)).step.job  # type: ignore[union-attr]
    assert types(deleted(job, frozenset({"other"}), context(PROMPT))) == []
    assert types(deleted(job, frozenset({ARN}), context(PROMPT))) == ["deleted"]


def test_a_terminal_phase_is_left_only_for_deleted() -> None:
    with pytest.raises(AssertionError, match="final"):
        Step(ended("Completed", Standing.COMPLETED)).move(Phase.RUNNING, "running")


# Commands


def test_commands_leave_generation_and_digest_alone() -> None:
    job = running(generation=3)
    for verdict in (command_stop(job, context()), command_delete(job, context())):
        assert verdict.step is not None
        assert (verdict.step.job.generation, verdict.step.job.digest) == (3, job.digest)
    stopped = command_stop(pending(), context()).step
    assert stopped is not None
    assert apply_document(stopped.job, doc(), context()).answer is Answer.UNCHANGED


def called_off(command: Callable[[Job, Context], Verdict], **members: Any) -> Job:
    step = command(pending(**members), context()).step
    assert step is not None
    return step.job


@pytest.mark.parametrize(
    ("known", "generation", "said", "phase"),
    [
        pytest.param(called_off(command_delete), None, "a generation to run it again", "Deleted", id="deleted"),
        pytest.param(called_off(command_delete, generation=7), 7, "a generation above 7", "Deleted", id="numbered"),
        pytest.param(called_off(command_stop), None, "(or use `ferryman retry`)", "Stopped", id="stopped"),
        pytest.param(stub(Phase.DELETED), None, "a generation to run it again", "Deleted", id="pruned"),
    ],
)
def test_what_was_called_off_says_how_it_runs_again_and_so_it_does(
    known: Job | Stub, generation: int | None, said: str, phase: str
) -> None:
    numbered: dict[str, Any] = {} if generation is None else {"generation": generation}
    verdict = apply_document(known, doc(**numbered), context())
    assert verdict.answer is Answer.UNCHANGED
    assert f"the job is {phase}" in verdict.message
    assert said in verdict.message
    if isinstance(known, Job) and known.phase is Phase.DELETED:
        assert said in command_retry(known, context()).message
    again = apply_document(known, doc(generation=(generation or 0) + 1), context())
    assert (again.answer, again.step and again.step.job.incarnation) == (Answer.ACCEPTED, 2)


def test_what_is_as_its_document_wants_it_needs_no_advice() -> None:
    stone = apply_document(None, doc(desired="Absent"), context()).step
    assert stone is not None
    assert apply_document(stone.job, doc(desired="Absent"), context()).message.endswith("applied document")
    assert apply_document(running(), doc(), context()).message.endswith("applied document")


@pytest.mark.parametrize(
    ("job", "answer"),
    [
        pytest.param(ended("Failed", Standing.FAILED), Answer.ACCEPTED, id="Failed"),
        pytest.param(ended("Stopped", Standing.STOPPED), Answer.ACCEPTED, id="Stopped"),
        pytest.param(ended("Completed", Standing.COMPLETED), Answer.REJECTED, id="Succeeded"),
        pytest.param(running(), Answer.REJECTED, id="Running"),
    ],
)
def test_retry(job: Job, answer: Answer) -> None:
    assert command_retry(job, context()).answer is answer


def test_a_retry_that_cannot_be_says_why() -> None:
    stone = apply_document(None, doc(desired="Stopped", spec=None), context()).step
    gone = command_delete(running(), context()).step
    assert stone is not None
    assert gone is not None
    assert "spec" in command_retry(stone.job, context()).message
    deleted_job = observe(gone.job, seen("Stopped", Standing.STOPPED), context()).job
    assert "deleted" in command_retry(deleted_job, context()).message


def test_resolve_each_way() -> None:
    job = not_tagged(creating(BLUEPRINT), context(BLUEPRINT, NOW + 999), POLICY, 5).job
    found = command_resolve(job, Resolution(observation=seen("InProgress", Standing.WORKING)), context(BLUEPRINT))
    assert found.step is not None
    assert (types(found.step), found.step.job.phase) == (["resolved", "running"], Phase.RUNNING)
    again = command_resolve(job, Resolution(retry=True), context(BLUEPRINT))
    assert again.step is not None
    assert (types(again.step), again.step.job.phase) == (["resolved"], Phase.PENDING)
    failed = command_resolve(job, Resolution(fail=True), context(BLUEPRINT))
    assert (types(failed.step), failed.step.job.reason if failed.step else "") == (["resolved", "failed"], "Lost")
    assert command_resolve(running(), Resolution(retry=True), context()).answer is Answer.REJECTED


def test_stopping_a_waiting_retry_ends_it() -> None:
    waiting = ended("Failed", Standing.FAILED, retry={"attempts": 3})
    step = command_stop(waiting, context()).step
    assert step is not None
    assert step.job.phase is Phase.STOPPED


def test_digest_is_of_the_whole_document() -> None:
    assert doc().digest == doc().digest
    assert doc(generation=1).digest != doc(generation=2).digest
    assert digest_of is not None
    assert doc(desired="Completed").desired is Desired.COMPLETED


def test_who_orders_something_of_an_uncertain_job_hears_what_it_waits_for() -> None:
    job = not_tagged(creating(BLUEPRINT), context(BLUEPRINT, NOW + 999), POLICY, 5).job
    for verdict in (
        command_stop(job, context(BLUEPRINT)),
        command_delete(job, context(BLUEPRINT)),
        apply_document(job, doc(BLUEPRINT, 3, onSpecChange="replace"), context(BLUEPRINT)),
    ):
        assert verdict.answer is Answer.ACCEPTED
        assert "ferryman resolve" in verdict.message
        assert verdict.step is not None
        assert verdict.step.job.phase is Phase.UNCERTAIN
        failed = command_resolve(verdict.step.job, Resolution(fail=True), context(BLUEPRINT)).step
        assert failed is not None
        assert failed.job.phase in {Phase.FAILED, Phase.DELETED} or failed.job.incarnation == 2
