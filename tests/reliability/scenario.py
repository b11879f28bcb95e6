"""The stories of the crash matrix: small worlds, which together hold every kind, and all that can be wanted of a job.

A story has the lanes of its own kinds alone, so that a run pays for nothing that its perturbation cannot touch; one has
all four, where lanes meet in one commit. In each, what was handed over first comes once more when it has been pruned.
Each document carries a tag with its own name, so that the ledger alone tells for whom a remote job was made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.simulator import OutcomeRule
from controller.store import EntryType
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, document
from tests.reliability.oracles import Final, judge
from tests.reliability.steps import COMMIT_DELAY_S, Mode
from tests.reliability.user import User
from tests.reliability.world import World

LONG = {"InProgress": (1e6, 1e6)}
TOGETHER: Mapping[str, Mapping[str, Any]] = {
    BATCH: {"Submitted": (1, 1), "Validating": (0, 0), "Scheduled": (0, 0), "InProgress": (4, 4), "Stopping": (2, 2)},
    PROMPT: {"InProgress": (4, 4), "Stopping": (2, 2), "Deleting": (1, 1)},
    BLUEPRINT: {"Created": (1, 1), "InProgress": (5, 5)},
    RECOMMENDATION: {"CREATE PENDING": (1, 1), "CREATE IN_PROGRESS": (5, 5)},
}
"""Remote jobs that were made together move on together, and so are seen together: one pass, one commit, one send."""
SELDOM: Mapping[str, Mapping[str, float]] = {"reconcile": {"interval": 6, "interval_min": 3}, "queue": {"poll_s": 4}}
"""What shows the same is not looked at again: a look that changes nothing is no step."""
KIND = {"b": BATCH, "p": PROMPT, "o": BLUEPRINT, "r": RECOMMENDATION}
"""By the first letter of a document's name."""
PRUNED_S = 55.0
"""After the last event: ended jobs are old enough, and pruning had time to come round."""


@dataclass(frozen=True)
class Story:
    """A world of the matrix, and how it must end.

    Attributes:
        final: by document, where it ends, and how many remote jobs AWS makes for it.
        slots: most remote jobs of a kind at a time; fewer than wanted, so that jobs wait.
        special: members of documents beside the usual ones.
        rules: what AWS makes of some.
        data: members of a document's last event, and their values.
        script: what happens on the wire to the first create of a document.
        hidden: documents whose remote jobs the tagging API does not show.
        policy: what the user says of uncertain creates, where that is not the truth.
        acts: what the user does on the way.
        rejected: whether a document is among them that must be.
    """

    final: Final
    slots: int
    special: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rules: Sequence[OutcomeRule] = ()
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    script: Mapping[str, Mode] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    policy: Mapping[str, str] = field(default_factory=dict)
    acts: Sequence[Callable[["StoryUser"], None]] = ()
    rejected: bool = False

    @property
    def kinds(self) -> Sequence[str]:
        return [kind for letter, kind in KIND.items() if any(name.startswith(letter) for name in self.final)]

    def documents(self) -> list[dict[str, Any]]:
        made = [
            tagged(KIND[name[0]], name, number, generation=1, group=f"g{number % 2}", **self.special.get(name, {}))
            for number, name in enumerate(self.final)
        ]
        if self.rejected:
            bad = tagged(BATCH, "b-bad", 99)
            del bad["spec"]["roleArn"]
            made.append(bad)
        return made

    def world(self, folder: Path) -> World:
        limits = {kind: {"jobs": {"*": self.slots}} for kind in self.kinds}
        options = {"rules": self.rules, "durations": TOGETHER}
        return World(folder, StoryUser(self), settings={"limits": limits, **SELDOM}, options=options, kinds=self.kinds)

    def judge(self, world: World) -> Iterator[str]:
        """What is wrong with a run that is over."""
        yield from judge(world, self.final, dict.fromkeys(self.kinds, self.slots))
        for name, wanted in self.data.items():
            data = world.user.jobs[name].data if name in world.user.jobs else {}
            for member, value in wanted.items():
                if data.get(member) != value:
                    yield f"O2: {name} ends with {member} {data.get(member)!r}, not {value!r}"
        if self.rejected and world.user.rejected < 1:
            yield "O2: no event tells of the rejected document"


def tagged(kind: str, name: str, number: int, **members: Any) -> dict[str, Any]:
    """A document whose remote jobs can be told by a tag."""
    key, value = ("tagKey", "tagValue") if kind == RECOMMENDATION else ("key", "value")
    made = document(kind, name, number, **members)
    made["spec"] = {**made["spec"], "tags": [{key: "document", value: name}]}
    if kind == BATCH:
        made["spec"]["modelId"] = "amazon.nova-lite-v1:0"
    return made


class StoryUser(User):
    """The user of a story, who at last hands over everything once more."""

    heard_s = SELDOM["queue"]["poll_s"] + COMMIT_DELAY_S + 2.0

    def __init__(self, story: Story) -> None:
        super().__init__(story.documents(), story.policy)
        self._story = story
        self.names = set(story.final)

    def enter(self, world: World) -> None:
        super().enter(world)
        script = self._story.script.items()
        world.wire.script = {f'"value": "{name}"': mode for name, mode in script}
        world.wire.script |= {f'"tagValue": "{name}"': mode for name, mode in script}
        world.wire.hidden = set(self._story.hidden)
        for plan in self._story.acts:
            plan(self)
        self.hand_over("90-again", self._all_old, self.documents)

    def runs(self, *names: str) -> bool:
        """Whether Ferryman has told that these run."""
        return all({"created", "adopted"} & set(self._types(name)) for name in names)

    def wanted(self, name: str, **changes: Any) -> dict[str, Any]:
        """A document as handed over first, with changes and the next generation."""
        (first,) = [item for item in self.documents if item["name"] == name]
        return {**first, "generation": 2, **changes}

    def _types(self, name: str) -> list[str]:
        return self.jobs[name].types if name in self.jobs else []

    def _all_old(self) -> bool:
        """Whether every other act is done, every job has ended, and pruning had time to come round."""
        if any(not act.done for act in self.acts if act.what != "90-again"):
            return False
        if not all(self.has_ended(name) or self._held(name) for name in self.names):
            return False
        return self.world.now() - max(seen.at for seen in self.jobs.values()) > PRUNED_S


