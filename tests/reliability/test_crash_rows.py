"""Rows P1 to P16: each perturbation by name, for every kind that it can meet.

The points of the crash rows are found in a clean run of the same case, not listed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.simulator import (
    EmptyPage,
    ExpiredPageToken,
    Fault,
    LoseReply,
    Missed,
    Refuse,
    RepeatedPageToken,
    Reshape,
    SeenTwice,
    StaleList,
)
from controller.simulator.faults import Effect
from tests.documents import BATCH, BLUEPRINT, KINDS, PROMPT, RECOMMENDATION
from tests.reliability.cases import CREATES, LISTS, SHORT, Case, one
from tests.reliability.hatchery import Hatchery
from tests.reliability.learning import point_of
from tests.reliability.scenario import tagged
from tests.reliability.world import World

every_kind = pytest.mark.parametrize("kind", [pytest.param(kind, id=SHORT[kind]) for kind in KINDS])
every_list = pytest.mark.parametrize("kind", [pytest.param(kind, id=SHORT[kind]) for kind in LISTS])
DONE = {"one": ("succeeded", 1)}
SLOW_JOBS = {"durations": {BATCH: {"InProgress": (60, 60)}, PROMPT: {"InProgress": (60, 60)}}}
PATIENT: Mapping[str, Any] = {"reconcile": {"list_lag_s": 180, "token_life_s": 3600}}
"""The times of the defaults, which are of the order of what AWS may take."""


# Crashes


CRASH_POINTS = {
    "P1": ("the last commit before the create", "before"),
    "P2": ("the create", "before"),
    "P3": ("the create", "after"),
    "P4-recorded": ("the first commit after the create", "after"),
    "P4-unacknowledged": ("the acknowledgement", "before"),
    "P5": ("the first send after the create", "before"),
}


@every_kind
@pytest.mark.parametrize("row_name", CRASH_POINTS)
def test_crash(row_name: str, kind: str, hatchery: Hatchery) -> None:
    hatchery.check(crash_case, kind, *CRASH_POINTS[row_name])


def crash_case(kind: str, where: str, side: str) -> Case:
    case = Case([one(kind)], DONE)
    return replace(case, plan=point_of(case, CREATES[kind], where, side))


# Replies


@every_kind
@pytest.mark.parametrize("then", ["reset", "close", "truncate", 500, 502, 504])
def test_p6_reply_lost_after_success(kind: str, then: Any, hatchery: Hatchery) -> None:
    hatchery.check(p6_case, kind, then)


def p6_case(kind: str, then: Any) -> Case:
    return Case([one(kind)], DONE, faults=[Fault(effect=LoseReply(then=then), operation=CREATES[kind])])


@every_kind
def test_p7_reply_lost_then_503_for_ten_minutes(kind: str, hatchery: Hatchery) -> None:
    hatchery.check(p7_case, kind)


def p7_case(kind: str) -> Case:
    away = Refuse(code="ServiceUnavailable", status=503)
    faults = [
        Fault(effect=LoseReply(), operation=CREATES[kind]),
        Fault(effect=away, operation=CREATES[kind], skip=1, times=None, for_s=600),
    ]

    def prepare(world: World) -> None:
        """Everything else goes away as well, once the job is there."""
        planted: list[int] = []

        def watch() -> bool:
            if not planted and world.user.is_made("one"):
                everything = Fault(effect=away, times=None, for_s=600)
                planted.append(world.simulator.faults.add(everything, now=world.now()))
            return False

        world.user.cut_when = watch

    return Case([one(kind)], DONE, faults=faults, settings=PATIENT, prepare=prepare)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=SHORT[kind]) for kind in (BATCH, PROMPT)])
def test_p8_token_forgotten(kind: str, hatchery: Hatchery) -> None:
    """AWS forgets the token a little after Ferryman stops trusting it; creates are refused until long after."""
    hatchery.check(p8_case, kind)


def p8_case(kind: str) -> Case:
    faults = [
        Fault(effect=LoseReply(), operation=CREATES[kind]),
        Fault(effect=Refuse(code="ServiceUnavailable", status=503), operation="Create*", skip=1, times=None, for_s=300),
    ]
    return Case(
        [one(kind)],
        DONE,
        faults=faults,
        options={"token_lifetime_s": 100},
        events={"one": ["adopted", "-created"]},
    )


@pytest.mark.parametrize("kind", [pytest.param(kind, id=SHORT[kind]) for kind in (BATCH, PROMPT, RECOMMENDATION)])
@pytest.mark.parametrize("answer", ["conflict", "validation", "same_arn"])
def test_p9_same_token_changed_parameters(kind: str, answer: str, hatchery: Hatchery) -> None:
    """The store is lost, and the document is another one under the same name: what exists is not it."""
    hatchery.check(p9_case, kind, answer)


def p9_case(kind: str, answer: str) -> Case:
    other = one(kind)
    if kind == BATCH:
        other["spec"]["roleArn"] = "arn:aws:iam::123456789012:role/other"
    elif kind == PROMPT:
        other["spec"]["inputConfig"] = {"s3Uri": "s3://bucket/prompts/other.jsonl"}
    else:
        other["spec"]["solutionVersionArn"] += "-other"
    return Case(
        [one(kind)],
        {"one": ("failed", 1)},
        options={"changed_token": answer, **SLOW_JOBS},
        settings={"instance": "known"},
        documents_then=[other],
        data={"one": {"reason": "NameTaken"}},
    )


# Lists


@every_kind
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
def test_p10_a_create_is_invisible_for_two_minutes(kind: str, lost: bool, hatchery: Hatchery) -> None:
    hatchery.check(p10_case, kind, lost)


def p10_case(kind: str, lost: bool) -> Case:
    faults = [Fault(effect=LoseReply(), operation=CREATES[kind])] if lost else []
    lags = {"list_lag_s": (0, 120), "get_lag_s": (0, 60), "tag_lag_s": (60, 120), **SLOW_JOBS}
    return Case([one(kind)], DONE, faults=faults, options=lags, settings=PATIENT)


def many(kind: str, count: int = 7) -> list[dict[str, Any]]:
    return [tagged(kind, f"job-{number}", number, generation=1) for number in range(count)]


def lists_case(kind: str, effect: Effect, fault: Mapping[str, Any]) -> Case:
    """Seven jobs, pages of two, and a fault in the lists of a while."""
    documents = many(kind)
    planted = Fault(effect=effect, operation=LISTS[kind], **{"times": None, "for_s": 60.0, **fault})
    return Case(
        documents,
        {str(document["name"]): ("succeeded", 1) for document in documents},
        options={"page_size_max": 2, "durations": {kind: {"InProgress": (20, 40)}} if kind != RECOMMENDATION else {}},
        settings=PATIENT,
        faults=[planted],
        quotas={RECOMMENDATION: 5},
    )


@every_list
def test_p11_a_stale_list(kind: str, hatchery: Hatchery) -> None:
    hatchery.check(lists_case, kind, StaleList(age_s=30), {})


@every_list
def test_p12_an_older_view_on_a_later_page(kind: str, hatchery: Hatchery) -> None:
    hatchery.check(lists_case, kind, StaleList(age_s=30, from_page=2), {})


@every_list
@pytest.mark.parametrize("effect", [SeenTwice(), Missed(count=1)], ids=["seen-twice", "missed"])
def test_p13_pages_shift(kind: str, effect: Effect, hatchery: Hatchery) -> None:
    hatchery.check(lists_case, kind, effect, {"probability": 0.5})


@every_list
def test_p14_a_page_token_expires(kind: str, hatchery: Hatchery) -> None:
    hatchery.check(lists_case, kind, ExpiredPageToken(), {"probability": 0.6})


@every_list
@pytest.mark.parametrize("effect", [EmptyPage(), RepeatedPageToken()], ids=["empty", "repeated"])
def test_p15_pages_that_make_no_sense(kind: str, effect: Effect, hatchery: Hatchery) -> None:
    hatchery.check(lists_case, kind, effect, {"probability": 0.5})


STATUS = {BATCH: "status", PROMPT: "jobStatus", BLUEPRINT: "status", RECOMMENDATION: "status"}
RESHAPES: Mapping[str, Callable[[str], Reshape]] = {
    "unknown-status": lambda kind: Reshape(set={STATUS[kind]: "Reticulating"}),
    "no-status": lambda kind: Reshape(remove=frozenset({STATUS[kind]})),
    "new-members": lambda _: Reshape(set={"novelty": {"deep": [1, 2]}, "tier": "gold"}),
    "no-times": lambda _: Reshape(
        remove=frozenset({"submitTime", "creationTime", "creationDateTime", "lastModifiedTime"})
    ),
    "no-name": lambda _: Reshape(remove=frozenset({"jobName", "clientRequestToken"})),
}


@every_kind
@pytest.mark.parametrize("shape", RESHAPES)
def test_p16_statuses_and_fields_that_nobody_knows(kind: str, shape: str, hatchery: Hatchery) -> None:
    hatchery.check(p16_case, kind, shape)


def p16_case(kind: str, shape: str) -> Case:
    fault = Fault(effect=RESHAPES[shape](kind), operation="*", times=None, for_s=45.0)
    return Case([one(kind)], DONE, faults=[fault], settings=PATIENT)
