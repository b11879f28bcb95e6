"""`POST /v1/documents`, and the schema of what it takes."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from controller.control import Control
from controller.documents import json_schema_of_all
from controller.documents.schema import DIALECT
from controller.http import examples
from controller.http.answers import json_answer
from controller.http.parameters import DryRun, Wait
from controller.http.problems import ProblemError, documented, problem_response
from controller.http.schemas import DocumentResults
from controller.kinds import KINDS

SUFFIXES: Final = {
    "": None,
    "application/json": None,
    "text/json": None,
    "application/yaml": ".yaml",
    "application/x-yaml": ".yaml",
    "text/yaml": ".yaml",
    "text/x-yaml": ".yaml",
    "application/jsonl": ".jsonl",
    "application/json-lines": ".jsonl",
    "application/x-jsonlines": ".jsonl",
    "application/ndjson": ".jsonl",
    "application/x-ndjson": ".jsonl",
}
"""How a body is read, by its media type."""
SCHEMA: Final = "application/schema+json"
OK: Final = 200
ACCEPTED: Final = 202
UNSUPPORTED: Final = 415
UNPROCESSABLE: Final = 422

_DOCUMENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["kind", "name"],
    "description": "One document; `/v1/schema` is its whole schema.",
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [_DOCUMENT, {"type": "array", "items": _DOCUMENT}]},
                "examples": {
                    "one": {"summary": "One document", "value": examples.DOCUMENT},
                    "list": {"summary": "A list of them", "value": [examples.DOCUMENT]},
                },
            },
            "application/yaml": {
                "schema": {"type": "string", "description": "YAML 1.2, one document or many."},
                "example": examples.DOCUMENT_YAML,
            },
            "application/x-ndjson": {
                "schema": {"type": "string", "description": "JSON Lines: a document, or a list of them, on each line."},
            },
        },
    }
}


class _SchemaResponse(Response):
    media_type = SCHEMA


def documents_router(control: Control) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["documents"])
    schema = json_schema_of_all(KINDS)

    @router.post(
        "/documents",
        summary="Send documents",
        status_code=ACCEPTED,
        responses={
            ACCEPTED: {"model": DocumentResults, "description": "Durable in the inbox; a result for each document."},
            OK: {"model": DocumentResults, "description": "Of a dry run: what would happen."},
            **documented(400, 408, 413, UNSUPPORTED, UNPROCESSABLE, 503),
        },
        openapi_extra=_BODY,
    )
    async def submit(request: Request, wait: Wait = 0.0, *, dry_run: DryRun = False) -> Response:
        """One document or a list of them, as JSON, YAML or JSON Lines by content type.

        Valid documents are taken even where their neighbours are not: then the answer is a problem with status 422,
        whose `items` hold the result of each. With `wait`, the verdicts of so many seconds are in the answer.
        """
        suffix = _suffix(request)
        data = await request.body()
        if dry_run:
            items = await control.dry_run(data, suffix=suffix)
        else:
            items = await control.submit(data, suffix=suffix, wait_s=wait)
        invalid = [item for item in items if item["problems"]]
        if not invalid:
            return json_answer({"items": items, "dryRun": dry_run}, OK if dry_run else ACCEPTED)
        first = invalid[0]
        detail = (
            f"{len(invalid)} of {len(items)} documents are invalid; the first ({first['index']}): {first['message']}"
        )
        return problem_response(UNPROCESSABLE, detail, items=items, dryRun=dry_run)

    @router.get(
        "/schema",
        summary="The JSON Schema of a document",
        response_class=_SchemaResponse,
        responses={
            OK: {"content": {SCHEMA: {"schema": {"type": "object"}, "example": {"$schema": DIALECT}}}},
            **documented(),
        },
    )
    async def read_schema() -> Response:
        """For editors and other programs; the spec of each kind is part of it."""
        return json_answer(schema, media_type=SCHEMA)

    return router


def _suffix(request: Request) -> str | None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in SUFFIXES:
        raise ProblemError(UNSUPPORTED, f"{media_type[:100]!r} is not read: send JSON, YAML or JSON Lines")
    return SUFFIXES[media_type]
