"""Reads the jobs of a lane that notifications named, many a call.

Invariant: nothing is believed but what AWS shows; a notice costs no call where it tells nothing new, and a bounded
number of looks where AWS does not show what it said. Notices are kept in memory alone: passes see whatever is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import structlog

from controller.comparing import look_now
from controller.desk import Desk, wait_for_store
from controller.errors import AwsError
from controller.model import AT_AWS, Todo
from controller.named_reads import read_named
from controller.pages import PageError
from controller.plans import Counted
from controller.seams import Signal
from controller.store import Mirror

IDLE_S: Final = 60.0
KEPT_MAX: Final = 20_000
AT_ONCE: Final = 1000
GATHER_S: Final = 0.05
"""How long a burst is gathered before it is read."""
AGAIN_S: Final = (1.0, 5.0, 20.0)
"""When to look again at what AWS does not show yet, or at a job whose create is not recorded yet."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Named:
    status: str
    due_at: float
    looks: int = 0


class Notified:
    """The notices of one lane."""

    def __init__(self, desk: Desk, counted: Counted) -> None:
        self._desk = desk
        self._counted = counted
        self._named: dict[str, _Named] = {}
        self._told = Signal()

    def tell(self, remote_id: str, status: str) -> None:
        """Somebody says that a remote job has come into a status. One of another lane is nothing to this one."""
        if not self._desk.can_own(remote_id):
            return
        if remote_id not in self._named and len(self._named) >= KEPT_MAX:
            return
        self._named[remote_id] = _Named(status, self._desk.clock.monotonic())
        self._told.set()

    async def run(self) -> None:
        """Read what is named until the desk drains."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_all)
            await self._desk.drain.wait()
            tasks.cancel_scope.cancel()  # a read may be cut short; commits are not

    async def _look_all(self) -> None:
        desk = self._desk
        while True:
            now = desk.clock.monotonic()
            wait_s = min([IDLE_S, *(named.due_at - now for named in self._named.values())])
            if wait_s > 0:
                await self._told.wait(wait_s)
                continue
            await desk.sleep(GATHER_S)
            await wait_for_store(desk, self._look)

    async def _look(self) -> bool:
        """Read the jobs that are due, as far as their notices tell anything new."""
        desk = self._desk
        now = desk.clock.monotonic()
        due = [remote_id for remote_id, named in self._named.items() if named.due_at <= now][:AT_ONCE]
        mirrors = await desk.store.mirrors(desk.lane, due)
        worth = {remote_id: mirror for remote_id, mirror in mirrors.items() if self._news(mirror)}
        for remote_id in due:
            if remote_id in mirrors and remote_id not in worth:
                del self._named[remote_id]
            else:
                self._look_later(remote_id, now)
        if worth and desk.calls.rest_s() <= 0:
            await self._read(list(worth.values()))
        return True

    def _look_later(self, remote_id: str, now: float) -> None:
        named = self._named[remote_id]
        if named.looks >= len(AGAIN_S):
            del self._named[remote_id]
            return
        named.due_at = now + AGAIN_S[named.looks]
        named.looks += 1

    def _news(self, mirror: Mirror) -> bool:
        """Whether a notice says more of a job than the store holds; notices may be late, and swapped."""
        if mirror.phase not in AT_AWS:
            return False
        told, statuses = self._named[mirror.remote_id].status, self._desk.kind.active_statuses
        if told not in statuses or mirror.remote_status not in statuses:
            return told != mirror.remote_status
        return statuses.index(told) > statuses.index(mirror.remote_status)

    async def _read(self, mirrors: Sequence[Mirror]) -> None:
        desk = self._desk
        jobs = await desk.load([mirror.job_id for mirror in mirrors if mirror.todo is not Todo.GET])
        try:
            left = await read_named(desk, list(jobs.values()), self._counted)
        except (AwsError, PageError) as error:
            _log.info("notifications.not_read", lane=desk.lane, jobs=len(jobs), problem=str(error))
            return
        if left:
            now = desk.aws_now()
            await desk.apply([(job.id, partial(look_now, now=now)) for job in left])
