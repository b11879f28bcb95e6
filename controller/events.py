"""Events: CloudEvents 1.0 in structured JSON, written with the transition that they tell of.

Invariant: an event is rendered once, when it is committed, and never again; its id is `<stream>-<sequence>`, stable and
without gaps within its stream (a job's uid, a lane, `intake`, `controller`). Delivery is `publish`'s business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from controller.transitions.step import Happening
from controller.views import job_core, rfc3339

PREFIX: Final = "ferryman."
JOB_TYPES: Final = tuple(
    f"ferryman.job.{name}"
    for name in [
        "accepted",
        "updated",
        "created",
        "adopted",
        "running",
        "progress",
        "stopping",
        "succeeded",
        "failed",
        "stopped",
        "deleted",
        "retrying",
        "uncertain",
        "resolved",
        "stop_unsupported",
    ]
)
LANE_TYPES: Final = tuple(
    f"ferryman.lane.{name}"
    for name in ("throttled", "quota_full", "quota_learned", "paused", "resumed", "scope_unavailable")
)
DOCUMENT_REJECTED: Final = "ferryman.document.rejected"
CONTROLLER_TYPES: Final = ("ferryman.controller.started", "ferryman.controller.stopping")
TYPES: Final = (*JOB_TYPES, DOCUMENT_REJECTED, *LANE_TYPES, *CONTROLLER_TYPES)
INTAKE_LANE: Final = "intake"
CONTROLLER_LANE: Final = "controller"
"""Lanes without jobs, whose events belong to no job."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, not yet rendered."""

    type: str
    stream: str
    sequence: int
    subject: str
    time: float
    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f"{self.stream}-{self.sequence}"


def of_job(happening: Happening, now: float) -> Event:
    """The event of a happening, with the job as it was right then."""
    job = happening.job
    data = happening.data or {**job_core(job), "previousPhase": happening.previous_phase}
    return Event(
        type=PREFIX + happening.type,
        stream=job.uid,
        sequence=job.event_sequence,
        subject=str(job.identity),
        time=now,
        data=data,
    )


def render(event: Event, instance: str) -> bytes:
    """The event as it goes to every sink."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": f"ferryman/{instance}",
            "type": event.type,
            "subject": event.subject,
            "time": rfc3339(event.time),
            "datacontenttype": "application/json",
            "sequence": str(event.sequence),
            "data": event.data,
        }
    )
