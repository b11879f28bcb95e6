"""`ferryman` as a later version would be: one migration more, which alters a table that holds jobs.

    python -m tests.reliability.newer <folder of the migration> <crash> <arguments of ferryman>

`crash` is where the process ends at once: `within` the upgrade, `after` its commit, or `never`.
"""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from controller import cli
from controller.store import facts, opening, upgrading

VERSION = "9.9.9"
REVISION = "test_note"
CRASHED = 9
MIGRATION = """
import os

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("note", sa.Text(), nullable=False, server_default="from before"))
    op.rename_table("stubs", "stubs_before")
    op.rename_table("stubs_before", "stubs")
    if os.environ.get("CRASH") == "within":
        os._exit({crashed})
"""


def write_migration(folder: Path) -> None:
    """The migration that this version ships."""
    text = MIGRATION.format(revision=REVISION, before=upgrading.REVISIONS[-1], crashed=CRASHED)
    (folder / "later.py").write_text(text, encoding="utf-8")


def become(folder: str, crash: str) -> None:
    """Be the later version, in this process."""
    shipped = upgrading.configuration

    def configuration(connection: Any = None) -> Any:
        config = shipped(connection)
        own = Path(upgrading.__file__).parent / "migrations" / "versions"
        config.set_main_option("version_locations", f"{own}{os.pathsep}{folder}")
        return config

    def end(*_: Any, **__: Any) -> NoReturn:
        os._exit(CRASHED)

    os.environ["CRASH"] = crash
    upgrading.REVISIONS = (*upgrading.REVISIONS, REVISION)  # type: ignore[misc]  # what this version knows
    upgrading.configuration = configuration
    upgrading.__version__ = facts.__version__ = VERSION  # type: ignore[attr-defined]  # what this version is
    if crash == "after":
        opening.settle_facts = end  # type: ignore[attr-defined]  # where it is looked up


if __name__ == "__main__":
    become(sys.argv[1], sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    cli.main()
