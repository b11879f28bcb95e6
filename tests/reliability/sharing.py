"""What every life of a world would make anew, and may take from the life before it: models, sessions, statements.

Invariant: only in a process that is a world's alone, and in those that are forked from it; what is kept changes no
answer, no order of steps and no byte on the wire. Knowing what goes on in a world does not belong here.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from aiobotocore.session import AioSession
from sqlalchemy.engine import Dialect

import controller.daemon as daemon_module
import controller.desk as desk_module
import controller.kinds.aws as aws_module
from controller.kinds.aws import AwsClients
from controller.settings import Scope
from controller.store.sql import Statements
from controller.store.sqlite import SqliteBackend
from controller.store.sqlite_driver import Connection
from controller.transitions.creating import CreatePolicy

SIGNATURE_LIFE_S = 10.0
SERVICES = ("bedrock", "bedrock-data-automation", "personalize", "resourcegroupstaggingapi", "sts")

_ALL_KINDS = daemon_module.KINDS  # type: ignore[attr-defined]
_SESSIONS: dict[str, AioSession] = {}
_TEXTS: dict[str, dict[Any, str]] = {}
_COMPILED: dict[int, tuple[Any, Any]] = {}
"""By the number of an engine's connections: dialect, and what it has compiled."""
_PREPARED: dict[tuple[str, str], Any] = {}
"""Of the one scope that a world has."""


@cache
def share_all() -> None:
    """Once in a process that is a world's alone, and so in those that are forked from it."""
    share_costs()
    _shorten_signatures()


@cache
def share_costs() -> None:
    """The same, with the times of production."""
    _share_sessions()
    _share_prepared_requests()
    _share_statements()


def give_lanes_to(kinds: Sequence[str]) -> None:
    """Let the next life have lanes of these kinds alone; an idle one costs half as much as a busy one."""
    daemon_module.KINDS = {kind: _ALL_KINDS[kind] for kind in kinds}  # type: ignore[attr-defined]


def load_models() -> None:
    """The models of all services, which take longer to read than a run does."""
    for service in SERVICES:
        _loader().load_service_model(service, "service-2")
        _loader().load_service_model(service, "endpoint-rule-set-1")


@cache
def _loader() -> Any:
    return AioSession().get_component("data_loader")


def forget_prepared_requests() -> None:
    """Let the next life send the first request of each operation through the SDK, as the first of a process does."""
    _PREPARED.clear()


def _share_sessions() -> None:
    """One session for every life: what it holds comes from settings and environment, which lives have in common."""
    make = aws_module._new_session

    def session_of(scope: Scope) -> AioSession:
        key = scope.model_dump_json()
        if key not in _SESSIONS:
            session = make(scope)
            session.register_component("data_loader", _loader())
            _SESSIONS[key] = session
        return _SESSIONS[key]

    aws_module._new_session = session_of


def _share_prepared_requests() -> None:
    make = AwsClients.__init__

    def start_with_known_requests(clients: AwsClients, *arguments: Any, **named: Any) -> None:
        make(clients, *arguments, **named)
        clients._prepared = _PREPARED

    AwsClients.__init__ = start_with_known_requests  # type: ignore[assignment,method-assign]


def _share_statements() -> None:
    """Statements compiled for one life's connections serve the next one's: a dialect follows from its options."""
    make = SqliteBackend._engine

    def start_with_known_texts(statements: Statements, dialect: Dialect) -> None:
        statements._dialect = dialect
        statements._texts = _TEXTS.setdefault(dialect.name, {})

    def engine_with_known_statements(backend: SqliteBackend, connections: int, kind: type[Connection]) -> Any:
        engine = make(backend, connections, kind)
        inner: Any = engine.sync_engine
        inner.dialect, inner._compiled_cache = _COMPILED.setdefault(connections, (inner.dialect, inner._compiled_cache))
        return engine

    Statements.__init__ = start_with_known_texts  # type: ignore[assignment,method-assign]
    SqliteBackend._engine = engine_with_known_statements  # type: ignore[assignment,method-assign]


def _shorten_signatures() -> None:
    """A request stays valid as much shorter as everything else in a world is; a late one arrives within."""
    desk_module.CreatePolicy = partial(CreatePolicy, signature_life_s=SIGNATURE_LIFE_S)  # type: ignore[attr-defined,assignment]
