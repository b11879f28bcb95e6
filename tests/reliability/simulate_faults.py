"""What goes wrong in a seed: on this host, on the network, at the sink and at AWS, each at its time.

Invariant: drawn from the seed's own source of chance, and from nothing else.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from controller.simulator import Fault
from controller.simulator.faults import (
    Delay,
    DropConnection,
    Effect,
    EmptyPage,
    ExpiredPageToken,
    Hang,
    LoseReply,
    Missed,
    Refuse,
    RefuseCredentials,
    RepeatedPageToken,
    Reshape,
    SeenTwice,
    StaleList,
    Throttle,
)
from tests.documents import BATCH, BLUEPRINT, KINDS, PROMPT, RECOMMENDATION
from tests.reliability.cases import CREATES, LISTS

LONG = "long"
"""How the name of a document begins whose remote jobs never end by themselves."""
REFUSED = "refused"
"""How the name of a document begins whose creates AWS refuses for good."""
STATUS_MEMBER = {BATCH: "status", PROMPT: "jobStatus", BLUEPRINT: "status", RECOMMENDATION: "status"}
STOPS = ("StopModelInvocationJob", "StopAdvancedPromptOptimizationJob", "BatchDeleteAdvancedPromptOptimizationJob")
BEFORE_OR_AFTER: Sequence[Literal["before", "after"]] = ("before", "after")
CREDENTIALS: Sequence[Literal["expired_key", "unknown_key"]] = ("expired_key", "unknown_key")
TIMES = frozenset({"submitTime", "creationTime", "creationDateTime"})
READS = (*LISTS.values(), "Get*", "DescribeBatchInferenceJob")


@dataclass(frozen=True, slots=True)
class Window:
    """Something that goes on for a while: seconds since the beginning, and how strong it is."""

    what: str
    begins: float
    ends: float
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault at AWS, for a while."""

    what: str
    begins: float
    ends: float
    fault: Fault


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that is done once."""

    what: str
    at: float
    data: Mapping[str, Any] = field(default_factory=dict)


def _while(chance: random.Random, faulty_s: float, shortest: float = 2, longest: float = 35) -> tuple[float, float]:
    begins = round(chance.uniform(0, faulty_s * 0.9), 1)
    return begins, round(min(faulty_s, begins + chance.uniform(shortest, longest)), 1)


def draw_windows(chance: random.Random, faulty_s: float) -> Sequence[Window]:
    """Of this host, the network and the sink."""
    sorts: Sequence[tuple[str, float, Callable[[], float]]] = (
        ("crashes", 0.6, lambda: chance.choice((0.002, 0.006, 0.02))),
        ("wire", 0.7, lambda: chance.choice((0.03, 0.1, 0.2))),
        ("P23 clock an hour ahead", 0.06, lambda: 3600.0),
        ("P23 clock an hour behind", 0.06, lambda: -3600.0),
        ("P25 disk full", 0.12, lambda: 1.0),
        ("P33 slow sink", 0.15, lambda: chance.choice((1.0, 9.0))),
        ("P34 sink down", 0.15, lambda: 1.0),
        ("P35 sink accepts, then fails", 0.15, lambda: 0.5),
        ("answers of wrong shapes", 0.15, lambda: chance.choice((0.1, 0.5, 1.0))),
        ("slow commits", 0.1, lambda: chance.choice((0.2, 1.0, 2.0))),
    )
    return [
        Window(what, *_while(chance, faulty_s), strength())
        for what, likely, strength in sorts
        if chance.random() < likely
    ]


def draw_planted(chance: random.Random, faulty_s: float, patience_s: float) -> Sequence[Planted]:
    """Of AWS: a few of its faults, each for a while."""
    found = []
    for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4))):
        what, effect, operation, probability = _one_fault(chance, patience_s)
        begins, ends = _while(chance, faulty_s)
        fault = Fault(effect=effect, operation=operation, times=None, probability=probability)
        found.append(Planted(what, begins, ends, fault))
    return found


def _one_fault(chance: random.Random, patience_s: float) -> tuple[str, Effect, str, float]:
    kind = chance.choice(KINDS)
    create, changing = CREATES[kind], chance.choice((CREATES[kind], CREATES[kind], *STOPS))
    reading, listing = chance.choice(READS), chance.choice(tuple(LISTS.values()))
    anything = chance.choice(("*", changing, reading))
    part = chance.choice((0.2, 0.5, 1.0))
    lost = chance.choice(("reset", "close", "truncate", 500, 502, 503, 504))
    when = BEFORE_OR_AFTER[chance.randrange(2)]
    reason = CREDENTIALS[chance.randrange(2)]
    sorts: Sequence[tuple[str, Effect, str, float]] = (
        ("P6 reply lost", LoseReply(then=lost), chance.choice(("*", changing, create)), part),
        ("connection lost", DropConnection(), anything, part),
        ("P7 503 for a while", Refuse(code="ServiceUnavailable", status=503), anything, 1.0),
        ("internal errors", Refuse(code="InternalServerException", status=500), anything, part),
        ("P17 throttled", Throttle(), anything, chance.choice((0.3, 1.0))),
        ("P18 quota full", Refuse(code="ServiceQuotaExceededException"), create, 1.0),
        ("P20 hung sockets", Hang(when=when), anything, part),
        (
            "P20 latency",
            Delay(seconds=chance.choice((1, 10, 20)), when=chance.choice(("before", "after"))),
            anything,
            part,
        ),
        ("P21 credentials expire", RefuseCredentials(reason=reason), "*", 1.0),
        (
            "P22 access denied",
            Refuse(code="AccessDeniedException", status=403),
            chance.choice((changing, reading)),
            1.0,
        ),
        ("P11 stale lists", StaleList(age_s=max(2.0, patience_s)), listing, part),
        ("P12 an older view on a later page", StaleList(age_s=max(2.0, patience_s), from_page=2), listing, part),
        ("P13 a job seen twice", SeenTwice(), listing, part),
        ("P13 a job missed", Missed(), listing, 0.2),
        ("P14 page token expired", ExpiredPageToken(), listing, part),
        ("P15 empty page with a token", EmptyPage(), listing, part),
        ("P15 repeated page token", RepeatedPageToken(), listing, part),
        ("P16 unknown status", Reshape(set={STATUS_MEMBER[kind]: "Reticulating"}), chance.choice(READS), part),
        ("P16 status missing", Reshape(remove=frozenset({STATUS_MEMBER[kind]})), chance.choice(READS), part),
        ("P16 new members", Reshape(set={"novelty": {"deep": [1, 2]}}), chance.choice(READS), part),
        (
            "P16 times missing",
            Reshape(remove=frozenset({"submitTime", "creationTime", "creationDateTime"})),
            reading,
            part,
        ),
    )
    return chance.choice(sorts)


def draw_happenings(
    chance: random.Random, versions: Mapping[str, Sequence[Mapping[str, Any]]], faulty_s: float
) -> Sequence[Happening]:
    found: list[Happening] = []

    def add(what: str, likely: float, data: Mapping[str, Any]) -> None:
        if chance.random() < likely:
            found.append(Happening(what, round(chance.uniform(0, faulty_s), 1), data))

    kind = chance.choice(KINDS)
    add("P43 graceful stop", 0.3, {"down_s": chance.choice((1, 3, 40, 200))})
    add("P43 graceful stop", 0.1, {"down_s": 1})
    add("P28 delivered again", 0.2, {})
    add("P19 foreign jobs", 0.25, {"kind": kind, "count": chance.choice((1, 3, 8))})
    endless = sum(documents[0]["kind"] == kind for called, documents in versions.items() if called.startswith(LONG))
    add("P19 quota lowered", 0.15, {"kind": kind, "jobs": endless + 1})  # those that never end leave room for others
    name = chance.choice(list(versions))
    # A command has no generation: only where one document is all that is wanted can its answer be told.
    if len(versions[name]) == 1 and not name.startswith(REFUSED):
        add("command", 0.3, {"name": name, "type": chance.choice(("stop", "delete"))})
    add("pause and resume", 0.1, {"kind": kind})
    return sorted(found, key=lambda happening: happening.at)
