import json
import math
from dataclasses import asdict
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.limits import Durations, DurationsState, ReadCadence, Spend, eta


def observed(*seconds: float) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.observe(each)
    return durations


def test_nothing_is_known_at_first() -> None:
    assert (Durations().median(), Durations().expected_remaining(5.0)) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "median"),
    [
        pytest.param([100.0], 100, id="one"),
        pytest.param([10.0, 100.0, 1000.0], 100, id="three"),
        pytest.param([600.0] * 20 + [1e9] * 5, 600, id="hung ones"),
        pytest.param([600.0] * 20 + [0.0] * 5, 600, id="instant ones"),
        pytest.param([600.0, math.nan, math.inf, -5.0], 600, id="no durations"),
        pytest.param([60.0] * 500 + [3600.0] * 100, 3600, id="the recent ones count"),
    ],
)
def test_the_median_is_robust(seconds: list[float], median: float) -> None:
    assert observed(*seconds).median() == pytest.approx(median, rel=0.05)


def test_the_median_of_a_wide_spread() -> None:
    chance = Random(3)
    seconds = [chance.lognormvariate(math.log(1800), 0.7) for _ in range(2000)]
    assert observed(*seconds).median() == pytest.approx(1800, rel=0.25)


@pytest.mark.parametrize(
    ("age", "remaining"),
    [
        pytest.param(0.0, 600, id="just begun"),
        pytest.param(-5.0, 600, id="clock behind"),
        pytest.param(300.0, 300, id="half way"),
        pytest.param(700.0, 2900, id="one of the long ones"),
        pytest.param(8000.0, 2000, id="longer than any"),
    ],
)
def test_what_a_job_still_takes(age: float, remaining: float) -> None:
    durations = observed(*[600.0] * 8, *[3600.0] * 3)
    assert durations.expected_remaining(age) == pytest.approx(remaining, rel=0.06)


@given(seconds=st.lists(st.floats(0, 1e9), min_size=1, max_size=300), age=st.floats(0, 1e9))
def test_estimates_are_never_negative_and_memory_is_bounded(seconds: list[float], age: float) -> None:
    durations = observed(*seconds)
    remaining, median = durations.expected_remaining(age), durations.median()
    assert remaining is not None
    assert remaining >= 0
    assert median is not None
    assert min(max(min(seconds), 1e-3), 4e7) * 0.9 <= median <= max([*seconds, 1e-3]) * 1.1
    assert len(durations.state().weights) <= 290


def test_durations_survive_a_restart() -> None:
    before = observed(10.0, 100.0, 1000.0, 0.001)
    raw = json.loads(json.dumps(asdict(before.state())))
    after = Durations.restored(DurationsState.parsed(raw))
    assert after.state() == before.state()
    assert after.median() == before.median()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({}, id="empty"),
        pytest.param({"weights": [1, 2]}, id="no mapping"),
        pytest.param({"weights": {"x": 1.0, "": 1.0, "99999": 1.0, "-9999": 1.0, "²": 1.0}}, id="no buckets"),
        pytest.param({"weights": {"8": math.nan, "16": -1.0, "24": 1e300, "32": "1", "40": True}}, id="no weights"),
    ],
)
def test_absurd_state_is_not_trusted(raw: dict[str, Any]) -> None:
    assert Durations.restored(DurationsState.parsed(raw)).median() is None


@pytest.mark.parametrize(
    ("position", "free", "slots", "median", "seconds"),
    [
        pytest.param(1, 1, 20, None, 0, id="a slot is free"),
        pytest.param(3, 5, 20, 600.0, 0, id="more slots than jobs before"),
        pytest.param(1, 0, 20, 600.0, 30, id="the next to end"),
        pytest.param(20, 0, 20, 600.0, 600, id="one round"),
        pytest.param(45, 5, 20, 600.0, 1200, id="after the free ones"),
        pytest.param(70, 20, 20, 60.0, 180, id="all are free: those created together end together"),
        pytest.param(25, 10, 20, 60.0, 60, id="half are free, and are taken again when their jobs end"),
        pytest.param(15, 10, 20, 60.0, 30, id="half are free, the others end one by one"),
        pytest.param(1, -5, 20, 600.0, 180, id="more are taken than there are"),
        pytest.param(1, 0, 20, None, None, id="durations unknown"),
        pytest.param(1, 0, 0, 600.0, None, id="no slots at all"),
    ],
)
def test_the_estimate_of_a_start(
    position: int, free: int, slots: int, median: float | None, seconds: float | None
) -> None:
    assert eta(position, free, slots, median) == seconds


