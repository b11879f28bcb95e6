"""The jobs that ran before a list was read, and which of them the list has shown: only they can be missed.

Invariant: eight bytes and one a job, however long the list is.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from controller.plans import Ours
from controller.store import Brief


class Snapshot:
    """Filled with the running jobs in the order of their ids, then told what was shown."""

    def __init__(self) -> None:
        self._jobs = array("q")
        self._shown = bytearray()
        self._of: dict[str, tuple[int, float | None]] = {}

    def add(self, jobs: Sequence[Brief]) -> None:
        """More of them; ids ascend."""
        self._jobs.extend(job.job_id for job in jobs)
        self._shown.extend(bytes(len(jobs)))
        for job in jobs:
            status = job.remote_status or ""
            count, oldest = self._of.get(status, (0, job.began_at))
            older = None if oldest is None or job.began_at is None else min(oldest, job.began_at)
            self._of[status] = (count + 1, older)

    def __len__(self) -> int:
        return len(self._jobs)

    def ours(self, slack_s: float) -> dict[str, Ours]:
        """By the status last seen; a window that begins `slack_s` before the oldest shows all of them."""
        return {
            status: Ours(count, None if oldest is None else oldest - slack_s)
            for status, (count, oldest) in self._of.items()
        }

    def mark(self, job_id: int) -> None:
        """The list has shown this job."""
        place = self._place(job_id)
        if place is not None:
            self._shown[place] = 1

    def missed(self, job_id: int) -> bool:
        """Whether it ran before the list, and was not shown."""
        place = self._place(job_id)
        return place is not None and not self._shown[place]

    def _place(self, job_id: int) -> int | None:
        place = bisect_left(self._jobs, job_id)
        return place if place < len(self._jobs) and self._jobs[place] == job_id else None
