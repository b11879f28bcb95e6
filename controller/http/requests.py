"""The shapes of request bodies.

Invariant: strict and closed; a member that is not known, or of another type, is refused, for a command that is
misunderstood can stop a thousand jobs.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, StrictInt, model_validator

from controller.http import examples
from controller.kinds import KINDS
from controller.model import FailReason, Phase, WaitReason

JOB_CURSOR: Final = r"^[0-9a-f]{16}-[0-9]{1,18}$"
Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00]*$")]


class _Asked(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", frozen=True)


_KINDS: list[JsonValue] = [*KINDS, *(kind.short for kind in KINDS.values())]
KIND_SCHEMA: dict[str, JsonValue] = {"examples": [examples.KIND], "enum": _KINDS}


class NoArguments(_Asked):
    """Nothing has to be said."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


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
    after: Annotated[str, Field(pattern=JOB_CURSOR)] | None = None
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


class SinkCommand(_Asked):
    """Which sink, by its name in the summary."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sink": examples.SINK}]})
    sink: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^[^\x00]+$")]


class Requeue(_Asked):
    """Dead letters, by their ids."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [3, 4]}]})
    ids: Annotated[list[Annotated[StrictInt, Field(ge=1, le=2**53 - 1)]], Field(min_length=1, max_length=1000)]
