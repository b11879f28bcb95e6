"""Places in the queue for many jobs at once are those of each alone, and cost one reading of an index."""

import pytest
from sqlalchemy.dialects import sqlite

from controller.model import Todo
from controller.store.places import SPANS_MAX, spans_counted
from tests.store.building import LANE, Place, insert, opened, waiting

PRIORITIES = (0, 5, -5, 0)


@pytest.mark.parametrize("count", [1, 7, 40])
async def test_many_places_are_those_of_each_job_alone(place: Place, count: int) -> None:
    jobs = [
        waiting(
            f"job-{number:03d}", priority=PRIORITIES[number % 4], turn=number * 7 % 11, quota_keys=(f"k{number % 3}",)
        )
        for number in range(count)
    ]
    async with opened(place) as store:
        _, read = await insert(store, await store.take_lane(LANE), [*jobs, waiting("delayed", todo=Todo.DELAY)])
        asked = [job for number, job in enumerate(read[:-1]) if number % 3 != 1]
        places = await store.queue_positions(LANE, asked)
        assert places == {job.id: await store.queue_position(job) for job in asked}
        assert await store.queue_positions(LANE, []) == {}


async def test_more_places_than_one_statement_counts(sqlite_place: Place) -> None:
    async with opened(sqlite_place) as store:
        jobs = [waiting(f"job-{number:04d}", turn=number) for number in range(SPANS_MAX + 20)]
        _, read = await insert(store, await store.take_lane(LANE), jobs)
        assert await store.queue_positions(LANE, read) == {job.id: number for number, job in enumerate(read)}


def test_the_statement_names_its_values_so_that_both_databases_take_it() -> None:
    text = str(spans_counted([(0, 0, -1, -1, 3, 4)]).compile(dialect=sqlite.dialect()))
    assert text.startswith("WITH spans(")
