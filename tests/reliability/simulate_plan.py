"""What one seed stands for: an AWS, settings, documents, and everything that goes wrong, each with its time.

Invariant: a plan is a pure function of its seed. Nothing is drawn that AWS's documentation, or Ferryman's settings,
rule out: lists lag no longer than the settings say, and AWS remembers a token for longer than Ferryman trusts it.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.simulator import Fault, OutcomeRule
from tests.documents import BATCH, BLUEPRINT, KINDS, PROMPT, RECOMMENDATION
from tests.reliability.scenario import tagged
from tests.reliability.simulate_faults import (
    LONG,
    REFUSED,
    Happening,
    Planted,
    Window,
    draw_happenings,
    draw_planted,
    draw_windows,
)

FOREVER = (1e6, 1e6)
QUIET_INTERVALS = 10
"""Passes in which nothing may happen at the end."""
TIMER_S = 60.0
"""The longest of the daemon's own timers."""
LETTERS = {BATCH: "b", PROMPT: "p", BLUEPRINT: "o", RECOMMENDATION: "r"}
OUTCOMES: Mapping[str, Mapping[str, float]] = {
    BATCH: {"Failed": 0.2, "PartiallyCompleted": 0.1, "Expired": 0.1},
    PROMPT: {"Failed": 0.2, "PartiallyCompleted": 0.1},
    BLUEPRINT: {"ServiceError": 0.15, "ClientError": 0.1},
    RECOMMENDATION: {"CREATE FAILED": 0.25},
}
POISON = (
    "{",
    "[1, 2",
    '"a text"',
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    '{"kind": "bedrock.ModelInvocationJob", "name": "no-spec"}',
    '{"kind": "no.Such", "name": "x", "spec": {}}',
    '{"kind": "bedrock.ModelInvocationJob", "name": "wrong_name!", "spec": {}}',
    '{"kind": "bedrock.ModelInvocationJob", "name": "twice", "name": "twice", "spec": {}}',
    '{"kind": "bedrock.ModelInvocationJob", "name": "big", "priority": 1e999, "spec": {}}',
    '{"kind": "bedrock.ModelInvocationJob", "name": "dashes", "spec": {"jobName": "' + "-" * 60 + '!"}}',
    "\\ud800",
)


@dataclass(frozen=True, slots=True)
class Sending:
    """A file that is handed over: documents, and lines that are none."""

    at: float
    documents: Sequence[Mapping[str, Any]]
    poison: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """One seed.

    Attributes:
        faulty_s: how long anything goes wrong; after it the world is well and must come to rest.
        versions: by name, the documents of that name in the order of their generations.
        policy: by name, what a person says of an uncertain create.
    """

    seed: int
    faulty_s: float
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, Sequence[Mapping[str, Any]]]
    sendings: Sequence[Sending]
    policy: Mapping[str, str]
    windows: Sequence[Window]
    planted: Sequence[Planted]
    happenings: Sequence[Happening]

    @property
    def interval_s(self) -> float:
        return float(self.settings["reconcile"]["interval"])

    @property
    def quiet_s(self) -> float:
        """How long nothing may happen at the end: ten passes, and now and then every timer of the daemon once."""
        return max(QUIET_INTERVALS * self.interval_s, TIMER_S if self.seed % 4 == 0 else 0.0) + 2.0

    def natures(self) -> Sequence[str]:
        """What AWS is like here, by name, where that is not its best side."""
        options = self.options
        traits = {
            "P10 lists that lag": options["list_lag_s"][1] > 0,
            "P8 tokens that are forgotten": options["token_lifetime_s"] is not None,
            "a repeated token is a conflict": options["repeated_token"] == "conflict",
            "P14 page tokens that expire": options["page_token_lifetime_s"] is not None,
            "P17 throttles": bool(options["throttles"]),
            "P18 quotas enforced": options["enforce_quotas"],
            "tags show no blueprint optimizations": not options["tags_show_blueprint_optimizations"],
        }
        return [name for name, is_so in traits.items() if is_so]

    def may_be_refused(self, name: str) -> bool:
        """Whether the newest document of a name may have been refused, so that an older one still counts."""
        newest, versions = self.versions[name][-1], self.versions[name]
        if newest.get("desired", "Completed") != "Completed" or newest.get("onSpecChange", "reject") != "reject":
            return False
        return any(document.get("spec") != newest["spec"] for document in versions)

    def described(self) -> str:
        """The options of the seed, for a person."""
        lines = [f"seed {self.seed}: {self.faulty_s:.0f} s of faults", f"AWS: {_shown(self.options)}"]
        lines.append(f"settings: {self.settings}")
        lines += [f"{each.begins:7.1f}..{each.ends:.1f} s {each.what} {each.strength:.3f}" for each in self.windows]
        lines += [
            f"{each.begins:7.1f}..{each.ends:.1f} s {each.what} {_shown_fault(each.fault)}" for each in self.planted
        ]
        lines += [f"{each.at:7.1f} s {each.what} {dict(each.data) or ''}" for each in self.happenings]
        for sending in self.sendings:
            shown = [_shown_document(document) for document in sending.documents]
            lines.append(f"{sending.at:7.1f} s sends {', '.join(shown)} {list(sending.poison) or ''}")
        return "\n".join([*lines, f"of uncertain creates a person says {dict(self.policy)}"])


