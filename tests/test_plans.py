"""Which way to read List: the cheapest plan that is complete for its purpose."""

from typing import Any

import pytest

from controller.kinds import KINDS
from controller.plans import FORGET_S, Counted, Ours, Plan, PlanFacts, choose
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION

NOW = 1_800_000_000.0
DAY = 86_400.0
HOUR = 3600.0
ACTIVE = ("Submitted", "Validating", "Scheduled", "InProgress", "Stopping")


def facts(**changes: Any) -> PlanFacts:
    known: dict[str, Any] = {
        "live": 10,
        "oldest": NOW - HOUR,
        "now": NOW,
        "everything": False,
        "first": False,
        "slots": False,
    }
    return PlanFacts(**{**known, **changes})


def counted(pages: dict[Plan, int], reach_s: float = HOUR) -> Counted:
    """As after a pass, with a window of the last hour."""
    known = Counted()
    if Plan.WINDOW in pages:
        known.count_window(NOW - reach_s, NOW, pages[Plan.WINDOW])
    if Plan.EVERYTHING in pages:
        known.count_everything(NOW, pages[Plan.EVERYTHING])
    return known


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
    scan = choose(KINDS[kind], facts(**changes), counted(pages))
    assert (scan.plan, scan.complete_for_slots) == (plan, complete)


def test_statuses_are_read_in_life_cycle_order() -> None:
    assert choose(KINDS[BATCH], facts(slots=True), Counted()).statuses == ACTIVE


MANY = {"live": 10_000, "oldest": NOW - DAY}
LONG = {Plan.WINDOW: 200}


@pytest.mark.parametrize(
    ("ours", "statuses", "window_s", "complete"),
    [
        pytest.param({"InProgress": Ours(10_000, NOW - DAY)}, ACTIVE[3:], None, False, id="none is in an earlier one"),
        pytest.param({"Stopping": Ours(10_000, NOW - DAY)}, ACTIVE[4:], None, False, id="all are in the last"),
        pytest.param(
            {"Submitted": Ours(5, NOW - 60), "Scheduled": Ours(5, NOW - 90), "InProgress": Ours(9990, NOW - DAY)},
            ACTIVE[3:],
            90,
            False,
            id="a few are young: a window for them",
        ),
        pytest.param(
            {"Submitted": Ours(5, NOW - DAY), "InProgress": Ours(9995, NOW - DAY)}, ACTIVE, None, True, id="one is old"
        ),
        pytest.param({"": Ours(5, None), "InProgress": Ours(9995, NOW - DAY)}, ACTIVE, None, True, id="age not known"),
        pytest.param(
            {"Dreaming": Ours(5, NOW - 9), "InProgress": Ours(9995, NOW - DAY)}, ACTIVE[3:], 9, False, id="new status"
        ),
        pytest.param({}, ACTIVE, None, True, id="nothing is known"),
    ],
)
def test_statuses_that_none_of_ours_can_be_in_are_left_out(
    ours: dict[str, Ours], statuses: tuple[str, ...], window_s: float | None, complete: bool
) -> None:
    scan = choose(KINDS[BATCH], facts(**MANY, ours=ours), counted(LONG, DAY))
    reach_s = None if scan.after is None else NOW - scan.after
    assert (scan.statuses, reach_s, scan.complete_for_slots) == (statuses, window_s, complete)


def test_for_slots_every_active_status_is_read_whatever_ours_are_in() -> None:
    scan = choose(
        KINDS[BATCH], facts(**MANY, slots=True, ours={"InProgress": Ours(10_000, NOW - DAY)}), counted(LONG, DAY)
    )
    assert (scan.statuses, scan.complete_for_slots) == (ACTIVE, True)


def test_a_window_of_unknown_length_may_not_cost_more_than_the_surer_way() -> None:
    assert choose(KINDS[BATCH], facts(), Counted()).pages_max == 5
    assert choose(KINDS[PROMPT], facts(live=3), Counted()).pages_max == 3
    assert choose(KINDS[BATCH], facts(first=True), Counted()).pages_max is None
    assert choose(KINDS[PROMPT], facts(slots=True), Counted()).pages_max is None


def test_a_busy_status_is_forgotten_and_tried_again() -> None:
    known = counted({Plan.WINDOW: 9})
    known.count_status("InProgress", NOW, 30)
    assert choose(KINDS[BATCH], facts(), known).plan is Plan.WINDOW
    assert choose(KINDS[BATCH], facts(now=NOW + FORGET_S + 1), known).plan is Plan.STATUSES


@pytest.mark.parametrize(
    ("oldest", "plan"),
    [
        pytest.param(NOW - 2 * HOUR, Plan.STATUSES, id="what was counted, and more"),
        pytest.param(NOW - HOUR, Plan.STATUSES, id="what was counted"),
        pytest.param(NOW - HOUR / 4, Plan.WINDOW, id="the last part of it"),
        pytest.param(NOW + HOUR, Plan.WINDOW, id="later: nobody knows"),
    ],
)
def test_a_window_has_at_least_the_pages_that_were_counted_in_it(oldest: float, plan: Plan) -> None:
    moved = facts(oldest=oldest, now=NOW + 2 * HOUR)
    assert choose(KINDS[BATCH], moved, counted({Plan.WINDOW: 12})).plan is plan


def test_a_busy_status_makes_the_window_cheaper() -> None:
    """Other people's jobs: 30,000 of them in progress, and a quiet last hour."""
    known = counted({Plan.WINDOW: 6})
    known.count_status("InProgress", NOW, 30)
    assert choose(KINDS[BATCH], facts(), known).plan is Plan.WINDOW
