"""Many senders, one write: entries that arrive while a write is on its way go together in the next one.

Invariant: `receive` returns once the caller's own entries are durable, or raises and says nothing of the others'. A
sender that is cancelled takes its entries back if they are not being written; it never takes others' with it. Entries
may be written twice, which is harmless, and are never lost.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import anyio

from controller.errors import StoreUnavailableError
from controller.seams import Clock
from controller.store import Inbox, NewEntry

ENTRIES_MAX: Final = 1_000
"""Written in one transaction, unless a single sender brings more."""


@dataclass(slots=True, eq=False)
class _Ticket:
    entries: Sequence[NewEntry]
    ids: Sequence[int] | None = None
    error: StoreUnavailableError | None = None

    @property
    def settled(self) -> bool:
        return self.ids is not None or self.error is not None


class GatheringInbox:
    """An inbox's entrance for many senders at once."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._inbox = inbox
        self._clock = clock
        self._waiting: deque[_Ticket] = deque()
        self._writing = anyio.Lock()

    async def receive(self, entries: Sequence[NewEntry]) -> Sequence[int]:
        """Make entries durable; returns their ids in order.

        Raises:
            StoreUnavailableError: they are not known to be durable; bring them again.
        """
        ticket = _Ticket(entries)
        self._waiting.append(ticket)
        try:
            async with self._writing:
                while not ticket.settled:
                    await self._write_some()
        finally:
            if not ticket.settled and ticket in self._waiting:
                self._waiting.remove(ticket)
        if ticket.ids is None:
            raise StoreUnavailableError(str(ticket.error)) from ticket.error
        return ticket.ids

    async def _write_some(self) -> None:
        group = self._take()
        try:
            ids = await self._inbox.receive([entry for ticket in group for entry in ticket.entries], self._clock.now())
        except StoreUnavailableError as error:
            for ticket in group:
                ticket.error = error
        else:
            rest = iter(ids)
            for ticket in group:
                ticket.ids = list(islice(rest, len(ticket.entries)))
        finally:
            # Only where this task is cancelled: whoever is next writes what the others wait for.
            self._waiting.extendleft(ticket for ticket in reversed(group) if not ticket.settled)

    def _take(self) -> Sequence[_Ticket]:
        """The oldest tickets, as many as fit, and at least one."""
        group = [self._waiting.popleft()]
        size = len(group[0].entries)
        while self._waiting and size + len(self._waiting[0].entries) <= ENTRIES_MAX:
            group.append(self._waiting.popleft())
            size += len(group[-1].entries)
        return group
