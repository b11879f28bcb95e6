"""What Ferryman knows: documents, jobs, attempts, phases.

Invariant: everything here is a frozen value without clock, chance or I/O. Identifiers (uid, token, remote name) are
pure functions of their inputs, so that they can be computed again after the store is lost.

The rules by which a job moves from phase to phase are in `transitions`; how a job looks from outside is in `views`.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

DEFAULT_SCOPE: Final = "default"
"""Of a document that names none."""
Parameters = Mapping[str, Any]
"""AWS request parameters, camelCase, as they go on the wire."""


class Desired(StrEnum):
    COMPLETED = "Completed"
    STOPPED = "Stopped"
    ABSENT = "Absent"


class Phase(StrEnum):
    PENDING = "Pending"
    CREATING = "Creating"
    RUNNING = "Running"
    STOPPING = "Stopping"
    UNCERTAIN = "Uncertain"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    DELETED = "Deleted"


TERMINAL: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED, Phase.DELETED})
AT_AWS: Final = frozenset({Phase.RUNNING, Phase.STOPPING})
"""There is a remote job, and it has not ended."""
HOLDING_A_SLOT: Final = frozenset({Phase.CREATING, Phase.UNCERTAIN, Phase.RUNNING, Phase.STOPPING})
"""Phases in which a remote job exists or may exist, and so takes a place in the quota."""


class WaitReason(StrEnum):
    """Why a Pending job waits."""

    QUEUED = "Queued"
    RATE_LIMITED = "RateLimited"
    QUOTA_FULL = "QuotaFull"
    BACKOFF = "Backoff"
    PAUSED = "Paused"
    ACCESS_DENIED = "AccessDenied"
    SCOPE_UNAVAILABLE = "ScopeUnavailable"


class FailReason(StrEnum):
    """Why a job Failed: the closed list."""

    JOB_FAILED = "JobFailed"
    EXPIRED = "Expired"
    SERVICE_ERROR = "ServiceError"
    CLIENT_ERROR = "ClientError"
    PARTIAL = "Partial"
    CREATE_REFUSED = "CreateRefused"
    NAME_TAKEN = "NameTaken"
    LOST = "Lost"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    ACCESS_DENIED = "AccessDenied"


NEVER_RETRIED: Final = frozenset(
    {FailReason.CREATE_REFUSED, FailReason.NAME_TAKEN, FailReason.LOST, FailReason.DEADLINE_EXCEEDED}
)
"""Reasons which no `retry` of a document repeats: a further create could be a second job, or could not help."""


class Partial(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"


class OnUncertain(StrEnum):
    HOLD = "hold"
    RETRY = "retry"


class OnSpecChange(StrEnum):
    REJECT = "reject"
    REPLACE = "replace"


class Todo(StrEnum):
    """The one thing a job needs done next by its lane; kept in the store so that a restart finds it."""

    CREATE = "create"
    DELAY = "delay"
    RESOLVE = "resolve"
    STOP = "stop"
    GET = "get"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two documents speak of the same job."""

    scope: str
    kind: str
    name: str

    @property
    def lane(self) -> str:
        return lane_name(self.scope, self.kind)

    def __str__(self) -> str:
        return f"{self.scope}/{self.kind}/{self.name}"


def lane_name(scope: str, kind: str) -> str:
    """The lane of a scope and kind: `<scope>/<kind>`."""
    return f"{scope}/{kind}"


