"""The shapes of answers, for OpenAPI.

Invariant: answers are built in `control` and are not passed through these models; a test holds the two together.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from controller.http import examples
from controller.model import Desired, Phase

Answer = Literal["accepted", "unchanged", "ignored", "rejected", "pending"]
Time = Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]


class _Answered(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


def _like(example: dict[str, JsonValue]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": example})


def answer_examples() -> dict[str, Any]:
    """The example of each shape that has one; FastAPI leaves out their nulls."""
    extras = {shape.__name__: shape.model_config.get("json_schema_extra") for shape in _shapes(_Answered)}
    return {name: extra["example"] for name, extra in extras.items() if isinstance(extra, dict) and "example" in extra}


def _shapes(shape: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for below in shape.__subclasses__():
        yield below
        yield from _shapes(below)


class JobName(_Answered):
    scope: str | None
    kind: str | None
    name: str | None


class DocumentResult(_Answered):
    index: int
    """Place of the document in what was sent."""
    answer: Answer
    message: str
    problems: list[str]
    """Everything that is wrong with an invalid document, each with its path."""
    inboxId: int | None  # noqa: N815 - as it goes on the wire
    uid: str | None
    job: JobName


class DocumentResults(_Answered):
    model_config = _like(examples.DOCUMENT_RESULTS)
    items: list[DocumentResult]
    dryRun: bool  # noqa: N815 - as it goes on the wire


class CommandResult(_Answered):
    model_config = _like(examples.COMMAND_RESULT)
    job: JobName
    inboxId: int | None  # noqa: N815 - as it goes on the wire
    answer: Answer
    message: str
    uid: str | None


class BulkResult(_Answered):
    model_config = _like(examples.BULK_RESULT)
    items: list[CommandResult]
    counts: dict[str, int]
    """How many of each answer."""
    dryRun: bool  # noqa: N815 - as it goes on the wire
    next: str | None
    """Send the same request with it as `after` for the jobs that follow; null: that was all."""


class AttemptView(_Answered):
    number: int
    token: str
    remoteId: str | None  # noqa: N815 - as it goes on the wire
    phase: Phase
    reason: str | None
    createdAt: Time  # noqa: N815 - as it goes on the wire
    endedAt: Time  # noqa: N815 - as it goes on the wire


class RecordCounts(_Answered):
    total: int
    processed: int
    succeeded: int
    failed: int


class Output(_Answered):
    uri: str | None
    manifest: str | None


class QueuePlace(_Answered):
    position: int | None
    """Place among the waiting jobs of its lane; 1 is the next."""
    etaSeconds: float | None  # noqa: N815 - as it goes on the wire
    """Estimate until it is created, from what was learned of earlier jobs."""


class JobView(_Answered):
    model_config = _like(examples.WAITING_JOB)
    uid: str
    scope: str
    kind: str
    name: str
    generation: int | None
    incarnation: int
    desired: Desired
    phase: Phase
    reason: str | None
    message: str | None
    remoteStatus: str | None  # noqa: N815 - as it goes on the wire
    remoteId: str | None  # noqa: N815 - as it goes on the wire
    remoteName: str | None  # noqa: N815 - as it goes on the wire
    attempt: int
    attempts: list[AttemptView]
    records: RecordCounts
    partial: bool
    deadlineExceeded: bool  # noqa: N815 - as it goes on the wire
    output: Output
    queue: QueuePlace
    labels: dict[str, str]
    group: str
    priority: int
    spec: dict[str, Any] | None
    acceptedAt: Time  # noqa: N815 - as it goes on the wire
    startedAt: Time  # noqa: N815 - as it goes on the wire
    endedAt: Time  # noqa: N815 - as it goes on the wire


class JobPage(_Answered):
    model_config = _like(examples.JOB_PAGE)
    items: list[JobView]
    next: str | None
    """The `after` of the next page; null: that was the last. A page can be short and still have one."""


class CloudEvent(_Answered):
    model_config = _like(examples.EVENT)
    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: Time
    datacontenttype: str
    sequence: str
    data: dict[str, Any]


class EventPage(_Answered):
    model_config = _like(examples.EVENT_PAGE)
    items: list[CloudEvent]
    next: str | None
    """The `after` for what follows, now or later."""


class RateView(_Answered):
    rate: float
    ceiling: float
    calls: int
    throttles: int
    errors: int


class SlotView(_Answered):
    used: int
    ours: int
    ceiling: int
    configured: int
    parked: bool


class QueueView(_Answered):
    key: str
    waiting: int
    reason: str | None
    etaSeconds: float | None  # noqa: N815 - as it goes on the wire


class LaneBrief(_Answered):
    lane: str
    paused: bool
    unavailable: str
    """Why the lane's scope cannot be used; empty: it can."""
    phases: dict[str, int]
    reasons: dict[str, int]
    etaSeconds: float | None  # noqa: N815 - as it goes on the wire


