"""An index of all jobs by the time of their acceptance, so that a list over several lanes is newest first.

Invariant: never changed again; what changes the schema is a migration of its own.
"""

from typing import Final

from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    op.create_index("jobs_by_age", "jobs", ["accepted_at", "id"], unique=False)
