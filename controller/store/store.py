"""The store, whole: its parts under one roof, and the facts that hold for all of it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import case, select, update

from controller.errors import FencedOutError, StoreError, StoreUnavailableError
from controller.measures import Histogram
from controller.seams import Clock
from controller.store import LaneRecord
from controller.store.database import Database, Transaction
from controller.store.facts import PROBE, read_facts, write_facts
from controller.store.inbox import SqlInbox
from controller.store.lane_reads import LaneReads
from controller.store.lane_writes import LaneWrites, read_lane
from controller.store.outbox import SqlOutbox
from controller.store.people import PeopleReads
from controller.store.pruning import prune
from controller.store.schema import FACTS, LANES
from controller.store.writer import Writer

_LANE_RECORDS: Final = select(*LANES.c).order_by(LANES.c.number)
_TOUCH: Final = (
    update(FACTS).where(FACTS.c.key == PROBE).values(value=case((FACTS.c.value == "tick", "tock"), else_="tick"))
)
"""Differs each time: a write of the same value would never reach the disk."""


class SqlStore(LaneReads, LaneWrites, SqlInbox, SqlOutbox, PeopleReads):
    """Implements `Store`, for both databases."""

    def __init__(self, database: Database, writer: Writer, clock: Clock, instance: str) -> None:
        LaneReads.__init__(self, database)
        LaneWrites.__init__(self, database, writer, clock, instance)
        self._database = database
        self._writer = writer

    @property
    def commit_seconds(self) -> Histogram:
        return self._writer.commit_seconds

    async def facts(self) -> Mapping[str, str]:
        return await read_facts(self._database)

    async def remember(self, facts: Mapping[str, str]) -> None:
        await self._writer.submit(partial(write_facts, facts=dict(facts)))

    async def lane_records(self) -> Sequence[LaneRecord]:
        return list(map(read_lane, await self._database.read(_LANE_RECORDS)))

    async def prune(self, *, events_before: float, dead_letters_before: float, stubs_before: float, limit: int) -> int:
        return await self._writer.submit(
            partial(
                prune,
                events_before=events_before,
                dead_letters_before=dead_letters_before,
                stubs_before=stubs_before,
                limit=limit,
            )
        )

    def refuse_more(self) -> None:
        self._writer.refuse_more()

    async def writable(self) -> bool:
        async def work(transaction: Transaction) -> None:
            await transaction.execute(_TOUCH)

        try:
            await self._writer.submit(work)
        except (StoreUnavailableError, StoreError, FencedOutError):
            return False
        return True
