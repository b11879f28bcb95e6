"""Which way to read List: the cheapest plan that is complete for its purpose."""

from typing import Any

import pytest

from controller.kinds import KINDS
from controller.plans import Plan, PlanFacts, choose
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION

NOW = 1_800_000_000.0
DAY = 86_400.0


def facts(**changes: Any) -> PlanFacts:
    known: dict[str, Any] = {
        "live": 10,
        "oldest": NOW - 3600,
        "now": NOW,
        "everything": False,
        "first": False,
        "slots": False,
    }
    return PlanFacts(**{**known, **changes})


@pytest.mark.parametrize(
    ("kind", "changes", "pages", "plan", "complete"),
    [
        pytest.param(BATCH, {}, {}, Plan.WINDOW, False, id="a window is one call"),
        pytest.param(BATCH, {}, {Plan.WINDOW: 40}, Plan.STATUSES, True, id="a long history: by status"),
        pytest.param(BATCH, {"slots": True}, {}, Plan.STATUSES, True, id="slots: every active status"),
        pytest.param(
            BATCH, {"slots": True, "oldest": NOW - 9 * DAY}, {}, Plan.WINDOW, True, id="slots: longer than a life"
        ),
        pytest.param(BATCH, {"first": True, "slots": True}, {}, Plan.WINDOW, False, id="first: what a restore forgot"),
        pytest.param(BATCH, {"everything": True}, {}, Plan.EVERYTHING, True, id="an earlier store"),
        pytest.param(BATCH, {"oldest": None, "slots": True}, {}, Plan.STATUSES, True, id="foreign only"),
        pytest.param(PROMPT, {}, {}, Plan.WINDOW, False, id="prompt: newest first, cut by us"),
        pytest.param(PROMPT, {"slots": True}, {}, Plan.EVERYTHING, True, id="prompt: slots need everything"),
        pytest.param(PROMPT, {"live": 1}, {Plan.WINDOW: 9}, Plan.GETS, False, id="prompt: one Get beats nine pages"),
        pytest.param(RECOMMENDATION, {"live": 3}, {Plan.EVERYTHING: 50}, Plan.GETS, False, id="personalize: gets"),
        pytest.param(RECOMMENDATION, {"live": 3}, {}, Plan.EVERYTHING, True, id="personalize: one page"),
        pytest.param(BLUEPRINT, {}, {}, Plan.GETS, False, id="no List"),
    ],
)
def test_choice(kind: str, changes: dict[str, Any], pages: dict[Plan, int], plan: Plan, complete: bool) -> None:
    scan = choose(KINDS[kind], facts(**changes), pages)
    assert (scan.plan, scan.complete_for_slots) == (plan, complete)


def test_statuses_are_read_in_life_cycle_order() -> None:
    scan = choose(KINDS[BATCH], facts(slots=True), {})
    assert scan.statuses == ("Submitted", "Validating", "Scheduled", "InProgress", "Stopping")