def _shown(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in {"rules", "outcomes"}}


def _shown_fault(fault: Fault) -> dict[str, Any]:
    return fault.model_dump(exclude_defaults=True)


def _shown_document(document: Mapping[str, Any]) -> str:
    members = {name: value for name, value in document.items() if name not in {"kind", "name", "spec"}}
    return f"{document['name']}{members}"


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(seed)
    faulty_s = round(chance.uniform(8, 45), 1)
    options, settings = _aws(chance), _settings(chance)
    lag_s = options["list_lag_s"][1]
    patience_s = chance.choice((0.0, 10.0, 60.0))
    settings["reconcile"]["list_lag_s"] = 8.0 + lag_s + patience_s
    trusted_s = settings["reconcile"]["token_life_s"]
    if options["token_lifetime_s"] is not None:
        options["token_lifetime_s"] = trusted_s + 60 + options["token_lifetime_s"]
    versions = _documents(chance)
    _leave_room(options, settings, versions)
    return Plan(
        seed=seed,
        faulty_s=faulty_s,
        options=options,
        settings=settings,
        versions=versions,
        sendings=_sendings(chance, versions, faulty_s),
        policy=_policy(chance, settings, versions),
        windows=draw_windows(chance, faulty_s),
        planted=draw_planted(chance, faulty_s, patience_s),
        happenings=draw_happenings(chance, versions, faulty_s),
    )


