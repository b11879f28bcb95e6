"""Errors as RFC 9457 problem details: `application/problem+json`, one clear sentence in `detail`.

Invariant: every answer that is not a success is a problem, whoever noticed it; no request value that could be a secret
is repeated, and no traceback leaves the process.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from controller.control import BadCursorError
from controller.errors import NotFoundError, StoreUnavailableError
from controller.http import examples
from controller.intake import InboxFullError
from controller.masking import mask_value
from controller.validation.quoting import cut, printable

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5
PROBLEMS_MAX: Final = 50
PART_LENGTH_MAX: Final = 64
PATH_LENGTH_MAX: Final = 256
DEFECT: Final = "this is a defect of Ferryman; its log says more"

_log = structlog.get_logger(__name__)


class FieldProblem(BaseModel):
    """One thing that is wrong with a request."""

    path: str
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": examples.PROBLEMS[404],
            }
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None


class ProblemError(HTTPException):
    """Ends a request with a problem."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.members = members


def problem_body(status: int, detail: str, **members: Any) -> bytes:
    told = mask_value({"detail": detail, **members})
    return orjson.dumps({"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, **told})


def problem_response(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    return Response(problem_body(status, detail, **members), status, dict(headers) if headers else None, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every error of a request into a problem."""
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(NotFoundError, _on_not_found)
    app.add_exception_handler(BadCursorError, _on_bad_cursor)
    app.add_exception_handler(InboxFullError, _on_inbox_full)
    app.add_exception_handler(StoreUnavailableError, _on_store_unavailable)
    app.add_exception_handler(Exception, _on_defect)


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    members = error.members if isinstance(error, ProblemError) else {}
    return problem_response(error.status_code, str(error.detail), headers=error.headers, **members)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        {
            "path": cut(".".join(cut(printable(str(part)), PART_LENGTH_MAX) for part in item["loc"]), PATH_LENGTH_MAX),
            "message": str(item["msg"]),
        }
        for item in _bounded(error.errors())
    ]
    detail = "; ".join(f"{item['path']}: {item['message']}" for item in errors[:5])
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def _bounded(errors: Sequence[Any]) -> Sequence[Any]:
    return errors[:PROBLEMS_MAX]


async def _on_not_found(_request: Request, error: Exception) -> Response:
    return problem_response(HTTPStatus.NOT_FOUND, str(error))


async def _on_bad_cursor(_request: Request, error: Exception) -> Response:
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, f"after: {error}")


async def _on_inbox_full(_request: Request, _error: Exception) -> Response:
    return _busy("the inbox is full: send it again in a while")


async def _on_store_unavailable(_request: Request, _error: Exception) -> Response:
    return _busy("the store cannot be reached just now: send it again in a while")


def _busy(detail: str) -> Response:
    headers = {"retry-after": str(RETRY_AFTER_S)}
    return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


async def _on_defect(request: Request, error: Exception) -> Response:
    _log.error("http.defect", method=request.method, path=request.url.path, error=type(error).__name__)
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, DEFECT)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these problems, and that any other error is one as well."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": _example(status)} for status in statuses
    }
    responses["default"] = {"description": "Any other error.", "content": _example(HTTPStatus.INTERNAL_SERVER_ERROR)}
    return responses


def _example(status: int) -> dict[str, Any]:
    detail = examples.PROBLEMS.get(status, DEFECT)
    value = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": int(status), "detail": detail}
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": value}}
