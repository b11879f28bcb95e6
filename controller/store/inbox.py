"""The inbox's entrance: what arrives becomes durable here. It is consumed by the commits of its lane."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, insert, select

from controller.store import NewEntry
from controller.store.database import Database, Transaction
from controller.store.schema import INBOX
from controller.store.writer import Writer

_APPEND: Final = insert(INBOX).returning(INBOX.c.id, sort_by_parameter_order=True)
_SIZE: Final = select(func.count()).select_from(INBOX)
_OLDEST: Final = select(INBOX.c.received_at).order_by(INBOX.c.id).limit(1)


class SqlInbox:
    """Implements `Inbox`."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def receive(self, entries: Sequence[NewEntry], now: float) -> Sequence[int]:
        if not entries:
            return []
        rows = [
            {
                "lane": entry.lane,
                "type": entry.type.value,
                "name": entry.name,
                "body": entry.body,
                "source": entry.source,
                "received_at": now,
            }
            for entry in entries
        ]

        async def work(transaction: Transaction) -> list[int]:
            return list((await transaction.execute(_APPEND, rows)).scalars())

        async def happened(transaction: Transaction, ids: list[int]) -> bool:
            return (await transaction.execute(select(INBOX.c.id).where(INBOX.c.id == ids[-1]))).first() is not None

        return await self._writer.submit(work, happened)

    async def inbox_size(self) -> int:
        return int((await self._database.read(_SIZE))[0][0])

    async def inbox_oldest_at(self) -> float | None:
        return next((float(row[0]) for row in await self._database.read(_OLDEST)), None)
