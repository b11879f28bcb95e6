"""Which way to read List: the cheapest plan that is complete for its purpose.

Pure: facts in, a scan out. A plan for our own jobs must show every one of them: by a window that reaches back to the
oldest, by the statuses they can be in, or by a window for the young ones and statuses for the rest. A plan for slots
must show every active remote job of the account: every active status, or a window as long as a job can live, or
everything. What a way costs is counted in pages, from what it took lately.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from controller.kinds.kind import Kind, Listing

FORGET_S: Final = 600.0
"""After so long a count of what changes says nothing more, and is taken for little until it is made again."""


class Plan(Enum):
    WINDOW = auto()
    """Newest first, back to before our oldest live job was submitted."""
    STATUSES = auto()
    """One scan an active status, in life-cycle order: a job that moves on is seen twice, never missed."""
    BOTH = auto()
    """A window for the jobs that have not come far yet, then the later statuses."""
    EVERYTHING = auto()
    GETS = auto()
    """No list: each live job by Get."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Jobs of ours that were last seen in one status."""

    jobs: int
    oldest: float | None
    """When the first of them was submitted, at the earliest."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    live: int
    """Remote jobs of ours that run."""
    oldest: float | None
    """Begin of the window that shows all of ours; None where there are none."""
    now: float
    everything: bool
    """An earlier store may have left remote jobs of any age, or a Get did not find a job of ours."""
    first: bool
    """The first pass since the start: intents of a restored store may exist at AWS."""
    slots: bool
    """The foreign slots are wanted."""
    ours: Mapping[str, Ours] = field(default_factory=dict)
    """By the status last seen; those in none of the active statuses may be anywhere."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read: the window first, then each status.

    Attributes:
        after: where the window begins; None: no window.
        pages_max: pages of the window beyond which another way is cheaper; None: it is read to its end.
    """

    plan: Plan
    after: float | None = None
    statuses: tuple[str, ...] = ()
    complete_for_slots: bool = False
    pages_max: int | None = None

    @property
    def everything(self) -> bool:
        return self.plan is Plan.EVERYTHING


@dataclass(slots=True)
class Counted:
    """What was read lately, and how much it was."""

    _statuses: dict[str, tuple[float, int]] = field(default_factory=dict)
    _everything: tuple[float, int] | None = None
    _window: tuple[float, float, float] | None = None

    def status(self, status: str, now: float) -> int:
        """Pages that a status took the last time; 1 where nobody knows."""
        return self._known(self._statuses.get(status), now)

    def count_status(self, status: str, now: float, pages: int) -> None:
        self._statuses[status] = (now, pages)

    def everything(self, now: float) -> int:
        return self._known(self._everything, now)

    def count_everything(self, now: float, pages: int) -> None:
        self._everything = (now, pages)

    def window(self, begin: float, end: float) -> int:
        """Least pages of a window: those of its part that was counted, since nothing is submitted in the past."""
        if self._window is None:
            return 1
        counted_begin, counted_end, pages = self._window
        both_s = max(0.0, min(end, counted_end) - max(begin, counted_begin))
        return max(1, math.ceil(pages * both_s / max(1.0, counted_end - counted_begin)))

    def count_window(self, begin: float, end: float, pages: float) -> None:
        """What was submitted from begin to end filled so many pages; the last may be a part of one."""
        self._window = (begin, end, pages)

    def _known(self, counted: tuple[float, int] | None, now: float) -> int:
        return 1 if counted is None or now - counted[0] > FORGET_S else max(1, counted[1])


Candidate = tuple[int, Scan]
"""Pages, and what to read for them."""


def choose(kind: Kind, facts: PlanFacts, counted: Counted) -> Scan:
    """The scan to make now: of the candidates that are complete for what is wanted, the one of the fewest pages."""
    listing = kind.listing
    if listing is None:
        return Scan(Plan.GETS)
    everything = Scan(Plan.EVERYTHING, complete_for_slots=True)
    if facts.everything:
        return everything
    window = _window(kind, facts) if listing.newest_first and facts.oldest is not None else None
    if facts.first and window is not None:
        return window  # what a restored store does not know must be found before anything is created
    sure = list(_without_window(kind, listing, facts, counted))
    windows = list(_with_window(kind, listing, facts, counted, window))
    if listing.status_filter is None:
        least = min((cost for cost, _ in windows), default=1)  # everything is never less than a window of it
        whole = max(least, counted.everything(facts.now), _pages(facts.live, listing))
        windows.append((whole, everything))
    scan = min([*sure, *windows], key=lambda candidate: candidate[0])[1]
    if scan.after is None or not sure:
        return scan
    # A window may turn out longer than anybody knew: never much beyond what the surer way costs.
    rest = sum(_status_pages(listing, status, facts, counted) for status in scan.statuses)
    pages_max = max(1, min(cost for cost, _ in sure) - rest)
    return Scan(scan.plan, scan.after, scan.statuses, scan.complete_for_slots, pages_max)


def _window(kind: Kind, facts: PlanFacts) -> Scan:
    life = kind.job_life_s_max
    after = facts.oldest
    complete = after is not None and life is not None and after <= facts.now - life
    return Scan(Plan.WINDOW, after=after, complete_for_slots=complete)


def _without_window(kind: Kind, listing: Listing, facts: PlanFacts, counted: Counted) -> Iterator[Candidate]:
    if listing.status_filter is None:
        if not facts.slots:
            yield facts.live, Scan(Plan.GETS)
        return
    statuses = kind.active_statuses
    first = 0 if facts.slots else _first_status(statuses, facts)
    wanted = statuses[first:]
    cost = sum(_status_pages(listing, status, facts, counted) for status in wanted)
    yield max(cost, _pages(facts.live, listing)), Scan(Plan.STATUSES, statuses=wanted, complete_for_slots=first == 0)


def _first_status(statuses: Sequence[str], facts: PlanFacts) -> int:
    """The earliest status that any job of ours can be in: none goes back. Jobs of unknown status can be anywhere."""
    if sum(ours.jobs for status, ours in facts.ours.items() if status in statuses) < facts.live:
        return 0
    return next((place for place, status in enumerate(statuses) if status in facts.ours), 0)


def _with_window(
    kind: Kind, listing: Listing, facts: PlanFacts, counted: Counted, window: Scan | None
) -> Iterator[Candidate]:
    if window is None:
        return
    if window.complete_for_slots or not facts.slots:
        yield _window_pages(listing, facts.oldest, facts.live, facts, counted), window
    if facts.slots or listing.status_filter is None:
        return
    statuses = kind.active_statuses
    for place in range(1, len(statuses)):
        later = statuses[place:]
        settled = [facts.ours[status].jobs for status in later if status in facts.ours]
        young = facts.live - sum(settled)
        oldest = _oldest_but(later, facts)
        if young <= 0 or not settled or oldest is None:
            continue
        pages = sum(_status_pages(listing, status, facts, counted) for status in later)
        pages += _window_pages(listing, oldest, young, facts, counted)
        yield pages, Scan(Plan.BOTH, after=oldest, statuses=later)


def _oldest_but(later: Sequence[str], facts: PlanFacts) -> float | None:
    """Begin of the window that shows all of ours but those of the `later` statuses."""
    oldest = [ours.oldest for status, ours in facts.ours.items() if status not in later]
    known = [moment for moment in oldest if moment is not None]
    return min(known) if known and len(known) == len(oldest) else None


def _status_pages(listing: Listing, status: str, facts: PlanFacts, counted: Counted) -> int:
    ours = facts.ours.get(status)
    return max(counted.status(status, facts.now), _pages(ours.jobs if ours else 0, listing))


def _window_pages(listing: Listing, after: float | None, jobs: int, facts: PlanFacts, counted: Counted) -> int:
    known = counted.window(after, facts.now) if after is not None else 1
    return max(known, _pages(jobs, listing))


def _pages(items: int, listing: Listing) -> int:
    return max(1, -(-items // listing.page_size_max))
