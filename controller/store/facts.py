"""What a store remembers of itself: its instance, when it was born, which program wrote it."""

import base64
import secrets
from collections.abc import Mapping
from typing import Final

from sqlalchemy import insert, select, update

from controller import __version__
from controller.errors import StoreError
from controller.store.database import Database, Transaction
from controller.store.schema import FACTS

INSTANCE: Final = "instance"
INSTANCE_GIVEN: Final = "instance_given"
BORN: Final = "born"
PROGRAM: Final = "program"
"""Keys of the store's own facts. `instance_given` is `true` where settings named the instance, else `false`; `born` is
in seconds since the epoch; `program` is the newest version of Ferryman that has opened the store."""
INSTANCE_LENGTH: Final = 12

PROBE: Final = "probe"
"""Written to see whether writing works; nobody's fact."""

_ALL: Final = select(FACTS.c.key, FACTS.c.value).where(FACTS.c.key != PROBE)


def mint_instance() -> str:
    """A new name for an installation: 12 random characters of `a-z2-7`."""
    return base64.b32encode(secrets.token_bytes(8)).decode("ascii").lower()[:INSTANCE_LENGTH]


async def read_facts(database: Database) -> Mapping[str, str]:
    return dict(await database.read(_ALL))


async def write_facts(transaction: Transaction, facts: Mapping[str, str]) -> None:
    for key, value in facts.items():
        changed = await transaction.execute(update(FACTS).where(FACTS.c.key == key).values(value=value))
        if changed.rowcount == 0:
            await transaction.execute(insert(FACTS).values(key=key, value=value))


def settle_facts(known: Mapping[str, str], *, shown: str, instance: str, minted: str, now: float) -> dict[str, str]:
    """The facts to be written at start; empty when nothing has changed.

    Raises:
        StoreError: the store belongs to another instance.
    """
    remembered = known.get(INSTANCE)
    if remembered is None:
        return {
            INSTANCE: instance or minted,
            INSTANCE_GIVEN: "true" if instance else "false",
            BORN: repr(now),
            PROGRAM: __version__,
            PROBE: "tick",
        }
    if instance and instance != remembered:
        raise StoreError(
            f"the store {shown} belongs to the instance {remembered}, not to {instance}:"
            f" set FERRYMAN_INSTANCE={remembered}, or give this one another store"
        )
    return {} if known.get(PROGRAM) == __version__ else {PROGRAM: __version__}
