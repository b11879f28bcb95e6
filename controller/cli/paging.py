"""Lists that come page by page, each page naming the next.

Invariant: a server that names a page again, or never comes to an end, is not followed for ever: the command ends with
a sentence, for what was printed so far is not the whole list.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from controller.errors import NoDaemonError

PAGES_MAX: Final = 100_000
"""Of one list: fifty million jobs."""

Page = tuple[list[Mapping[str, Any]], str | None]
"""Items, and the cursor behind them; None: there is no more."""


def pages(ask: Callable[[str | None], Page]) -> Iterator[Page]:
    """Every page, from the first on, which has no cursor.

    Raises:
        NoDaemonError: a cursor came twice, or there are too many.
    """
    after: str | None = None
    seen: set[str] = set()
    while True:
        items, following = ask(after)
        yield items, following
        if following is None:
            return
        if following in seen or len(seen) >= PAGES_MAX:
            raise NoDaemonError("the daemon's list has no end: is it Ferryman, and of this version?")
        seen.add(following)
        after = following
