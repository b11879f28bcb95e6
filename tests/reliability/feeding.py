"""Documents as many senders would send them over time, and what must have become of each in the end.

Everything is drawn from one source of chance. A document counts as handed over when its file has its name in the spool,
or when the API has answered 202; one whose answer was lost is sent again through the spool.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, document

MIX = (BATCH, BATCH, BATCH, BATCH, PROMPT, PROMPT, BLUEPRINT, RECOMMENDATION)
RECENT = 24
RETRY = {"attempts": 3, "reasons": ["JobFailed", "Expired", "ServiceError"], "backoffSeconds": 0.2}


@dataclass
class Expected:
    """One job: its newest document, what was ever desired, and whether a person has meddled."""

    newest: dict[str, Any]
    desired: set[str] = field(default_factory=set)
    attempts: int = 1
    """The most that any of its documents allowed: one that only ends it leaves the wishes as they are."""
    commanded: bool = False
    resolved: int = 0
    """Attempts more than the document allows: a person said of an uncertain create that it made nothing."""

    def allowed(self) -> set[str]:
        """The phases in which it may rest."""
        if self.commanded:
            return {"Succeeded", "Failed", "Stopped", "Deleted"}
        if self.newest.get("desired") == "Absent":
            return {"Deleted"}
        stopped = {"Stopped"} if "Stopped" in self.desired else set()
        return {"Succeeded", "Failed"} | stopped | ({"Deleted"} if "Absent" in self.desired else set())


class Feeder:
    """Draws documents, puts them into a spool, and remembers what was asked for."""

    def __init__(self, spool: Path, chance: random.Random) -> None:
        self.expected: dict[str, Expected] = {}
        self.rejected: set[str] = set()
        self._spool = spool
        self._chance = chance
        self._files = 0
        self._names = 0
        spool.mkdir(parents=True, exist_ok=True)

    def draw(self) -> dict[str, Any]:
        """The next document; from now on it must not be lost."""
        roll = self._chance.random()
        if roll < 0.66 or not self.expected:
            return self._remember(self._new())
        if roll < 0.96:
            return self._remember(self._changed(self._chance.choice(list(self.expected)[-RECENT:]), roll))
        return self._wrong()

    def spool(self, *documents: dict[str, Any]) -> None:
        """One file, renamed into place whole."""
        self._files += 1
        name = f"{self._files:06d}.jsonl"
        unfinished = self._spool / f".{name}"
        unfinished.write_text("".join(json.dumps(item) + "\n" for item in documents), encoding="utf-8")
        unfinished.rename(self._spool / name)

    def unread(self) -> list[str]:
        return sorted(path.name for path in self._spool.glob("*.jsonl"))

    def recent(self) -> str | None:
        """The key of a job that a person might look at."""
        return self._chance.choice(list(self.expected)[-RECENT:]) if self.expected else None

    def _new(self) -> dict[str, Any]:
        self._names += 1
        chance, number = self._chance, self._names
        kind = chance.choice(MIX)
        members: dict[str, Any] = {"generation": 1}
        if chance.random() < 0.6:
            members["retry"] = RETRY
        if chance.random() < 0.08:
            members["deadlineSeconds"] = 1
        if chance.random() < 0.2:
            members["group"] = chance.choice(("red", "blue"))
        return document(kind, f"job-{number:05d}", number, **members)

    def _changed(self, key: str, roll: float) -> dict[str, Any]:
        newest = self.expected[key].newest
        later: dict[str, Any] = {**newest, "generation": newest["generation"] + 1}
        if roll < 0.75:
            later["desired"] = "Stopped"
        elif roll < 0.82:
            later = {name: later[name] for name in ("kind", "name", "generation")} | {"desired": "Absent"}
        elif roll < 0.86 and "spec" in later:
            number = self._chance.randrange(100_000, 200_000)
            later |= {"spec": document(newest["kind"], "x", number)["spec"], "onSpecChange": "replace"}
        elif roll < 0.91:
            later["priority"] = self._chance.randrange(-5, 5)
        else:
            return newest  # delivered again
        return later

    def _wrong(self) -> dict[str, Any]:
        self._names += 1
        name = f"wrong-{self._names:05d}"
        self.rejected.add(name)
        return {**document(BATCH, name), "colour": "red"}

    def _remember(self, item: dict[str, Any]) -> dict[str, Any]:
        expected = self.expected.setdefault(f"{item['kind']}/{item['name']}", Expected(item))
        expected.newest = item
        expected.desired.add(item.get("desired", "Completed"))
        expected.attempts = max(expected.attempts, item.get("retry", {}).get("attempts", 1))
        return item
