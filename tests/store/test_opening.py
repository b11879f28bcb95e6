"""Opening a store: whatever a user can do wrong ends in one sentence."""

import os
import re
import sqlite3
import sys
import time
from pathlib import Path
from random import Random

import anyio
import asyncpg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs

from controller import __version__
from controller.control import Control
from controller.daemon import RunOptions, Seams, run_daemon
from controller.errors import SettingsError, StoreError
from controller.settings import EventSettings, HttpSettings, Scope, Settings, StoreSettings
from controller.simulator import IN_PROCESS_ENDPOINT, Simulator, SimulatorOptions, in_process_session
from controller.store.schema import METADATA
from controller.store.sqlite import APPLICATION_ID
from controller.store.target import parse_target
from controller.store.upgrading import REVISIONS, configuration
from tests.store.building import LANE, Place, insert, opened, waiting
from tests.store.gate import DEADLINE_S


async def refusal(place: Place, **options: object) -> str:
    with pytest.raises(StoreError) as caught:
        async with opened(place, **options):  # type: ignore[arg-type]  # as given
            pass
    return str(caught.value)


# URLs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///ferryman.db", "sqlite+aiosqlite:///ferryman.db"),
        ("sqlite:////data/x/ferryman.db", "sqlite+aiosqlite:////data/x/ferryman.db"),
        ("postgresql://u:p@h:1/d?sslmode=require", "postgresql+asyncpg://u:p@h:1/d?ssl=require"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
    ],
)
def test_urls_get_the_asynchronous_driver(url: str, expected: str) -> None:
    assert parse_target(url).url.render_as_string(hide_password=False) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ferryman.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:secret@h/d",
        "postgresql://u:secret@h",
        "postgresql://h/d?secret=secretly",
        "postgresql://h/d?sslmode=secret",
    ],
)
def test_what_is_no_url_of_a_store_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"store\.url") as caught:
        parse_target(url)
    assert "secret" not in str(caught.value).replace("parameter secret:", "")


def test_a_password_is_never_shown() -> None:
    target = parse_target("postgresql://user:s3cret@host/d?passfile=s3cret")
    assert target.shown == "postgresql://host/d"


@pytest.mark.parametrize("password", ["s3cret", "s3/cret", "s3#cret", "s3?cret", "%73%33cret"])
def test_a_password_is_not_in_the_url_that_is_shown(password: str) -> None:
    assert parse_target(f"postgresql://user:{password}@host:1/d").shown_url == "postgresql://host:1/d"
    assert parse_target("sqlite:////data/x.db").shown_url == "sqlite:////data/x.db"


async def test_a_daemon_names_its_store_without_the_password(
    postgresql_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    settings = Settings(
        store=StoreSettings(url=postgresql_place.url.replace(":@", ":s3/c#ret@")),
        http=HttpSettings(enabled=False),
        events=EventSettings(sinks=()),
        scopes={"default": Scope(region="us-east-1", endpoint_url=IN_PROCESS_ENDPOINT)},
    )

    async def leave(control: Control) -> None:
        control.shutdown()

    with Simulator(SimulatorOptions(), now=time.time, random=Random(1)) as simulator, capture_logs() as said:
        seams = Seams(transport=in_process_session(simulator), signals=False)
        await run_daemon(settings, RunOptions(), watch=leave, seams=seams)
    (store,) = [line["store"] for line in said if line["event"] == "ready"]
    assert store.startswith("postgresql://")
    assert "s3" not in str(said)


async def test_a_server_that_is_not_there() -> None:
    message = await refusal(Place("postgresql://user:s3cret@127.0.0.1:1/d", None))
    assert "cannot be reached" in message
    assert "s3cret" not in message


async def test_a_database_that_does_not_exist(postgresql_uri: str) -> None:
    place = Place(postgresql_uri.replace("/postgres?", "/nothing?"), None)
    assert "does not exist: create the database" in await refusal(place)


async def test_a_read_only_endpoint(postgresql_place: Place) -> None:
    connection = await asyncpg.connect(postgresql_place.url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await connection.close()
    assert "is a read-only endpoint" in await refusal(postgresql_place)


# The schema


def _shape(connection: Connection) -> dict[str, object]:
    inspector = inspect(connection)
    tables = [name for name in inspector.get_table_names() if name != "alembic_version"]
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted(map(str, inspector.get_unique_constraints(name))),
            sorted((str(index["name"]), str(index)) for index in inspector.get_indexes(name) if index["name"]),
        )
        for name in sorted(tables)
    }


