"""The user of a run: hands over documents, looks at events, answers questions; outlives every life of Ferryman.

Invariant: everything the user does is done when a fact calls for it, and repeated until it was heard, so that the same
user serves a run without faults and every run with one.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from controller.control import Control
from controller.errors import NotFoundError
from controller.store import EntryType

if TYPE_CHECKING:
    from tests.reliability.world import World

LOOK_S = 1.0
CALM_S = 14.0
"""How long nothing may happen once all is settled."""
HEARD_S = 9.0
"""How long what the user did last may take to show."""
THINK_S = 5.0
"""How long a person waits before saying what became of an uncertain create."""
ENDS = {"succeeded": "Succeeded", "failed": "Failed", "stopped": "Stopped", "deleted": "Deleted"}


@dataclass
class Seen:
    """One job, as its events have told so far."""

    last: str = ""
    """The last type that says where it stands."""
    types: list[str] = field(default_factory=list)
    uid: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0
    """When the last event was read."""


@dataclass
class Act:
    """Something the user does once, as soon as `ready`."""

    what: str
    ready: Callable[[], bool]
    do: Callable[[Control], Awaitable[bool]]
    """Says whether it was heard."""
    done: bool = False


class User:
    """Hands over `documents`, acts, and leaves when all is settled and calm.

    Args:
        documents: handed over at once, as one file.
        policy: name of a job to what is said when it becomes Uncertain: `truth`, `hold`, `retry`, `fail`.
    """

    heard_s = HEARD_S

    def __init__(self, documents: Sequence[Mapping[str, Any]], policy: Mapping[str, str] | None = None) -> None:
        self.documents = documents
        self.policy = dict(policy or {})
        self.acts: list[Act] = []
        self.jobs: dict[str, Seen] = {}
        self.answered: set[str] = set()
        self.rejected = 0
        self._read = 0
        self._calm_since: float | None = None
        self._mark: tuple[int, int] = (0, 0)
        self._left_at: float | None = None
        self._acted_at = 0.0
        self.cut_when: Callable[[], bool] = lambda: False
        self.names = {str(document["name"]) for document in documents}

    def enter(self, world: "World") -> None:
        self.world = world
        self.drop("00-all", self.documents)

    # Doing

    def drop(self, name: str, documents: Sequence[Mapping[str, Any]]) -> None:
        """Put a file into the spool, whole at once."""
        part = self.world.spool / f".{name}.part"
        part.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
        part.rename(self.world.spool / f"{name}.jsonl")

    def hand_over(self, what: str, ready: Callable[[], bool], documents: Sequence[Mapping[str, Any]]) -> None:
        async def do(_: Control) -> bool:
            self.drop(what, documents)
            return True

        self.acts.append(Act(what, ready, do))

    def command(self, type_: EntryType, kind: str, name: str, ready: Callable[[], bool]) -> None:
        async def do(control: Control) -> bool:
            view = await control.command(type_, control.identity("default", kind, name), {})
            return view["answer"] in {"accepted", "unchanged"}

        self.acts.append(Act(f"{type_} {name}", ready, do))

    # Seeing

    def look(self) -> None:
        """Read the events that have come since the last look."""
        if not self.world.events.exists():
            return
        with self.world.events.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                self._hear(json.loads(line))

    def _hear(self, event: Mapping[str, Any]) -> None:
        kind = event["type"].removeprefix("ferryman.")
        if kind == "document.rejected":
            self.rejected += 1
        if not kind.startswith("job."):
            return
        name = event["subject"].rpartition("/")[2]
        seen = self.jobs.setdefault(name, Seen())
        seen.uid, seen.data, seen.at = event["data"]["uid"], event["data"], self.world.now()
        seen.types.append(kind.removeprefix("job."))
        if seen.types[-1] not in {"updated", "stop_unsupported", "progress"}:
            seen.last = seen.types[-1]

    def is_made(self, name: str, attempts: int = 1) -> bool:
        """Whether AWS has so many remote jobs of a document."""
        return len(self.made(name)) >= attempts

    def made(self, name: str) -> list[Any]:
        return [entry for entry in self.world.creates() if document_of(entry) == name]

    def has_ended(self, name: str) -> bool:
        return name in self.jobs and self.jobs[name].last in ENDS

    def settled(self) -> bool:
        return not self.unsettled()

    def unsettled(self) -> list[str]:
        """What is not yet where it should be."""
        acts = [act.what for act in self.acts if not act.done]
        jobs = [
            f"{name}: {self.jobs[name].last if name in self.jobs else 'nothing'}"
            for name in sorted(self.names)
            if not (self.has_ended(name) or self._held(name))
        ]
        return [*acts, *jobs]

    def _held(self, name: str) -> bool:
        seen = self.jobs.get(name)
        return seen is not None and seen.last == "uncertain" and self.policy.get(name, "truth") == "hold"

    # Living

    def after_cut(self) -> None:
        """Ferryman died; whatever calm there was is over."""
        self._calm_since = None

    async def watch(self, control: Control) -> None:
        self._calm_since = None
        while True:
            await anyio.sleep(LOOK_S)
            self.look()
            if self.cut_when():
                self.world.cut()
                await anyio.sleep_forever()
            await self._act(control)
            await self._answer(control)
            if self._is_calm():
                self._left_at = self.world.now()
                control.shutdown()
                return

    async def _act(self, control: Control) -> None:
        for act in self.acts:
            if not act.done and act.ready():
                try:
                    act.done = await act.do(control)
                    self._acted_at = self.world.now()
                except NotFoundError:
                    act.done = False

    async def _answer(self, control: Control) -> None:
        """Say what became of uncertain creates."""
        for name, seen in self.jobs.items():
            policy = self.policy.get(name, "truth")
            question = f"{seen.uid}-{seen.data.get('attempt')}"
            waits = seen.last == "uncertain" and seen.data.get("phase") == "Uncertain"
            if not waits or policy == "hold" or question in self.answered or self.world.now() - seen.at < THINK_S:
                continue
            identity = control.identity("default", seen.data["kind"], name)
            view = await control.command(EntryType.RESOLVE, identity, self._truth(seen, policy))
            if view["answer"] == "accepted":
                self.answered.add(question)

    def _truth(self, seen: Seen, policy: str) -> Mapping[str, Any]:
        if policy in {"retry", "fail"}:
            return {policy: True}
        token = seen.data["attempts"][-1]["token"]
        found = [entry.arn for entry in self.world.creates() if mark_of(entry) == token]
        return {"remoteId": found[0]} if found else {"retry": True}

    def _is_calm(self) -> bool:
        """Whether nothing at all has happened for a while since all was settled."""
        now = self.world.now()
        if not self.settled() or now - self._acted_at < self.heard_s or self.world.wire.on_their_way:
            self._calm_since = None
            return False
        mark = (len(self.world.simulator.ledger.entries), self.world.events.stat().st_size)
        if self._calm_since is None:
            self._calm_since, self._mark = now, mark
        if mark != self._mark:
            text = f"something happened after all was settled: {self._tail()}"
            self.world.problems.append(text)
            self._calm_since, self._mark = now, mark
        return now - self._calm_since >= CALM_S

    def _tail(self) -> str:
        last = self.world.event_list()[-1]
        effects = [f"{entry.operation} {entry.name}" for entry in list(self.world.simulator.ledger.entries)[-1:]]
        return f"{last['type']} {last['subject']} {effects}"

    def check_stop(self) -> None:
        """A stop that was asked for must end within the grace time."""
        if self._left_at is not None and self.world.now() - self._left_at > 20:
            self.world.problems.append(f"the stop took {self.world.now() - self._left_at:.1f} s")


def mark_of(entry: Any) -> str:
    """What tells the attempt in a create: its token, its tag or its name."""
    if entry.token:
        return str(entry.token)
    tags = {tag.get("key", tag.get("tagKey")): tag.get("value", tag.get("tagValue")) for tag in _tags(entry)}
    return str(tags.get("ferryman:token") or entry.name)


def document_of(entry: Any) -> str:
    """The name of the document that a create was made for."""
    tags = {tag.get("key", tag.get("tagKey")): tag.get("value", tag.get("tagValue")) for tag in _tags(entry)}
    return str(tags.get("document", ""))


def _tags(entry: Any) -> Sequence[Mapping[str, str]]:
    tags: Sequence[Mapping[str, str]] = entry.parameters.get("tags", [])
    return tags
