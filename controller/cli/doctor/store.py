"""Is the store usable, and who uses it now?

Invariant: a store is only read, never made or upgraded; a running daemon keeps its lock.
"""

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import anyio
from sqlalchemy.exc import SQLAlchemyError

from controller.cli.doctor.finding import Finding, failed, ok
from controller.errors import SettingsError, StoreError, StoreUnavailableError
from controller.store.faults import translated
from controller.store.postgresql import PostgresqlBackend
from controller.store.sqlite import APPLICATION_ID
from controller.store.target import Target, parse_target

SUBJECT: Final = "store"
_WITHIN_S: Final = 15.0
_BUSY_S: Final = 5.0


async def check_store(url: str) -> Finding:
    try:
        target = parse_target(url)
    except SettingsError as error:
        return failed(SUBJECT, str(error))
    if target.path is None:
        return await _check_postgresql(target)
    return await anyio.to_thread.run_sync(_check_sqlite, target.path)


def _check_sqlite(path: Path) -> Finding:
    if not path.exists():
        return _check_directory(path)
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        return failed(
            SUBJECT, f"{path} cannot be written", "change its permissions, or name another place in store.url"
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            return _check_content(connection, path)
    except sqlite3.Error as error:
        return failed(SUBJECT, f"{path} cannot be read: {error}", "restore a backup, or move the file away")


def _check_directory(path: Path) -> Finding:
    """The place of a store that is not there yet."""
    existing = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return ok(SUBJECT, f"{path} will be made at the first start")
    return failed(
        SUBJECT, f"{path} cannot be made in {existing}", "change permissions, or name another place in store.url"
    )


def _check_content(connection: sqlite3.Connection, path: Path) -> Finding:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        return failed(SUBJECT, f"{path} is the database of another program", "name another file in store.url")
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        return failed(SUBJECT, f"{path} is damaged", "restore a backup, or move the file away and start again")
    holder = _holder(path)
    return ok(SUBJECT, f"{path} is sound" + (f", and in use by a running daemon ({holder})" if holder else ""))


def _holder(path: Path) -> str:
    """Who holds the daemon's lock; empty: nobody."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "unknown process"
    finally:
        os.close(descriptor)
    return ""


async def _check_postgresql(target: Target) -> Finding:
    engine = PostgresqlBackend(target).readers()
    try:
        with anyio.fail_after(_WITHIN_S), translated(target.shown):
            async with engine.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
    except (StoreError, StoreUnavailableError) as error:
        return failed(SUBJECT, str(error), "check store.url, and that the database accepts this host")
    except TimeoutError:
        return failed(
            SUBJECT, f"{target.shown} does not answer within {_WITHIN_S:g} s", "check store.url and the network"
        )
    except SQLAlchemyError as error:
        return failed(SUBJECT, f"{target.shown} cannot be used ({type(error).__name__})", "check store.url")
    finally:
        with anyio.move_on_after(_BUSY_S, shield=True):
            await engine.dispose()
    return ok(SUBJECT, f"{target.shown} answers")
