"""The application: every route behind the guard, and the description of all of it.

Invariant: what is served is in `/openapi.json`, but for the dashboard's own files.
"""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from controller import __version__
from controller.control import Control
from controller.http import problems
from controller.http.dashboard import FILES, dashboard_router
from controller.http.documents import documents_router
from controller.http.events import Streams, events_router
from controller.http.guard import SAFE_METHODS, BodyLimit, Guard, read_token
from controller.http.health import Health, probe_router
from controller.http.jobs import jobs_router
from controller.http.lanes import lanes_router
from controller.http.schemas import answer_examples
from controller.http.system import system_router
from controller.settings import Settings

PROBE_BODY_BYTES_MAX: Final = 1024
_DESCRIPTION: Final = """\
Ferryman carries AWS batch jobs from wanted to done. Send documents, look at jobs, command them.

Commands and documents go through a durable inbox; `wait` is how many seconds a verdict is waited for, `pending` means
that it is still to come. Lists are pages: `next` of one is `after` of the following. Errors are RFC 9457 problems.
"""
_TAGS: Final = [
    {"name": "documents", "description": "What is wanted."},
    {"name": "jobs", "description": "What there is."},
    {"name": "lanes", "description": "Scopes and kinds, with their limits and slots."},
    {"name": "events", "description": "What has happened."},
    {"name": "dead letters", "description": "What could not be accepted."},
    {"name": "daemon", "description": "The daemon as a whole."},
    {"name": "health", "description": "Probes and metrics."},
]


class Application(FastAPI):
    """FastAPI, with problems as error bodies and without pages that load scripts from elsewhere."""

    def __init__(self, *, token_needed: bool, **arguments: Any) -> None:
        super().__init__(
            title="Ferryman",
            version=__version__,
            description=_DESCRIPTION,
            openapi_tags=_TAGS,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            **arguments,
        )
        self._token_needed = token_needed
        self.streams = Streams()
        problems.install(self)

    def openapi(self) -> dict[str, Any]:
        """The description, made once."""
        if self.openapi_schema is None:
            schema = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                tags=self.openapi_tags,
                routes=self.routes,
            )
            _add_refusals(schema, token_needed=self._token_needed)
            components = schema.setdefault("components", {})
            shapes = components.setdefault("schemas", {})
            shapes.update(_problem_schemas())
            for name, example in answer_examples().items():
                if name in shapes:
                    shapes[name]["example"] = example
            if self._token_needed:
                components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
                schema["security"] = [{"bearer": []}]
            self.openapi_schema = schema
        return self.openapi_schema


def _add_refusals(schema: dict[str, Any], *, token_needed: bool) -> None:
    """What the guard answers before any route is reached."""
    for item in schema.get("paths", {}).values():
        for method, operation in item.items():
            statuses = [HTTPStatus.MISDIRECTED_REQUEST]
            if token_needed:
                statuses.append(HTTPStatus.UNAUTHORIZED)
            if method.upper() not in SAFE_METHODS:
                statuses += [HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
            refusals = {
                str(int(status)): problem
                for status, problem in problems.documented(*statuses).items()
                if isinstance(status, int)
            }
            operation["responses"] = dict(sorted({**refusals, **operation["responses"]}.items()))


def _problem_schemas() -> dict[str, Any]:
    schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), "Problem": schema}


def create_app(control: Control, settings: Settings, health: Health) -> Application:
    """The API, the dashboard, the probes and the metrics.

    Raises:
        SettingsError: the token is missing where one is needed, or cannot be read.
    """
    token = read_token(settings.http)
    app = Application(token_needed=bool(token), openapi_url="/openapi.json")
    for router in (
        documents_router(control),
        jobs_router(control),
        lanes_router(control),
        events_router(control, app.streams),
        system_router(control),
        probe_router(control, health),
        dashboard_router(),
    ):
        app.include_router(router)
    app.add_middleware(Guard, settings=settings, token=token, public=FILES)
    app.add_middleware(BodyLimit, bytes_max=settings.queue.message_bytes_max)
    return app


def create_probe_app(control: Control, health: Health) -> Application:
    """The probes and the metrics alone, for a port of their own: no token, no Host check."""
    app = Application(token_needed=False, openapi_url=None)
    app.include_router(probe_router(control, health))
    app.add_middleware(BodyLimit, bytes_max=PROBE_BODY_BYTES_MAX)
    return app
