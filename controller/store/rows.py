"""How a job, an attempt and a stub lie in their rows: the one place that turns values into rows and back.

Invariant: what is written is read back equal, whatever the values. Columns are what a query looks for; everything else
is JSON in `state` (what changes while a job runs) and `document` (what its document said), each left alone by a change
that does not touch it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from controller.documents import from_json, spec_digest, to_json
from controller.model import (
    HOLDING_A_SLOT,
    Attempt,
    Desired,
    FailReason,
    Identity,
    Job,
    OnUncertain,
    Partial,
    Phase,
    Records,
    Retry,
    Stub,
    Todo,
    Wishes,
)

IDENTITY_COLUMNS: Final = ("id", "lane", "scope", "kind", "name")
HOT_COLUMNS: Final = (
    "uid",
    "incarnation",
    "generation",
    "digest",
    "desired",
    "phase",
    "live",
    "reason",
    "message",
    "todo",
    "due_at",
    "quota_key",
    "priority",
    "group_name",
    "turn",
    "attempt",
    "remote_id",
    "began_at",
    "remote_status",
    "records_total",
    "records_processed",
    "records_succeeded",
    "records_failed",
    "deadline_at",
    "deadline_wanted",
    "next_wanted",
    "accepted_at",
    "started_at",
    "ended_at",
    "event_sequence",
)
JOB_COLUMNS: Final = (*IDENTITY_COLUMNS, *HOT_COLUMNS, "state", "document")
ATTEMPT_KEY: Final = ("job_id", "incarnation", "number")
ATTEMPT_COLUMNS: Final = (
    "token",
    "remote_name",
    "remote_id",
    "phase",
    "reason",
    "created_at",
    "ended_at",
    "maybe_sent",
    "unknown",
    "last_send_at",
    "resolve_tries",
    "conflicted",
    "scans_without",
    "deleted",
)
STUB_COLUMNS: Final = (
    "lane",
    "name",
    "uid",
    "incarnation",
    "attempt",
    "generation",
    "digest",
    "spec_digest",
    "phase",
    "pruned_at",
)

_PHASES: Final = {str(phase.value): phase for phase in Phase}
_DESIRED: Final = {str(desired.value): desired for desired in Desired}
_TODOS: Final = {str(todo.value): todo for todo in Todo}
_STATE_DEFAULTS: Final = (
    ("output_uri", None),
    ("output_manifest", None),
    ("partial", False),
    ("deadline_exceeded", False),
    ("stop_sent_at", None),
    ("stop_unsupported", False),
    ("refusals", 0),
    ("failing_gets", 0),
    ("missing_since", None),
    ("missing_passes", 0),
)
_NO_RECORDS: Final = Records()
_NO_WISHES: Final = Wishes()
_NO_STATE: Final[Mapping[str, Any]] = {}


def plain(text: str | None) -> str | None:
    """A text of AWS as both databases take it: without NUL and lone surrogates."""
    if text is None or (text.isascii() and "\x00" not in text):
        return None if text is None else str(text)
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def hot_values(job: Job) -> tuple[Any, ...]:
    """The values of `HOT_COLUMNS`."""
    wishes, records = job.wishes, job.records
    current = job.attempts[-1] if job.attempts else None
    phase = job.phase
    return (
        job.uid,
        job.incarnation,
        job.generation,
        job.digest,
        job.desired._value_,
        phase._value_,
        phase in HOLDING_A_SLOT,
        None if job.reason is None else str(job.reason),
        plain(job.message),
        None if job.todo is None else job.todo._value_,
        job.due_at,
        job.quota_keys[0] if job.quota_keys else "",
        wishes.priority,
        wishes.group,
        job.turn,
        job.attempt,
        None if current is None else current.remote_id,
        None if current is None else current.created_at,
        plain(job.remote_status),
        records.total,
        records.processed,
        records.succeeded,
        records.failed,
        job.deadline_at,
        job.awaits_deadline,
        job.next_document is not None,
        job.accepted_at,
        job.started_at,
        job.ended_at,
        job.event_sequence,
    )


def state_values(job: Job) -> tuple[Any, ...]:
    """What `state` holds, in the order of its fields: equal values mean an equal column."""
    return (
        job.quota_keys,
        job.output_uri,
        job.output_manifest,
        job.partial,
        job.deadline_exceeded,
        job.stop_sent_at,
        job.stop_unsupported,
        job.refusals,
        job.failing_gets,
        job.missing_since,
        job.missing_passes,
    )


def state_text(values: tuple[Any, ...]) -> str:
    """The `state` column: fields that say nothing are left out."""
    keys, *rest = values
    state = {name: value for (name, default), value in zip(_STATE_DEFAULTS, rest, strict=True) if value is not default}
    if len(keys) != 1:
        state["quota_keys"] = keys
    return orjson.dumps(state).decode() if state else "{}"


def same_document(before: Job, after: Job) -> bool:
    """Whether the `document` column surely need not be written again."""
    return before.spec is after.spec and before.wishes is after.wishes and before.next_document is after.next_document


def document_text(job: Job) -> str:
    """The `document` column: spec, wishes, and the document that waits."""
    body: dict[str, Any] = {"spec": job.spec}
    if job.wishes != _NO_WISHES:
        body["wishes"] = _wishes_body(job.wishes)
    if job.next_document is not None:
        body["next"] = {**to_json(job.next_document), "digest": job.next_document.digest}
    return orjson.dumps(body).decode()


def _wishes_body(wishes: Wishes) -> dict[str, Any]:
    retry = wishes.retry
    return {
        "labels": wishes.labels,
        "retry": [retry.attempts, retry.reasons, retry.backoff_s],
        "partial": wishes.partial,
        "deadline_s": wishes.deadline_s,
        "on_uncertain": wishes.on_uncertain,
    }


def attempt_values(attempt: Attempt) -> tuple[Any, ...]:
    """The values of `ATTEMPT_COLUMNS`."""
    return (
        attempt.token,
        attempt.remote_name,
        attempt.remote_id,
        attempt.phase._value_,
        None if attempt.reason is None else str(attempt.reason),
        attempt.created_at,
        attempt.ended_at,
        attempt.maybe_sent,
        attempt.unknown,
        attempt.last_send_at,
        attempt.resolve_tries,
        attempt.conflicted,
        attempt.scans_without,
        attempt.deleted,
    )


def stub_values(job: Job, pruned_at: float) -> tuple[Any, ...]:
    """The values of `STUB_COLUMNS`, of a job that is pruned."""
    return (
        job.identity.lane,
        job.identity.name,
        job.uid,
        job.incarnation,
        job.attempt,
        job.generation,
        job.digest,
        spec_digest(job.spec),
        job.phase.value,
        pruned_at,
    )


JOB_WIDTH: Final = len(JOB_COLUMNS)
ATTEMPT_WIDTH: Final = len(ATTEMPT_KEY) - 1 + len(ATTEMPT_COLUMNS)
"""A joined row is the columns of the job, then those of one attempt without `job_id`."""


def read_jobs(rows: Iterable[Sequence[Any]]) -> list[Job]:
    """Jobs of rows that join each job with its attempts, in the order in which the jobs first appear.

    The attempts of one job are in order of their number; without one, their columns are null.
    """
    first: dict[int, Sequence[Any]] = {}
    attempts: dict[int, list[Attempt]] = {}
    for row in rows:
        key = row[0]
        if key not in first:
            first[key] = row
            attempts[key] = []
        if row[JOB_WIDTH] is not None:
            attempts[key].append(_read_attempt(row))
    return [_read_job(row, tuple(attempts[key])) for key, row in first.items()]


def _read_attempt(row: Sequence[Any]) -> Attempt:
    (
        incarnation,
        number,
        token,
        remote_name,
        remote_id,
        phase,
        reason,
        created_at,
        ended_at,
        maybe_sent,
        unknown,
        last_send_at,
        resolve_tries,
        conflicted,
        scans_without,
        deleted,
    ) = row[JOB_WIDTH : JOB_WIDTH + ATTEMPT_WIDTH]
    return Attempt(
        incarnation=incarnation,
        number=number,
        token=token,
        remote_name=remote_name,
        phase=_PHASES[phase],
        created_at=created_at,
        remote_id=remote_id,
        reason=reason,
        ended_at=ended_at,
        maybe_sent=maybe_sent,
        unknown=unknown,
        last_send_at=last_send_at,
        resolve_tries=resolve_tries,
        conflicted=conflicted,
        scans_without=scans_without,
        deleted=deleted,
    )


def _read_job(row: Sequence[Any], attempts: tuple[Attempt, ...]) -> Job:
    (
        id_,
        _lane,
        scope,
        kind,
        name,
        uid,
        incarnation,
        generation,
        digest,
        desired,
        phase,
        _live,
        reason,
        message,
        todo,
        due_at,
        quota_key,
        priority,
        group,
        turn,
        attempt,
        _remote_id,
        _began_at,
        remote_status,
        total,
        processed,
        succeeded,
        failed,
        deadline_at,
        _deadline_wanted,
        _next_wanted,
        accepted_at,
        started_at,
        ended_at,
        event_sequence,
        state_column,
        document_column,
    ) = row[:JOB_WIDTH]
    state = _NO_STATE if state_column == "{}" else orjson.loads(state_column)
    document = orjson.loads(document_column)
    waiting = document.get("next")
    return Job(
        id=id_,
        identity=Identity(scope, kind, name),
        uid=uid,
        incarnation=incarnation,
        generation=generation,
        digest=digest,
        desired=_DESIRED[desired],
        spec=document["spec"],
        wishes=_read_wishes(document.get("wishes"), priority, group),
        phase=_PHASES[phase],
        accepted_at=accepted_at,
        reason=reason,
        message=message,
        attempt=attempt,
        attempts=attempts,
        quota_keys=tuple(state["quota_keys"]) if "quota_keys" in state else (quota_key,),
        turn=turn,
        todo=None if todo is None else _TODOS[todo],
        due_at=due_at,
        remote_status=remote_status,
        records=read_records(total, processed, succeeded, failed),
        output_uri=state.get("output_uri"),
        output_manifest=state.get("output_manifest"),
        partial=state.get("partial", False),
        started_at=started_at,
        ended_at=ended_at,
        deadline_at=deadline_at,
        deadline_exceeded=state.get("deadline_exceeded", False),
        stop_sent_at=state.get("stop_sent_at"),
        stop_unsupported=state.get("stop_unsupported", False),
        refusals=state.get("refusals", 0),
        failing_gets=state.get("failing_gets", 0),
        missing_since=state.get("missing_since"),
        missing_passes=state.get("missing_passes", 0),
        next_document=None if waiting is None else replace(from_json(waiting), digest=waiting["digest"]),
        event_sequence=event_sequence,
    )


def _read_wishes(body: Mapping[str, Any] | None, priority: int, group: str) -> Wishes:
    if body is None:
        return _NO_WISHES
    attempts, reasons, backoff_s = body["retry"]
    return Wishes(
        priority=priority,
        group=group,
        labels=body["labels"],
        retry=Retry(attempts, tuple(map(FailReason, reasons)), backoff_s),
        partial=Partial(body["partial"]),
        deadline_s=body["deadline_s"],
        on_uncertain=OnUncertain(body["on_uncertain"]),
    )


def read_records(total: int, processed: int, succeeded: int, failed: int) -> Records:
    return Records(total, processed, succeeded, failed) if total or processed or succeeded or failed else _NO_RECORDS


def read_phase(text: str) -> Phase:
    return _PHASES[text]


def read_todo(text: str | None) -> Todo | None:
    return None if text is None else _TODOS[text]


def read_quota_keys(quota_key: str, state: str) -> tuple[str, ...]:
    """The keys of a job, of its columns `quota_key` and `state`."""
    keys = orjson.loads(state).get("quota_keys") if state != "{}" else None
    return (quota_key,) if keys is None else tuple(keys)


def read_stub(row: Sequence[Any]) -> Stub:
    """A stub, of a row with `STUB_COLUMNS`."""
    lane, name, uid, incarnation, attempt, generation, digest, spec, phase, pruned_at = row
    scope, _, kind = lane.partition("/")
    return Stub(
        identity=Identity(scope, kind, name),
        uid=uid,
        incarnation=incarnation,
        attempt=attempt,
        generation=generation,
        digest=digest,
        phase=_PHASES[phase],
        spec_digest=spec,
        pruned_at=pruned_at,
    )
