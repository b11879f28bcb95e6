"""Control: the one service behind HTTP, and behind the live table of `run`.

Invariant: it reads the store and writes the inbox, and nothing else; whatever it changes, a lane's owner changes for
it. Answers are JSON values, the same for every interface. What a request may look like is the interface's business.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from controller import __version__
from controller.control.answers import View
from controller.control.commands import JOB_COMMANDS, Commands
from controller.control.documents import Documents
from controller.control.history import START, BadCursorError, History, NextEvent
from controller.control.jobs import Jobs
from controller.control.overview import Counts, Overview, sink_view
from controller.control.selected import Selected
from controller.control.trend import Trend
from controller.errors import NotFoundError, StoreUnavailableError
from controller.intake import Intake, SourceStatus
from controller.kinds import Kind, find_kind
from controller.measures import Histogram
from controller.model import Identity
from controller.publish import SinkStatus
from controller.seams import Broadcast, Clock
from controller.settings import Settings
from controller.status import LaneStatus
from controller.store import EntryType, Selection, Store
from controller.verdicts import Verdicts
from controller.world import SIMULATED

__all__ = ["START", "BadCursorError", "Control", "Counts", "NextEvent", "View"]

WRITABLE_WITHIN_S = 2.0


class Control:
    """What can be asked of a running daemon.

    Methods that reach the store raise `StoreUnavailableError` while it is away; those that write the inbox raise
    `InboxFullError` while it is full. `wait_s` is how long a verdict is waited for; without it the answer is `pending`.

    Args:
        lanes: what every lane of this process shows of itself now.
        shutdown: begins the stop of the daemon.
        ready: whether the lanes have taken up their work.
        sinks: how the delivery of events stands now.
        resume_sink: lets a disabled sink go on; whether it was disabled.
    """

    def __init__(
        self,
        *,
        store: Store,
        intake: Intake,
        verdicts: Verdicts,
        lanes: Callable[[], Mapping[str, LaneStatus]],
        kinds: Mapping[str, Kind],
        settings: Settings,
        clock: Clock,
        shutdown: Callable[[], None],
        ready: Callable[[], bool],
        sinks: Callable[[], Sequence[SinkStatus]] = tuple,
        resume_sink: Callable[[str], bool] = lambda _sink: False,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._lanes = lanes
        self._shutdown = shutdown
        self._ready = ready
        self._sinks = sinks
        self._resume_sink = resume_sink
        self.committed = Broadcast()
        """Announced after commits with events."""
        self._intake = intake
        self._began = clock.monotonic()
        self._stopping = False
        self._facts: Mapping[str, str] = {}
        self._documents = Documents(store, intake, verdicts, kinds, clock)
        self._overview = Overview(store, lanes, clock)
        self._jobs = Jobs(store, lanes, self._overview.counts)
        self._selected = Selected(store, lanes, self._overview.counts, clock)
        self._commands = Commands(store, intake, verdicts, jobs=self._jobs, kinds=kinds, clock=clock)
        self._history = History(store, intake)
        self._trend = Trend(clock, self._overview.counts, lanes)

    # Documents

    async def submit(
        self, data: bytes, *, source: str = "http", suffix: str | None = None, wait_s: float = 0.0
    ) -> list[View]:
        """Take the documents of a JSON text, or of a file by its suffix.

        Returns:
            For each, in their order, `{index, answer, message, problems, inboxId, uid, job: {scope, kind, name}}`, the
            answer one of `accepted`, `unchanged`, `ignored`, `rejected` and `pending`. Only an invalid document has
            `problems`.
        """
        return await self._documents.submit(data, source=source, suffix=suffix, wait_s=wait_s)

    async def dry_run(self, data: bytes, *, suffix: str | None = None) -> list[View]:
        """What `submit` would answer, by what the store holds now; nothing is written."""
        return await self._documents.dry_run(data, suffix=suffix, instance=await self.instance())

    # Jobs and commands

    def identity(self, scope: str, kind: str, name: str) -> Identity:
        """The identity meant, the kind by its full or short name.

        Raises:
            NotFoundError: there is no such kind.
        """
        found = find_kind(kind)
        if found is None:
            raise NotFoundError(f"{kind[:100]!r} is no kind; `ferryman kinds` lists them")
        return Identity(scope, found.name, name)

    async def job(self, identity: Identity) -> View:
        """The job as `get -o json` shows it.

        Raises:
            NotFoundError: there is none.
        """
        return await self._jobs.one(identity)

    async def jobs(self, selection: Selection, cursor: str | None, limit: int) -> View:
        """`{items, next}`, newest first; a page can be short, or empty, and still have a `next`."""
        return await self._jobs.page(selection, cursor, limit)

    async def command(
        self,
        type_: EntryType,
        identity: Identity,
        arguments: Mapping[str, Any] | None = None,
        *,
        wait_s: float = 10.0,
        source: str = "http",
    ) -> View:
        """Stop, delete, retry or resolve one job: `{job, inboxId, answer, message, uid}`.

        Raises:
            NotFoundError: there is no such job.
        """
        return await self._commands.one(_job_command(type_), identity, arguments or {}, wait_s=wait_s, source=source)

    async def command_all(
        self,
        type_: EntryType,
        selection: Selection,
        arguments: Mapping[str, Any] | None = None,
        *,
        dry_run: bool = False,
        after: str | None = None,
        limit: int = 1000,
        wait_s: float = 10.0,
        source: str = "http",
    ) -> View:
        """The same for every job of a selection, at most `limit` in one go: `{items, counts, dryRun, next}`."""
        type_ = _job_command(type_)
        if dry_run:
            return await self._commands.many_dry(
                type_, selection, arguments or {}, after=after, limit=limit, instance=await self.instance()
            )
        return await self._commands.many(
            type_, selection, arguments or {}, after=after, limit=limit, wait_s=wait_s, source=source
        )

    # Lanes

    async def lanes(self) -> list[View]:
        """Every lane: its limits, slots, queues, counts and last pass."""
        return await self._overview.lanes()

    async def pause(self, lane: str | None = None, reason: str = "", *, wait_s: float = 10.0) -> list[View]:
        """Stop new creates of a lane, or of all: for each `{lane, inboxId, answer, message}`.

        Raises:
            NotFoundError: there is no such lane.
        """
        return await self._command_lanes(EntryType.PAUSE, lane, reason, wait_s)

    async def resume(self, lane: str | None = None, reason: str = "", *, wait_s: float = 10.0) -> list[View]:
        """Undo `pause`."""
        return await self._command_lanes(EntryType.RESUME, lane, reason, wait_s)

    async def _command_lanes(self, type_: EntryType, lane: str | None, reason: str, wait_s: float) -> list[View]:
        lanes = sorted(self._lanes())
        if lane is not None:
            lanes = [self._lane(lane)]
        return await self._commands.lanes(type_, lanes, reason or "by command", wait_s=wait_s, source="http")

    def _lane(self, name: str) -> str:
        scope, _, kind = name.partition("/")
        found = find_kind(kind)
        lane = f"{scope}/{found.name}" if found is not None else name
        if lane not in self._lanes():
            raise NotFoundError(f"{name[:200]!r} is no lane; `ferryman lanes` lists them")
        return lane

    def resume_sink(self, sink: str) -> View:
        """Let a disabled sink of this process go on: `{sink, answer, message}`.

        Raises:
            NotFoundError: there is no such sink.
        """
        if self._resume_sink(sink):
            return {"sink": sink, "answer": "accepted", "message": "goes on where it stopped"}
        return {"sink": sink, "answer": "unchanged", "message": "it is not disabled"}

    # What happened, and how things stand

    async def instance(self) -> str:
        """The stable name of this installation."""
        return (await self._known()).get("instance", "")

    async def _known(self) -> Mapping[str, str]:
        """The store's facts, which are the same as long as the process lives."""
        if not self._facts:
            self._facts = await self._store.facts()
        return self._facts

    async def summary(self, *, fresh: bool = False) -> View:
        """Everything known, in numbers, and which daemon this is; at most a second old, or read now."""
        return {
            "instance": await self.instance(),
            "version": __version__,
            "uptimeSeconds": round(self._clock.monotonic() - self._began, 1),
            "ready": self.ready(),
            "stopping": self._stopping,
            "simulated": (await self._known()).get("world") == SIMULATED,
            **await self._overview.summary(fresh=fresh),
            "sinks": [sink_view(sink) for sink in self._sinks()],
        }

    async def estimate(self, selection: Selection) -> View:
        """How long a selection of jobs still takes."""
        return await self._selected.estimate(selection)

    async def counts(self) -> Counts:
        """Jobs by lane and phase, at most a second old."""
        return await self._overview.counts()

    def lane_statuses(self) -> Mapping[str, LaneStatus]:
        return self._lanes()

    def sink_statuses(self) -> Sequence[SinkStatus]:
        return self._sinks()

    def source_statuses(self) -> Mapping[str, SourceStatus]:
        return self._intake.status()

    @property
    def commit_seconds(self) -> Histogram:
        """How long the store's transactions took since the start."""
        return self._store.commit_seconds

    async def events(self, cursor: str | None, subject: str | None, limit: int) -> View:
        """`{items, next}`, oldest first; without a cursor from the oldest that is kept.

        Raises:
            BadCursorError: the cursor is none that `events` gave.
        """
        return await self._history.events(cursor, subject, limit)

    async def last_events(self, subject: str, limit: int) -> View:
        """The newest events of one job, oldest first."""
        return await self._history.last_events(subject, limit)

    async def following(self, cursor: str, subject: str | None, limit: int) -> tuple[Sequence[NextEvent], str]:
        """Events beyond a cursor for a stream of them, and the cursor behind them all."""
        return await self._history.following(cursor, subject, limit)

    async def present(self) -> str:
        """The cursor behind everything that has happened."""
        return await self._history.now()

    async def keep_trend(self) -> None:
        """Remember how many jobs were in each phase, until cancelled."""
        await self._trend.run()

    def trend(self, after: float | None = None) -> View:
        """Jobs by phase over the last day, as far as this daemon has seen it: `{times, phases, created, throttles}`."""
        return self._trend.view(after)

    async def dead_letters(self, after: int = 0, limit: int = 100, *, newest: bool = False) -> View:
        """`{items, next}`, oldest first, or newest first; `after` 0 begins at that end."""
        return await self._history.dead_letters(after, limit, newest=newest)

    async def requeue(self, ids: Sequence[int]) -> list[View]:
        """Send the documents of dead letters once more: for each `{id, answer, message}`."""
        return await self._history.requeue(ids)

    async def discard(self, ids: Sequence[int]) -> list[View]:
        """Remove dead letters that a person has dealt with: for each `{id, answer, message}`."""
        return await self._history.discard(ids)

    # The daemon itself

    def shutdown(self) -> None:
        """Begin the stop: no new creates, calls in flight finish, remote jobs go on."""
        self._stopping = True
        self._shutdown()

    def ready(self) -> bool:
        """Whether the lanes have taken up their work, and no stop was asked for."""
        return self._ready() and not self._stopping

    async def why_not_ready(self) -> str:
        """Why documents are not taken just now; empty: they are. AWS does not count."""
        if not self._ready():
            return "starting"
        if self._stopping:
            return "stopping"
        try:
            with anyio.fail_after(WRITABLE_WITHIN_S):
                if not await self._store.writable():
                    return "the store cannot be written"
                if await self._store.inbox_size() >= self._settings.queue.inbox_max:
                    return "the inbox is full"
        except (StoreUnavailableError, TimeoutError):
            return "the store does not answer"
        return ""


def _job_command(type_: EntryType) -> EntryType:
    if type_ not in JOB_COMMANDS:
        raise ValueError(f"{type_!r} is no command for jobs")
    return type_
