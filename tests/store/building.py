"""Jobs, events and stores for the tests of the store."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controller.events import Event
from controller.model import (
    Attempt,
    Desired,
    Document,
    FailReason,
    Identity,
    Job,
    OnSpecChange,
    OnUncertain,
    Partial,
    Phase,
    Records,
    Retry,
    Todo,
    Wishes,
    make_token,
    make_uid,
)
from controller.seams import Failpoint, SystemClock, no_failpoint
from controller.store import JobChange, LaneRecord, LaneWrite, Store
from controller.store.opening import open_store

SCOPE, KIND = "default", "bedrock.ModelInvocationJob"
LANE = f"{SCOPE}/{KIND}"
OTHER_LANE = f"other/{KIND}"


@dataclass(frozen=True)
class Place:
    url: str
    path: Path | None


@asynccontextmanager
async def opened(
    place: Place,
    *,
    failpoint: Failpoint = no_failpoint,
    lock_wait_s: float = 0,
    instance: str = "",
    on_wait: Callable[[str], None] | None = None,
) -> AsyncIterator[Store]:
    async with open_store(
        place.url,
        clock=SystemClock(),
        failpoint=failpoint,
        lock_wait_s=lock_wait_s,
        instance=instance,
        on_wait=on_wait,
    ) as store:
        yield store


def identity(name: str, scope: str = SCOPE) -> Identity:
    return Identity(scope, KIND, name)


def waiting(name: str, scope: str = SCOPE, **changes: Any) -> Job:
    """A new job that waits to be created."""
    wishes = changes.pop("wishes", Wishes(changes.pop("priority", 0), changes.pop("group", "")))
    job = Job(
        id=0,
        identity=identity(name, scope),
        uid=make_uid("test", identity(name, scope), 1),
        incarnation=1,
        generation=None,
        digest=f"digest of {name}",
        desired=Desired.COMPLETED,
        spec={"modelId": "m", "jobName": name},
        wishes=wishes,
        phase=Phase.PENDING,
        accepted_at=1000.0,
        reason="Queued",
        todo=Todo.CREATE,
        due_at=1000.0,
    )
    return replace(job, **changes)


def attempt_of(job: Job, number: int = 1, **changes: Any) -> Attempt:
    attempt = Attempt(
        incarnation=job.incarnation,
        number=number,
        token=make_token(job.uid, number),
        remote_name=f"{job.identity.name}-{job.uid[:8]}-{number}",
        phase=Phase.CREATING,
        created_at=2000.0 + number,
        maybe_sent=True,
        last_send_at=2000.0,
    )
    return replace(attempt, **changes)


def intended(job: Job, **changes: Any) -> Job:
    attempts = (*job.attempts, attempt_of(job, job.attempt + 1))
    changed: dict[str, Any] = {"phase": Phase.CREATING, "attempts": attempts, "attempt": job.attempt + 1}
    return replace(job, **{**changed, "todo": None, "reason": None, **changes})


def running(job: Job, remote_id: str, **changes: Any) -> Job:
    creating = job if job.attempts else intended(job)
    last = replace(creating.attempts[-1], phase=Phase.RUNNING, remote_id=remote_id, maybe_sent=False)
    changed: dict[str, Any] = {"phase": Phase.RUNNING, "attempts": (*creating.attempts[:-1], last)}
    return replace(creating, **{**changed, **changes})


def ended(job: Job, phase: Phase = Phase.SUCCEEDED, at: float = 3000.0, **changes: Any) -> Job:
    return replace(job, **{"phase": phase, "ended_at": at, "todo": None, "reason": None, **changes})


def full(name: str) -> Job:
    """A job with something in every field."""
    wishes = Wishes(
        priority=-7,
        group="team-ä",
        labels={"run": "nightly", "unit": "µ", "empty": ""},
        retry=Retry(3, (FailReason.EXPIRED, FailReason.PARTIAL), 0.5),
        partial=Partial.FAILURE,
        deadline_s=86_400.25,
        on_uncertain=OnUncertain.RETRY,
    )
    spec = {"modelId": "m", "nested": {"list": [1, 2.5, None, True, "\u0000 \u2028 ü"]}, "empty": {}}
    document = Document(identity(name), Desired.STOPPED, None, Wishes(), 2**53, OnSpecChange.REPLACE, "not computed")
    job = waiting(name, generation=2**62, desired=Desired.COMPLETED, spec=spec, wishes=wishes)
    first = attempt_of(job, 1, phase=Phase.FAILED, reason="Expired", ended_at=2001.5, remote_id="arn:1", deleted=True)
    second = attempt_of(job, 2, phase=Phase.RUNNING, remote_id="arn:2", unknown=True, resolve_tries=3, conflicted=True)
    return replace(
        job,
        phase=Phase.RUNNING,
        reason="Backoff",
        message="a message with \u00fc and \U0001f600",
        attempt=2,
        attempts=(first, replace(second, scans_without=1, last_send_at=None)),
        quota_keys=("amazon.nova", "custom-model"),
        turn=2**40,
        todo=Todo.GET,
        due_at=1234.567,
        remote_status="InProgress",
        records=Records(10, 9, 7, 2),
        output_uri="",
        output_manifest="s3://bucket/manifest",
        partial=True,
        started_at=0.0,
        ended_at=5.5,
        deadline_at=99.25,
        deadline_exceeded=True,
        stop_sent_at=0.0,
        stop_unsupported=True,
        refusals=2,
        failing_gets=3,
        missing_since=0.0,
        missing_passes=4,
        next_document=document,
        event_sequence=17,
    )


def event_of(job: Job, sequence: int = 1, type_: str = "ferryman.job.accepted", at: float = 1000.0) -> Event:
    return Event(type_, job.uid, sequence, str(job.identity), at, {"name": job.identity.name})


async def insert(store: Store, record: LaneRecord, jobs: Sequence[Job]) -> tuple[LaneRecord, list[Job]]:
    """Commit new jobs, and read them as they are now, in the same order."""
    write = LaneWrite(record.lane, changes=[JobChange(None, job) for job in jobs])
    record = await store.commit(record, write)
    found = await store.jobs_named(record.lane, [job.identity.name for job in jobs])
    return record, [job for name in jobs if isinstance(job := found[name.identity.name], Job)]


async def change(store: Store, record: LaneRecord, *changes: tuple[Job, Job]) -> LaneRecord:
    return await store.commit(record, LaneWrite(record.lane, changes=[JobChange(*pair) for pair in changes]))
