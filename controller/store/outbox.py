"""The outbox: committed events in the order of their lanes, and how far each sink has come."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Integer, bindparam, delete, func, insert, select

from controller.events import CONTROLLER_LANE
from controller.store import DeadLetter, OutboxEvent
from controller.store.database import Database, Transaction
from controller.store.lane_writes import insert_dead_letters
from controller.store.schema import CURSORS, EVENTS, LANES
from controller.store.writer import Writer

_E: Final = EVENTS.c
_LAST: Final = select(func.max(_E.seq)).where(_E.lane == LANES.c.lane).scalar_subquery()
_LANES: Final = select(LANES.c.lane, _LAST)
AFTER: Final = (select(*_E).where(_E.lane == bindparam("of_lane"), _E.seq > bindparam("after")).order_by(_E.seq)).limit(
    bindparam("up_to", type_=Integer)
)
_CURSORS: Final = select(CURSORS.c.lane, CURSORS.c.seq).where(CURSORS.c.sink == bindparam("of_sink"))


class SqlOutbox:
    """Implements `Outbox`."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def lanes_with_events(self) -> Mapping[str, int]:
        return {lane: seq for lane, seq in await self._database.read(_LANES) if seq is not None}

    async def events_after(self, lane: str, seq: int, limit: int) -> Sequence[OutboxEvent]:
        rows = await self._database.read(AFTER, {"of_lane": lane, "after": seq, "up_to": limit})
        return list(map(read_event, rows))

    async def cursors(self, sink: str) -> Mapping[str, int]:
        return dict(await self._database.read(_CURSORS, {"of_sink": sink}))

    async def advance(self, sink: str, cursors: Mapping[str, int], dead_letters: Sequence[DeadLetter] = ()) -> None:
        async def work(transaction: Transaction) -> None:
            texts = transaction.statements
            forward = texts.update(CURSORS, ("seq",), ("sink", "lane"))
            new = []
            for lane, seq in cursors.items():
                if not await transaction.channel.change(forward, (seq, sink, lane)):
                    new.append((sink, lane, seq))
            await transaction.many(texts.insert(CURSORS, ("sink", "lane", "seq")), new)
            await insert_dead_letters(transaction, dead_letters)

        await self._writer.submit(work)

    async def keep_sinks(self, sinks: Sequence[str]) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.execute(delete(CURSORS).where(CURSORS.c.sink.not_in(list(sinks))))
            known = set((await transaction.execute(select(CURSORS.c.sink).distinct())).scalars())
            # At 0 in one lane, and so in each that has no cursor: events wait for a sink that never took any.
            for sink in sorted(set(sinks) - known):
                await transaction.execute(insert(CURSORS).values(sink=sink, lane=CONTROLLER_LANE, seq=0))

        await self._writer.submit(work)


def read_event(row: Sequence[Any]) -> OutboxEvent:
    """An event, of a row with the columns of `events`."""
    lane, seq, id_, type_, subject, at, body = row
    return OutboxEvent(lane=lane, seq=seq, id=id_, type=type_, subject=subject, at=at, body=body)
