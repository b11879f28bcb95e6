"""`/v1/summary`, `/v1/history`, `/v1/deadletters`, `/v1/sinks`, `/v1/shutdown`: the daemon as a whole."""

from typing import Annotated, Final

from fastapi import APIRouter, Body, Query, Response

from controller.control import Control
from controller.http.answers import json_answer
from controller.http.parameters import PAGE, Moment, Selected, is_any
from controller.http.problems import documented
from controller.http.requests import NoArguments, Requeue, SinkCommand
from controller.http.schemas import DeadLetterPage, RequeueResults, SinkResult, Stopping, Summary, Trend

OK: Final = 200
ACCEPTED: Final = 202
LETTERS_MAX: Final = 500
"""A dead letter can hold 64 KiB."""


def system_router(control: Control) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.get(
        "/summary", summary="How things stand", tags=["daemon"], responses={OK: {"model": Summary}, **documented(503)}
    )
    async def read_summary(selection: Selected) -> Response:
        """Counts are at most a second old.

        With filters, `selection` says how long the jobs they mean still take; everything else speaks of all jobs.
        """
        estimate = None if is_any(selection) else await control.estimate(selection)
        return json_answer({**await control.summary(), "selection": estimate})

    @router.get(
        "/history",
        summary="Jobs by phase over the last day",
        tags=["daemon"],
        responses={OK: {"model": Trend}, **documented()},
    )
    async def read_history(
        after: Annotated[Moment | None, Query(description="Only what was seen after this time.")] = None,
    ) -> Response:
        """As far as this daemon has seen it: every few seconds of the last hour, every few minutes before."""
        return json_answer(control.trend(None if after is None else after.timestamp()))

    @router.get(
        "/deadletters",
        summary="Rejected documents and undeliverable events",
        tags=["dead letters"],
        responses={OK: {"model": DeadLetterPage}, **documented(422, 503)},
    )
    async def list_dead_letters(
        after: Annotated[int, Query(ge=0, le=2**53 - 1, description="The `next` of the page before.")] = 0,
        limit: Annotated[int, Query(ge=1, le=LETTERS_MAX, description="Most items of the page.")] = PAGE,
        *,
        newest: Annotated[bool, Query(description="Newest first.")] = False,
    ) -> Response:
        """Oldest first, unless asked for the newest first."""
        return json_answer(await control.dead_letters(after, limit, newest=newest))

    @router.post(
        "/deadletters:requeue",
        summary="Send rejected documents once more",
        tags=["dead letters"],
        responses={OK: {"model": RequeueResults}, **documented(422, 503)},
    )
    async def requeue_dead_letters(body: Annotated[Requeue, Body()]) -> Response:
        """A document that is still invalid stays where it is, and its result says why."""
        return json_answer({"items": await control.requeue(body.ids), "next": None})

    @router.post(
        "/deadletters:discard",
        summary="Remove dead letters that are dealt with",
        tags=["dead letters"],
        responses={OK: {"model": RequeueResults}, **documented(422, 503)},
    )
    async def discard_dead_letters(body: Annotated[Requeue, Body()]) -> Response:
        """For good. Without this they are kept for `store.keep_dead_letters_s`."""
        return json_answer({"items": await control.discard(body.ids), "next": None})

    @router.post(
        "/sinks:resume",
        summary="Send events to a disabled sink again",
        tags=["events"],
        responses={OK: {"model": SinkResult}, **documented(404, 422)},
    )
    async def resume_sink(body: Annotated[SinkCommand, Body()]) -> Response:
        """From where it stopped: what was committed meanwhile has waited for it. A restart does the same.

        `unchanged`: it was not disabled. With several daemons on one store, each has its own connection to the sink.
        """
        return json_answer(control.resume_sink(body.sink))

    @router.post(
        "/shutdown",
        summary="Stop the daemon",
        tags=["daemon"],
        status_code=ACCEPTED,
        responses={ACCEPTED: {"model": Stopping}, **documented()},
    )
    async def shut_down(_body: Annotated[NoArguments | None, Body()] = None) -> Response:
        """No new creates; calls in flight finish and are recorded; remote jobs go on."""
        control.shutdown()
        return json_answer({"message": "stopping"}, ACCEPTED)

    return router