# What the user does


def _deletes(user: StoryUser) -> None:
    user.command(EntryType.DELETE, BATCH, "b-delete", lambda: user.has_ended("b-delete"))


def _stops(user: StoryUser) -> None:
    user.hand_over("10-stop", lambda: user.runs("b-stop"), [user.wanted("b-stop", desired="Stopped")])
    user.command(EntryType.STOP, BATCH, "b-command", lambda: user.runs("b-command"))


def _replaces(user: StoryUser) -> None:
    spec = {**user.wanted("b-replace")["spec"], "modelId": "amazon.nova-micro-v1:0"}
    replaced = user.wanted("b-replace", spec=spec, onSpecChange="replace")
    user.hand_over("20-replace", lambda: user.is_made("b-replace"), [replaced])


def _wants_absent(user: StoryUser) -> None:
    names = ("p-absent-1", "p-absent-2")
    absent = [{"kind": PROMPT, "name": name, "desired": "Absent", "generation": 2} for name in names]
    user.hand_over("30-absent", lambda: user.runs(*names), absent)


def _stops_in_vain(user: StoryUser) -> None:
    user.hand_over("40-stop", lambda: user.runs("r-stop"), [user.wanted("r-stop", desired="Stopped")])


def _stops_across(user: StoryUser) -> None:
    user.hand_over("50-stop", lambda: user.runs("b-stop"), [user.wanted("b-stop", desired="Stopped")])


TWICE = {"retry": {"attempts": 2, "backoffSeconds": 3}}

STORIES: Mapping[str, Story] = {
    "batch": Story(
        final={
            "b-plain": ("succeeded", 1),
            "b-again": ("succeeded", 2),
            "b-stop": ("stopped", 1),
            "b-command": ("stopped", 1),
            "b-deadline": ("failed", frozenset({0, 1})),
            "b-replace": ("succeeded", 2),
            "b-lost": ("succeeded", 1),
            "b-delete": ("deleted", 1),
        },
        slots=5,
        special={"b-again": TWICE, "b-deadline": {"deadlineSeconds": 20}},
        rules=(
            OutcomeRule(name="b-again-*-1", status="Failed", message="the first try fails"),
            OutcomeRule(name="b-stop-*", durations=LONG),
            OutcomeRule(name="b-command-*", durations=LONG),
            OutcomeRule(name="b-deadline-*", durations=LONG),
            OutcomeRule(name="b-replace-*", times=1, durations=LONG),
        ),
        data={"b-deadline": {"reason": "DeadlineExceeded"}},
        script={"b-lost": Mode.LOST},
        acts=(_stops, _replaces, _deletes),
        rejected=True,
    ),
    "prompts": Story(
        final={
            "p-plain": ("succeeded", 1),
            "p-failed": ("failed", 1),
            "p-absent-1": ("deleted", 1),
            "p-absent-2": ("deleted", 1),
            "p-lost": ("succeeded", 1),
        },
        slots=3,
        rules=(
            OutcomeRule(name="p-failed-*", status="Failed", message="no such prompt"),
            OutcomeRule(name="p-absent-*", durations=LONG),
        ),
        data={"p-failed": {"reason": "JobFailed", "message": "no such prompt"}},
        script={"p-lost": Mode.LOST},
        acts=(_wants_absent,),
    ),
    "blueprints": Story(
        final={
            "o-plain": ("succeeded", 1),
            "o-found": ("succeeded", 1),
            "o-hidden": ("succeeded", 1),
            "o-never": ("succeeded", 1),
            "o-retry": ("succeeded", 1),
            "o-fail": ("failed", frozenset({0, 1})),
            "o-hold": ("uncertain", 0),
        },
        slots=5,
        special={"o-retry": {"onUncertain": "retry"}},
        data={"o-fail": {"reason": "Lost"}},
        script={
            "o-found": Mode.LOST,
            "o-hidden": Mode.LOST,
            "o-fail": Mode.LOST,
            "o-never": Mode.DROPPED,
            "o-retry": Mode.DROPPED,
            "o-hold": Mode.DROPPED,
        },
        hidden=frozenset({"o-hidden", "o-fail"}),
        policy={"o-hold": "hold", "o-fail": "fail"},
    ),
    "recommendations": Story(
        final={
            "r-plain": ("succeeded", 1),
            "r-again": ("succeeded", 2),
            "r-lost": ("succeeded", 1),
            "r-stop": ("succeeded", 1),
        },
        slots=2,
        special={"r-again": TWICE},
        rules=(OutcomeRule(name="r-again-*-1", status="CREATE FAILED", message="the first try fails"),),
        script={"r-lost": Mode.LOST},
        acts=(_stops_in_vain,),
    ),
    "all kinds together": Story(
        final={
            "b-stop": ("stopped", 1),
            "b-lost": ("succeeded", 1),
            "p-plain": ("succeeded", 1),
            "o-found": ("succeeded", 1),
            "r-plain": ("succeeded", 1),
        },
        slots=1,
        rules=(OutcomeRule(name="b-stop-*", durations=LONG),),
        script={"b-lost": Mode.LOST, "o-found": Mode.LOST},
        acts=(_stops_across,),
    ),
}
