"""Unknown outcomes in full: every kind, every way to lose an answer, and both answers wherever AWS's is not known."""

from collections.abc import Mapping
from typing import Any

import pytest

from controller.simulator import Fault, Hang, LoseReply, OutcomeRule
from tests.documents import BATCH, BLUEPRINT, KINDS, PROMPT, RECOMMENDATION
from tests.reliability.cases import CREATES, SHORT, Case, one
from tests.reliability.hatchery import Hatchery
from tests.reliability.scenario import tagged
from tests.reliability.steps import Mode

DONE = {"one": ("succeeded", 1)}
TOKENS = (BATCH, PROMPT)
UNKNOWN: Mapping[str, Mapping[str, Any]] = {
    "reset": {"script": {"one": Mode.LOST}},
    "never-arrived": {"script": {"one": Mode.DROPPED}},
    "arrived-late": {"script": {"one": Mode.LATE}},
    "hung": {"faults": [Hang()]},
    "500": {"faults": [LoseReply(then=500)]},
    "truncated": {"faults": [LoseReply(then="truncate")]},
}
ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "same-id": {"repeated_token": "same_arn"},
    "conflict": {"repeated_token": "conflict"},
    "conflict-list-lags": {"repeated_token": "conflict", "list_lag_s": (6, 6)},
    "unique-names": {"unique_names": [BATCH, PROMPT, RECOMMENDATION]},
    "no-unique-names": {"unique_names": []},
}


def cases_of_tokens() -> list[Any]:
    return [
        pytest.param(kind, unknown, answer, id=f"{SHORT[kind]}-{unknown}-{answer}")
        for kind in TOKENS
        for unknown in UNKNOWN
        for answer in ANSWERS
    ]


def case_of(kind: str, unknown: str, **members: Any) -> Case:
    how = UNKNOWN[unknown]
    faults = [Fault(effect=effect, operation=CREATES[kind]) for effect in how.get("faults", ())]
    defaults: dict[str, Any] = {"documents": [one(kind)], "final": DONE, "faults": faults}
    return Case(**{**defaults, "script": how.get("script", {}), **members})


@pytest.mark.parametrize(("kind", "unknown", "answer"), cases_of_tokens())
def test_a_create_with_a_token(kind: str, unknown: str, answer: str, hatchery: Hatchery) -> None:
    hatchery.check(token_case, kind, unknown, answer)


def token_case(kind: str, unknown: str, answer: str) -> Case:
    return case_of(kind, unknown, options=ANSWERS[answer])


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize("lag", [(0, 0), (5, 5)], ids=["shown", "list-lags"])
@pytest.mark.parametrize("statuses", ["create", "bare"])
def test_a_create_with_a_unique_name(unknown: str, lag: tuple[int, int], statuses: str, hatchery: Hatchery) -> None:
    hatchery.check(name_case, unknown, lag, statuses)


def name_case(unknown: str, lag: tuple[int, int], statuses: str) -> Case:
    return case_of(RECOMMENDATION, unknown, options={"list_lag_s": lag, "personalize_statuses": statuses})


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize("shown", [True, False], ids=["tag-shown", "tag-not-shown"])
@pytest.mark.parametrize("policy", ["truth", "hold", "fail"])
def test_a_create_that_only_a_tag_can_find(unknown: str, shown: bool, policy: str, hatchery: Hatchery) -> None:
    hatchery.check(tag_case, unknown, shown, policy)


def tag_case(unknown: str, shown: bool, policy: str) -> Case:
    made = 0 if unknown == "never-arrived" else 1
    found = shown and unknown not in {"never-arrived", "arrived-late"}
    ends = {"truth": ("succeeded", 1), "hold": ("uncertain", made), "fail": ("failed", made)}[policy]
    return case_of(
        BLUEPRINT,
        unknown,
        final={"one": ("succeeded", 1) if found else ends},
        options={"tags_show_blueprint_optimizations": shown},
        policy={"one": policy},
        events={"one": ["adopted", "-uncertain"] if found else ["uncertain"]},
    )


def test_an_uncertain_create_is_tried_again_where_the_document_says_so(hatchery: Hatchery) -> None:
    hatchery.check(retry_case)


def retry_case() -> Case:
    document = one(BLUEPRINT, onUncertain="retry")
    return Case([document], DONE, script={"one": Mode.DROPPED}, events={"one": ["retrying"]})


@pytest.mark.parametrize("remote", ["resolved-while-it-runs", "resolved-when-it-has-ended"])
def test_a_remote_job_that_a_person_names_is_followed_to_its_end(remote: str, hatchery: Hatchery) -> None:
    hatchery.check(named_case, 200 if remote == "resolved-while-it-runs" else 3)


def named_case(length: int) -> Case:
    return case_of(
        BLUEPRINT,
        "reset",
        options={
            "tags_show_blueprint_optimizations": False,
            "durations": {BLUEPRINT: {"InProgress": (length, length)}},
        },
        events={"one": ["uncertain", "resolved", "succeeded"]},
    )


@pytest.mark.parametrize("over", ["refuse", "queue"])
@pytest.mark.parametrize("kind", [pytest.param(kind, id=SHORT[kind]) for kind in KINDS])
def test_the_job_above_the_quota(kind: str, over: str, hatchery: Hatchery) -> None:
    """Four jobs and two slots at AWS, which Ferryman does not know of; one answer is lost as well."""
    hatchery.check(quota_case, kind, over)


def quota_case(kind: str, over: str) -> Case:
    documents = [tagged(kind, f"job-{number}", number, generation=1) for number in range(4)]
    if kind == BATCH:
        for document in documents:
            document["spec"]["modelId"] = "amazon.nova-lite-v1:0"
    return Case(
        documents,
        {str(document["name"]): ("succeeded", 1) for document in documents},
        options={"quotas": {kind: {"*": 2}}, "over_quota": over},
        script={"job-1": Mode.LOST},
    )


@pytest.mark.parametrize("kind", [pytest.param(kind, id=SHORT[kind]) for kind in KINDS])
def test_a_lost_store_finds_its_jobs_again(kind: str, hatchery: Hatchery) -> None:
    hatchery.check(lost_store_case, kind)


def lost_store_case(kind: str) -> Case:
    longer = {kind: {"InProgress": (40, 40), "CREATE IN_PROGRESS": (40, 40)}}
    creating = kind == RECOMMENDATION
    longer = {kind: {stage: span for stage, span in longer[kind].items() if stage.startswith("CREATE") is creating}}
    return Case(
        [one(kind)],
        DONE,
        options={"durations": longer},
        settings={"instance": "known"},
        documents_then=[one(kind)],
        events={"one": ["adopted", "-created"]},
    )


@pytest.mark.parametrize("desired", ["Stopped", "Absent"])
@pytest.mark.parametrize("kind", [pytest.param(kind, id=SHORT[kind]) for kind in TOKENS])
def test_a_stop_waits_for_the_truth(kind: str, desired: str, hatchery: Hatchery) -> None:
    """A job whose create is unknown is never called stopped or deleted while it may run."""
    hatchery.check(stop_case, kind, desired)


def stop_case(kind: str, desired: str) -> Case:
    wanted = {"kind": kind, "name": "one", "desired": desired, "generation": 2}
    return case_of(
        kind,
        "hung",
        documents=[one(kind)],
        final={"one": ("stopped" if desired == "Stopped" else "deleted", 1)},
        options={"rules": (OutcomeRule(durations={"InProgress": (1e6, 1e6)}),)},
        prepare=lambda world: world.user.hand_over("then", lambda: world.user.is_made("one"), [wanted]),
    )
