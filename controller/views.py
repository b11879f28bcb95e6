"""How jobs look from outside: the JSON of `get -o json`, of HTTP and of every event.

Invariant: the members here are a contract. Times are RFC 3339 UTC with milliseconds; a member without a value is null,
never absent, except `spec` and `queue`, which events leave out. The queries of URLs are masked: those of presigned ones
are credentials.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from controller.masking import mask_value
from controller.model import Attempt, Job, Records


def rfc3339(seconds: float | None) -> str | None:
    """Seconds since the epoch as `2026-11-21T03:40:00.000Z`."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def records_view(records: Records) -> dict[str, int]:
    return {
        "total": records.total,
        "processed": records.processed,
        "succeeded": records.succeeded,
        "failed": records.failed,
    }


def attempt_view(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "token": attempt.token,
        "remoteId": attempt.remote_id,
        "phase": attempt.phase,
        "reason": attempt.reason,
        "createdAt": rfc3339(attempt.created_at),
        "endedAt": rfc3339(attempt.ended_at),
    }


def job_core(job: Job) -> dict[str, Any]:
    """The job without `spec` and `queue`: what events carry."""
    current = job.current
    return {
        "uid": job.uid,
        "scope": job.identity.scope,
        "kind": job.identity.kind,
        "name": job.identity.name,
        "generation": job.generation,
        "incarnation": job.incarnation,
        "desired": job.desired,
        "phase": job.phase,
        "reason": job.reason,
        "message": job.message,
        "remoteStatus": job.remote_status,
        "remoteId": current.remote_id if current else None,
        "remoteName": current.remote_name if current else None,
        "attempt": job.attempt,
        "attempts": [attempt_view(attempt) for attempt in job.attempts],
        "records": records_view(job.records),
        "partial": job.partial,
        "deadlineExceeded": job.deadline_exceeded,
        "output": {"uri": mask_value(job.output_uri), "manifest": mask_value(job.output_manifest)},
        "labels": job.wishes.labels,
        "group": job.wishes.group,
        "priority": job.wishes.priority,
        "acceptedAt": rfc3339(job.accepted_at),
        "startedAt": rfc3339(job.started_at),
        "endedAt": rfc3339(job.ended_at),
    }


def job_view(job: Job, queue: Mapping[str, Any] | None = None, reason: str | None = None) -> dict[str, Any]:
    """The job whole; `queue` is `{position, etaSeconds}`, `reason` overrides the stored one of a Pending job."""
    view = job_core(job)
    if reason is not None:
        view["reason"] = reason
    view["queue"] = dict(queue) if queue is not None else {"position": None, "etaSeconds": None}
    view["spec"] = mask_value(job.spec)
    return view
