"""The shapes of answers, for OpenAPI.

Invariant: answers are built in `control` and are not passed through these models; a test holds the two together.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from controller.model import Desired, Phase

KIND_EXAMPLE = "bedrock.ModelInvocationJob"
NAME_EXAMPLE = "nightly-20261121-0001"
JOB_EXAMPLE: dict[str, JsonValue] = {"scope": "default", "kind": KIND_EXAMPLE, "name": NAME_EXAMPLE}
DOCUMENT_EXAMPLE: dict[str, Any] = {
    "kind": KIND_EXAMPLE,
    "name": NAME_EXAMPLE,
    "labels": {"run": "nightly"},
    "spec": {
        "roleArn": "arn:aws:iam::123456789012:role/batch",
        "modelId": "amazon.nova-lite-v1:0",
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in/0001.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
    },
}

Answer = Literal["accepted", "unchanged", "ignored", "rejected", "pending"]
Time = Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]


class _Answered(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


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
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        "index": 0,
                        "answer": "accepted",
                        "message": "accepted",
                        "problems": [],
                        "inboxId": 17,
                        "uid": "mfzwizltoq2gk43u",
                        "job": JOB_EXAMPLE,
                    }
                ],
                "dryRun": False,
            }
        }
    )
    items: list[DocumentResult]
    dryRun: bool  # noqa: N815 - as it goes on the wire


class CommandResult(_Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job": JOB_EXAMPLE,
                "inboxId": 18,
                "answer": "accepted",
                "message": "stopping",
                "uid": "mfzwizltoq2gk43u",
            }
        }
    )
    job: JobName
    inboxId: int | None  # noqa: N815 - as it goes on the wire
    answer: Answer
    message: str
    uid: str | None


class BulkResult(_Answered):
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
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "uid": "mfzwizltoq2gk43u",
                **JOB_EXAMPLE,
                "generation": None,
                "incarnation": 1,
                "desired": "Completed",
                "phase": "Pending",
                "reason": "QuotaFull",
                "message": None,
                "remoteStatus": None,
                "remoteId": None,
                "remoteName": None,
                "attempt": 0,
                "attempts": [],
                "records": {"total": 0, "processed": 0, "succeeded": 0, "failed": 0},
                "partial": False,
                "deadlineExceeded": False,
                "output": {"uri": "s3://bucket/out/", "manifest": None},
                "queue": {"position": 3, "etaSeconds": 840.0},
                "labels": {"run": "nightly"},
                "group": "",
                "priority": 0,
                "spec": DOCUMENT_EXAMPLE["spec"],
                "acceptedAt": "2026-11-21T03:40:00.000Z",
                "startedAt": None,
                "endedAt": None,
            }
        }
    )
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
    items: list[JobView]
    next: str | None
    """The `after` of the next page; null: that was the last. A page can be short and still have one."""


class CloudEvent(_Answered):
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
    items: list[LaneView]
    next: None


class LaneResult(_Answered):
    lane: str
    inboxId: int | None  # noqa: N815 - as it goes on the wire
    answer: Answer
    message: str


class LaneResults(_Answered):
    items: list[LaneResult]
    next: None


class Summary(_Answered):
    instance: str
    version: str
    uptimeSeconds: float  # noqa: N815 - as it goes on the wire
    ready: bool
    stopping: bool
    phases: dict[str, int]
    reasons: dict[str, int]
    lanes: list[LaneBrief]
    waiting: int
    etaSeconds: float | None  # noqa: N815 - as it goes on the wire
    """Estimate until everything that waits is created; null: it cannot be told."""
    inbox: int
    deadLetters: int  # noqa: N815 - as it goes on the wire


class DeadLetterView(_Answered):
    id: int
    what: Literal["document", "event"]
    source: str
    subject: str
    reason: str
    body: str
    at: Time


class DeadLetterPage(_Answered):
    items: list[DeadLetterView]
    next: str | None


class Requeued(_Answered):
    id: int
    answer: Literal["accepted", "rejected"]
    message: str


class RequeueResults(_Answered):
    items: list[Requeued]
    next: None


class Stopping(_Answered):
    message: str
