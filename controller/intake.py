"""Queue -> inbox: reads sources, judges documents, makes them durable, acknowledges.

Invariant: nothing is acknowledged before everything in it is durable in the inbox, the rejected documents as well;
nothing is accepted that is not valid. While the inbox is full, sources are not read and senders are told so.

What an accepted document means for its job is decided by the owner of its lane; what becomes of a rejected one, in
`rejections`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus

from controller.documents import (
    INLINE_BYTES_MAX,
    Bounds,
    Policy,
    Rejection,
    canonical_json,
    read_file,
    read_file_in_parts,
    read_message,
    reject,
    to_json,
)
from controller.documents.create_shape import CreateKind
from controller.errors import StoreUnavailableError
from controller.events import INTAKE_LANE
from controller.gathering import ENTRIES_MAX, GatheringInbox
from controller.limits import full_jitter
from controller.masking import mask_text
from controller.model import Document
from controller.queues import Delivery, Settled, Source, SourceUnavailableError
from controller.receivers import Receivers
from controller.rejections import rejected_body
from controller.seams import Clock, Failpoint
from controller.settings import QueueSettings
from controller.store import EntryType, Inbox, NewEntry

COMMANDS_MAX: Final = 10_000
"""Entries that commands may add to a full inbox."""
THREADS_MAX: Final = 2
"""Long texts judged at a time: more would only take turns, and keep the event loop waiting for its own."""
LAST_WORDS_S: Final = 5.0
"""How long an acknowledgement may go on when a stop comes: what is durable should not be delivered again."""
_BACKOFF_S: Final = 1.0
_BACKOFF_MAX_S: Final = 60.0
_FULL_PAUSE_S: Final = 0.5
_SIZE_KNOWN_S: Final = 1.0
"""How long a count of the inbox is trusted, together with what has been added since."""
_FULL_KNOWN_S: Final = 0.1
"""The same where it was full: however many ask, it is counted a few times a second."""

_log = structlog.get_logger(__name__)


class InboxFullError(Exception):
    """The inbox holds `queue.inbox_max` entries: nothing was accepted; try again in a while."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one document: it is durable under `entry_id`; accepted where `problems` is empty."""

    identity: str
    """`<scope>/<kind>/<name>`; of a rejected document as far as it could be read."""
    problems: tuple[str, ...] = ()
    entry_id: int | None = None
    """None where it was only looked at."""

    @property
    def accepted(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class SourceStatus:
    """What has come from one source since the start."""

    deliveries: int = 0
    accepted: int = 0
    rejected: int = 0
    idle_polls: int = 0
    """Polls in a row which found nothing while nothing was being processed."""
    failures: int = 0
    """Polls in a row which failed."""
    problem: str = ""
    """Why the last poll failed; empty if it did not."""
    busy: int = field(default=0, repr=False)


@dataclass(frozen=True, slots=True)
class _Judged:
    """One item of a text, ready for the inbox."""

    identity: str
    problems: tuple[str, ...]
    entry: NewEntry


class Intake:
    """The one way into the inbox.

    Args:
        kinds: by full name.
        on_received: told, after they are durable, which lanes have new entries.
        chance: for backoff.
    """

    def __init__(
        self,
        inbox: Inbox,
        kinds: Mapping[str, CreateKind],
        policy: Policy,
        *,
        clock: Clock,
        failpoint: Failpoint,
        settings: QueueSettings,
        on_received: Callable[[set[str]], None],
        chance: Random,
    ) -> None:
        self._inbox = inbox
        self._entrance = GatheringInbox(inbox, clock)
        self._kinds = kinds
        self._policy = policy
        self._clock = clock
        self._failpoint = failpoint
        self._settings = settings
        self._bounds = Bounds.of_size(settings.message_bytes_max)
        self._on_received = on_received
        self._chance = chance
        self._threads = anyio.CapacityLimiter(THREADS_MAX)
        self._status: dict[str, SourceStatus] = {}
        self._size = 0
        self._size_at: float | None = None

    def idle_polls(self, source: str) -> int:
        """Empty polls of a source in a row, nothing of it being processed; two of them say that it is empty."""
        return self._status[source].idle_polls if source in self._status else 0

    def status(self) -> Mapping[str, SourceStatus]:
        """By name of the source."""
        return {name: replace(status) for name, status in self._status.items()}

    async def run(self, source: Source, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read a source until cancelled, with as many receivers as there is work for."""
        status = self._status.setdefault(source.name, SourceStatus())
        async with anyio.create_task_group() as tasks:
            receivers = Receivers(source.receivers)
            for _ in range(receivers.count):
                tasks.start_soon(self._receive_always, source, status, receivers, tasks)
            task_status.started()

    async def submit(self, data: bytes, source: str, suffix: str | None = None) -> Sequence[Receipt]:
        """Take the documents of a message (`suffix` None) or a file; one receipt for each, in their order.

        Raises:
            InboxFullError: nothing was accepted; `room` waits.
            StoreUnavailableError: nothing, or only a part of it, is durable; submit it again.
        """
        if await self._size_now() >= self._settings.inbox_max:
            raise InboxFullError
        judged = await self._judge(data, suffix, source)
        ids = await self._receive([item.entry for item in judged])
        return [Receipt(item.identity, item.problems, id_) for item, id_ in zip(judged, ids, strict=True)]

    async def take_file(self, data: bytes, source: str, suffix: str, on_rejected: Callable[[Receipt], None]) -> None:
        """Take the documents of a file, a part at a time, for as long as it takes: the inbox may be full meanwhile."""
        log = _log.bind(source=source)
        parts = read_file_in_parts(data, suffix, self._kinds, self._policy)
        while judged := await to_thread.run_sync(self._judge_part, parts, source, limiter=self._threads):
            await self._receive_patiently([item.entry for item in judged], log, when_full=self.room)
            for item in judged:
                if item.problems:
                    on_rejected(Receipt(item.identity, item.problems))

    def _judge_part(self, parts: Iterator[Sequence[Document | Rejection]], source: str) -> list[_Judged]:
        """The next part; empty after the last one."""
        return [_judged(item, source) for item in next(parts, ())]

    async def look(self, data: bytes, suffix: str | None = None) -> Sequence[Receipt]:
        """What `submit` would say, without any effect."""
        judged = await self._judge(data, suffix, "")
        return [Receipt(item.identity, item.problems) for item in judged]

    async def read(self, data: bytes, suffix: str | None = None) -> Sequence[Document | Rejection]:
        """The documents that `submit` would take or reject, without any effect."""
        if suffix is None and len(data) <= INLINE_BYTES_MAX:
            return self._found(data, suffix)
        return await to_thread.run_sync(self._found, data, suffix)

    async def order(self, entries: Sequence[NewEntry]) -> Sequence[int]:
        """Make commands durable and wake their lanes; returns their ids in order.

        Commands have room of their own, so that a full inbox can still be paused.

        Raises:
            InboxFullError: nothing was accepted.
            StoreUnavailableError: nothing, or only a part of it, is durable.
        """
        if await self._size_now() >= self._settings.inbox_max + COMMANDS_MAX:
            raise InboxFullError
        return await self._receive(entries)

    async def room(self) -> None:
        """Wait until the inbox takes entries."""
        waiting = False
        while await self._size_now() >= self._settings.inbox_max:
            if not waiting:
                _log.warning("intake.inbox_full", entries=self._size)
            waiting = True
            await self._clock.sleep(_FULL_PAUSE_S)

    async def _receive_always(
        self, source: Source, status: SourceStatus, receivers: Receivers, tasks: TaskGroup
    ) -> None:
        """Receive until cancelled, or until there is less to do than receivers."""
        log = _log.bind(source=source.name)
        empty = False
        while not receivers.left(empty=empty):
            empty = True
            try:
                await self.room()
                with receivers.polling():
                    deliveries = await source.receive()
            except (SourceUnavailableError, StoreUnavailableError) as error:
                await self._back_off(status, error, log)
                continue
            status.failures, status.problem = 0, ""
            if deliveries:
                empty = False
                with receivers.holding(sum(len(delivery.body) for delivery in deliveries)):
                    if receivers.joined(full=len(deliveries) >= source.batch):
                        tasks.start_soon(self._receive_always, source, status, receivers, tasks)
                    await self._process_counted(source, deliveries, status, log)
            elif status.busy == 0:
                status.idle_polls += 1

    async def _back_off(self, status: SourceStatus, error: Exception, log: structlog.stdlib.BoundLogger) -> None:
        status.idle_polls = 0
        status.failures += 1
        status.problem = mask_text(str(error)) or type(error).__name__
        delay_s = full_jitter(_BACKOFF_S, status.failures, _BACKOFF_MAX_S, self._chance)
        log.warning("intake.unavailable", problem=status.problem, retry_in_s=round(delay_s, 1))
        await self._clock.sleep(delay_s)

    async def _process_counted(
        self, source: Source, deliveries: Sequence[Delivery], status: SourceStatus, log: structlog.stdlib.BoundLogger
    ) -> None:
        status.busy += 1
        status.idle_polls = 0
        try:
            async with anyio.create_task_group() as beside:
                beside.start_soon(source.keep, deliveries)
                settled = await self._process(source, deliveries, log)
                beside.cancel_scope.cancel()
        finally:
            status.busy -= 1
        status.deliveries += len(deliveries)
        status.accepted += sum(item.accepted for item in settled)
        rejected = sum(len(item.problems) for item in settled)
        status.rejected += rejected
        if rejected:
            log.warning("intake.rejected", documents=rejected, first=_first_problem(settled))

    async def _process(
        self, source: Source, deliveries: Sequence[Delivery], log: structlog.stdlib.BoundLogger
    ) -> Sequence[Settled]:
        """Make everything in the deliveries durable, then acknowledge them."""
        judged = [await self._judge_delivery(delivery) for delivery in deliveries]
        await self._receive_patiently([item.entry for items in judged for item in items], log)
        settled = [_settled(delivery, items) for delivery, items in zip(deliveries, judged, strict=True)]
        with anyio.move_on_after(LAST_WORDS_S, shield=True):
            await self._failpoint("queue.acknowledge:before")
            await source.acknowledge(settled)
            await self._failpoint("queue.acknowledge:after")
        return settled

    async def _receive_patiently(
        self,
        entries: Sequence[NewEntry],
        log: structlog.stdlib.BoundLogger,
        *,
        when_full: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Write entries as often as it takes: entries written twice are harmless, entries lost are not."""
        failures = 0
        while True:
            try:
                if when_full is not None:
                    await when_full()
                await self._receive(entries)
            except StoreUnavailableError as error:
                failures += 1
                log.warning("intake.store_unavailable", problem=mask_text(str(error)))
                await self._clock.sleep(full_jitter(_BACKOFF_S, failures, _BACKOFF_MAX_S, self._chance))
            else:
                return

    async def _receive(self, entries: Sequence[NewEntry]) -> Sequence[int]:
        ids: list[int] = []
        for start in range(0, len(entries), ENTRIES_MAX):
            part = entries[start : start + ENTRIES_MAX]
            ids += await self._entrance.receive(part)
            self._size += len(part)
            self._on_received({entry.lane for entry in part})
        return ids

    async def _size_now(self) -> int:
        """Entries in the inbox, or a little more than there are."""
        now = self._clock.monotonic()
        trusted_s = _SIZE_KNOWN_S if self._size < self._settings.inbox_max else _FULL_KNOWN_S
        if self._size_at is None or now - self._size_at >= trusted_s:
            self._size = await self._inbox.inbox_size()
            self._size_at = now
        return self._size

    async def _judge_delivery(self, delivery: Delivery) -> list[_Judged]:
        if delivery.problem:
            return [_judged(reject(delivery.body, delivery.problem), delivery.origin)]
        return await self._judge(delivery.body, delivery.suffix, delivery.origin)

    async def _judge(self, data: bytes, suffix: str | None, source: str) -> list[_Judged]:
        if suffix is None and len(data) <= INLINE_BYTES_MAX:
            return self._judge_now(data, suffix, source)
        return await to_thread.run_sync(self._judge_now, data, suffix, source, limiter=self._threads)

    def _judge_now(self, data: bytes, suffix: str | None, source: str) -> list[_Judged]:
        return [_judged(item, source) for item in self._found(data, suffix)]

    def _found(self, data: bytes, suffix: str | None) -> Sequence[Document | Rejection]:
        if suffix is None:
            return read_message(data, self._kinds, self._policy, self._bounds)
        return read_file(data, suffix, self._kinds, self._policy)


def _judged(item: Document | Rejection, source: str) -> _Judged:
    if isinstance(item, Rejection):
        entry = NewEntry(INTAKE_LANE, EntryType.REJECTED, "", rejected_body(item), source)
        return _Judged(str(item.identity), tuple(map(mask_text, item.problems)), entry)
    identity = item.identity
    entry = NewEntry(identity.lane, EntryType.DOCUMENT, identity.name, canonical_json(to_json(item)), source)
    return _Judged(str(identity), (), entry)


def _settled(delivery: Delivery, items: Sequence[_Judged]) -> Settled:
    problems = tuple(f"{item.identity}: {'; '.join(item.problems)}" for item in items if item.problems)
    return Settled(delivery, accepted=len(items) - len(problems), problems=problems)


def _first_problem(settled: Sequence[Settled]) -> str:
    return next(f"{item.delivery.origin}: {item.problems[0]}" for item in settled if item.problems)
