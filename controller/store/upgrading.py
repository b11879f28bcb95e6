"""The schema's version: brought up to date at start, and never down.

Invariant: a store that is up to date is used without the migration library being loaded at all; an upgrade is one
transaction; a store of a newer program is refused and stays untouched.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import column, inspect, select, table, update
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from controller import __version__
from controller.errors import StoreError
from controller.store.facts import PROGRAM
from controller.store.schema import FACTS

REVISIONS: Final[tuple[str, ...]] = ("0001", "0002")
"""Every version of the schema that this program knows, oldest first."""
_VERSIONS: Final = table("alembic_version", column("version_num"))


async def upgrade(connection: AsyncConnection, *, begin: str, shown: str) -> None:
    """Bring the schema up to date.

    Raises:
        StoreError: a newer program has written this store.
    """
    present = await connection.run_sync(_present)
    if present == REVISIONS[-1]:
        return
    if present is not None and present not in REVISIONS:
        wrote = (await connection.execute(select(FACTS.c.value).where(FACTS.c.key == PROGRAM))).scalar_one_or_none()
        raise StoreError(
            f"the store {shown} was written by ferryman {wrote or 'of a later version'}, and this is {__version__}:"
            f" start ferryman {wrote or 'of that version'} or later, or give this one another store"
        )
    await connection.exec_driver_sql(begin)
    try:
        await connection.run_sync(_run)
        # With the schema, not after it: from now on only this program, or a later one, can open the store.
        await connection.execute(update(FACTS).where(FACTS.c.key == PROGRAM).values(value=__version__))
    except BaseException:  # whatever ended it, half an upgrade must not be left open in the connection
        await connection.exec_driver_sql("ROLLBACK")
        raise
    await connection.exec_driver_sql("COMMIT")


def _present(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSIONS.name):
        return None
    return connection.execute(select(_VERSIONS.c.version_num)).scalar_one_or_none()


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - loaded only where there is something to upgrade

    command.upgrade(configuration(connection), "head")


def configuration(connection: Connection | None = None) -> Any:
    """The migration library's configuration, without a file."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
