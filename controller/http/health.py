"""Probes: is the loop turning, are documents taken, has it started.

Invariant: AWS's health never counts: an outage there must not take a pod out of service. A probe costs one write to the
store at most once a second, however many ask.
"""

from typing import Final

import anyio
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from controller.control import Control
from controller.control.overview import Recent
from controller.http.metrics import CONTENT_TYPE, exposition
from controller.http.problems import documented, problem_response
from controller.seams import Clock

BEAT_S: Final = 0.5
STALLED_S: Final = 10.0
NOT_READY: Final = 503


class Health:
    """What the probes know besides the service: the beat of the event loop, and that the start is behind us."""

    def __init__(self, *, clock: Clock) -> None:
        self.clock = clock
        self._beat_at: float | None = None
        self.stall_s_max = 0.0
        """The longest time by which a beat was late."""
        self.started = False

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            now = self.clock.monotonic()
            if self._beat_at is not None:
                self.stall_s_max = max(self.stall_s_max, now - self._beat_at - BEAT_S)
            self._beat_at = now
            await anyio.sleep(BEAT_S)

    @property
    def beating(self) -> bool:
        """Whether the beat is on time; true where nobody beats, for then an answer itself is the proof."""
        return self._beat_at is None or self.clock.monotonic() - self._beat_at < STALLED_S


def probe_router(control: Control, health: Health) -> APIRouter:
    """`/livez`, `/readyz`, `/startupz` and `/metrics`."""
    router = APIRouter(tags=["health"], responses=documented())
    why_not_ready = Recent(health.clock, control.why_not_ready)

    @router.get(
        "/livez",
        response_class=PlainTextResponse,
        summary="Whether the event loop turns",
        responses=documented(NOT_READY),
    )
    async def livez() -> Response:
        return _answer("" if health.beating else "the event loop has stalled")

    @router.get(
        "/readyz",
        response_class=PlainTextResponse,
        summary="Whether documents are taken; AWS does not count",
        responses=documented(NOT_READY),
    )
    async def readyz() -> Response:
        return _answer(await why_not_ready.value())

    @router.get(
        "/startupz",
        response_class=PlainTextResponse,
        summary="Whether the start is complete",
        responses=documented(NOT_READY),
    )
    async def startupz() -> Response:
        health.started = health.started or control.ready()
        return _answer("" if health.started else "starting")

    @router.get(
        "/metrics",
        response_class=PlainTextResponse,
        summary="Metrics in the text format of Prometheus",
        responses=documented(),
    )
    async def metrics() -> Response:
        return Response(await exposition(control, health.stall_s_max), headers={"content-type": CONTENT_TYPE})

    return router


def _answer(problem: str) -> Response:
    return problem_response(NOT_READY, problem) if problem else PlainTextResponse("ok\n")
