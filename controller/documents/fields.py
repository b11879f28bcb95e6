"""The members of a document besides its spec: their bounds and what they mean.

Invariant: this is the one list of members; reading, `explain` and the JSON Schema all follow it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from controller.model import DEFAULT_SCOPE, NEVER_RETRIED, Desired, FailReason, OnSpecChange, OnUncertain, Partial
from controller.validation.findings import INTEGER_MAX, INTEGER_MIN

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}\Z")
NAME_RULE: Final = "must be 1 to 63 letters, digits and hyphens, the first a letter or digit"
LABEL_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,127}\Z")
LABEL_KEY_RULE: Final = "a label's name must be 1 to 128 letters, digits and . _ / : @ + -, the first a letter or digit"
LABELS_MAX: Final = 64
LABEL_VALUE_LENGTH_MAX: Final = 256
GROUP_LENGTH_MAX: Final = 128
PRIORITY_MIN: Final = -1000
PRIORITY_MAX: Final = 1000
RETRY_ATTEMPTS_MAX: Final = 100
RETRY_BACKOFF_S_MAX: Final = 604_800
DEADLINE_S_MAX: Final = 34_560_000
"""400 days, as long as a pruned job is remembered."""
SPEC_BYTES_MAX: Final = 1024 * 1024
RETRIABLE: Final = tuple(reason for reason in FailReason if reason not in NEVER_RETRIED)


@dataclass(frozen=True, slots=True)
class Field:
    """One member: its JSON Schema, and a sentence for a person."""

    schema: dict[str, Any]
    documentation: str
    required: bool = False


def _choice(default: StrEnum) -> dict[str, Any]:
    return {"enum": [choice.value for choice in type(default)], "default": default.value}


RETRY_FIELDS: Final[dict[str, Field]] = {
    "attempts": Field(
        {"type": "integer", "minimum": 1, "maximum": RETRY_ATTEMPTS_MAX, "default": 1},
        "Remote jobs in all, the first included.",
    ),
    "reasons": Field(
        {"type": "array", "items": {"enum": [reason.value for reason in RETRIABLE]}},
        "Reasons of failure after which the job is tried again; JobFailed, Expired and ServiceError by default.",
    ),
    "backoffSeconds": Field(
        {"type": "number", "minimum": 0, "maximum": RETRY_BACKOFF_S_MAX, "default": 60},
        "Pause before another attempt.",
    ),
}

FIELDS: Final[dict[str, Field]] = {
    "kind": Field(
        {"type": "string"}, "The kind of job: its full name, or its short name where only one has it.", required=True
    ),
    "name": Field(
        {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9-]{0,62}$"},
        "The job's name; with kind and scope its identity.",
        required=True,
    ),
    "spec": Field(
        {"type": "object"},
        "The AWS request parameters of the create operation, verbatim; may be left out where desired is Stopped or "
        "Absent.",
    ),
    "desired": Field(
        _choice(Desired.COMPLETED),
        "What is wanted: Completed runs the job, Stopped stops it, Absent stops and deletes it.",
    ),
    "scope": Field(
        {"type": "string", "default": DEFAULT_SCOPE}, "Where to run: a scope of the settings, an account and Region."
    ),
    "generation": Field(
        {"type": "integer", "minimum": INTEGER_MIN, "maximum": INTEGER_MAX},
        "Of two documents of one job the higher generation is newer, and newer than any without; without, the order "
        "of arrival counts.",
    ),
    "priority": Field(
        {"type": "integer", "minimum": PRIORITY_MIN, "maximum": PRIORITY_MAX, "default": 0},
        "Higher goes first within a scope and kind.",
    ),
    "group": Field(
        {"type": "string", "maxLength": GROUP_LENGTH_MAX, "default": ""},
        "Groups take turns within a scope, kind and priority.",
    ),
    "labels": Field(
        {
            "type": "object",
            "maxProperties": LABELS_MAX,
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,127}$"},
            "additionalProperties": {"type": "string", "maxLength": LABEL_VALUE_LENGTH_MAX},
        },
        "Strings to search by, copied to every event; AWS tags go into spec.tags.",
    ),
    "retry": Field(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {**field.schema, "description": field.documentation} for name, field in RETRY_FIELDS.items()
            },
        },
        "Whether a failed job is tried again.",
    ),
    "partial": Field(_choice(Partial.SUCCESS), "How a job counts that AWS completed only partially."),
    "deadlineSeconds": Field(
        {"type": "number", "minimum": 1, "maximum": DEADLINE_S_MAX},
        "From acceptance; a job that has not ended by then is stopped, where its API can, and fails.",
    ),
    "onUncertain": Field(
        _choice(OnUncertain.HOLD),
        "Where nobody can tell whether AWS made the job: hold waits for a person, retry makes another one, which may "
        "be a second paid job.",
    ),
    "onSpecChange": Field(
        _choice(OnSpecChange.REJECT),
        "A changed spec of a job that was sent or has ended: reject refuses the document, replace stops the old job "
        "and runs a new one.",
    ),
}
