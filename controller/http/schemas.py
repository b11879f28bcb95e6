"""The shapes of requests and answers, for OpenAPI and for reading request bodies.

Invariant: answers are built in `control` and are not passed through these models; a test holds the two together.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, StrictInt, model_validator

from controller.kinds import KINDS
from controller.model import Desired, FailReason, Phase, WaitReason

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

Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00]*$")]
Answer = Literal["accepted", "unchanged", "ignored", "rejected", "pending"]
Time = Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]


class _Answered(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class _Asked(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", frozen=True)


# Answers


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


# Requests


_KINDS: list[JsonValue] = [*KINDS, *(kind.short for kind in KINDS.values())]
KIND_SCHEMA: dict[str, JsonValue] = {"examples": [KIND_EXAMPLE], "enum": _KINDS}


class NoArguments(_Asked):
    """Nothing has to be said."""


class Resolve(_Asked):
    """What became of an uncertain create: exactly one of the three."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"remoteId": "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc123def456"},
                {"retry": True},
                {"fail": True},
            ],
            "oneOf": [
                {
                    "required": ["remoteId"],
                    "properties": {"remoteId": {"type": "string"}, "retry": {"const": False}, "fail": {"const": False}},
                },
                {
                    "required": ["retry"],
                    "properties": {"remoteId": {"const": None}, "retry": {"const": True}, "fail": {"const": False}},
                },
                {
                    "required": ["fail"],
                    "properties": {"remoteId": {"const": None}, "retry": {"const": False}, "fail": {"const": True}},
                },
            ],
        }
    )
    remoteId: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^[!-~]+$")] | None = None  # noqa: N815 - as it goes on the wire
    """The remote job that it made."""
    retry: StrictBool = False
    """It made none: create again."""
    fail: StrictBool = False
    """Give it up."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Resolve":
        if [self.remoteId is not None, self.retry, self.fail].count(True) != 1:
            raise ValueError("say exactly one of remoteId, retry and fail")
        return self

    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude_defaults=True)


class Bulk(_Asked):
    """Which jobs a bulk command means, and how; the same members can stand in the query instead."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"label": {"run": "nightly"}, "reason": ["JobFailed"], "dryRun": True}]}
    )
    phase: Annotated[list[Phase], Field(max_length=20)] = []
    reason: Annotated[list[WaitReason | FailReason], Field(max_length=20)] = []
    label: Annotated[dict[Text, Text], Field(max_length=20)] = {}
    kind: Annotated[Text | None, Field(json_schema_extra=KIND_SCHEMA)] = None
    scope: Text | None = None
    group: Text | None = None
    text: Text | None = None
    all: StrictBool = False
    """Said on purpose where no filter is given."""
    dryRun: StrictBool = False  # noqa: N815 - as it goes on the wire
    """Only say what would happen; enough if the query says so."""
    after: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
    limit: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = None
    """Most jobs commanded in one go."""

    def arguments(self) -> dict[str, Any]:
        """What the command itself is told."""
        return {}


class BulkResolve(Bulk):
    """Which uncertain jobs are meant, and what became of their creates: exactly one of the two."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"label": {"run": "nightly"}, "retry": True}],
            "oneOf": [
                {"required": ["retry"], "properties": {"retry": {"const": True}, "fail": {"const": False}}},
                {"required": ["fail"], "properties": {"retry": {"const": False}, "fail": {"const": True}}},
            ],
        }
    )
    retry: StrictBool = False
    """They made nothing: create again."""
    fail: StrictBool = False
    """Give them up."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "BulkResolve":
        if self.retry == self.fail:
            raise ValueError("say exactly one of retry and fail")
        return self

    def arguments(self) -> dict[str, Any]:
        return {"retry": True} if self.retry else {"fail": True}


class LaneCommand(_Asked):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the bucket is being moved"}]})
    reason: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] = ""


class Requeue(_Asked):
    """Dead letters to send once more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [3, 4]}]})
    ids: Annotated[list[Annotated[StrictInt, Field(ge=1, le=2**53 - 1)]], Field(min_length=1, max_length=1000)]
