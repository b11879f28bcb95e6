"""Probes: is the loop turning, are documents taken, has it started.

Invariant: AWS's health never counts: an outage there must not take a pod out of service. A probe costs one write to the
store at most once a second, however many ask.
"""

from typing import Any, Final

import anyio
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from controller.control import Control
from controller.control.overview import Recent
from controller.http import examples
from controller.http.metrics import CONTENT_TYPE, exposition
from controller.http.problems import documented, problem_response
from controller.measures import Histogram
from controller.seams import Clock

BEAT_S: Final = 0.5
STALLED_S: Final = 10.0
OK: Final = 200
NOT_READY: Final = 503
_FINE: Final[dict[str, Any]] = {"content": {"text/plain": {"example": "ok\n"}}}


class Health:
    """What the probes know besides the service: the beat of the event loop, and that the start is behind us."""

    def __init__(self, *, clock: Clock) -> None:
        self.clock = clock
        self._beat_at: float | None = None
        self.delays = Histogram()
        """By how much beats were late."""
        self.started = False

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            now = self.clock.monotonic()
            if self._beat_at is not None:
                self.delays.observe(max(0.0, now - self._beat_at - BEAT_S))
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
        responses={OK: _FINE, **documented(NOT_READY)},
    )
    async def livez() -> Response:
        """Answers while the event loop turns."""
        return _answer("" if health.beating else "the event loop has stalled")

    @router.get(
        "/readyz",
        response_class=PlainTextResponse,
        summary="Whether documents are taken; AWS does not count",
        responses={OK: _FINE, **documented(NOT_READY)},
    )
    async def readyz() -> Response:
        """A write to the store that succeeds, at most once a second; AWS's health never counts."""
        return _answer(await why_not_ready.value())

    @router.get(
        "/startupz",
        response_class=PlainTextResponse,
        summary="Whether the start is complete",
        responses={OK: _FINE, **documented(NOT_READY)},
    )
    async def startupz() -> Response:
        """Once true, it stays so."""
        health.started = health.started or control.ready()
        return _answer("" if health.started else "starting")

    @router.get(
        "/metrics",
        response_class=PlainTextResponse,
        summary="Metrics in the text format of Prometheus",
        responses={OK: {"content": {"text/plain": {"example": examples.METRICS}}}, **documented()},
    )
    async def metrics() -> Response:
        """Read now; the counts of jobs are at most a second old."""
        text = await exposition(control, now=health.clock.now(), loop_delays=health.delays)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    return router


def _answer(problem: str) -> Response:
    return problem_response(NOT_READY, problem) if problem else PlainTextResponse("ok\n")