def _leave_room(
    options: dict[str, Any], settings: Mapping[str, Any], versions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """A slot more than jobs that never end can take, at AWS and in the settings."""
    long = Counter(documents[0]["kind"] for name, documents in versions.items() if name.startswith(LONG))
    for kind, count in long.items():
        for jobs in (options["quotas"][kind], settings["limits"][kind]["jobs"]):
            jobs["*"] = max(jobs["*"], count + 1)


def _policy(
    chance: random.Random, settings: Mapping[str, Any], versions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, str]:
    """What a person says of each job once it is uncertain. Those held for ever never take the last slot of a kind."""
    policy = {name: chance.choice(("truth", "truth", "truth", "hold", "retry", "fail")) for name in versions}
    kinds = {name: documents[0]["kind"] for name, documents in versions.items()}
    left = {kind: limits["jobs"]["*"] - 1 for kind, limits in settings["limits"].items()}
    left = Counter(left) - Counter(kind for name, kind in kinds.items() if name.startswith(LONG))
    for name in [name for name, says in policy.items() if says == "hold"]:
        if left[kinds[name]] < 1:
            policy[name] = "fail"
        left[kinds[name]] -= 1
    return policy


# AWS and the settings


def _aws(chance: random.Random) -> dict[str, Any]:
    lag_s = chance.choice((0, 0, 0, 0, 5, 20, 60, 120))
    slow = chance.random() < 0.25
    long = {"durations": {"InProgress": FOREVER, "CREATE IN_PROGRESS": FOREVER}}
    refusal = {"code": "ValidationException", "message": "the role does not exist"}
    return {
        "seed": chance.randrange(1 << 30),
        "rules": (
            OutcomeRule(name=f"{LONG}-*", **long),
            OutcomeRule.model_validate({"name": f"{REFUSED}-*", "refuse": refusal}),
        ),
        "outcomes": OUTCOMES if chance.random() < 0.7 else {},
        "durations": {kind: {"InProgress": (15, 40)} for kind in (BATCH, PROMPT, BLUEPRINT)} if slow else {},
        "check_signature_date": True,
        "repeated_token": chance.choice(("same_arn", "same_arn", "conflict")),
        "changed_token": chance.choice(("conflict", "validation", "same_arn")),
        "token_lifetime_s": chance.choice((None, None, 0, 60)),
        "unique_names": frozenset(
            {RECOMMENDATION}
            | ({BATCH} if chance.random() < 0.4 else set())
            | ({PROMPT} if chance.random() < 0.4 else set())
        ),
        "personalize_statuses": chance.choice(("create", "bare")),
        "enforce_quotas": chance.random() < 0.6,
        "over_quota": chance.choice(("refuse", "refuse", "queue")),
        "quotas": {kind: {"*": chance.choice((1, 2, 4, 20))} for kind in KINDS},
        "list_lag_s": (0, lag_s),
        "get_lag_s": (0, chance.choice((0, lag_s))),
        "tag_lag_s": (0, chance.choice((0, lag_s))),
        "tags_show_blueprint_optimizations": chance.random() < 0.75,
        "profile_arns": chance.random() < 0.2,
        "throttles": {"*": {"rate": chance.choice((2, 5)), "burst": 2}} if chance.random() < 0.15 else {},
        "page_size_max": chance.choice((1, 2, 3, 100, 1000)),
        "page_token_lifetime_s": chance.choice((None, None, None, 2.0)),
    }


def _settings(chance: random.Random) -> dict[str, Any]:
    rate = chance.choice(({"rate": 50, "burst": 20}, {"rate": 50, "burst": 20}, {"rate": 2, "burst": 4}))
    return {
        "store": {"keep_terminal_s": chance.choice((20.0, 86_400.0, 86_400.0))},
        "reconcile": {
            "interval": chance.choice((3, 4, 6)),
            "interval_min": 1,
            "token_life_s": float(chance.choice((30, 90, 300))),
            "adopt": True,
        },
        "queue": {"poll_s": chance.choice((2, 4))},
        "aws": {"pool": chance.choice((2, 8, 64))},
        "events": {"batch_max": chance.choice((2, 10, 500))},
        "limits": {
            kind: {"jobs": {"*": chance.choice((1, 2, 3, 20))}, "create": rate, "get": rate, "stop": rate}
            for kind in KINDS
        },
    }


# Documents


def _documents(chance: random.Random) -> dict[str, Sequence[dict[str, Any]]]:
    versions: dict[str, Sequence[dict[str, Any]]] = {}
    for number in range(chance.randint(3, 6)):
        kind = chance.choice((BATCH, BATCH, PROMPT, BLUEPRINT, RECOMMENDATION))
        manner = chance.choices(("job", LONG, REFUSED), (8, 2, 0.7))[0] if kind != BLUEPRINT else "job"
        name = f"{manner}-{LETTERS[kind]}{number}"
        versions[name] = _versions(chance, kind, name, number)
    return versions


def _versions(chance: random.Random, kind: str, name: str, number: int) -> Sequence[dict[str, Any]]:
    """Documents of one name, oldest first, each with the generation that is its place."""
    count = chance.choices((1, 2, 3, 4), (6, 3, 2, 1))[0]
    first = tagged(kind, name, number, **_members(chance))
    if count == 1 and chance.random() < 0.5:
        return [first]
    made = [{**first, "generation": 1}]
    for generation in range(2, count + 1):
        made.append(_changed(chance, made[-1] if "spec" in made[-1] else made[0], kind, name, generation))
    return made


def _changed(chance: random.Random, before: Mapping[str, Any], kind: str, name: str, generation: int) -> dict[str, Any]:
    later: dict[str, Any] = {**before, "generation": generation}
    roll = chance.random()
    if roll < 0.25:
        return {**later, "desired": "Stopped"}
    if roll < 0.45:
        return {"kind": kind, "name": name, "generation": generation, "desired": "Absent"}
    later.pop("desired", None)
    if roll < 0.75:
        spec = tagged(kind, name, chance.randrange(100, 200))["spec"]
        if kind == BLUEPRINT:
            spec["blueprint"] = before["spec"]["blueprint"]
            spec["outputConfiguration"] = {"s3Object": {"s3Uri": f"s3://bucket/{generation}"}}
        return {**later, "spec": spec, "onSpecChange": chance.choice(("replace", "replace", "reject"))}
    return {**later, "desired": "Completed", "priority": chance.randrange(-3, 4), **_members(chance)}


def _members(chance: random.Random) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if chance.random() < 0.4:
        retry: dict[str, Any] = {"attempts": chance.randint(2, 3), "backoffSeconds": chance.choice((0.5, 5))}
        if chance.random() < 0.5:
            retry["reasons"] = ["JobFailed", "Expired", "ServiceError", "Partial"]
        members["retry"] = retry
    if chance.random() < 0.15:
        members["deadlineSeconds"] = chance.choice((10, 30, 80))
    if chance.random() < 0.3:
        members["group"] = chance.choice(("red", "blue"))
    if chance.random() < 0.2:
        members["priority"] = chance.randrange(-3, 4)
    if chance.random() < 0.2:
        members["partial"] = "failure"
    if chance.random() < 0.15:
        members["onUncertain"] = "retry"
    return members


def _sendings(
    chance: random.Random, versions: Mapping[str, Sequence[Mapping[str, Any]]], faulty_s: float
) -> Sequence[Sending]:
    """Every version once, in the order of generations or not; and some of them again, later."""
    times: list[tuple[float, Mapping[str, Any]]] = []
    for documents in versions.values():
        moments = sorted(chance.uniform(0, faulty_s * 0.9) for _ in documents)
        if chance.random() < 0.3:
            chance.shuffle(moments)
        if chance.random() < 0.5:
            moments[0] = 0.0
        times += zip(moments, documents, strict=True)
        times += [
            (chance.uniform(0, faulty_s), document)
            for document in documents
            for _ in range(chance.choice((0, 0, 0, 1, 1, 2)))
        ]
    at_once: dict[float, list[Mapping[str, Any]]] = {}
    for at, document in times:
        at_once.setdefault(round(at / 2) * 2.0, []).append(document)
    made = []
    for at, documents in sorted(at_once.items()):
        chance.shuffle(documents)
        poison = [chance.choice(POISON)] if chance.random() < 0.15 else []
        made.append(Sending(at, documents, poison))
    return made
