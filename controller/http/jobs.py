"""`/v1/jobs`: lists, single jobs, and commands to one or many."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response

from controller.control import Control
from controller.http.answers import json_answer
from controller.http.parameters import (
    COMMAND_WAIT_S,
    PAGE,
    UNPROCESSABLE,
    Bounds,
    HowMany,
    JobCursor,
    JobName,
    KindName,
    Limit,
    ScopeName,
    Selected,
    Wait,
    is_any,
    merged,
    read_identity,
)
from controller.http.problems import ProblemError, documented, problem_response
from controller.http.requests import Bulk, BulkResolve, NoArguments, Resolve
from controller.http.schemas import BulkResult, CommandResult, JobPage, JobView
from controller.store import EntryType

OK: Final = 200
ACCEPTED: Final = 202
CONFLICT: Final = 409

SIMPLE_COMMANDS: Final = {
    EntryType.STOP: "Stop a job, where its API can",
    EntryType.DELETE: "Stop a job, then delete it",
    EntryType.RETRY: "Run a failed or stopped job again",
}
_ONE: Final = "/jobs/{scope}/{kind}/{name}"


def jobs_router(control: Control) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["jobs"])
    for type_, summary in SIMPLE_COMMANDS.items():
        _add_command(router, control, type_, summary)
    _add_resolve(router, control)
    _add_reads(router, control)  # behind the commands, whose paths it would match as well
    for type_ in SIMPLE_COMMANDS:
        _add_bulk(router, control, type_)
    _add_bulk_resolve(router, control)
    return router


def _add_reads(router: APIRouter, control: Control) -> None:
    @router.get("/jobs", summary="List jobs", responses={OK: {"model": JobPage}, **documented(422, 503)})
    async def list_jobs(selection: Selected, after: JobCursor = None, limit: Limit = PAGE) -> Response:
        """Over all lanes, the newest acceptance first.

        All filters must hold; phases and reasons may be repeated: any of these. A page can be short, or empty, and
        still have a `next`. Jobs that come or change between two pages neither hide nor repeat others; one that begins
        anew meanwhile comes to the front.
        """
        return json_answer(await control.jobs(selection, after, limit))

    @router.get(_ONE, summary="One job", responses={OK: {"model": JobView}, **documented(404, 503)})
    async def read_job(scope: ScopeName, kind: KindName, name: JobName) -> Response:
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
        scope: ScopeName,
        kind: KindName,
        name: JobName,
        wait: Wait = COMMAND_WAIT_S,
        _body: Annotated[NoArguments | None, Body()] = None,
    ) -> Response:
        """Durable in the inbox first; with `wait`, the verdict of so many seconds is in the answer."""
        identity = read_identity(control, scope, kind, name)
        return _answer(await control.command(type_, identity, wait_s=wait))


def _add_resolve(router: APIRouter, control: Control) -> None:
    @router.post(f"{_ONE}:resolve", summary="Say what became of an uncertain create", responses=_command_responses())
    async def resolve_job(
        scope: ScopeName, kind: KindName, name: JobName, body: Annotated[Resolve, Body()], wait: Wait = COMMAND_WAIT_S
    ) -> Response:
        """Whether AWS made the job: by its remote id, not at all, or given up."""
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
    async def command_all(how: HowMany, body: Annotated[Bulk | None, Body()] = None) -> Response:
        """The filters of `GET /v1/jobs`, in the query or in the body; without a filter, `all` must be true.

        At most `limit` jobs in one go, newest first; repeat with `after` while there is a `next`.
        """
        return await _command_all(control, type_, how, body or Bulk())


def _add_bulk_resolve(router: APIRouter, control: Control) -> None:
    @router.post(
        "/jobs:resolve",
        summary="Say what became of many uncertain creates",
        responses={OK: {"model": BulkResult}, **documented(422, 503)},
    )
    async def resolve_jobs(how: HowMany, body: Annotated[BulkResolve, Body()]) -> Response:
        """As for the other bulk commands, and what became of the creates."""
        return await _command_all(control, EntryType.RESOLVE, how, body)


async def _command_all(control: Control, type_: EntryType, how: Bounds, body: Bulk) -> Response:
    selection = merged(how.selection, body)
    if is_any(selection) and not (how.everything or body.all):
        raise ProblemError(UNPROCESSABLE, "name jobs by a filter, or say all=true")
    view = await control.command_all(
        type_,
        selection,
        body.arguments(),
        dry_run=how.dry_run or body.dryRun,
        after=how.after if body.after is None else body.after,
        limit=body.limit or how.limit,
        wait_s=how.wait_s,
    )
    return json_answer(view)
