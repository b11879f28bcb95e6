"""One page of a list: filters, order, tokens, and the faults that lists can have.

Invariant: without a fault, pages that follow each other show every job once that exists throughout; the cost of a page
follows from its size and the index it uses, not from how many jobs there are. A stale page is computed from the jobs'
timelines and may cost a pass over all of them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from controller.simulator.call import Call
from controller.simulator.families import Family
from controller.simulator.faults import (
    EmptyPage,
    Missed,
    RepeatedPageToken,
    SeenTwice,
    StaleList,
    first,
)
from controller.simulator.paging import PageToken
from controller.simulator.world import Job, Ordered

View = Callable[[Job, float], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for. Times are seconds since the epoch, both exclusive."""

    size: int
    newest_first: bool
    token: str | None = None
    status: str | None = None
    after: float | None = None
    before: float | None = None
    name_part: str | None = None
    group: str | None = None

    @property
    def key(self) -> str:
        """Ties page tokens to the filters they were made for."""
        return repr((self.newest_first, self.status, self.after, self.before, self.name_part, self.group))


def list_page(call: Call, family: Family, query: Query, view: View) -> tuple[list[dict[str, Any]], str | None]:
    """One page as views, and the token of the next.

    Raises:
        AwsError: the page token is refused.
    """
    key = f"{family.kind} {call.place} {query.key}"
    start = call.read_page_token("nextToken", key)
    page = start.page if start else 1
    if first(call.effects, EmptyPage):
        here = start or _before_everything(query, call.now)
        return [], _write(call, key, here, page)
    stale = first(call.effects, StaleList)
    as_of = call.now - stale.age_s if stale and page >= stale.from_page else None
    jobs = _jobs_now(call, family, query, start) if as_of is None else _jobs_then(call, family, query, start, as_of)
    size = min(query.size, call.options.page_size_max)
    missed = first(call.effects, Missed)
    found = list(islice(jobs, size + 1 + (missed.count if missed else 0)))
    shown, following = _cut(found, size, missed.count if missed else 0)
    token = None
    if following is not None:
        after = PageToken(following.created_at, following.sequence, page + 1, call.now)
        token = _write(call, key, _shifted(call, after, shown), page)
    elif first(call.effects, SeenTwice) and shown:
        shown.append(shown[-1])
    if first(call.effects, RepeatedPageToken):
        token = query.token or _write(call, key, _before_everything(query, call.now), page)
    at = call.now if as_of is None else as_of
    return [view(job, at) for job in shown], token


def _cut(found: list[Job], size: int, missed: int) -> tuple[list[Job], Job | None]:
    """The jobs to show, and the last job that counts as shown (None: there is no next page)."""
    if len(found) > size + missed:
        return found[:size], found[size + missed - 1]
    if missed:
        kept = max(0, min(size, len(found) - missed))
        return found[:kept], None
    return found, None


def _shifted(call: Call, token: PageToken, shown: list[Job]) -> PageToken:
    if not first(call.effects, SeenTwice) or not shown:
        return token
    last = shown[-1]
    return PageToken(last.created_at, last.sequence, token.page, token.issued_at, inclusive=True)


def _write(call: Call, key: str, token: PageToken, page: int) -> str:
    following = PageToken(token.created_at, token.sequence, page + 1, call.now, token.inclusive)
    return call.backend.page_tokens.write(following, key)


def _before_everything(query: Query, now: float) -> PageToken:
    edge = 2**53 if query.newest_first else -(2**53)
    return PageToken(float(edge), 0, 1, now)


def _bounds(index: list[Ordered], query: Query, start: PageToken | None) -> tuple[int, int]:
    """The half-open range of an index that a query can see."""
    low = 0 if query.after is None else bisect_right(index, query.after, key=lambda entry: entry[0])
    high = len(index) if query.before is None else bisect_left(index, query.before, key=lambda entry: entry[0])
    if start is not None:
        mark = (start.created_at, start.sequence)
        # `inclusive` widens the range by the very job that the token names.
        side = bisect_right if query.newest_first == start.inclusive else bisect_left
        position = side(index, mark, key=lambda entry: entry[:2])
        if query.newest_first:
            high = min(high, position)
        else:
            low = max(low, position)
    return low, high


def _walk(index: list[Ordered], query: Query, start: PageToken | None) -> Iterator[Job]:
    low, high = _bounds(index, query, start)
    positions = range(high - 1, low - 1, -1) if query.newest_first else range(low, high)
    return (index[position][2] for position in positions)


def _jobs_now(call: Call, family: Family, query: Query, start: PageToken | None) -> Iterator[Job]:
    shelf = call.backend.world.shelf(call.place, family)
    index = shelf.everything
    if query.status is not None:
        index = shelf.by_status.get(query.status, [])
    elif query.group is not None:
        index = shelf.by_group.get(query.group, [])
    part, now = query.name_part, call.now
    for job in _walk(index, query, start):
        if job.listed_from <= now and (part is None or part in (job.name or "")):
            yield job


def _jobs_then(call: Call, family: Family, query: Query, start: PageToken | None, at: float) -> Iterator[Job]:
    shelf = call.backend.world.shelf(call.place, family)
    ghosts = [job.order for job in shelf.gone if job.timeline[-1][0] > at]
    for job in _walk(sorted([*shelf.everything, *ghosts]), query, start):
        visible = max(job.created_at, job.listed_from) <= at
        matches = query.status in (None, job.status_at(at)) and query.group in (None, job.group)
        if visible and matches and (query.name_part or "") in (job.name or ""):
            yield job
