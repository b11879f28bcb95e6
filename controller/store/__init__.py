"""The store: where progress lives.

The law, for every implementation:
- `receive` is durable when it returns; entries keep their order of arrival.
- Only the owner of a lane writes its jobs and events. `take_lane` raises the lane's epoch, so every earlier owner is
  fenced out: its next `commit` raises `FencedOutError` and changes nothing.
- `commit` is atomic: jobs, attempts, events, consumed inbox entries, dead letters and lane state together, or nothing.
  Commits that are ready together share one transaction of the database; one that fails is tried again alone.
- A commit whose outcome is unknown is read back; the caller never sees "perhaps".
- A remote id belongs to one attempt: a commit that gives it to a second one raises `RemoteIdTakenError`.
- Reads see every commit that has returned. No read returns more rows than its `limit`.
- `StoreUnavailableError` means: nothing was committed, try again. `StoreError` means: leave.

The store moves state and decides nothing; policy is in `transitions`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from controller.events import Event
from controller.measures import Histogram
from controller.model import Identity, Job, Observation, Phase, Records, Stub, Todo


class EntryType(StrEnum):
    """What an inbox entry asks for."""

    DOCUMENT = "document"
    REJECTED = "rejected"
    STOP = "stop"
    DELETE = "delete"
    RETRY = "retry"
    RESOLVE = "resolve"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """Something for a lane's owner to do, not yet in the inbox."""

    lane: str
    type: EntryType
    name: str
    """Of the job; empty for entries about the lane."""
    body: bytes
    """Canonical JSON of a document, or a command's arguments."""
    source: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An inbox entry; `id` orders entries by arrival."""

    id: int
    lane: str
    type: EntryType
    name: str
    body: bytes
    source: str
    received_at: float


@dataclass(frozen=True, slots=True)
class LaneRecord:
    """What the store keeps of a lane, besides its jobs."""

    lane: str
    number: int
    """Small and unique; the upper part of the ids of its jobs."""
    epoch: int
    seq: int
    stream_sequence: int
    """Sequence of the last event of the lane's own stream."""
    last_job: int
    paused: bool
    pause_reason: str
    state: Mapping[str, Any] = field(default_factory=dict)
    """Learned limits, durations and spend: JSON of the lane's own making."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A document or event that will not be tried again by itself."""

    what: str
    """`document` or `event`."""
    source: str
    subject: str
    reason: str
    body: bytes
    at: float
    id: int = 0


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job before and after; `before` is None for a new one."""

    before: Job | None
    after: Job


@dataclass(frozen=True, slots=True)
class LaneWrite:
    """Everything one lane commits at once."""

    lane: str
    changes: Sequence[JobChange] = ()
    events: Sequence[Event] = ()
    consumed: Sequence[int] = ()
    dead_letters: Sequence[DeadLetter] = ()
    pruned: Sequence[Job] = ()
    """Terminal jobs to be replaced by stubs."""
    orphans: Sequence[Observation] = ()
    """Remote jobs with names of ours which no attempt of this store knows."""
    paused: bool | None = None
    pause_reason: str = ""
    state: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """The little of a job that a reconciling pass compares."""

    job_id: int
    remote_id: str
    phase: Phase
    todo: Todo | None
    remote_status: str | None
    records: Records


@dataclass(frozen=True, slots=True)
class Brief:
    """The least of a running job that a reconciling pass must know before it reads."""

    job_id: int
    remote_status: str | None
    began_at: float | None
    """When its present attempt was intended."""


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """A committed event, as a sink receives it."""

    lane: str
    seq: int
    id: str
    type: str
    subject: str
    at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Selection:
    """Which jobs a list, a bulk command or a wait speaks of; None and empty mean: any."""

    scope: str | None = None
    kind: str | None = None
    name: str | None = None
    phases: frozenset[Phase] = frozenset()
    reasons: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    text: str | None = None
    """Part of the name."""
    search: str | None = None
    """Part of the name, of the present remote id or of a label's value; upper and lower case alike."""


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """Jobs of a selection that are not terminal, of one phase and quota key."""

    phase: Phase
    quota_key: str
    jobs: int
    youngest: float | None
    """When the present attempt of the last of them was intended."""


class RemoteIdTakenError(Exception):
    """The remote id of a write belongs to another attempt; nothing was committed."""

    def __init__(self, remote_id: str) -> None:
        super().__init__(remote_id)
        self.remote_id = remote_id


