"""Paging through List: one complete scan, or an error; never a short scan that looks complete.

Invariant: when the iteration ends without an error, every page was read, each page token was new, and nothing was cut
off. A window ends early only where the pages are newest first and one lies wholly before it.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from controller.desk import Desk
from controller.model import Observation
from controller.pieces import InPieces

PAGES_MAX: Final = 100_000
ITEMS_AT_ONCE: Final = 200
"""Of a page, read between two turns of the event loop: each takes some five microseconds."""

Page = Sequence[tuple[Observation, Mapping[str, Any]]]

WINDOW_SLACK_S: Final = 3600.0
"""How much further back than the oldest job that is looked for a scan reaches: AWS's times need not be ours."""


@dataclass(slots=True)
class Reading:
    """How far a scan is."""

    more: bool = True
    """Whether another page follows the one that came last."""
    without_id: int = 0
    """Items so far that have no id: whose they are nobody can tell."""


class PageError(Exception):
    """The pages make no sense: a repeated token, or an answer without items. The scan is worth nothing."""


async def pages(
    desk: Desk,
    *,
    after: float | None = None,
    before: float | None = None,
    status: str | None = None,
    reading: Reading | None = None,
) -> AsyncGenerator[Page]:
    """List the lane's remote jobs, whoever's they are.

    Args:
        desk: the lane.
        after: seconds since the epoch, AWS's clock; only jobs submitted later need be shown.
        before: the same for the end of the window; where List has no such filter, later jobs are shown too.
        status: only jobs of this status; for kinds that can filter so.
        reading: is told of each page whether it is the last, and what could not be read.

    Raises:
        AwsError: a page could not be read.
        PageError: a page cannot be believed.
    """
    listing = desk.kind.listing
    if listing is None:
        raise AssertionError(f"{desk.kind.name} has no List")
    request: dict[str, Any] = {"maxResults": listing.page_size_max, **listing.newest_first}
    if status is not None and listing.status_filter is not None:
        request[listing.status_filter] = status
    if after is not None and listing.submitted_after is not None:
        request[listing.submitted_after] = datetime.fromtimestamp(after, UTC)
    if before is not None and listing.submitted_before is not None:
        request[listing.submitted_before] = datetime.fromtimestamp(before, UTC)
    tokens: set[str] = set()
    for _ in range(PAGES_MAX):
        reply = await desk.calls.send("list", listing.operation, request)
        items = reply.body.get(listing.items, [])
        if not isinstance(items, list):
            raise PageError(f"{listing.operation} answered without {listing.items}")
        page = await _observed(desk, items)
        token = reply.body.get("nextToken")
        last = not token or (after is not None and bool(listing.newest_first) and _wholly_before(page, after))
        if reading is not None:
            reading.more = not last
            reading.without_id += len(items) - len(page)
        del reply, items  # a page is large: never hold two of them
        yield page
        del page
        if last:
            return
        if not isinstance(token, str) or token in tokens:
            raise PageError(f"{listing.operation} gave a page token that it gave before, or that is none")
        tokens.add(token)
        request["nextToken"] = token
    raise PageError(f"{listing.operation} did not end after {PAGES_MAX} pages")


async def _observed(desk: Desk, items: Sequence[Any]) -> list[tuple[Observation, Mapping[str, Any]]]:
    """The items that have an id, read a few at a time: a page of them all would hold the event loop."""
    page: list[tuple[Observation, Mapping[str, Any]]] = []
    async for piece in InPieces(items, ITEMS_AT_ONCE):
        page += [(observation, item) for item in piece if (observation := desk.kind.observe_summary(item)) is not None]
    return page


def _wholly_before(page: Page, after: float) -> bool:
    times = [observation.submitted_at for observation, _ in page]
    return bool(times) and all(time is not None and time < after for time in times)
