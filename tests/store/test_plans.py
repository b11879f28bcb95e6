"""Every query that a lane asks again and again is served by its index, and none reads all jobs."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.dialects import sqlite

from controller.model import Phase
from controller.store import Selection, inbox, lane_reads, lane_writes, outbox, people
from controller.store.lane_reads import jobs_where
from controller.store.newest import newest_of_all, newest_of_next
from controller.store.schema import JOBS, METADATA

VALUES: dict[str, Any] = {
    "of_lane": "default/k",
    "names": ["a", "b"],
    "ids": [1, 2],
    "remote_ids": ["x", "y"],
    "up_to": 10,
    "what": "get",
    "before": 5.0,
    "key": "*",
    "after_id": 0,
    "after": 0,
    "of_sink": "log:",
    "of_name": "a",
    "of_priority": 0,
    "of_turn": 0,
    "of_id": 1,
    "of_subject": "s",
}
HOT = [
    pytest.param(lane_reads._NAMED, "sqlite_autoindex_jobs", id="jobs by name"),
    pytest.param(lane_reads._BY_ID, "INTEGER PRIMARY KEY", id="jobs by id"),
    pytest.param(lane_reads._STUBS_NAMED, "sqlite_autoindex_stubs", id="stubs by name"),
    pytest.param(lane_reads._ENTRIES, "inbox_by_lane", id="inbox"),
    pytest.param(lane_reads._TO_DO, "jobs_due", id="due"),
    pytest.param(lane_reads._NEXT_DUE, "jobs_due", id="next due"),
    pytest.param(lane_reads._HEADS, "jobs_queue", id="heads"),
    pytest.param(lane_reads._KEYS, "jobs_queue", id="quota keys"),
    pytest.param(lane_reads._TURNS, "COVERING INDEX jobs_turns", id="turns"),
    pytest.param(lane_reads._SLOTS, "jobs_live", id="slots"),
    pytest.param(lane_reads._MIRRORS, "jobs_remote", id="mirrors"),
    pytest.param(lane_reads._RUNNING_AFTER, "jobs_live", id="running"),
    pytest.param(lane_reads._BRIEFLY, "jobs_live", id="running jobs, briefly"),
    pytest.param(lane_reads._SUMMARY, "COVERING INDEX jobs_by_phase", id="summary"),
    pytest.param(lane_reads._KNOWN, "attempts_remote", id="known remote ids"),
    pytest.param(lane_reads._ORPHANS, "sqlite_autoindex_orphans", id="orphans"),
    pytest.param(lane_reads._INTENTS, "jobs_by_phase", id="open intents"),
    pytest.param(lane_reads._OLDEST_OPEN, "jobs_by_phase", id="oldest open"),
    pytest.param(lane_reads._DEADLINES, "jobs_deadline", id="deadlines"),
    pytest.param(lane_reads._OVERDUE, "jobs_deadline", id="overdue"),
    pytest.param(lane_reads._UNPLACED, "jobs_deadline", id="deadlines to place"),
    pytest.param(lane_reads._INTERRUPTED, "jobs_by_phase", id="interrupted"),
    pytest.param(lane_reads._PRUNABLE, "jobs_ended", id="prunable"),
    pytest.param(lane_reads._PHASES, "COVERING INDEX jobs_by_phase", id="phases"),
    pytest.param(lane_writes._HOLDERS, "attempts_remote", id="holders of remote ids"),
    pytest.param(outbox.AFTER, "sqlite_autoindex_events", id="events of a lane"),
    pytest.param(outbox._LANES, "sqlite_autoindex_events", id="last events"),
    pytest.param(people._JOB, "sqlite_autoindex_jobs", id="one job"),
    pytest.param(people._AHEAD, "COVERING INDEX jobs_turns", id="place in the queue"),
    pytest.param(people._LAST, "events_by_subject", id="events of a job"),
    pytest.param(people._AFTER_OF_SUBJECT, "events", id="events of a job after"),
    pytest.param(people._COUNTS, "COVERING INDEX jobs_by_phase", id="counts"),
    pytest.param(inbox._SIZE, "COVERING INDEX", id="inbox size"),
]
ENDLESS = {"counts", "inbox size"}
"""They read a whole index, and nothing else."""
AFTER_SOME = "41da484f40c00000-1042"


@pytest.fixture(scope="module")
def schema() -> Iterator[sqlite3.Connection]:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.connect() as connection:
        yield connection.connection.driver_connection  # type: ignore[misc]  # the driver's own
    engine.dispose()


def plan(schema: sqlite3.Connection, statement: Any) -> list[str]:
    compiled = statement.params({key: value for key, value in VALUES.items() if key in statement.compile().params})
    text = str(compiled.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    return [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {text}")]


@pytest.mark.parametrize(("statement", "index"), HOT)
def test_hot_queries_use_their_index(
    schema: sqlite3.Connection, statement: Any, index: str, request: pytest.FixtureRequest
) -> None:
    steps = plan(schema, statement)
    assert any(index in step for step in steps), steps
    if request.node.callspec.id not in ENDLESS:
        scans = [step for step in steps if step.startswith("SCAN") and step.split()[1] in METADATA.tables]
        assert not [scan for scan in scans if scan.split()[1] in {"jobs", "attempts", "events", "inbox"}], steps


def test_every_statement_of_a_lane_is_in_the_table() -> None:
    listed = {id(case.values[0]) for case in HOT}
    statements = {
        name: value
        for name, value in vars(lane_reads).items()
        if name.startswith("_") and isinstance(value, type(select()))
    }
    missing = {name for name, value in statements.items() if id(value) not in listed}
    assert missing == {"_ANY_ORPHANS"}


def test_what_waits_is_ordered_by_its_index_alone(schema: sqlite3.Connection) -> None:
    chosen = (
        jobs_where(JOBS.c.lane == "x", lane_reads._WAITING, JOBS.c.quota_key == "*")
        .order_by(JOBS.c.priority.desc(), JOBS.c.turn, JOBS.c.id)
        .limit(5)
    )
    assert not [step for step in plan(schema, chosen) if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    ("selection", "index"),
    [
        pytest.param(Selection(labels={"run": "x"}), "labels", id="labels"),
        pytest.param(Selection(scope="s", kind="k", phases=frozenset({Phase.FAILED})), "jobs_by_phase", id="phase"),
        pytest.param(Selection(scope="s", kind="k", name="n"), "sqlite_autoindex_jobs", id="name"),
        pytest.param(Selection(), "SEARCH jobs USING COVERING INDEX jobs_by_age", id="everything"),
        pytest.param(Selection(group="g"), "SEARCH jobs USING INDEX jobs_by_age", id="what has no index: by age"),
    ],
)
def test_selections_use_an_index(schema: sqlite3.Connection, selection: Selection, index: str) -> None:
    steps = plan(schema, newest_of_all(selection, AFTER_SOME, 5))
    assert any(index in step for step in steps), steps


def test_the_next_jobs_are_looked_through_by_their_age_and_no_others(schema: sqlite3.Connection) -> None:
    steps = plan(schema, newest_of_next(Selection(labels={"run": "x"}, group="g"), AFTER_SOME, 5))
    scans = [step for step in steps if step.startswith("SCAN")]
    assert scans == ["SCAN following"], steps
    assert any("COVERING INDEX jobs_by_age" in step for step in steps), steps