class LaneView(LaneBrief):
    model_config = _like(examples.LANE_VIEW)
    scope: str
    kind: str
    pauseReason: str  # noqa: N815 - as it goes on the wire
    queues: list[QueueView]
    rates: dict[str, RateView]
    slots: dict[str, SlotView]
    medianSeconds: dict[str, float]  # noqa: N815 - as it goes on the wire
    lastCompletePassAt: Time  # noqa: N815 - as it goes on the wire
    passes: int


class LanePage(_Answered):
    model_config = _like(examples.LANE_PAGE)
    items: list[LaneView]
    next: None


class LaneResult(_Answered):
    model_config = _like(examples.LANE_RESULT)
    lane: str
    inboxId: int | None  # noqa: N815 - as it goes on the wire
    answer: Answer
    message: str


class LaneResults(_Answered):
    model_config = _like(examples.LANE_RESULTS)
    items: list[LaneResult]
    next: None


class SinkView(_Answered):
    name: str
    depth: int
    """Events that it has not yet taken."""
    oldestAt: Time  # noqa: N815 - as it goes on the wire
    delivered: int
    """Since the start, as the next."""
    deadLettered: int  # noqa: N815 - as it goes on the wire
    failures: int
    """Batches in a row of which it took nothing."""
    problem: str
    """Why the last delivery failed; empty if it did not."""
    disabled: bool
    """Its receiver is gone for good: nothing is sent until the next start, or `POST /v1/sinks:resume`."""


class SinkResult(_Answered):
    model_config = _like(examples.SINK_RESULT)
    sink: str
    answer: str
    message: str


class SelectionEstimate(_Answered):
    """Of the jobs that the filters of the request mean; reasons are left out."""

    waiting: int
    running: int
    etaSeconds: float | None  # noqa: N815 - as it goes on the wire
    """Estimate until the last waiting one is created; null: it cannot be told."""
    endSeconds: float | None  # noqa: N815 - as it goes on the wire
    """Estimate until the last one has ended; null: it cannot be told."""


class Summary(_Answered):
    model_config = _like(examples.SUMMARY)
    instance: str
    version: str
    uptimeSeconds: float  # noqa: N815 - as it goes on the wire
    ready: bool
    stopping: bool
    simulated: bool
    """Whether its AWS is the built-in simulator."""
    phases: dict[str, int]
    reasons: dict[str, int]
    lanes: list[LaneBrief]
    waiting: int
    etaSeconds: float | None  # noqa: N815 - as it goes on the wire
    """Estimate until everything that waits is created; null: it cannot be told."""
    selection: SelectionEstimate | None
    """Null without filters."""
    inbox: int
    deadLetters: int  # noqa: N815 - as it goes on the wire
    sinks: list[SinkView]


class Trend(_Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "times": ["2026-11-21T03:40:00.000Z", "2026-11-21T03:40:10.000Z"],
                "phases": {"Pending": [9, 7], "Creating": [0, 0], "Running": [1, 3]},
                "created": [1, 3],
                "throttles": [0, 0],
            }
        }
    )
    times: list[Annotated[str, Field(json_schema_extra={"format": "date-time"})]]
    """Oldest first; every other list has an item for each."""
    phases: dict[str, list[int]]
    created: list[int]
    """Creates that AWS has accepted since the start of this daemon."""
    throttles: list[int]
    """Calls that AWS has throttled since then."""


class DeadLetterView(_Answered):
    id: int
    what: Literal["document", "event"]
    source: str
    subject: str
    reason: str
    body: str
    at: Time


class DeadLetterPage(_Answered):
    model_config = _like(examples.DEAD_LETTERS)
    items: list[DeadLetterView]
    next: str | None


class Requeued(_Answered):
    id: int
    answer: Literal["accepted", "rejected"]
    message: str


class RequeueResults(_Answered):
    model_config = _like(examples.REQUEUED)
    items: list[Requeued]
    next: None


class Stopping(_Answered):
    model_config = _like(examples.STOPPING)
    message: str
