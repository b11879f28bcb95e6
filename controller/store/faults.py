"""What went wrong in the database, sorted by what to do next: the one table of the drivers' errors.

Invariant: an error that is not in the table is a defect of this program and passes unchanged; no message holds a
statement, its parameters, or a password.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from controller.errors import StoreError, StoreUnavailableError

_RESTORE: Final = "stop ferryman, then restore a backup or move the file away and start again"

_SQLITE_BROKEN: Final = {
    sqlite3.SQLITE_CORRUPT: f"is damaged: {_RESTORE}",
    sqlite3.SQLITE_NOTADB: f"is not a SQLite database, or is damaged: {_RESTORE}",
}
_SQLITE_AWAY: Final = {
    sqlite3.SQLITE_FULL: "has no space left on its disk",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_LOCKED: "is locked by another program",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: look at its permissions, and that its directory still exists",
    sqlite3.SQLITE_READONLY: "cannot be written: its file, its directory or the whole file system is read-only",
    sqlite3.SQLITE_PERM: "cannot be accessed: look at its permissions",
    sqlite3.SQLITE_NOMEM: "cannot be used: out of memory",
    sqlite3.SQLITE_INTERRUPT: "took too long to answer",
    sqlite3.SQLITE_PROTOCOL: "cannot be locked: does its file system know locks?",
    sqlite3.SQLITE_NOLFS: "has outgrown what its file system can hold in one file",
}
_POSTGRESQL_BROKEN: Final = {
    "XX001": "reports damaged data: restore a backup",
    "XX002": "reports a damaged index: REINDEX it, or restore a backup",
    "28P01": "does not accept this user and password",
    "28000": "does not accept this user",
    "3D000": "does not exist: create the database",
    "42501": "does not give this user the permission it needs: let it own the database's schema",
}
_POSTGRESQL_AWAY: Final = {
    "08": "lost the connection",
    "25": "is read-only just now",
    "40": "asks to try again",
    "53": "is out of disk space, memory or connections",
    "55": "is locked by another session",
    "57": "is stopping, starting, or took too long to answer",
    "58": "reports an error of its disk",
}
"""By the first two characters of the state."""
_UNIQUE: Final = "23505"
DRIVER_ERRORS: Final = (
    SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""Whatever a database can raise, through the library or past it."""


def translate(error: BaseException, shown: str) -> BaseException:
    """What to raise instead of a driver's error: the error itself where this table does not know it."""
    cause = _cause(error)
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(error, cause, shown)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return _of_postgresql(error, state, shown)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return StoreUnavailableError(f"the store {shown} lost the connection")
    if isinstance(error, PoolTimeoutError):
        return StoreUnavailableError(f"the store {shown} is too busy to answer")
    if isinstance(cause, OSError | TimeoutError):
        return StoreUnavailableError(f"the store {shown} cannot be reached ({type(cause).__name__})")
    unfit = isinstance(cause, ValueError)  # a value that no column holds is its writer's fault, and would stay so
    if isinstance(cause, asyncpg.InterfaceError | asyncpg.InternalClientError) and not unfit:
        return StoreUnavailableError(f"the store {shown} lost the connection")
    return error


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, below the library's wrappers."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if cause is None:
        return error
    inner = cause.__cause__
    if isinstance(error, DBAPIError) and inner is not None and getattr(cause, "sqlstate", None) is None:
        return inner if isinstance(inner, BaseException) else error
    return cause if isinstance(cause, BaseException) else error


def _of_sqlite(error: BaseException, cause: sqlite3.Error, shown: str) -> BaseException:
    extended = getattr(cause, "sqlite_errorcode", None)
    if extended is None:
        # The module itself raises without a code: a closed connection.
        closed = isinstance(cause, sqlite3.ProgrammingError | sqlite3.OperationalError) and "clos" in str(cause)
        return StoreUnavailableError(f"the store {shown} is closed") if closed else error
    code = extended & 0xFF
    if code in _SQLITE_BROKEN:
        return StoreError(f"the store {shown} {_SQLITE_BROKEN[code]}")
    if code in _SQLITE_AWAY:
        return StoreUnavailableError(f"the store {shown} {_SQLITE_AWAY[code]}")
    return error


def _of_postgresql(error: BaseException, state: str, shown: str) -> BaseException:
    if state in _POSTGRESQL_BROKEN:
        return StoreError(f"the store {shown} {_POSTGRESQL_BROKEN[state]}")
    if state[:2] in _POSTGRESQL_AWAY:
        return StoreUnavailableError(f"the store {shown} {_POSTGRESQL_AWAY[state[:2]]}")
    return error


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Raise `StoreError` or `StoreUnavailableError` for what the table knows."""
    try:
        yield
    except DRIVER_ERRORS as error:
        known = translate(error, shown)
        if known is error:
            raise
        raise known from error


def is_unique_violation(error: BaseException, *, index: str, column: str) -> bool:
    """Whether a write broke a unique index; SQLite names its columns, PostgreSQL the index."""
    cause = _cause(error)
    if isinstance(cause, sqlite3.IntegrityError):
        return column in str(cause)
    return getattr(cause, "sqlstate", None) == _UNIQUE and getattr(cause, "constraint_name", None) == index
