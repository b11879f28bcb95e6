"""`/v1/lanes`: how lanes stand, pause and resume."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Response

from controller.control import Control
from controller.http import examples
from controller.http.answers import json_answer
from controller.http.parameters import COMMAND_WAIT_S, Wait
from controller.http.problems import documented, problem_response
from controller.http.requests import LaneCommand
from controller.http.schemas import LanePage, LaneResult, LaneResults

OK: Final = 200
ACCEPTED: Final = 202
CONFLICT: Final = 409

Command = Callable[..., Awaitable[list[dict[str, Any]]]]
Said = Annotated[LaneCommand | None, Body()]
LaneName = Annotated[str, Path(description="`<scope>/<kind>`; the slash may be encoded.", examples=[examples.LANE])]


def lanes_router(control: Control) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["lanes"])

    @router.get("/lanes", summary="All lanes", responses={OK: {"model": LanePage}, **documented(503)})
    async def list_lanes() -> Response:
        """Limits, slots, queues and counts of each lane; slots and rates as they are now."""
        return json_answer({"items": await control.lanes(), "next": None})

    _add(router, "pause", "Create nothing new; what runs goes on", control.pause)
    _add(router, "resume", "Create again", control.resume)
    return router


def _add(router: APIRouter, verb: str, summary: str, command: Command) -> None:

    @router.post(
        f"/lanes:{verb}",
        summary=f"{summary}: all lanes",
        responses={OK: {"model": LaneResults}, **documented(422, 503)},
        operation_id=f"{verb}_lanes",
    )
    async def command_all(wait: Wait = COMMAND_WAIT_S, said: Said = None) -> Response:
        """Every lane of this daemon, with a result for each."""
        asked = said or LaneCommand()
        return json_answer({"items": await command(None, asked.reason, wait_s=wait), "next": None})

    @router.post(
        "/lanes/{lane:path}:" + verb,
        summary=f"{summary}: one lane",
        responses={
            OK: {"model": LaneResult},
            ACCEPTED: {"model": LaneResult, "description": "Durable in the inbox; no verdict yet."},
            **documented(404, CONFLICT, 422, 503),
        },
        operation_id=f"{verb}_lane",
    )
    async def command_one(lane: LaneName, wait: Wait = COMMAND_WAIT_S, said: Said = None) -> Response:
        """What runs is left alone; the other lanes go on."""
        asked = said or LaneCommand()
        (view,) = await command(lane, asked.reason, wait_s=wait)
        if view["answer"] == "rejected":
            return problem_response(CONFLICT, view["message"], **view)
        return json_answer(view, ACCEPTED if view["answer"] == "pending" else OK)
