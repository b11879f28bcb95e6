"""A store with many jobs in mixed phases, as weeks of work leave it.

Jobs go through the store's own commit; what runs is left to the daemon that takes the store over, since a remote job
that AWS does not know would be lost within a few passes.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from controller.documents import Policy, read_document
from controller.kinds import KINDS
from controller.model import (
    Attempt,
    Document,
    Identity,
    Job,
    Phase,
    Records,
    Todo,
    make_remote_name,
    make_token,
)
from controller.seams import SystemClock, no_failpoint
from controller.store import DeadLetter, JobChange, LaneWrite
from controller.store.opening import open_store
from controller.transitions.step import Context
from controller.transitions.wanting import apply_document
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, document

SCOPES = ("default", "research")
KIND_SHARES = {BATCH: 70, PROMPT: 15, RECOMMENDATION: 10, BLUEPRINT: 5}
PHASE_SHARES = {"Succeeded": 600, "Failed": 45, "Stopped": 15, "Deleted": 5, "Uncertain": 2, "waits": 20, "queued": 313}
FAILURES = (
    ("JobFailed", "3 of 1200 records have no modelInput member"),
    ("Expired", "the job was not finished within 24 hours"),
    ("ServiceError", "Internal service error. Try again later."),
    ("CreateRefused", "The provided role does not have permission to access s3://bucket/in/"),
    ("Lost", "no pass has shown the remote job for two hours"),
)
WAITS = (
    ("Backoff", "attempt 1 ended Failed; the next begins after its backoff"),
    ("AccessDenied", "AccessDeniedException: no identity-based policy allows iam:PassRole"),
)
GROUPS = ("", "team-a", "team-b", "search")
RUNS = ("nightly", "backfill", "canary")
BATCHES = 1000
SPAN_S = 6 * 3600.0
MARKUP = "<img src=x onerror=\"window.struck='yes'\"><script>window.struck='yes'</script>"
"""What must be shown as it is, wherever it stands."""


async def fill(store_url: str, jobs: int, *, seed: int = 1) -> None:
    """Write `jobs` jobs, and a few dead letters, into a store that no daemon has open."""
    chance = random.Random(seed)
    async with open_store(store_url, clock=SystemClock(), failpoint=no_failpoint, lock_wait_s=1) as store:
        instance = (await store.facts())["instance"]
        for scope in SCOPES:
            for kind, share in KIND_SHARES.items():
                record = await store.take_lane(f"{scope}/{kind}")
                changes: list[JobChange] = []
                count = jobs * share // 100 * (4 if scope == "default" else 1) // 5
                for job in _jobs(scope, kind, count, instance, chance):
                    changes.append(JobChange(None, job))
                    if len(changes) == BATCHES:
                        record = await store.commit(record, LaneWrite(record.lane, changes=changes))
                        changes = []
                letters = _letters() if (scope, kind) == ("default", BATCH) else ()
                await store.commit(record, LaneWrite(record.lane, changes=changes, dead_letters=letters))


def _jobs(scope: str, kind: str, count: int, instance: str, chance: random.Random) -> Iterator[Job]:
    now = time.time()
    context = Context(KINDS[kind], now, instance)
    read = read_document(document(kind, "template"), KINDS, Policy(scopes={"default": frozenset()}))
    assert isinstance(read, Document)
    for number in range(count):
        accepted_at = now - SPAN_S * (1 - number / max(1, count))
        named = replace(
            read,
            identity=Identity(scope, kind, f"{RUNS[number % 3]}-{number:06d}"),
            wishes=replace(
                read.wishes,
                group=GROUPS[number % len(GROUPS)],
                labels={"run": RUNS[number % 3], "day": f"2026-11-{1 + number % 28:02d}"},
            ),
        )
        step = apply_document(None, named, replace(context, now=accepted_at)).step
        assert step is not None
        yield _in_phase(step.change(turn=number, event_sequence=0).job, number / max(1, count), chance)


def _in_phase(job: Job, age: float, chance: random.Random) -> Job:
    """`age` is 0 for the oldest and 1 for the newest job; what waits is young."""
    (drawn,) = chance.choices(list(PHASE_SHARES), list(PHASE_SHARES.values()))
    if age > 0.8 and drawn not in {"waits", "Uncertain"}:
        drawn = "queued"
    if drawn == "queued":
        return job
    if drawn == "waits":
        why, says = chance.choice(WAITS)
        return replace(job, todo=Todo.DELAY, due_at=time.time() + 3600, reason=why, message=says)
    phase = Phase(drawn)
    began = job.accepted_at + chance.uniform(60, 900)
    ended = None if phase is Phase.UNCERTAIN else began + chance.uniform(600, 3600)
    reason: str | None = None
    message: str | None = None
    if phase is Phase.FAILED:
        reason, message = chance.choice(FAILURES)
    if phase is Phase.UNCERTAIN:
        message = "the create of attempt 1 had no answer, and nothing shows what became of it"
    return replace(
        job,
        phase=phase,
        todo=None,
        reason=reason,
        message=message,
        attempt=1,
        attempts=(_attempt(job, phase, began, ended, reason),),
        records=_records(phase, chance),
        remote_status={"Succeeded": "Completed", "Failed": "Failed", "Stopped": "Stopped"}.get(drawn),
        started_at=None if ended is None else began,
        ended_at=ended,
    )


def _attempt(job: Job, phase: Phase, began: float, ended: float | None, reason: str | None) -> Attempt:
    remote_id = f"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/{job.uid}"
    return Attempt(
        incarnation=1,
        number=1,
        token=make_token(job.uid, 1),
        remote_name=make_remote_name(job.identity.name, job.uid, 1, 63),
        phase=phase,
        created_at=began,
        remote_id=None if phase is Phase.UNCERTAIN else remote_id,
        reason=reason,
        ended_at=ended,
        maybe_sent=phase is Phase.UNCERTAIN,
        unknown=phase is Phase.UNCERTAIN,
        last_send_at=began,
    )


def _records(phase: Phase, chance: random.Random) -> Records:
    total = chance.randrange(100, 5000)
    if phase is Phase.SUCCEEDED:
        return Records(total, total, total, 0)
    if phase is Phase.FAILED:
        return Records(total, total // 3, total // 3 - 3, 3)
    return Records()


def _letters() -> tuple[DeadLetter, ...]:
    at = time.time() - 600
    mended = orjson.dumps(document(BATCH, "mended", 3, priority=500))
    valid = DeadLetter("document", "sqs:jobs", f"default/{BATCH}/mended", "roleArn is not among role_arns", mended, at)
    return (valid, *(_letter(number, at + 10 * number) for number in range(40)))


def _letter(number: int, at: float) -> DeadLetter:
    spec: dict[str, Any] = {"roleArn": "arn:aws:iam::123456789012:role/batch", "timeoutDurationInHours": 12}
    body = document(BATCH, f"broken-{number}", number, labels={"note": MARKUP}) | {"spec": spec}
    return DeadLetter(
        what="document",
        source="dir:/work/inbox",
        subject=f"default/{BATCH}/broken-{number}",
        reason=f"spec.timeoutDurationInHours: 12 is below the minimum 24; spec.modelId is missing; note {MARKUP}",
        body=repr(body).encode() if number % 7 == 0 else orjson.dumps(body),
        at=at,
    )
