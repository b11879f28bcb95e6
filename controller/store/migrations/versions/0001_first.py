"""The first schema.

Invariant: never changed again; what changes the schema is a migration of its own.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
BIG: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_facts()
    _create_lanes()
    _create_inbox()
    _create_jobs()
    _create_attempts()
    _create_labels()
    _create_stubs()
    _create_orphans()
    _create_events()
    _create_cursors()
    _create_dead_letters()


def _create_facts() -> None:
    op.create_table(
        "facts",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )


def _create_lanes() -> None:
    op.create_table(
        "lanes",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("stream_sequence", BIG, nullable=False),
        sa.Column("last_job", BIG, nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("pause_reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lane"),
        sa.UniqueConstraint("number"),
    )


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_by_lane", "inbox", ["lane", "id"], unique=False)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("generation", BIG),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("desired", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("message", sa.Text()),
        sa.Column("todo", sa.String()),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("quota_key", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("turn", BIG, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.String()),
        sa.Column("began_at", sa.Float()),
        sa.Column("remote_status", sa.String()),
        sa.Column("records_total", BIG, nullable=False),
        sa.Column("records_processed", BIG, nullable=False),
        sa.Column("records_succeeded", BIG, nullable=False),
        sa.Column("records_failed", BIG, nullable=False),
        sa.Column("deadline_at", sa.Float()),
        sa.Column("deadline_wanted", sa.Boolean(), nullable=False),
        sa.Column("next_wanted", sa.Boolean(), nullable=False),
        sa.Column("accepted_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float()),
        sa.Column("ended_at", sa.Float()),
        sa.Column("event_sequence", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("lane", "name"),
    )
    _index_jobs()


def _index_jobs() -> None:
    op.create_index(
        "jobs_queue",
        "jobs",
        ["lane", "quota_key", sa.text("priority DESC"), "turn", "id"],
        unique=False,
        sqlite_where=sa.text("todo = 'create'"),
        postgresql_where=sa.text("todo = 'create'"),
    )
    op.create_index("jobs_by_phase", "jobs", ["lane", "phase", "reason", "began_at"], unique=False)
    op.create_index(
        "jobs_deadline",
        "jobs",
        ["lane", "deadline_at"],
        unique=False,
        sqlite_where=sa.text("deadline_wanted"),
        postgresql_where=sa.text("deadline_wanted"),
    )
    op.create_index(
        "jobs_due",
        "jobs",
        ["lane", "todo", "due_at"],
        unique=False,
        sqlite_where=sa.text("todo IS NOT NULL AND todo <> 'create'"),
        postgresql_where=sa.text("todo IS NOT NULL AND todo <> 'create'"),
    )
    op.create_index(
        "jobs_ended",
        "jobs",
        ["lane", "ended_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_live",
        "jobs",
        ["lane", "id"],
        unique=False,
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.create_index(
        "jobs_remote",
        "jobs",
        ["lane", "remote_id"],
        unique=False,
        sqlite_where=sa.text("remote_id IS NOT NULL"),
        postgresql_where=sa.text("remote_id IS NOT NULL"),
    )
    op.create_index(
        "jobs_turns",
        "jobs",
        ["lane", "priority", "turn", "id", "group_name", "todo"],
        unique=False,
        sqlite_where=sa.text("todo = 'create'"),
        postgresql_where=sa.text("todo = 'create'"),
    )


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("job_id", BIG, nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("remote_name", sa.String(), nullable=False),
        sa.Column("remote_id", sa.String()),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("maybe_sent", sa.Boolean(), nullable=False),
        sa.Column("unknown", sa.Boolean(), nullable=False),
        sa.Column("last_send_at", sa.Float()),
        sa.Column("resolve_tries", sa.Integer(), nullable=False),
        sa.Column("conflicted", sa.Boolean(), nullable=False),
        sa.Column("scans_without", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "incarnation", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "attempts_remote",
        "attempts",
        ["lane", "remote_id"],
        unique=True,
        sqlite_where=sa.text("remote_id IS NOT NULL"),
        postgresql_where=sa.text("remote_id IS NOT NULL"),
    )


def _create_labels() -> None:
    op.create_table(
        "labels",
        sa.Column("job_id", BIG, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("labels_by_value", "labels", ["key", "value", "job_id"], unique=False)


def _create_stubs() -> None:
    op.create_table(
        "stubs",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("generation", BIG),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("spec_digest", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("pruned_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "name"),
    )
    op.create_index("stubs_by_age", "stubs", ["pruned_at"], unique=False)


def _create_orphans() -> None:
    op.create_table(
        "orphans",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("remote_name", sa.String(), nullable=False),
        sa.Column("remote_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "remote_name"),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "seq"),
    )
    op.create_index("events_by_subject", "events", ["subject", "lane", "seq"], unique=False)


def _create_cursors() -> None:
    op.create_table(
        "cursors",
        sa.Column("sink", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.PrimaryKeyConstraint("sink", "lane"),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("dead_letters_by_age", "dead_letters", ["at"], unique=False)
