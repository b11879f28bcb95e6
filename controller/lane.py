"""One lane: a scope and a kind, with its limits, its dispatcher and its reconciler.

Invariant: a lane has one owner; all of its parts commit through one desk. It ends when it is drained: no new calls,
those in flight answered and committed.
"""

from functools import partial

import anyio
from anyio.abc import TaskStatus

from controller.desk import Desk
from controller.dispatch import Dispatcher
from controller.kinds.kind import ALL_JOBS
from controller.model import Todo
from controller.notified import Notified
from controller.orders import Orders
from controller.plans import Counted
from controller.reconcile import Reconciler
from controller.resolve import Resolver
from controller.status import LaneStatus, SlotStatus
from controller.upkeep import AT_ONCE, Upkeep, work


class Lane:
    """The parts of one lane."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._counted = Counted()
        self.notified = Notified(desk, self._counted)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Own the lane until it is drained; says "ready" once its earlier life is taken up.

        Raises:
            FencedOutError: another owner took it over.
            StoreError: the store cannot be used any more.
        """
        desk = self.desk
        await desk.open()
        task_status.started()
        dispatcher = Dispatcher(desk)
        upkeep = Upkeep(desk)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Orders(desk).run)
            tasks.start_soon(dispatcher.run)
            tasks.start_soon(Reconciler(desk, self._counted).run)
            if desk.kind.can_list and desk.settings.reconcile.notifications:
                tasks.start_soon(self.notified.run)
            tasks.start_soon(partial(work, desk, Todo.RESOLVE, Resolver(desk, dispatcher).handle))
            tasks.start_soon(partial(work, desk, Todo.DELAY, upkeep.release, at_once=500))
            tasks.start_soon(partial(work, desk, Todo.GET, upkeep.read))
            if desk.kind.can_stop:
                tasks.start_soon(partial(work, desk, Todo.STOP, upkeep.stop))
            if desk.kind.can_delete:
                tasks.start_soon(partial(work, desk, Todo.DELETE, upkeep.delete, at_once=4 * AT_ONCE))
            tasks.start_soon(upkeep.deadlines)
            tasks.start_soon(upkeep.housekeeping)
        await desk.save()


def status_of(desk: Desk) -> LaneStatus:
    """What is shown of an open lane."""
    learned = desk.learned
    slots = learned.slots
    parked = slots.parked()
    return LaneStatus(
        lane=desk.lane,
        paused=desk.paused,
        pause_reason=desk.record.pause_reason,
        unavailable=desk.calls.unavailable,
        rates=desk.calls.statuses(),
        slots={
            key: SlotStatus(
                used=slots.used(key),
                ours=slots.ours(key),
                ceiling=slots.ceiling(key),
                configured=learned.configured_slots(key),
                parked=key in parked,
            )
            for key in {*desk.queue_keys, *slots.keys()} or {ALL_JOBS}
        },
        median_s=learned.medians_s(),
        last_complete_pass_at=desk.last_complete_pass_at,
        passes=desk.passes,
        create_delay_s=desk.calls.delay_s("create"),
        attempts=desk.attempts,
        phase_changes=dict(desk.phase_changes),
    )
