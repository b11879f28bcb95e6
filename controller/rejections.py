"""Rejected documents: from the inbox to dead letters and events.

Invariant: a rejected document becomes a dead letter and its event in one commit, by the one owner of the `intake` lane.
The event carries the beginning of the document, without the queries of URLs; the dead letter carries all that was kept.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

import anyio
import orjson
import structlog
from anyio.abc import TaskStatus

from controller.documents import Rejection
from controller.errors import StoreUnavailableError
from controller.events import DOCUMENT_REJECTED, INTAKE_LANE, Event
from controller.limits import full_jitter
from controller.masking import mask_text
from controller.queues.dead_letters import DeadLetterQueue, RejectedCopy
from controller.seams import Clock, Signal
from controller.store import DeadLetter, Entry, EntryType, LaneRecord, LaneStore, LaneWrite

ENTRIES_MAX: Final = 200
"""Consumed in one commit."""
EXCERPT_BYTES_MAX: Final = 4096
"""Of a document, in its event."""
_LOOK_S: Final = 5.0
"""How often the inbox is looked at without being woken: another process may have written to it."""
_BACKOFF_S: Final = 1.0
_BACKOFF_MAX_S: Final = 60.0

_log = structlog.get_logger(__name__)


def rejected_body(rejection: Rejection) -> bytes:
    """The inbox entry's body."""
    identity = rejection.identity
    return orjson.dumps(
        {
            "reason": mask_text(rejection.message),
            "problems": [mask_text(problem) for problem in rejection.problems],
            "subject": str(identity),
            "scope": identity.scope,
            "kind": identity.kind,
            "name": identity.name,
            "body": rejection.body,
            "bodyCut": rejection.body_cut,
        }
    )


class IntakeLane:
    """The owner of the `intake` lane.

    Args:
        dead_letter_queue: receives a copy of every rejected document; None: the store alone keeps them.
        on_committed: called after each commit, for whoever publishes its events.
    """

    def __init__(
        self,
        store: LaneStore,
        clock: Clock,
        *,
        chance: Random,
        dead_letter_queue: DeadLetterQueue | None = None,
        on_committed: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._queue = dead_letter_queue
        self._on_committed = on_committed
        self._signal = Signal()

    def wake(self) -> None:
        """Say that the inbox has entries for this lane."""
        self._signal.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Consume the lane's entries until cancelled.

        Raises:
            FencedOutError: another process has taken the lane over.
        """
        record = await self._take()
        task_status.started()
        failures = 0
        while True:
            try:
                record, consumed = await self._step(record)
            except StoreUnavailableError as error:
                failures += 1
                await self._back_off(error, failures)
                continue
            failures = 0
            if not consumed:
                await self._signal.wait(_LOOK_S)

    async def _take(self) -> LaneRecord:
        failures = 0
        while True:
            try:
                return await self._store.take_lane(INTAKE_LANE)
            except StoreUnavailableError as error:
                failures += 1
                await self._back_off(error, failures)

    async def _back_off(self, error: StoreUnavailableError, failures: int) -> None:
        _log.warning("rejections.store_unavailable", problem=mask_text(str(error)))
        await self._clock.sleep(full_jitter(_BACKOFF_S, failures, _BACKOFF_MAX_S, self._chance))

    async def _step(self, record: LaneRecord) -> tuple[LaneRecord, int]:
        """Consume what waits, at most a batch; returns how many entries that were."""
        entries = await self._store.inbox(INTAKE_LANE, ENTRIES_MAX)
        if not entries:
            return record, 0
        bodies = [_body(entry) for entry in entries]
        if self._queue is not None:
            await self._queue.send([_copy(entry, body) for entry, body in zip(entries, bodies, strict=True)])
        record = await self._store.commit(record, _write(record, entries, bodies, self._clock.now()))
        self._on_committed()
        return record, len(entries)


def _body(entry: Entry) -> Mapping[str, Any]:
    if entry.type is EntryType.REJECTED:
        body: Mapping[str, Any] = orjson.loads(entry.body)
        return body
    # A command that names no lane of a job: kept, so that nothing that was accepted vanishes.
    reason = f"a command {entry.type.value!r} is nothing that this lane can do"
    return {"reason": reason, "problems": [reason], "subject": "", "body": entry.body.decode("utf-8", "replace")}


def _copy(entry: Entry, body: Mapping[str, Any]) -> RejectedCopy:
    return RejectedCopy(id=f"{INTAKE_LANE}-{entry.id}", body=body["body"], source=entry.source, reason=body["reason"])


def _write(record: LaneRecord, entries: Sequence[Entry], bodies: Sequence[Mapping[str, Any]], now: float) -> LaneWrite:
    events, dead_letters = [], []
    for sequence, (entry, body) in enumerate(zip(entries, bodies, strict=True), start=record.stream_sequence + 1):
        events.append(
            Event(
                type=DOCUMENT_REJECTED,
                stream=INTAKE_LANE,
                sequence=sequence,
                subject=body["subject"],
                time=now,
                data={
                    "source": entry.source,
                    "reason": body["reason"],
                    "problems": body["problems"],
                    "document": excerpt(body["body"]),
                },
            )
        )
        dead_letters.append(
            DeadLetter(
                what="document",
                source=entry.source,
                subject=body["subject"],
                reason=body["reason"],
                body=body["body"].encode("utf-8"),
                at=now,
            )
        )
    return LaneWrite(
        lane=INTAKE_LANE, events=events, consumed=[entry.id for entry in entries], dead_letters=dead_letters
    )


def excerpt(text: str) -> str:
    """The beginning of a document, fit for an event."""
    return mask_text(text.encode("utf-8", "replace")[:EXCERPT_BYTES_MAX].decode("utf-8", "ignore"))