def _sqlite_text(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'")
        found = sorted(re.sub(r"\s+", " ", row[0]) for row in rows)
    connection.close()
    return found


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
async def test_migrations_make_the_schema(place: Place, tmp_path: Path) -> None:
    async with opened(place):
        pass
    if place.path is not None:
        expected = tmp_path / "expected.db"
        engine = create_engine(f"sqlite:///{expected}")
        METADATA.create_all(engine)
        engine.dispose()
        assert _sqlite_text(place.path) == _sqlite_text(expected)
        return
    url = parse_target(place.url).url
    server = create_async_engine(url)
    async with server.begin() as connection:
        migrated = await connection.run_sync(_shape)
        await connection.execute(text("CREATE SCHEMA expected"))
        await connection.execute(text("SET search_path = expected"))
        await connection.run_sync(METADATA.create_all)
        assert await connection.run_sync(_shape) == migrated
    await server.dispose()


def test_the_last_revision_is_known() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [REVISIONS[-1]]


async def test_an_older_store_that_fails_to_upgrade_is_left_alone(sqlite_place: Place) -> None:
    """All of a migration or nothing: a table that is in the way must not leave half a schema behind."""
    path = sqlite_place.path
    assert path is not None
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("CREATE TABLE orphans (x)")
    connection.close()
    with pytest.raises(OperationalError, match="orphans"):
        await _open_once(sqlite_place)
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["orphans"]
    connection.close()


async def test_a_store_that_is_up_to_date_does_not_load_the_migration_library(sqlite_place: Place) -> None:
    async with opened(sqlite_place):
        pass
    program = (
        "import sys, anyio\n"
        "from tests.store.building import Place, opened\n"
        "async def main():\n"
        f"    async with opened(Place({sqlite_place.url!r}, None)):\n"
        "        print('alembic' in sys.modules)\n"
        "anyio.run(main)\n"
    )
    with anyio.fail_after(60):
        done = await anyio.run_process([sys.executable, "-c", program])
    assert done.stdout == b"False\n"


async def test_a_newer_schema_is_refused_with_the_program_that_can_open_it(place: Place) -> None:
    async with opened(place) as store:
        await store.remember({"program": "9.8.7"})
    engine = create_async_engine(parse_target(place.url).url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    message = await refusal(place)
    assert f"written by ferryman 9.8.7, and this is {__version__}: start ferryman 9.8.7 or later" in message


# The lock


async def test_a_second_daemon_waits_then_leaves(place: Place) -> None:
    told: list[str] = []
    async with opened(place):
        message = await refusal(place, lock_wait_s=0.3, on_wait=told.append)
    assert re.search(r"another ferryman daemon \(.+\) is using .+; stop it or give this one another store", message)
    assert len(told) == 1
    assert "waiting for it to leave" in told[0]
    if place.path is not None:
        assert f"process {os.getpid()} on" in message


async def test_a_second_daemon_takes_over_when_the_first_leaves(place: Place) -> None:
    waits = anyio.Event()
    entered = anyio.Event()

    async def second() -> None:
        async with opened(place, lock_wait_s=DEADLINE_S, on_wait=lambda _: waits.set()):
            entered.set()

    async with anyio.create_task_group() as tasks, opened(place):
        tasks.start_soon(second)
        with anyio.fail_after(DEADLINE_S):
            await waits.wait()
        assert not entered.is_set()
    assert entered.is_set()


async def _open_once(place: Place, jobs: int = 0) -> None:
    async with opened(place) as store:
        await insert(store, await store.take_lane(LANE), [waiting(f"m{n}") for n in range(jobs)])


# Files


async def test_missing_directories_are_created(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "ferryman.db"
    async with opened(Place(f"sqlite:///{path}", path)):
        assert path.exists()


async def test_a_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    message = await refusal(Place(f"sqlite:///{tmp_path}/file/sub/ferryman.db", None))
    assert "cannot be created" in message


@pytest.mark.parametrize("url", ["sqlite:////proc/ferryman/x.db", "sqlite:////proc/ferryman.db"])
async def test_a_file_system_that_takes_no_files(url: str) -> None:
    assert re.search(
        r"the directory /proc\S* of the store cannot be (created|written)", await refusal(Place(url, None))
    )


async def test_another_name_of_the_same_file_is_the_same_store(sqlite_place: Place, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "ferryman.db")
    async with opened(sqlite_place):
        assert "another ferryman daemon" in await refusal(Place(f"sqlite:///{tmp_path}/link.db", None))


async def test_a_directory_instead_of_a_file(tmp_path: Path) -> None:
    assert "is a directory" in await refusal(Place(f"sqlite:///{tmp_path}", None))


async def test_a_file_that_is_no_database(sqlite_place: Place) -> None:
    assert sqlite_place.path is not None
    sqlite_place.path.write_text("kind: bedrock.ModelInvocationJob\n" * 100)
    before = sqlite_place.path.read_bytes()
    assert "is not a SQLite database" in await refusal(sqlite_place)
    assert sqlite_place.path.read_bytes() == before


async def test_the_database_of_another_program(sqlite_place: Place) -> None:
    with sqlite3.connect(str(sqlite_place.path)) as connection:
        connection.execute("CREATE TABLE cookies (x)")
    connection.close()
    assert sqlite_place.path is not None
    before = sqlite_place.path.read_bytes()
    assert "is the database of another program" in await refusal(sqlite_place)
    assert sqlite_place.path.read_bytes() == before


@pytest.mark.parametrize("offset", [pytest.param(20_000, id="a page in the middle"), pytest.param(100, id="the root")])
async def test_a_damaged_file(sqlite_place: Place, offset: int) -> None:
    async with opened(sqlite_place) as store:
        await insert(store, await store.take_lane(LANE), [waiting(f"n{n}") for n in range(200)])
    assert sqlite_place.path is not None
    with sqlite_place.path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * 30_000)
    message = await refusal(sqlite_place)
    assert "damaged" in message
    assert "restore a backup or move the file away" in message


async def test_a_truncated_file(sqlite_place: Place) -> None:
    async with opened(sqlite_place) as store:
        await insert(store, await store.take_lane(LANE), [waiting(f"n{n}") for n in range(200)])
    assert sqlite_place.path is not None
    os.truncate(sqlite_place.path, sqlite_place.path.stat().st_size // 2)
    assert "restore a backup" in await refusal(sqlite_place)


async def test_damage_that_shows_later(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is not checked whole at start: reads of a damaged page say what to do."""
    monkeypatch.setattr("controller.store.sqlite._QUICK_CHECK_BYTES_MAX", 0)
    async with opened(sqlite_place) as store:
        await insert(store, await store.take_lane(LANE), [waiting(f"n{n}") for n in range(2000)])
    assert sqlite_place.path is not None
    size = sqlite_place.path.stat().st_size
    with sqlite_place.path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xa5" * (size // 2))
    with pytest.raises(StoreError, match="is damaged: stop ferryman, then restore a backup"):
        await _open_once(sqlite_place, 2000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_directory_without_permission(tmp_path: Path) -> None:
    closed = anyio.Path(tmp_path)
    await closed.chmod(0o500)
    try:
        assert "cannot be written" in await refusal(Place(f"sqlite:///{tmp_path}/ferryman.db", None))
    finally:
        await closed.chmod(0o700)


# Whose store it is


async def test_an_instance_is_minted_once(place: Place) -> None:
    async with opened(place) as store:
        facts = await store.facts()
    assert re.fullmatch("[a-z2-7]{12}", facts["instance"])
    assert facts["instance_given"] == "false"
    assert facts["program"] == __version__
    assert float(facts["born"]) > 1e9
    async with opened(place) as store:
        assert await store.facts() == facts


async def test_a_given_instance_is_remembered_and_another_refused(place: Place) -> None:
    async with opened(place, instance="prod") as store:
        assert (await store.facts())["instance_given"] == "true"
    async with opened(place) as store:
        assert (await store.facts())["instance"] == "prod"
    assert "belongs to the instance prod, not to test" in await refusal(place, instance="test")
    async with opened(place, instance="prod"):
        pass