class LaneStore(Protocol):
    """What the owner of a lane needs."""

    async def take_lane(self, lane: str) -> LaneRecord:
        """Become the owner; creates the lane where there is none."""

    async def commit(self, record: LaneRecord, write: LaneWrite) -> LaneRecord:
        """Write as the owner; returns the record with its new `seq`, which moves by the number of events, at least 1.

        A new job (`before` is None, `after.id` is 0) gets its id here, in ascending order, and its stub goes. `before`
        must be the job as the store has it: only what differs is written, and parts that are the same object (`spec`,
        `wishes`, `next_document`, an attempt) are not even compared.

        A cancelled caller still gets the answer, and meets its cancellation at its next step.

        Raises:
            FencedOutError: another owner, or not the latest record; or the database went away in the middle of a commit
                and did not come back: take the lane again, and read everything anew.
            RemoteIdTakenError: a remote id belongs to another attempt.
            StoreUnavailableError: nothing was committed.
        """

    async def inbox(self, lane: str, limit: int) -> Sequence[Entry]:
        """The oldest entries of a lane."""

    async def jobs_named(self, lane: str, names: Sequence[str]) -> Mapping[str, Job | Stub]: ...

    async def jobs_by_id(self, ids: Sequence[int]) -> Sequence[Job]: ...

    async def jobs_to(
        self, lane: str, todo: Todo, due_before: float, limit: int, due_after: float = -1.0
    ) -> Sequence[Job]:
        """Jobs whose `todo` is due, the longest due first; any but `Todo.CREATE`, for which see `queue_heads`."""

    async def next_due(self, lane: str, todo: Todo) -> float | None:
        """When the next job with this `todo` is due."""

    async def queue_heads(self, lane: str, quota_key: str, limit: int) -> Sequence[Job]:
        """Jobs waiting to be created, in the order in which they go."""

    async def queue_keys(self, lane: str) -> Sequence[str]:
        """Quota keys for which jobs wait to be created."""

    async def turns_waiting(self, lane: str) -> Sequence[tuple[int, str, int]]:
        """For each priority and group that waits: `(priority, group, last turn)`."""

    async def slots_taken(self, lane: str) -> Sequence[tuple[int, tuple[str, ...]]]:
        """Jobs that hold slots, with their quota keys."""

    async def mirrors(self, lane: str, remote_ids: Sequence[str]) -> Mapping[str, Mirror]: ...

    async def running(self, lane: str, after_job: int, limit: int) -> Sequence[Mirror]:
        """Jobs with a live remote job, by id."""

    async def running_briefly(self, lane: str, after_job: int, limit: int) -> Sequence[Brief]:
        """The same jobs, without what only a comparison needs."""

    async def running_summary(self, lane: str) -> tuple[int, float | None]:
        """How many jobs are Running or Stopping, and when the oldest of their attempts began."""

    async def remote_ids_known(self, lane: str, remote_ids: Sequence[str]) -> frozenset[str]:
        """Which of these belong to an attempt, past ones included, those of pruned jobs not."""

    async def orphans(self, lane: str, remote_names: Sequence[str]) -> Mapping[str, str]:
        """Remote ids, by remote name, of what an earlier store left at AWS."""

    async def any_orphans(self, lane: str) -> bool: ...

    async def open_intents(self, lane: str, remote_names: Sequence[str]) -> Mapping[str, int]:
        """Jobs, by remote name, whose present attempt is Creating or Uncertain and has no remote id yet."""

    async def oldest_open(self, lane: str) -> float | None:
        """When the oldest job that is not terminal was accepted."""

    async def deadlines(self, lane: str) -> tuple[bool, float | None]:
        """Of the deadlines not acted on: whether one is not placed on AWS's clock, and the first that is."""

    async def overdue(self, lane: str, before: float, limit: int) -> Sequence[Job]:
        """Jobs whose deadline has passed and was not acted on."""

    async def without_deadline(self, lane: str, limit: int) -> Sequence[Job]:
        """Live jobs whose document has a deadline that is not yet placed on AWS's clock."""

    async def interrupted(self, lane: str, limit: int) -> Sequence[Job]:
        """Intents without an outcome and with nothing to do: what a dead process left."""

    async def prunable(self, lane: str, ended_before: float, limit: int) -> Sequence[Job]: ...

    async def phase_counts(self, lane: str) -> Mapping[Phase, int]: ...


