"""`/v1/jobs`: lists, single jobs, and commands to one or many."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Response

from controller.control import Control
from controller.http.answers import json_answer
from controller.http.parameters import (
    COMMAND_WAIT_S,
    PAGE,
    UNPROCESSABLE,
    DryRun,
    JobCursor,
    Limit,
    Selected,
    Wait,
    is_any,
    merged,
    read_identity,
)
from controller.http.problems import ProblemError, documented, problem_response
from controller.http.schemas import Bulk, BulkResult, CommandResult, JobPage, JobView, NoArguments, Resolve
from controller.store import EntryType

OK: Final = 200
ACCEPTED: Final = 202
CONFLICT: Final = 409
BULK_LIMIT: Final = 1000

SIMPLE_COMMANDS: Final = {
    EntryType.STOP: "Stop a job, where its API can",
    EntryType.DELETE: "Stop a job, then delete it",
    EntryType.RETRY: "Run a failed or stopped job again",
}
_ONE: Final = "/jobs/{scope}/{kind}/{name}"


def jobs_router(control: Control) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["jobs"])
    _add_reads(router, control)
    for type_, summary in SIMPLE_COMMANDS.items():
        _add_command(router, control, type_, summary)
    _add_resolve(router, control)
    for type_ in (*SIMPLE_COMMANDS, EntryType.RESOLVE):
        _add_bulk(router, control, type_)
    return router


def _add_reads(router: APIRouter, control: Control) -> None:
    @router.get("/jobs", summary="List jobs", responses={OK: {"model": JobPage}, **documented(422, 503)})
    async def list_jobs(selection: Selected, after: JobCursor = None, limit: Limit = PAGE) -> Response:
        """Newest first. All filters must hold; phases and reasons may be repeated: any of these.

        A page can be short, or empty, and still have a `next`.
        """
        return json_answer(await control.jobs(selection, after, limit))

    @router.get(_ONE, summary="One job", responses={OK: {"model": JobView}, **documented(404, 503)})
    async def read_job(scope: str, kind: str, name: str) -> Response:
        """The kind by its full or short name."""
        return json_answer(await control.job(read_identity(control, scope, kind, name)))


def _command_responses() -> dict[int | str, dict[str, Any]]:
    return {
        OK: {"model": CommandResult, "description": "The verdict."},
        ACCEPTED: {"model": CommandResult, "description": "Durable in the inbox; no verdict yet."},
        **documented(404, CONFLICT, 422, 503),
    }


def _add_command(router: APIRouter, control: Control, type_: EntryType, summary: str) -> None:
    @router.post(
        f"{_ONE}:{type_.value}", summary=summary, responses=_command_responses(), operation_id=f"{type_.value}_job"
    )
    async def command(
        scope: str,
        kind: str,
        name: str,
        wait: Wait = COMMAND_WAIT_S,
        _body: Annotated[NoArguments | None, Body()] = None,
    ) -> Response:
        identity = read_identity(control, scope, kind, name)
        return _answer(await control.command(type_, identity, wait_s=wait))


def _add_resolve(router: APIRouter, control: Control) -> None:
    @router.post(f"{_ONE}:resolve", summary="Say what became of an uncertain create", responses=_command_responses())
    async def resolve_job(
        scope: str, kind: str, name: str, body: Annotated[Resolve, Body()], wait: Wait = COMMAND_WAIT_S
    ) -> Response:
        identity = read_identity(control, scope, kind, name)
        return _answer(await control.command(EntryType.RESOLVE, identity, body.arguments(), wait_s=wait))


def _answer(view: dict[str, Any]) -> Response:
    if view["answer"] == "rejected":
        return problem_response(CONFLICT, view["message"], **view)
    return json_answer(view, ACCEPTED if view["answer"] == "pending" else OK)


def _add_bulk(router: APIRouter, control: Control, type_: EntryType) -> None:
    @router.post(
        f"/jobs:{type_.value}",
        summary=f"{type_.value.capitalize()} many jobs",
        responses={OK: {"model": BulkResult}, **documented(422, 503)},
        operation_id=f"{type_.value}_jobs",
    )
    async def command_all(
        selection: Selected,
        after: JobCursor = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = BULK_LIMIT,
        wait: Wait = COMMAND_WAIT_S,
        *,
        dry_run: DryRun = False,
        everything: Annotated[bool, Query(alias="all", description="Said on purpose without a filter.")] = False,
        body: Annotated[Bulk | None, Body()] = None,
    ) -> Response:
        """The filters of `GET /v1/jobs`, in the query or in the body; without a filter, `all` must be true.

        At most `limit` jobs in one go, newest first; repeat with `after` while there is a `next`.
        """
        asked = body or Bulk()
        selection = merged(selection, asked)
        if is_any(selection) and not (everything or asked.all):
            raise ProblemError(UNPROCESSABLE, "name jobs by a filter, or say all=true")
        view = await control.command_all(
            type_,
            selection,
            _bulk_arguments(type_, asked),
            dry_run=dry_run if asked.dryRun is None else asked.dryRun,
            after=_after(asked.after, after),
            limit=asked.limit or limit,
            wait_s=wait,
        )
        return json_answer(view)


def _after(in_body: str | None, in_query: str | None) -> str | None:
    after = in_body if in_body is not None else in_query
    if after is not None and not (after.isascii() and after.isdecimal()):
        raise ProblemError(UNPROCESSABLE, "after: it is no cursor that this service gave")
    return after


def _bulk_arguments(type_: EntryType, asked: Bulk) -> dict[str, Any]:
    given = {name: True for name, said in (("retry", asked.retry), ("fail", asked.fail)) if said}
    if type_ is EntryType.RESOLVE and len(given) != 1:
        raise ProblemError(UNPROCESSABLE, "say exactly one of retry and fail")
    if type_ is not EntryType.RESOLVE and given:
        raise ProblemError(UNPROCESSABLE, "retry and fail belong to resolve")
    return given
