"""What is too old goes: delivered events, dead letters, stubs. A bounded number of rows at a time.

Invariant: no event goes before every sink with a cursor has passed it; `keep_sinks` gives one to each sink there is.
"""

from typing import Any, Final

from sqlalchemy import Integer, bindparam, case, delete, exists, func, select
from sqlalchemy.sql.selectable import Select

from controller.store.database import Transaction
from controller.store.schema import ATTEMPTS, CURSORS, DEAD_LETTERS, EVENTS, LANES, ORPHANS, STUBS

_E: Final = EVENTS.c
_LANES: Final = select(LANES.c.lane)
_CURSORS: Final = select(CURSORS.c.sink, CURSORS.c.lane, CURSORS.c.seq)


def _boundary() -> Select[Any]:
    """Of the oldest events of a lane: the last `seq`, the first one that is too young, and how many they are."""
    oldest = (
        select(_E.seq, _E.at)
        .where(_E.lane == bindparam("of_lane"))
        .order_by(_E.seq)
        .limit(bindparam("up_to", type_=Integer))
        .subquery()
    )
    young = case((oldest.c.at >= bindparam("before"), oldest.c.seq))
    return select(func.max(oldest.c.seq), func.min(young))


_BOUNDARY: Final = _boundary()


async def prune(
    transaction: Transaction, *, events_before: float, dead_letters_before: float, stubs_before: float, limit: int
) -> int:
    """Remove at most `limit` rows; returns how many went."""
    removed = await _prune_events(transaction, events_before, limit)
    for statement, before in ((_old_letters, dead_letters_before), (_old_stubs, stubs_before)):
        if removed < limit:
            removed += await statement(transaction, before, limit - removed)
    if removed < limit:
        removed += await _known_orphans(transaction, limit - removed)
    return removed


async def _prune_events(transaction: Transaction, before: float, limit: int) -> int:
    cursors: dict[tuple[str, str], int] = {(row.sink, row.lane): row.seq for row in await transaction.execute(_CURSORS)}
    sinks = {sink for sink, _ in cursors}
    removed = 0
    for lane in (await transaction.execute(_LANES)).scalars().all():
        if removed >= limit:
            break
        parameters = {"of_lane": lane, "before": before, "up_to": limit - removed}
        row: Any = (await transaction.execute(_BOUNDARY, parameters)).one()
        last, young = row
        if last is None:
            continue
        delivered = min((cursors.get((sink, lane), 0) for sink in sinks), default=last)
        until = min(last, delivered, last if young is None else young - 1)
        result = await transaction.execute(delete(EVENTS).where(_E.lane == lane, _E.seq <= until))
        removed += result.rowcount
    return removed


async def _old_letters(transaction: Transaction, before: float, limit: int) -> int:
    letters = DEAD_LETTERS.c
    old = select(letters.id).where(letters.at < before).order_by(letters.at).limit(limit)
    return int((await transaction.execute(delete(DEAD_LETTERS).where(letters.id.in_(old)))).rowcount)


async def _old_stubs(transaction: Transaction, before: float, limit: int) -> int:
    stubs = STUBS.c
    old = select(stubs.lane, stubs.name).where(stubs.pruned_at < before).order_by(stubs.pruned_at).limit(limit)
    names = [tuple(row) for row in await transaction.execute(old)]
    await transaction.many(transaction.statements.delete(STUBS, ("lane", "name")), names)
    return len(names)


async def _known_orphans(transaction: Transaction, limit: int) -> int:
    """Remote jobs that have found their attempt."""
    found = ORPHANS.c
    known = exists().where(ATTEMPTS.c.lane == found.lane, ATTEMPTS.c.remote_id == found.remote_id)
    names = [
        tuple(row) for row in await transaction.execute(select(found.lane, found.remote_name).where(known).limit(limit))
    ]
    await transaction.many(transaction.statements.delete(ORPHANS, ("lane", "remote_name")), names)
    return len(names)
