"""What of a selection is open, and which of it goes last: the numbers behind an estimate."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.dialects import sqlite

from controller.model import Phase, Todo
from controller.store import Brief, OpenJobs, Selection, people
from controller.store.schema import METADATA
from tests.store.building import LANE, Place, ended, insert, opened, running, waiting


async def test_what_is_open_is_counted_by_phase_and_key(place: Place) -> None:
    async with opened(place) as store:
        jobs = [
            waiting("a", turn=3, group="g"),
            waiting("b", turn=1, group="g"),
            waiting("c", turn=2, group="h"),
            waiting("d", turn=9, priority=5, group="g"),
            waiting("e", turn=99, group="g", todo=Todo.DELAY),
            running(waiting("r", group="g"), "arn:r"),
            ended(waiting("z", group="g")),
        ]
        _, (a, *_) = await insert(store, await store.take_lane(LANE), jobs)
        key = a.quota_keys[0]
        groups = {group.phase: group for group in await store.open_jobs(LANE, Selection(group="g"))}
        assert groups == {
            Phase.PENDING: OpenJobs(Phase.PENDING, key, 4, None),
            Phase.RUNNING: OpenJobs(Phase.RUNNING, key, 1, groups[Phase.RUNNING].youngest),
        }
        last = await store.last_waiting(LANE, key, Selection(group="g"))
        assert last is not None
        assert last.identity.name == "a"  # the priority first, then the turn; a delayed one has none
        assert await store.last_waiting(LANE, "other", Selection()) is None
        assert await store.open_jobs("default/other", Selection()) == []


async def test_running_jobs_briefly(place: Place) -> None:
    async with opened(place) as store:
        jobs = [
            running(waiting("a"), "arn:a", remote_status="InProgress"),
            waiting("b"),
            running(waiting("c"), "arn:c"),
        ]
        _, (a, _, c) = await insert(store, await store.take_lane(LANE), jobs)
        began_at = c.attempts[0].created_at
        brief = await store.running_briefly(LANE, 0, 10)
        assert brief == [Brief(a.id, "InProgress", a.attempts[0].created_at), Brief(c.id, c.remote_status, began_at)]
        assert [job.job_id for job in await store.running_briefly(LANE, a.id, 10)] == [c.id]


@pytest.fixture(scope="module")
def schema() -> Iterator[sqlite3.Connection]:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.connect() as connection:
        yield connection.connection.driver_connection  # type: ignore[misc]  # the driver's own
    engine.dispose()


@pytest.mark.parametrize(
    "selection",
    [
        pytest.param(Selection(), id="all"),
        pytest.param(Selection(group="g"), id="a group"),
        pytest.param(Selection(labels={"run": "x"}), id="a label"),
        pytest.param(Selection(text="part"), id="part of the name"),
    ],
)
@pytest.mark.parametrize(
    ("of", "index"),
    [
        pytest.param(people.open_of, ("jobs_by_phase", "INTEGER PRIMARY KEY"), id="open"),
        pytest.param(people.last_of, ("jobs_queue", "INTEGER PRIMARY KEY"), id="last"),
    ],
)
def test_estimates_look_at_open_jobs_alone(
    schema: sqlite3.Connection, selection: Selection, of: Any, index: tuple[str, str]
) -> None:
    statement = of(selection).params(of_lane="x")
    if "key" in statement.compile().params:
        statement = statement.params(key="*")
    text = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    steps = [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert any(name in step for step in steps for name in index), steps
    assert not [step for step in steps if step.startswith("SCAN jobs") and "USING" not in step], steps
