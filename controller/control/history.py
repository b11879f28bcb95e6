"""What has happened: events to read back, and dead letters.

Invariant: a cursor is opaque to its user and says how far every lane was read, so that a reader who comes back misses
nothing that the store still has. A dead letter leaves the store only after its document is durable in the inbox again,
or when a person says that it is settled.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from controller.control.answers import REJECTED, View
from controller.intake import Intake
from controller.masking import mask_text
from controller.store import DeadLetter, OutboxEvent, Store
from controller.views import rfc3339

START: Final = "start"
"""The cursor before everything that is kept."""
CURSOR_LENGTH_MAX: Final = 64 * 1024
SEQUENCE_MAX: Final = 2**62
_NO_LETTER: Final = "there is no such dead letter"

_log = structlog.get_logger(__name__)


class BadCursorError(ValueError):
    """The cursor is none that this service has given out."""


@dataclass(frozen=True, slots=True)
class NextEvent:
    """One event, and the cursor behind it."""

    cursor: str
    body: bytes
    """The CloudEvent, as every sink receives it."""


def encode_cursor(lanes: Mapping[str, int]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(dict(lanes), option=orjson.OPT_SORT_KEYS)).decode("ascii").rstrip("=")


def decode_cursor(text: str | None) -> dict[str, int]:
    """How far each lane was read.

    Raises:
        BadCursorError: it is not one of ours.
    """
    if text is None or text in {"", START}:
        return {}
    if len(text) > CURSOR_LENGTH_MAX:
        raise BadCursorError("the cursor is too long")
    try:
        lanes = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadCursorError("the cursor is none that this service gave") from error
    if not isinstance(lanes, dict) or not all(_is_sequence(seq) for seq in lanes.values()):
        raise BadCursorError("the cursor is none that this service gave")
    return lanes


def _is_sequence(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SEQUENCE_MAX


class History:
    """Reads events and dead letters."""

    def __init__(self, store: Store, intake: Intake) -> None:
        self._store = store
        self._intake = intake

    async def now(self) -> str:
        """The cursor behind everything that is committed."""
        return encode_cursor(await self._store.lanes_with_events())

    async def events(self, after: str | None, subject: str | None, limit: int) -> View:
        """`{items, next}`; `next` is always there, for events that are still to come.

        Raises:
            BadCursorError: `after` is none of ours.
        """
        found, lanes = await self._store.list_events(decode_cursor(after), subject, limit)
        return {"items": [_event(event) for event in found], "next": encode_cursor(lanes)}

    async def following(self, after: str, subject: str | None, limit: int) -> tuple[Sequence[NextEvent], str]:
        """Events beyond a cursor, each with a cursor of its own, and the cursor behind them all."""
        lanes = decode_cursor(after)
        found, reached = await self._store.list_events(lanes, subject, limit)
        events: list[NextEvent] = []
        for event in found:
            lanes[event.lane] = max(event.seq, lanes.get(event.lane, 0))
            events.append(NextEvent(encode_cursor(lanes), event.body))
        return events, encode_cursor(reached)

    async def last_events(self, subject: str, limit: int) -> View:
        """The newest events of one job, oldest first."""
        found = await self._store.last_events(subject, limit)
        return {"items": [_event(event) for event in found], "next": None}

    async def dead_letters(self, after: int, limit: int, *, newest: bool = False) -> View:
        """`{items, next}`, oldest first, or newest first; `after` 0 begins at that end."""
        letters = await self._store.list_dead_letters(after, limit, newest=newest)
        following = str(letters[-1].id) if len(letters) == limit else None
        return {"items": [letter_view(letter) for letter in letters], "next": following}

    async def requeue(self, ids: Sequence[int]) -> list[View]:
        """Send the documents of dead letters once more; one that is still invalid stays where it is."""
        return [await self._requeue(id_) for id_ in dict.fromkeys(ids)]

    async def discard(self, ids: Sequence[int]) -> list[View]:
        """Remove dead letters that a person has dealt with."""
        taken = {letter.id for letter in await self._store.take_dead_letters(ids)}
        if taken:
            _log.info("dead letters discarded", ids=sorted(taken))
        return [
            _requeued(id_, "accepted", "discarded") if id_ in taken else _requeued(id_, REJECTED, _NO_LETTER)
            for id_ in dict.fromkeys(ids)
        ]

    async def _requeue(self, id_: int) -> View:
        letters = await self._store.list_dead_letters(id_ - 1, 1)
        if not letters or letters[0].id != id_:
            return _requeued(id_, REJECTED, _NO_LETTER)
        letter = letters[0]
        if letter.what != "document":
            return _requeued(id_, REJECTED, "an event cannot be sent again; read it here")
        problems = [problem for receipt in await self._intake.look(letter.body) for problem in receipt.problems]
        if problems:
            return _requeued(id_, REJECTED, f"it is still invalid: {problems[0]}")
        await self._intake.submit(letter.body, f"deadletter:{id_}")
        await self._store.take_dead_letters([id_])
        return _requeued(id_, "accepted", "durable in the inbox")


def _requeued(id_: int, answer: str, message: str) -> View:
    return {"id": id_, "answer": answer, "message": message}


def _event(event: OutboxEvent) -> Any:
    return orjson.loads(event.body)


def letter_view(letter: DeadLetter) -> View:
    return {
        "id": letter.id,
        "what": letter.what,
        "source": mask_text(letter.source),
        "subject": letter.subject,
        "reason": mask_text(letter.reason),
        "body": mask_text(letter.body.decode("utf-8", "replace")),
        "at": rfc3339(letter.at),
    }
