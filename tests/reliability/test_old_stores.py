"""P42: an old store, with jobs in it, opened by a later version; and what the version before says of it then."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
from alembic import command
from sqlalchemy import create_engine

from controller.store.sqlite import APPLICATION_ID
from controller.store.upgrading import REVISIONS, configuration
from tests.documents import mixed
from tests.harness import Ferryman, Finished, simulated_aws, write_documents
from tests.reliability.lives import template
from tests.reliability.newer import CRASHED, REVISION, VERSION, write_migration
from tests.reliability.test_process_rows import Record, nothing_twice, settled

JOBS = 20


def first_schema(path: Path) -> None:
    """A store as the first version made it: by the first migration alone."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        command.upgrade(configuration(connection), REVISIONS[0])
    engine.dispose()


def ask(path: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as store:
        return store.execute(question).fetchall()


def note_is_there(path: Path) -> bool:
    return any(row[1] == "note" for row in ask(path, "PRAGMA table_info(jobs)"))


async def later(home: Ferryman, crash: str, *arguments: str) -> Finished:
    """`ferryman` of the later version, to its end."""
    versions = home.folder / "versions"
    versions.mkdir(exist_ok=True)
    write_migration(versions)

    def run() -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "tests.reliability.newer", str(versions), crash, *arguments],
            cwd=home.folder,
            env=home.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return await anyio.to_thread.run_sync(run)


async def test_p42_an_old_store_with_jobs_in_it(tmp_path: Path, record_property: Record) -> None:
    path = tmp_path / "ferryman.db"
    first_schema(path)
    async with simulated_aws(speed=600.0) as aws:
        home = Ferryman(tmp_path, aws.url)
        write_documents(tmp_path / "jobs.jsonl", list(mixed(JOBS)))
        async with template().life(home, "jobs.jsonl") as life:
            await life.until(lambda: len(aws.creates()) >= JOBS // 2, 60)
            assert await life.end() == 0
        before = ask(path, "SELECT id, uid, phase, attempt FROM jobs ORDER BY id")
        assert len(before) == JOBS

        crashed = await later(home, "within", "run", "--until-settled")
        assert crashed.code == CRASHED, crashed.plain()
        assert not note_is_there(path)
        assert ask(path, "SELECT version_num FROM alembic_version") == [(REVISIONS[-1],)]
        assert ask(path, "SELECT id, uid, phase, attempt FROM jobs ORDER BY id") == before
        async with template().life(home) as life:  # the version before can still use it
            assert await life.end() == 0

        crashed = await later(home, "after", "run", "--until-settled")
        assert crashed.code == CRASHED, crashed.plain()
        assert set(ask(path, "SELECT note FROM jobs")) == {("from before",)}
        await _is_refused(home, path)

        done = await later(home, "never", "run", "--until-settled")
        assert done.code in {0, 3}, done.plain()
        assert ask(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]
        assert sum(settled(home).values()) == JOBS
        assert not ask(path, "SELECT name FROM jobs WHERE phase NOT IN ('Succeeded', 'Failed')")
        nothing_twice(aws, home)
        await _is_refused(home, path)
    record_property("row", f"P42: upgraded with {JOBS} jobs inside; a crash within leaves the old store, whole")


async def _is_refused(home: Ferryman, path: Path) -> None:
    """The version before leaves with 7, names the one that can open the store, and touches nothing."""
    content = path.read_bytes()  # noqa: ASYNC240 - a small file, and nothing else runs
    done = await home.arun("run", "--until-settled")
    assert done.code == 7, done.plain()
    assert f"start ferryman {VERSION} or later" in done.plain()
    assert path.read_bytes() == content  # noqa: ASYNC240 - see above