class Inbox(Protocol):
    """What intake needs."""

    async def receive(self, entries: Sequence[NewEntry], now: float) -> Sequence[int]:
        """Make entries durable; returns their ids in order."""

    async def inbox_size(self) -> int: ...


class Outbox(Protocol):
    """What publishing needs."""

    async def lanes_with_events(self) -> Mapping[str, int]:
        """The `seq` of the newest event of every lane that has events."""

    async def events_after(self, lane: str, seq: int, limit: int) -> Sequence[OutboxEvent]: ...

    async def cursors(self, sink: str) -> Mapping[str, int]:
        """How far a sink has come in each lane."""

    async def advance(self, sink: str, cursors: Mapping[str, int], dead_letters: Sequence[DeadLetter] = ()) -> None:
        """Move cursors; durable when it returns."""

    async def keep_sinks(self, sinks: Sequence[str]) -> None:
        """Let events wait for these sinks, one that has taken none yet included, and no longer for any other."""


class StoreReads(Protocol):
    """What people look at: the API and the command line."""

    async def find_job(self, identity: Identity) -> Job | None: ...

    async def find_stub(self, identity: Identity) -> Stub | None: ...

    async def list_jobs(self, selection: Selection, after: str | None, limit: int) -> tuple[Sequence[Job], str | None]:
        """A page over all lanes, the newest acceptance first, and the cursor of the next one.

        Each job that is not accepted anew meanwhile comes exactly once.

        Raises:
            NotFoundError: `after` is no cursor.
        """

    async def count_jobs(self, selection: Selection) -> int: ...

    async def counts(self) -> Sequence[tuple[str, Phase, str | None, int]]:
        """`(lane, phase, reason, jobs)` over everything known."""

    async def waiting_counts(self) -> Sequence[tuple[str, str, int]]:
        """`(lane, quota key, jobs)` of those that wait to be created."""

    async def open_jobs(self, lane: str, selection: Selection) -> Sequence[OpenJobs]:
        """What of a selection is not terminal in a lane."""

    async def last_waiting(self, lane: str, quota_key: str, selection: Selection) -> Job | None:
        """Of those that wait to be created, the one which goes last."""

    async def queue_position(self, job: Job) -> int:
        """Jobs of its lane that go before a waiting job, whatever their quota keys."""

    async def queue_positions(self, lane: str, jobs: Sequence[Job]) -> Mapping[int, int]:
        """The same for many waiting jobs of one lane, by their ids, for the price of reading its queue once."""

    async def list_events(
        self, after: Mapping[str, int], subject: str | None, limit: int
    ) -> tuple[Sequence[OutboxEvent], Mapping[str, int]]:
        """Events beyond a cursor, lane by lane in the order of their names, and the new cursor."""

    async def last_events(self, subject: str, limit: int) -> Sequence[OutboxEvent]:
        """The newest events of one job, oldest first."""

    async def list_dead_letters(self, after: int, limit: int, *, newest: bool = False) -> Sequence[DeadLetter]:
        """Those beyond the id `after`, oldest first, or newest first; 0 begins at that end."""

    async def count_dead_letters(self) -> int: ...

    async def take_dead_letters(self, ids: Sequence[int]) -> Sequence[DeadLetter]:
        """Remove dead letters, to requeue them."""


class Store(LaneStore, Inbox, Outbox, StoreReads, Protocol):
    """All of it, and the facts that hold for the store as a whole."""

    @property
    def commit_seconds(self) -> Histogram:
        """How long transactions took since the start, from their begin to the end of their commit."""

    async def inbox_oldest_at(self) -> float | None:
        """When the inbox's oldest entry arrived; None where it is empty."""

    async def facts(self) -> Mapping[str, str]:
        """What the store remembers: instance, world, account and region of each scope."""

    async def remember(self, facts: Mapping[str, str]) -> None: ...

    async def lane_records(self) -> Sequence[LaneRecord]: ...

    async def prune(self, *, events_before: float, dead_letters_before: float, stubs_before: float, limit: int) -> int:
        """Remove what is too old and, of events, delivered to every known sink; returns how many rows went."""

    def refuse_more(self) -> None:
        """Commit nothing that has not begun: the process has no time left. Callers hear StoreUnavailableError."""

    async def writable(self) -> bool:
        """Whether a commit goes through now, by making one; for the readiness probe."""
