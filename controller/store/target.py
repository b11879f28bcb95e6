"""Where a store is: the one place that reads a store's URL.

Invariant: what is shown of a store in messages never holds a password.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from controller.errors import SettingsError

_FORMS: Final = "sqlite:///relative/path, sqlite:////absolute/path or postgresql://user:password@host/database"
_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite"})

_PARAMETERS: Final = frozenset({"host", "port", "sslmode", "ssl", "passfile", "prepared_statement_cache_size"})
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Target:
    """A store's place: `path` for SQLite, None for PostgreSQL."""

    url: URL
    """With the asynchronous driver."""
    path: Path | None
    shown: str

    @property
    def shown_url(self) -> str:
        """As much of the URL as may be shown."""
        return self.shown if self.path is None else f"sqlite:///{self.path}"


def parse_target(text: str) -> Target:
    """Read a store's URL.

    Raises:
        SettingsError: it is no URL of a store.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(f"store.url is not the URL of a store: use {_FORMS}") from None
    if url.drivername in _SQLITE:
        return _sqlite(url)
    if url.drivername in _POSTGRESQL:
        return _postgresql(url)
    raise SettingsError(f"store.url begins with {url.drivername}:, which is no store: use {_FORMS}")


def _sqlite(url: URL) -> Target:
    if not url.database or url.database == ":memory:" or url.host:
        raise SettingsError(f"store.url names no file, and a store must outlive its process: use {_FORMS}")
    path = Path(url.database).expanduser()
    return Target(URL.create("sqlite+aiosqlite", database=str(path)), path, str(path))


def _postgresql(url: URL) -> Target:
    if not url.database:
        raise SettingsError(f"store.url names no database: use {_FORMS}")
    query = dict(url.query)
    if unknown := sorted(query.keys() - _PARAMETERS):
        raise SettingsError(f"store.url has the parameter {unknown[0]}: it may have {', '.join(sorted(_PARAMETERS))}")
    if "sslmode" in query:  # libpq's name, which the driver knows as `ssl`
        query["ssl"] = query.pop("sslmode")
    if query.get("ssl", "prefer") not in _SSL_MODES:
        raise SettingsError(f"store.url has a wrong sslmode: use one of {', '.join(_SSL_MODES)}")
    host = url.host or query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    shown = f"postgresql://{host if isinstance(host, str) else ','.join(host)}{port}/{url.database}"
    return Target(url.set(drivername="postgresql+asyncpg", query=query), None, shown)
