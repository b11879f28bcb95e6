"""For `resolve --remote-id`: looks up the remote job that a person names, before the order is applied.

Invariant: an order waits in the inbox until AWS has answered about its remote job; that AWS does not answer just now
never decides it. It holds up nobody but the later entries of its own job, and for a bounded time.

What an order does to its job is decided in `transitions.wanting`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from controller.desk import AT_ONCE, Desk
from controller.errors import AwsError, NoAnswerError, ScopeUnavailableError, ThrottledError
from controller.model import Observation
from controller.store import Entry, EntryType

AGAIN_S: Final = 4.0
AGAIN_MAX_S: Final = 60.0
"""The longest pause between two tries, before jitter."""
GIVE_UP_S: Final = 3600.0
"""How long an order is tried since this process first met it; then it is rejected, and can be given again."""
CROWD: Final = AT_ONCE // 2
"""Entries that wait, of those read at a time, beyond which none is put off any more."""


@dataclass(frozen=True, slots=True)
class _Wait:
    since: float
    tries: int
    due_at: float


@dataclass(frozen=True, slots=True)
class Ready:
    """What can be applied now.

    Attributes:
        shown: by entry id, the remote job as AWS shows it now, or why it cannot be shown.
        again_s: when the others are to be looked at again; None where there are none.
    """

    entries: Sequence[Entry]
    shown: Mapping[int, Observation | str]
    again_s: float | None


class Resolutions:
    """The look-ups of one lane's orders."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waits: dict[int, _Wait] = {}
        self._crowded = False
        self._unanswered = False

    async def look_up(self, entries: Sequence[Entry]) -> Ready:
        """Of entries in the order of their arrival, those that wait for no answer of AWS.

        An entry behind one that waits for the same job waits with it. No more than one look-up without an answer is
        made at a time: those after it are made next time, so that the rest is applied in between.
        """
        now = self._desk.clock.monotonic()
        self._waits = {entry.id: self._waits[entry.id] for entry in entries if entry.id in self._waits}
        shown: dict[int, Observation | str] = {}
        ready: list[Entry] = []
        held: set[str] = set()
        untried = False
        self._unanswered = False
        for entry in entries:
            remote_id = _named(entry)
            if remote_id is not None:
                wait = self._waits.setdefault(entry.id, _Wait(now, 0, now))
                if wait.due_at > now:
                    held.add(entry.name)
                elif entry.name not in held and self._unanswered:
                    held.add(entry.name)
                    untried = True
                elif entry.name not in held:
                    found = await self._show(entry.id, remote_id)
                    if found is None:
                        held.add(entry.name)
                    else:
                        shown[entry.id] = found
            if entry.name not in held:
                ready.append(entry)
        self._crowded = len(entries) - len(ready) > CROWD
        return Ready(ready, shown, 0.0 if untried else self._again_s())

    def _again_s(self) -> float | None:
        now = self._desk.clock.monotonic()
        return min((max(0.0, wait.due_at - now) for wait in self._waits.values() if wait.tries), default=None)

    async def _show(self, entry: int, remote_id: str) -> Observation | str | None:
        """The remote job, or why it cannot be shown; None where AWS does not answer just now."""
        desk, kind = self._desk, self._desk.kind
        if not desk.can_own(remote_id):
            return f"{remote_id} is not the ARN of a {kind.short} of this account and Region"
        try:
            reply = await desk.calls.send("get", kind.get, {kind.get_parameter: remote_id})
        except (ThrottledError, ScopeUnavailableError, NoAnswerError) as error:
            self._unanswered = True
            return self._put_off(entry, remote_id, error)
        except AwsError as error:
            return f"AWS does not show {remote_id}: {error.message}"
        return kind.observe_detail(reply.body, remote_id) or f"AWS shows no status of {remote_id}"

    def _put_off(self, entry: int, remote_id: str, error: AwsError) -> str | None:
        """Try later; a reason where that has been done for long enough. A stop decides nothing."""
        desk = self._desk
        if desk.draining:
            return None
        now = desk.clock.monotonic()
        before = self._waits[entry]
        if self._crowded or now - before.since >= GIVE_UP_S:
            return f"AWS does not show {remote_id}: {error.message}"
        pause_s = desk.backoff(before.tries, base_s=AGAIN_S, ceiling_s=AGAIN_MAX_S)
        self._waits[entry] = _Wait(before.since, before.tries + 1, now + pause_s)
        desk.log.warning(
            "the remote job that a `resolve` names cannot be looked up just now; trying again",
            remote_id=remote_id,
            error=error.message,
            again_in_s=round(pause_s, 1),
        )
        return None


def arguments_of(entry: Entry) -> Mapping[str, Any]:
    """What a command was given besides its job."""
    arguments = orjson.loads(entry.body) if entry.body else {}
    return arguments if isinstance(arguments, Mapping) else {}


def _named(entry: Entry) -> str | None:
    """The remote job that an order names."""
    remote_id = arguments_of(entry).get("remoteId") if entry.type is EntryType.RESOLVE else None
    return remote_id if isinstance(remote_id, str) else None
