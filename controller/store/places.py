"""Places in the queue, for many waiting jobs of a lane at once.

Invariant: two reads of one index, whatever the number of jobs: the jobs of each priority are counted, then those
between each asked-for job and the next. Each waiting job is looked at once or twice, never once for each that is asked.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, column, func, select, text, tuple_, values

from controller.model import Job
from controller.store.database import Database
from controller.store.schema import BIG, JOBS

SPANS_MAX: Final = 500
"""Counted in one statement."""

_J: Final = JOBS.c
_LANE: Final = _J.lane == bindparam("of_lane")
_WAITING: Final = text("jobs.todo = 'create'")
_BY_PRIORITY: Final = select(_J.priority, func.count()).where(_LANE, _WAITING).group_by(_J.priority)

Span = tuple[int, int, int, int, int, int]
"""`(number, priority, turn and id from, turn and id before)`."""


def spans_counted(spans: Sequence[Span]) -> Select[Any]:
    """The statement that counts the waiting jobs of each span, by its number."""
    asked = (
        values(
            column("number", Integer),
            column("priority", Integer),
            column("from_turn", BIG),
            column("from_id", BIG),
            column("to_turn", BIG),
            column("to_id", BIG),
            name="asked",
        )
        .data(list(spans))
        .cte("spans")
    )
    place = tuple_(_J.turn, _J.id)
    within = (
        select(func.count())
        .select_from(JOBS)
        .where(
            _LANE,
            _WAITING,
            _J.priority == asked.c.priority,
            place >= tuple_(asked.c.from_turn, asked.c.from_id),
            place < tuple_(asked.c.to_turn, asked.c.to_id),
        )
    )
    return select(asked.c.number, within.scalar_subquery())


async def read_places(database: Database, lane: str, jobs: Sequence[Job]) -> dict[int, int]:
    """How many waiting jobs of the lane go before each of these, by id."""
    if not jobs:
        return {}
    ordered = sorted(jobs, key=lambda job: (-job.wishes.priority, job.turn, job.id))
    by_priority = {row[0]: row[1] for row in await database.read(_BY_PRIORITY, {"of_lane": lane})}
    counted: dict[int, int] = {}
    spans = _spans(ordered)
    for start in range(0, len(spans), SPANS_MAX):
        rows = await database.read(spans_counted(spans[start : start + SPANS_MAX]), {"of_lane": lane})
        counted |= {row[0]: row[1] for row in rows}
    places: dict[int, int] = {}
    number = 0
    for priority, group in groupby(ordered, key=lambda job: job.wishes.priority):
        before = sum(count for other, count in by_priority.items() if other > priority)
        for job in group:
            before += counted[number]
            places[job.id] = before
            number += 1
    return places


def _spans(ordered: Sequence[Job]) -> list[Span]:
    """From each job back to the one before it of the same priority, or to the beginning."""
    spans: list[Span] = []
    for _, group in groupby(ordered, key=lambda job: job.wishes.priority):
        ends = [(-1, -1)]
        for job in group:
            ends.append((job.turn, job.id))
            priority = job.wishes.priority
        spans += [(len(spans) + step, priority, *first, *last) for step, (first, last) in enumerate(pairwise(ends))]
    return spans
