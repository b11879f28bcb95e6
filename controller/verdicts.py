"""Verdicts: from the owner of a lane to the sender who waits for one, within this process.

Invariant: a verdict is announced after its commit and kept for a while, so that a sender who begins to wait late still
finds it; memory is bounded, the oldest are forgotten. Nothing depends on a verdict being heard: one that is lost is
`pending` to its sender, and the job itself shows what became of it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio

KEPT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What a sender hears of one inbox entry."""

    answer: str
    """`accepted`, `unchanged`, `ignored` or `rejected`."""
    message: str
    job_uid: str | None = None


@dataclass(slots=True)
class _Waiting:
    missing: set[int]
    found: dict[int, VerdictView]
    complete: anyio.Event = field(default_factory=anyio.Event)


class Verdicts:
    """The verdicts of one process, by inbox entry.

    Args:
        kept_max: how many are kept for senders who have not begun to wait.
    """

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._kept: OrderedDict[int, VerdictView] = OrderedDict()
        self._waiting: dict[int, list[_Waiting]] = {}

    def announce(self, entry_id: int, answer: str, message: str, job_uid: str | None) -> None:
        """Tell whoever waits for this entry, now or soon, what became of it."""
        verdict = VerdictView(str(answer), message, job_uid)
        self._kept[entry_id] = verdict
        self._kept.move_to_end(entry_id)
        while len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        for waiting in self._waiting.pop(entry_id, ()):
            waiting.found[entry_id] = verdict
            waiting.missing.discard(entry_id)
            if not waiting.missing:
                waiting.complete.set()

    async def wait(self, entry_ids: Iterable[int], timeout_s: float) -> Mapping[int, VerdictView]:
        """The verdicts known once all are, or once the time is over; entries without one are left out."""
        wanted = set(entry_ids)
        found = {entry_id: self._kept[entry_id] for entry_id in wanted if entry_id in self._kept}
        waiting = _Waiting(wanted - found.keys(), found)
        if not waiting.missing or timeout_s <= 0:
            return found
        for entry_id in waiting.missing:
            self._waiting.setdefault(entry_id, []).append(waiting)
        try:
            with anyio.move_on_after(timeout_s):
                await waiting.complete.wait()
        finally:
            self._forget(waiting)
        return found

    def _forget(self, waiting: _Waiting) -> None:
        for entry_id in waiting.missing:
            others = [other for other in self._waiting.pop(entry_id, ()) if other is not waiting]
            if others:
                self._waiting[entry_id] = others
