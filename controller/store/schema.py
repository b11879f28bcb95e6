"""The schema, in one place: what a row is, and which index serves which query.

The first migration creates exactly these tables; later ones change them step by step, and a test compares the two.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData()
BIG: Final = BigInteger().with_variant(Integer(), "sqlite")

FACTS = Table(
    "facts",
    METADATA,
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)
"""What the store as a whole remembers."""

LANES = Table(
    "lanes",
    METADATA,
    Column("lane", String, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("epoch", BIG, nullable=False),
    Column("seq", BIG, nullable=False),
    Column("stream_sequence", BIG, nullable=False),
    Column("last_job", BIG, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("pause_reason", Text, nullable=False),
    Column("state", Text, nullable=False),
)
"""One row a lane. Every write of a lane's owner begins by moving `seq` where `epoch` is still its own."""

INBOX = Table(
    "inbox",
    METADATA,
    Column("id", BIG, primary_key=True, autoincrement=True),
    Column("lane", String, nullable=False),
    Column("type", String, nullable=False),
    Column("name", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("source", String, nullable=False),
    Column("received_at", Float, nullable=False),
    Index("inbox_by_lane", "lane", "id"),
    sqlite_autoincrement=True,
)
"""What has arrived and is not yet applied; consumed by delete. Ids are never used again: they order arrivals."""

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("lane", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("uid", String, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("generation", BIG),
    Column("digest", String, nullable=False),
    Column("desired", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("reason", String),
    Column("message", Text),
    Column("todo", String),
    Column("due_at", Float, nullable=False),
    Column("quota_key", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("group_name", String, nullable=False),
    Column("turn", BIG, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("remote_id", String),
    Column("began_at", Float),
    Column("remote_status", String),
    Column("records_total", BIG, nullable=False),
    Column("records_processed", BIG, nullable=False),
    Column("records_succeeded", BIG, nullable=False),
    Column("records_failed", BIG, nullable=False),
    Column("deadline_at", Float),
    Column("deadline_wanted", Boolean, nullable=False),
    Column("next_wanted", Boolean, nullable=False),
    Column("accepted_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("event_sequence", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("lane", "name"),
    Index(
        "jobs_queue",
        "lane",
        "quota_key",
        text("priority DESC"),
        "turn",
        "id",
        sqlite_where=text("todo = 'create'"),
        postgresql_where=text("todo = 'create'"),
    ),
    Index(
        "jobs_turns",
        "lane",
        "priority",
        "turn",
        "id",
        "group_name",
        "todo",
        sqlite_where=text("todo = 'create'"),
        postgresql_where=text("todo = 'create'"),
    ),
    Index(
        "jobs_due",
        "lane",
        "todo",
        "due_at",
        sqlite_where=text("todo IS NOT NULL AND todo <> 'create'"),
        postgresql_where=text("todo IS NOT NULL AND todo <> 'create'"),
    ),
    Index(
        "jobs_live",
        "lane",
        "id",
        sqlite_where=text("live"),
        postgresql_where=text("live"),
    ),
    Index(
        "jobs_remote",
        "lane",
        "remote_id",
        sqlite_where=text("remote_id IS NOT NULL"),
        postgresql_where=text("remote_id IS NOT NULL"),
    ),
    Index(
        "jobs_deadline",
        "lane",
        "deadline_at",
        sqlite_where=text("deadline_wanted"),
        postgresql_where=text("deadline_wanted"),
    ),
    Index(
        "jobs_ended",
        "lane",
        "ended_at",
        sqlite_where=text("ended_at IS NOT NULL"),
        postgresql_where=text("ended_at IS NOT NULL"),
    ),
    Index("jobs_by_phase", "lane", "phase", "reason", "began_at"),
    Index("jobs_by_age", "accepted_at", "id"),
)
"""One row a job, in its present incarnation. `state` and `document` are JSON that no query looks into.

`live` says that its phase holds a slot: a condition of an index that is cheap to judge. `quota_key` is the first of its
keys; `remote_id` and `began_at` are of its present attempt. No index is needed to keep a uid unique: it is computed
from lane, name and incarnation.
"""

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("job_id", BIG, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("lane", String, nullable=False),
    Column("token", String, nullable=False),
    Column("remote_name", String, nullable=False),
    Column("remote_id", String),
    Column("phase", String, nullable=False),
    Column("reason", String),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("maybe_sent", Boolean, nullable=False),
    Column("unknown", Boolean, nullable=False),
    Column("last_send_at", Float),
    Column("resolve_tries", Integer, nullable=False),
    Column("conflicted", Boolean, nullable=False),
    Column("scans_without", Integer, nullable=False),
    Column("deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("job_id", "incarnation", "number"),
    Index(
        "attempts_remote",
        "lane",
        "remote_id",
        unique=True,
        sqlite_where=text("remote_id IS NOT NULL"),
        postgresql_where=text("remote_id IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)
"""One row an attempt, of every incarnation; a remote id belongs to one of them."""

LABELS = Table(
    "labels",
    METADATA,
    Column("job_id", BIG, nullable=False),
    Column("key", String, nullable=False),
    Column("value", String, nullable=False),
    PrimaryKeyConstraint("job_id", "key"),
    Index("labels_by_value", "key", "value", "job_id"),
    sqlite_with_rowid=False,
)

STUBS = Table(
    "stubs",
    METADATA,
    Column("lane", String, nullable=False),
    Column("name", String, nullable=False),
    Column("uid", String, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("generation", BIG),
    Column("digest", String, nullable=False),
    Column("spec_digest", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("pruned_at", Float, nullable=False),
    PrimaryKeyConstraint("lane", "name"),
    Index("stubs_by_age", "pruned_at"),
)
"""What pruning leaves of a job."""

ORPHANS = Table(
    "orphans",
    METADATA,
    Column("lane", String, nullable=False),
    Column("remote_name", String, nullable=False),
    Column("remote_id", String, nullable=False),
    PrimaryKeyConstraint("lane", "remote_name"),
)
"""Remote jobs with names of ours, found when a store was new or restored, which no attempt knows."""

EVENTS = Table(
    "events",
    METADATA,
    Column("lane", String, nullable=False),
    Column("seq", BIG, nullable=False),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("lane", "seq"),
    Index("events_by_subject", "subject", "lane", "seq"),
)

CURSORS = Table(
    "cursors",
    METADATA,
    Column("sink", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("seq", BIG, nullable=False),
    PrimaryKeyConstraint("sink", "lane"),
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("id", BIG, primary_key=True, autoincrement=True),
    Column("what", String, nullable=False),
    Column("source", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Index("dead_letters_by_age", "at"),
    sqlite_autoincrement=True,
)
