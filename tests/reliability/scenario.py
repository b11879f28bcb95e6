"""The scenario of the crash matrix: every kind, and everything that can be wanted of a job.

Each document carries a tag with its own name, so that the ledger alone tells for whom a remote job was made.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.simulator import OutcomeRule
from controller.store import EntryType
from tests.documents import BATCH, BLUEPRINT, KINDS, PROMPT, RECOMMENDATION, document
from tests.reliability.oracles import Final
from tests.reliability.steps import Mode
from tests.reliability.user import User
from tests.reliability.world import World

LONG = {"InProgress": (1e6, 1e6)}
RULES = (
    OutcomeRule(name="b-again-*-1", status="Failed", message="the first try fails"),
    OutcomeRule(name="b-stop-*", durations=LONG),
    OutcomeRule(name="b-command-*", durations=LONG),
    OutcomeRule(name="b-deadline-*", durations=LONG),
    OutcomeRule(name="b-replace-*", times=1, durations=LONG),
    OutcomeRule(name="p-failed-*", status="Failed", message="no such prompt"),
    OutcomeRule(name="p-absent-*", durations=LONG),
    OutcomeRule(name="r-again-*-1", status="CREATE FAILED", message="the first try fails"),
)
JOBS = {BATCH: 4, PROMPT: 3, BLUEPRINT: 4, RECOMMENDATION: 2}
"""Most remote jobs at a time: fewer than wanted, so that jobs wait for slots."""
POLICY = {"o-hold": "hold", "o-fail": "fail"}
FINAL: Final = {
    "b-plain": ("succeeded", 1),
    "b-again": ("succeeded", 2),
    "b-stop": ("stopped", 1),
    "b-command": ("stopped", 1),
    "b-deadline": ("failed", frozenset({0, 1})),
    "b-replace": ("succeeded", 2),
    "b-lost": ("succeeded", 1),
    "b-delete": ("deleted", 1),
    "p-plain": ("succeeded", 1),
    "p-failed": ("failed", 1),
    "p-absent-1": ("deleted", 1),
    "p-absent-2": ("deleted", 1),
    "p-lost": ("succeeded", 1),
    "o-plain": ("succeeded", 1),
    "o-found": ("succeeded", 1),
    "o-hidden": ("succeeded", 1),
    "o-never": ("succeeded", 1),
    "o-retry": ("succeeded", 1),
    "o-fail": ("failed", frozenset({0, 1})),
    "o-hold": ("uncertain", 0),
    "r-plain": ("succeeded", 1),
    "r-again": ("succeeded", 2),
    "r-lost": ("succeeded", 1),
    "r-stop": ("succeeded", 1),
}
"""By document: where it ends, and how many remote jobs AWS makes for it."""
FINAL_DATA: Mapping[str, Mapping[str, Any]] = {
    "b-deadline": {"reason": "DeadlineExceeded"},
    "p-failed": {"reason": "JobFailed", "message": "no such prompt"},
    "o-fail": {"reason": "Lost"},
}


def tagged(kind: str, name: str, number: int, **members: Any) -> dict[str, Any]:
    """A document whose remote jobs can be told by a tag."""
    key, value = ("tagKey", "tagValue") if kind == RECOMMENDATION else ("key", "value")
    made = document(kind, name, number, **members)
    made["spec"] = {**made["spec"], "tags": [{key: "document", value: name}]}
    if kind == BATCH:
        made["spec"]["modelId"] = "amazon.nova-lite-v1:0"
    return made


def kind_of(name: str) -> str:
    return {"b": BATCH, "p": PROMPT, "o": BLUEPRINT, "r": RECOMMENDATION}[name[0]]


def documents() -> list[dict[str, Any]]:
    special: dict[str, dict[str, Any]] = {
        "b-again": {"retry": {"attempts": 2, "backoffSeconds": 3}},
        "b-deadline": {"deadlineSeconds": 20},
        "o-retry": {"onUncertain": "retry"},
        "r-again": {"retry": {"attempts": 2, "backoffSeconds": 3}},
    }
    made = [
        tagged(kind_of(name), name, number, generation=1, group=f"g{number % 2}", **special.get(name, {}))
        for number, name in enumerate(FINAL)
    ]
    bad = tagged(BATCH, "b-bad", 99)
    del bad["spec"]["roleArn"]
    return [*made, bad]


class MatrixUser(User):
    """The user of the crash matrix.

    Args:
        patient: stays until ended jobs are pruned, and then hands over everything once more.
    """

    def __init__(self, *, patient: bool) -> None:
        super().__init__(documents(), POLICY)
        self._patient = patient
        self.names = set(FINAL)

    def enter(self, world: World) -> None:
        super().enter(world)
        script = {"b-lost": Mode.LOST, "p-lost": Mode.LOST, "r-lost": Mode.LOST, "o-found": Mode.LOST}
        script |= {"o-hidden": Mode.LOST, "o-fail": Mode.LOST}
        script |= {"o-never": Mode.DROPPED, "o-retry": Mode.DROPPED, "o-hold": Mode.DROPPED}
        world.wire.script = {f'"value": "{name}"': mode for name, mode in script.items()}
        world.wire.script |= {f'"tagValue": "{name}"': mode for name, mode in script.items()}
        world.wire.hidden = {"o-hidden", "o-fail"}
        self._plan_acts()

    def _plan_acts(self) -> None:
        wanted = {str(item["name"]): item for item in self.documents}
        stopped = {**wanted["b-stop"], "desired": "Stopped", "generation": 2}
        self.hand_over("10-stop", lambda: self._runs("b-stop"), [stopped])
        self.command(EntryType.STOP, BATCH, "b-command", lambda: self._runs("b-command"))
        spec = {**wanted["b-replace"]["spec"], "modelId": "amazon.nova-micro-v1:0"}
        replaced = {**wanted["b-replace"], "spec": spec, "generation": 2, "onSpecChange": "replace"}
        self.hand_over("20-replace", lambda: self.is_made("b-replace"), [replaced])
        self.command(EntryType.DELETE, BATCH, "b-delete", lambda: self.has_ended("b-delete"))
        absent = [{"kind": PROMPT, "name": f"p-absent-{n}", "desired": "Absent", "generation": 2} for n in (1, 2)]
        self.hand_over("30-absent", lambda: all(self._runs(f"p-absent-{n}") for n in (1, 2)), absent)
        self.hand_over(
            "40-stop", lambda: self._runs("r-stop"), [{**wanted["r-stop"], "desired": "Stopped", "generation": 2}]
        )
        # What was handed over first comes once more, when most of it has been pruned.
        if self._patient:
            self.hand_over("90-again", self._all_old, self.documents)

    def _runs(self, name: str) -> bool:
        return (name in self.jobs and "created" in self.jobs[name].types) or "adopted" in self._types(name)

    def _types(self, name: str) -> list[str]:
        return self.jobs[name].types if name in self.jobs else []

    def _all_old(self) -> bool:
        """Whether every other act is done, every job has ended, and pruning had time to come round."""
        if any(not act.done for act in self.acts if act.what != "90-again"):
            return False
        if not all(self.has_ended(name) or self._held(name) for name in self.names):
            return False
        return self.world.now() - max(seen.at for seen in self.jobs.values()) > 55


def matrix_world(folder: Path, *, patient: bool = True) -> World:
    jobs = {kind: {"jobs": {"*": JOBS[kind]}} for kind in KINDS}
    return World(folder, MatrixUser(patient=patient), settings={"limits": jobs}, options={"rules": RULES})
