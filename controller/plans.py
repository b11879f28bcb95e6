"""Which way to read List: the cheapest plan that is complete for its purpose.

Pure: facts in, a scan out. A plan for our own jobs must show every one of them. A plan for slots must show every active
remote job of the account: every active status, or a window as long as a job can live, or everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from controller.kinds.kind import Kind


class Plan(Enum):
    WINDOW = auto()
    """Newest first, back to before our oldest live job was submitted."""
    STATUSES = auto()
    """One scan an active status, in life-cycle order: a job that moves on is seen twice, never missed."""
    EVERYTHING = auto()
    GETS = auto()
    """No list: each live job by Get."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    live: int
    """Remote jobs of ours that run."""
    oldest: float | None
    """Begin of the window that shows all of ours; None where there are none."""
    now: float
    everything: bool
    """An earlier store may have left remote jobs of any age."""
    first: bool
    """The first pass since the start: intents of a restored store may exist at AWS."""
    slots: bool
    """The foreign slots are wanted."""


@dataclass(frozen=True, slots=True)
class Scan:
    plan: Plan
    after: float | None = None
    statuses: tuple[str, ...] = ()
    complete_for_slots: bool = False

    @property
    def everything(self) -> bool:
        return self.plan is Plan.EVERYTHING


def choose(kind: Kind, facts: PlanFacts, pages_of: Mapping[Plan, int]) -> Scan:
    """The scan to make now.

    Args:
        kind: what its List can do.
        facts: what is wanted.
        pages_of: pages that each plan took the last time; a plan not tried yet counts as its least.
    """
    listing = kind.listing
    if listing is None:
        return Scan(Plan.GETS)
    everything = Scan(Plan.EVERYTHING, complete_for_slots=True)
    if facts.everything:
        return everything
    newest_first = bool(listing.newest_first)
    window = _window(kind, facts)
    if facts.first and facts.oldest is not None and newest_first:
        return window  # what a restored store does not know must be found before anything is created
    candidates: list[tuple[int, Scan]] = []
    if newest_first and facts.oldest is not None and (window.complete_for_slots or not facts.slots):
        candidates.append((pages_of.get(Plan.WINDOW, 1), window))
    if listing.status_filter is not None:
        statuses = Scan(Plan.STATUSES, statuses=kind.active_statuses, complete_for_slots=True)
        least = len(kind.active_statuses) + facts.live // listing.page_size_max
        candidates.append((max(least, pages_of.get(Plan.STATUSES, least)), statuses))
    if not candidates or listing.status_filter is None:
        least = pages_of.get(Plan.WINDOW, 1)  # everything is never less than a window of it
        candidates.append((max(least, pages_of.get(Plan.EVERYTHING, least)), everything))
    if not facts.slots and listing.status_filter is None:
        candidates.append((facts.live, Scan(Plan.GETS)))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _window(kind: Kind, facts: PlanFacts) -> Scan:
    life = kind.job_life_s_max
    after = facts.oldest
    complete = after is not None and life is not None and after <= facts.now - life
    return Scan(Plan.WINDOW, after=after, complete_for_slots=complete)
