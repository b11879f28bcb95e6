"""Cases: small worlds with one thing wrong, performed in a process of their own and judged by every oracle.

A case is data: documents, what AWS is like, what goes wrong, and how each document must end.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.simulator import Fault
from tests.documents import BATCH, BLUEPRINT, KINDS, PROMPT, RECOMMENDATION
from tests.reliability.forks import Answer, run_forked
from tests.reliability.oracles import Final, committed_events, judge
from tests.reliability.scenario import tagged
from tests.reliability.steps import Mode, Perturbation
from tests.reliability.user import User
from tests.reliability.world import World, capture_log, set_environment, warm

CREATES = {
    BATCH: "CreateModelInvocationJob",
    PROMPT: "CreateAdvancedPromptOptimizationJob",
    BLUEPRINT: "InvokeBlueprintOptimizationAsync",
    RECOMMENDATION: "CreateBatchInferenceJob",
}
LISTS = {
    BATCH: "ListModelInvocationJobs",
    PROMPT: "ListAdvancedPromptOptimizationJobs",
    RECOMMENDATION: "ListBatchInferenceJobs",
}
SHORT = {BATCH: "batch", PROMPT: "prompt", BLUEPRINT: "blueprint", RECOMMENDATION: "personalize"}


@dataclass(frozen=True)
class Case:
    """One small world.

    Attributes:
        documents: handed over at once.
        final: how each ends, and with how many remote jobs.
        faults: planted at AWS before the start.
        script: what happens on the wire to the first create that carries a document's tag.
        plan: a step that is perturbed.
        policy: what the user says of uncertain creates.
        prepare: anything else, before the first life.
        data: members of a document's last event, and their values.
        events: types that a document must have told, and types that it must not, these with a `-` before.
        documents_then: the disk is lost when every document has a remote job; then these are handed over.
    """

    documents: Sequence[Mapping[str, Any]]
    final: Final
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    script: Mapping[str, Mode] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    plan: Perturbation | None = None
    policy: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[World], None] | None = None
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    events: Mapping[str, Sequence[str]] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)
    documents_then: Sequence[Mapping[str, Any]] | None = None
    ends: Sequence[str] = ()
    """Beginnings of how the lives end, where that matters."""
    calls_max: Mapping[str, int] = field(default_factory=dict)
    """By operation: the most calls that the case may cost."""
    limit_s: float = 7200.0
    """Virtual seconds of one life."""

    def world(self, folder: Path) -> World:
        """Before the first life, with the lanes that its documents need."""
        wanted = {str(item["kind"]) for item in (*self.documents, *(self.documents_then or ()))}
        return World(
            folder,
            User(self.documents, self.policy),
            settings=self.settings,
            options={"enforce_quotas": True, **self.options},
            kinds=[kind for kind in KINDS if kind in wanted],
            limit_s=self.limit_s,
        )


def one(kind: str, **members: Any) -> dict[str, Any]:
    """The document of a case of one kind."""
    return tagged(kind, "one", 1, generation=1, **members)


def perform_case(case: Case, folder: Path) -> Answer:
    """In this process; the problems found."""
    world = case.world(folder)
    capture_log(world.log)
    for fault in case.faults:
        world.simulator.faults.add(fault, now=world.now())
    for name, mode in case.script.items():
        world.wire.script |= {f'"value": "{name}"': mode, f'"tagValue": "{name}"': mode}
    world.wire.hidden = set(case.hidden)
    if case.prepare is not None:
        case.prepare(world)
    problems: list[str] = []
    if case.documents_then is not None:
        _first_life(world)
        world.user = User(case.documents_then, case.policy)
        world.user.enter(world)
    else:
        world.after_life = lambda: problems.extend(sent_but_not_committed(world))
    world.run(case.plan)
    problems += judge(world, case.final, {**dict.fromkeys(KINDS, 20), **case.quotas})
    problems += _told(world, case)
    if case.plan is not None and not world.steps.happened:
        problems.append(f"{case.plan} did not happen")
    if case.ends and not all(code.startswith(end) for code, end in zip(world.codes, case.ends, strict=True)):
        problems.append(f"the lives ended {world.codes}")
    return {"problems": problems, "codes": world.codes, "log": world.log, "calls": _calls(world)}


def _first_life(world: World) -> None:
    """A life in which everything is created; then the power fails, and the disk with its events is gone."""
    names = set(world.user.names)
    world.user.cut_when = lambda: all(world.user.is_made(name) for name in names)
    assert world.live() == "cut"
    world.lose_store()
    world.events.unlink(missing_ok=True)
    for path in world.spool.rglob("*.jsonl"):
        path.unlink()


def sent_but_not_committed(world: World) -> list[str]:
    """At a death: no sink may have an event that the store has not."""
    sent = {event["id"] for event in world.event_list()}
    return [f"O5: {id_} was sent before its commit" for id_ in sorted(sent - committed_events(world))]


def _told(world: World, case: Case) -> list[str]:
    problems: list[str] = []
    for name, members in case.data.items():
        data = world.user.jobs[name].data if name in world.user.jobs else {}
        problems += [
            f"O2: {name} ends with {member} {data.get(member)!r}, not {value!r}"
            for member, value in members.items()
            if data.get(member) != value
        ]
    for name, types in case.events.items():
        told = world.user.jobs[name].types if name in world.user.jobs else []
        for type_ in types:
            if (type_.removeprefix("-") in told) is type_.startswith("-"):
                problems.append(f"O5: of {name}, expected {type_}, and its events are {told}")
    calls = _calls(world)
    for operation, most in case.calls_max.items():
        if calls.get(operation, 0) > most:
            problems.append(f"{calls[operation]} calls of {operation}, and {most} should do")
    return problems


def _calls(world: World) -> dict[str, int]:
    return {operation: sum(counts.values()) for operation, counts in world.simulator.ledger.calls.items()}


def check_case(case: Case, folder: Path) -> Answer:
    """In a process of its own; fails the test that asks with what is wrong."""

    def run() -> Answer:
        set_environment()
        try:
            return perform_case(case, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    warm()
    ((_, answer),) = list(run_forked([("case", run)]))
    log = "\n".join(answer.get("log", [])[-30:])
    assert "error" not in answer, answer["error"]
    assert not answer["problems"], "\n".join([*answer["problems"], f"lives: {answer['codes']}", log])
    return answer
