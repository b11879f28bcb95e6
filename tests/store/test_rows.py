"""Values to rows and back, over everything that a job can hold."""

import string
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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
    WaitReason,
    Wishes,
)
from controller.store.rows import (
    ATTEMPT_COLUMNS,
    HOT_COLUMNS,
    attempt_values,
    document_text,
    hot_values,
    plain,
    read_jobs,
    state_text,
    state_values,
)

NAMES = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=20)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
MOMENTS = st.floats(min_value=0, max_value=2e9)
COUNTS = st.integers(0, 2**31 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SPECS = st.none() | st.dictionaries(TEXTS, JSON, max_size=3)
IDENTITIES = st.builds(Identity, NAMES, NAMES.map("bedrock.{}".format), NAMES)
WISHES = st.builds(
    Wishes,
    priority=st.integers(-1000, 1000),
    group=TEXTS,
    labels=st.dictionaries(TEXTS, TEXTS, max_size=3),
    retry=st.builds(Retry, st.integers(1, 100), st.lists(st.sampled_from(FailReason), max_size=3).map(tuple), MOMENTS),
    partial=st.sampled_from(Partial),
    deadline_s=st.none() | MOMENTS,
    on_uncertain=st.sampled_from(OnUncertain),
)
DOCUMENTS = st.builds(
    Document,
    IDENTITIES,
    st.sampled_from(Desired),
    SPECS,
    WISHES,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(OnSpecChange),
    TEXTS,
)
REASONS = st.none() | st.sampled_from(FailReason) | st.sampled_from(WaitReason)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    incarnation = draw(st.integers(1, 1000))
    attempts = draw(
        st.lists(
            st.builds(
                Attempt,
                incarnation=st.just(incarnation),
                number=st.integers(1, 1000),
                token=TEXTS,
                remote_name=TEXTS,
                phase=st.sampled_from(Phase),
                created_at=MOMENTS,
                remote_id=st.none() | TEXTS,
                reason=REASONS,
                ended_at=st.none() | MOMENTS,
                maybe_sent=st.booleans(),
                unknown=st.booleans(),
                last_send_at=st.none() | MOMENTS,
                resolve_tries=COUNTS,
                conflicted=st.booleans(),
                scans_without=COUNTS,
                deleted=st.booleans(),
            ),
            max_size=3,
            unique_by=lambda attempt: attempt.number,
        )
    )
    return draw(
        st.builds(
            Job,
            id=st.integers(1, 2**62),
            identity=IDENTITIES,
            uid=TEXTS,
            incarnation=st.just(incarnation),
            generation=st.none() | st.integers(-(2**63), 2**63 - 1),
            digest=TEXTS,
            desired=st.sampled_from(Desired),
            spec=SPECS,
            wishes=WISHES,
            phase=st.sampled_from(Phase),
            accepted_at=MOMENTS,
            reason=REASONS,
            message=st.none() | TEXTS,
            attempt=COUNTS,
            attempts=st.just(tuple(sorted(attempts, key=lambda attempt: attempt.number))),
            quota_keys=st.lists(TEXTS, max_size=3).map(tuple),
            turn=st.integers(0, 2**62),
            todo=st.none() | st.sampled_from(Todo),
            due_at=MOMENTS,
            remote_status=st.none() | TEXTS,
            records=st.builds(Records, COUNTS, COUNTS, COUNTS, COUNTS),
            output_uri=st.none() | TEXTS,
            output_manifest=st.none() | TEXTS,
            partial=st.booleans(),
            started_at=st.none() | MOMENTS,
            ended_at=st.none() | MOMENTS,
            deadline_at=st.none() | MOMENTS,
            deadline_exceeded=st.booleans(),
            stop_sent_at=st.none() | MOMENTS,
            stop_unsupported=st.booleans(),
            refusals=COUNTS,
            failing_gets=COUNTS,
            missing_since=st.none() | MOMENTS,
            missing_passes=COUNTS,
            next_document=st.none() | DOCUMENTS,
            event_sequence=COUNTS,
        )
    )


def rows_of(job: Job) -> list[tuple[Any, ...]]:
    """What a query that joins jobs with attempts would return."""
    identity = job.identity
    columns = (job.id, identity.lane, identity.scope, identity.kind, identity.name)
    shared = (*columns, *hot_values(job), state_text(state_values(job)), document_text(job))
    nothing = (None,) * (2 + len(ATTEMPT_COLUMNS))
    return [(*shared, attempt.incarnation, attempt.number, *attempt_values(attempt)) for attempt in job.attempts] or [
        (*shared, *nothing)
    ]


@given(jobs())
def test_a_job_is_read_back_as_it_was(job: Job) -> None:
    assert read_jobs(rows_of(job)) == [job]


@given(st.lists(jobs(), max_size=3, unique_by=lambda job: job.id))
def test_jobs_keep_their_order(many: list[Job]) -> None:
    assert read_jobs([row for job in many for row in rows_of(job)]) == many


def test_no_field_is_forgotten_by_these_tests() -> None:
    """A new field must be stored, and drawn above."""
    assert len(fields(Job)) == 36
    assert len(fields(Attempt)) == 16
    assert len(fields(Wishes)) == 7
    assert len(HOT_COLUMNS) == len(hot_values(Job(**_minimal())))


def _minimal() -> dict[str, Any]:
    names = ("id", "identity", "uid", "incarnation", "generation", "digest", "desired", "spec", "wishes", "phase")
    values = (1, Identity("s", "k", "n"), "u", 1, None, "d", Desired.COMPLETED, None, Wishes(), Phase.PENDING)
    return {**dict(zip(names, values, strict=True)), "accepted_at": 0.0}


@given(st.none() | st.text(st.characters()))
def test_plain_text_is_fit_for_every_database(text: str | None) -> None:
    mended = plain(text)
    if text is None or mended is None:
        assert mended is text
        return
    assert "\x00" not in mended
    assert mended.encode("utf-8").decode("utf-8") == mended
    if mended == text:
        assert plain(mended) == mended