def test_the_estimate_of_a_start_into_free_slots_is_paced_by_the_rate() -> None:
    assert [eta(position, 4, 4, 60.0, 2.0) for position in (1, 4, 5, 8, 9)] == [0, 6, 60, 66, 120]


MINUTES = (60.0,) * 20
HOURS = (3600.0,) * 20


@pytest.mark.parametrize(
    ("active", "waiting", "oldest", "learned", "seconds"),
    [
        pytest.param(False, False, None, [], None, id="nothing runs"),
        pytest.param(False, True, None, [], None, id="nothing runs, work waits"),
        pytest.param(True, False, 59.0, [MINUTES], 30, id="no one waits for a slot"),
        pytest.param(True, True, None, [], 10, id="all slots are other people's"),
        pytest.param(True, True, 20.0, [()], 2, id="nothing learned, young jobs"),
        pytest.param(True, True, 100.0, [()], 4, id="nothing learned, older jobs"),
        pytest.param(True, True, 9999.0, [()], 10, id="nothing learned, old jobs"),
        pytest.param(True, True, 5.0, [HOURS], 30, id="end far"),
        pytest.param(True, True, 40.0, [MINUTES], pytest.approx(7, abs=2.5), id="half way to a near end"),
        pytest.param(True, True, 59.0, [MINUTES], pytest.approx(2.4, rel=0.1), id="end at hand"),
        pytest.param(True, True, 3599.0, [HOURS], 10, id="end at hand, of long jobs"),
        pytest.param(True, True, 1e6, [MINUTES], pytest.approx(2.4, rel=0.1), id="one is overdue, the others go on"),
        pytest.param(True, True, 5.0, [HOURS, MINUTES], pytest.approx(25, abs=3), id="no end of either is near"),
        pytest.param(True, True, 59.0, [HOURS, MINUTES], pytest.approx(2.4, rel=0.1), id="an end of one is near"),
        pytest.param(True, True, 5.0, [HOURS, ()], 10, id="nothing learned of one"),
    ],
)
def test_when_the_next_pass_is_due(
    active: bool, waiting: bool, oldest: float | None, learned: list[tuple[float, ...]], seconds: Any
) -> None:
    durations = [observed(*each) for each in learned]
    cadence = ReadCadence(interval_s=30.0)
    assert cadence.next_pass(active=active, waiting=waiting, oldest_s=oldest, durations=durations) == seconds


@pytest.mark.parametrize(
    ("remaining", "seconds"),
    [
        pytest.param(None, 30, id="unknown"),
        pytest.param(0.0, 30, id="due"),
        pytest.param(40.0, 30, id="soon"),
        pytest.param(400.0, 200, id="half of what is left"),
        pytest.param(1e9, 600, id="never longer than"),
    ],
)
def test_when_one_job_is_read_again(remaining: float | None, seconds: float) -> None:
    assert ReadCadence(interval_s=30.0).next_get(remaining) == seconds


@pytest.mark.parametrize(
    ("spend", "day", "allowed"),
    [
        pytest.param(Spend(None), 100, None, id="no limit"),
        pytest.param(Spend(5), 100, 5, id="first day"),
        pytest.param(Spend(5, 100, 3), 100, 2, id="some left"),
        pytest.param(Spend(5, 100, 5), 100, 0, id="spent"),
        pytest.param(Spend(5, 100, 9), 100, 0, id="limit lowered since"),
        pytest.param(Spend(5, 100, 5), 101, 5, id="next day"),
        pytest.param(Spend(5, 100, 5), 99, 0, id="clock set back"),
        pytest.param(Spend(0), 100, 0, id="nothing at all"),
    ],
)
def test_what_may_still_be_spent(spend: Spend, day: int, allowed: int | None) -> None:
    assert spend.allowed(day) == allowed


@pytest.mark.parametrize(
    ("spend", "day", "after"),
    [
        pytest.param(Spend(5, 100, 3), 100, Spend(5, 100, 5), id="same day"),
        pytest.param(Spend(5, 100, 3), 101, Spend(5, 101, 2), id="next day"),
        pytest.param(Spend(5, 100, 3), 99, Spend(5, 100, 5), id="clock set back"),
    ],
)
def test_what_was_spent_is_counted(spend: Spend, day: int, after: Spend) -> None:
    assert spend.counted(day, 2) == after