@dataclass(frozen=True, slots=True)
class Retry:
    attempts: int = 1
    """Remote jobs in one incarnation, the first included."""
    reasons: tuple[FailReason, ...] = (FailReason.JOB_FAILED, FailReason.EXPIRED, FailReason.SERVICE_ERROR)
    backoff_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a document says besides its spec; applies at once in every phase that is not terminal."""

    priority: int = 0
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    retry: Retry = field(default_factory=Retry)
    partial: Partial = Partial.SUCCESS
    deadline_s: float | None = None
    on_uncertain: OnUncertain = OnUncertain.HOLD


@dataclass(frozen=True, slots=True)
class Document:
    """One validated document: what a user wants of one job."""

    identity: Identity
    desired: Desired
    spec: Parameters | None
    """None only where `desired` is Stopped or Absent."""
    wishes: Wishes
    generation: int | None
    on_spec_change: OnSpecChange
    digest: str
    """Of the whole document in canonical form, the generation included."""


@dataclass(frozen=True, slots=True)
class Records:
    """Record counts of a remote job; zero until AWS gives them."""

    total: int = 0
    processed: int = 0
    succeeded: int = 0
    failed: int = 0


class Standing(StrEnum):
    """What a remote status means, whatever its spelling."""

    WAITING = "waiting"
    """Exists and takes a slot, does not work yet."""
    WORKING = "working"
    STOPPING = "stopping"
    DELETING = "deleting"
    COMPLETED = "completed"
    PARTIAL = "partial"
    STOPPED = "stopped"
    EXPIRED = "expired"
    FAILED = "failed"
    SERVICE_ERROR = "service error"
    CLIENT_ERROR = "client error"
    UNKNOWN = "unknown"
    """A status which this release does not know: kept verbatim, counts as working."""


FINISHED: Final = frozenset(
    {
        Standing.COMPLETED,
        Standing.PARTIAL,
        Standing.STOPPED,
        Standing.EXPIRED,
        Standing.FAILED,
        Standing.SERVICE_ERROR,
        Standing.CLIENT_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Observation:
    """One remote job as AWS showed it, in a List page or a Get."""

    remote_id: str
    status: str
    standing: Standing
    name: str | None = None
    token: str | None = None
    message: str | None = None
    records: Records | None = None
    """None where the answer has no counts."""
    submitted_at: float | None = None
    ended_at: float | None = None
    """When it finished, where AWS says so; never set of one that has not."""
    quota_keys: tuple[str, ...] = ()
    detailed: bool = False
    """From a Get: nothing more can be learned by asking again."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One intended remote job within an incarnation.

    `maybe_sent` is true from the commit of the intent until the outcome is known; `unknown` says that some send of it
    ended without an answer. A later refusal clears `maybe_sent` only where `unknown` is false: unknown is sticky.
    """

    incarnation: int
    number: int
    token: str
    remote_name: str
    phase: Phase
    created_at: float
    remote_id: str | None = None
    reason: str | None = None
    ended_at: float | None = None
    maybe_sent: bool = False
    unknown: bool = False
    last_send_at: float | None = None
    """AWS's clock where it is known; the latest moment at which a send may have begun."""
    resolve_tries: int = 0
    """Sends or searches that taught nothing; each makes the next wait longer."""
    conflicted: bool = False
    """AWS said that the token or name is known, and the owner was not found yet."""
    scans_without: int = 0
    """Complete scans since the last send which did not show it."""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """The record of one identity, in its present incarnation.

    Times are seconds since the epoch, UTC, by this host's clock unless a field says otherwise.
    """

    id: int
    """Row number in the store; 0 before the first insert."""
    identity: Identity
    uid: str
    incarnation: int
    generation: int | None
    digest: str
    desired: Desired
    spec: Parameters | None
    wishes: Wishes
    phase: Phase
    accepted_at: float
    reason: str | None = None
    message: str | None = None
    attempt: int = 0
    """Number of the present attempt; 0 before the first intent."""
    attempts: tuple[Attempt, ...] = ()
    """Of this incarnation, oldest first."""
    quota_keys: tuple[str, ...] = ("*",)
    """Every key whose slots this job takes; the first one is the queue it waits in."""
    turn: int = 0
    """Place among the groups of its priority: lower goes first."""
    todo: Todo | None = None
    due_at: float = 0.0
    """When `todo` may be done."""
    remote_status: str | None = None
    records: Records = field(default_factory=Records)
    output_uri: str | None = None
    output_manifest: str | None = None
    partial: bool = False
    started_at: float | None = None
    ended_at: float | None = None
    deadline_at: float | None = None
    """By AWS's clock; None while no deadline is set or AWS's clock is not known."""
    deadline_exceeded: bool = False
    stop_sent_at: float | None = None
    stop_unsupported: bool = False
    refusals: int = 0
    """In a row: of its create, for want of a permission; once it runs, of its stop."""
    failing_gets: int = 0
    """Reads in a row in which AWS did not know the remote job."""
    missing_since: float | None = None
    missing_passes: int = 0
    """Complete passes in a row which did not show the remote job."""
    next_document: Document | None = None
    """Replaces this incarnation once it has ended."""
    event_sequence: int = 0
    """Sequence of the last event of this uid."""

    @property
    def current(self) -> Attempt | None:
        """The present attempt, or None before the first intent."""
        return self.attempts[-1] if self.attempts else None

    @property
    def attempt_now(self) -> Attempt:
        """The present attempt of a job that surely has one."""
        if not self.attempts:
            raise AssertionError(f"{self.identity}: {self.phase} without an attempt")
        return self.attempts[-1]

    @property
    def terminal(self) -> bool:
        return self.phase in TERMINAL

    @property
    def awaits_deadline(self) -> bool:
        """Whether it has a deadline that was not yet acted on."""
        return self.wishes.deadline_s is not None and not self.deadline_exceeded and not self.terminal


@dataclass(frozen=True, slots=True)
class Stub:
    """What pruning leaves of a job, so that a redelivered document never runs a paid job again."""

    identity: Identity
    uid: str
    incarnation: int
    attempt: int
    generation: int | None
    digest: str
    phase: Phase
    spec_digest: str
    pruned_at: float


UID_LENGTH: Final = 16
UID_LENGTH_IN_NAME: Final = 8


def make_uid(instance: str, identity: Identity, incarnation: int) -> str:
    """16 characters of `a-z2-7`, the same for the same inputs in every process and release."""
    text = "\x00".join((instance, identity.scope, identity.kind, identity.name, str(incarnation)))
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return base64.b32encode(digest).decode("ascii").lower()[:UID_LENGTH]


def make_token(uid: str, attempt: int) -> str:
    """The idempotency token of one attempt: `<uid>-<attempt>`."""
    return f"{uid}-{attempt}"


def make_remote_name(prefix: str, uid: str, attempt: int, length_max: int) -> str:
    """`<prefix>-<first 8 of uid>-<attempt>`, the prefix cut so that the whole fits `length_max` characters."""
    tail = f"-{uid[:UID_LENGTH_IN_NAME]}-{attempt}"
    return prefix[: length_max - len(tail)].rstrip("-.") + tail
