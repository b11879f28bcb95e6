import json
import math
from collections.abc import Callable
from dataclasses import asdict
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controller.limits import RateLimiter, RateState, full_jitter
from controller.limits.curve import Curve
from controller.limits.learned import LearnedLimit


def cut(limiter: RateLimiter, times: int, begin: float = 0.0, apart: float = 1.0) -> float:
    """So many refusals without one success; returns the time of the last."""
    now = begin
    for _ in range(times):
        now += apart
        assert limiter.throttled(now, now)
    return now


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    limiter = RateLimiter(2, 4)
    assert [limiter.reserve(10.0) for _ in range(7)] == pytest.approx([0, 0, 0, 0, 0.5, 1.0, 1.5])
    assert limiter.delay(10.5) == pytest.approx(1.5)
    assert limiter.delay(12.0) == 0


def test_delay_books_nothing() -> None:
    limiter = RateLimiter(1, 1)
    limiter.reserve(0.0)
    assert [limiter.delay(0.0) for _ in range(3)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("rate", "burst"),
    [
        pytest.param(0.0, 1, id="no rate"),
        pytest.param(-1.0, 1, id="negative"),
        pytest.param(math.nan, 1, id="not a number"),
        pytest.param(math.inf, 1, id="infinite"),
        pytest.param(1.0, 0, id="no burst"),
    ],
)
def test_a_limit_that_lets_nothing_through_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="a rate above 0 and a burst of at least 1"):
        RateLimiter(rate, burst)


def test_one_flight_cuts_once() -> None:
    limiter = RateLimiter(10, 5)
    assert limiter.throttled(sent_at=1.0, now=1.5)
    assert limiter.present_rate(1.5) == pytest.approx(7)
    assert not limiter.throttled(sent_at=1.4, now=1.6)
    assert not limiter.throttled(sent_at=1.5, now=1.6)
    assert limiter.present_rate(1.6) == pytest.approx(7)
    assert limiter.throttled(sent_at=1.55, now=1.7)
    assert limiter.present_rate(1.7) == pytest.approx(4.9)


def test_a_cut_empties_the_burst() -> None:
    limiter = RateLimiter(10, 5)
    limiter.throttled(1.0, 1.0)
    assert limiter.delay(1.0) == pytest.approx(1 / 7, rel=0.01)


def test_the_floor_is_a_hundredth_of_the_ceiling_and_no_deadlock() -> None:
    limiter = RateLimiter(2, 4)
    now = cut(limiter, 100)
    assert limiter.present_rate(now) == pytest.approx(0.02)
    assert 20 < limiter.delay(now) < 30


@pytest.mark.parametrize("cuts", [1, 2, 5, 100])
@pytest.mark.parametrize("ceiling", [0.1, 2.0, 50.0])
@pytest.mark.parametrize("verdict", [True, False])
def test_forty_quiet_seconds_bring_back_the_ceiling(ceiling: float, cuts: int, verdict: bool) -> None:
    limiter = RateLimiter(ceiling, 4)
    now = cut(limiter, cuts)
    if verdict:
        limiter.succeeded(now + 0.1)
    assert limiter.present_rate(now + 0.2) < ceiling
    assert limiter.present_rate(now + 40.2) == ceiling


def test_a_success_of_a_call_sent_before_the_cut_starts_no_rise() -> None:
    limiter = RateLimiter(2, 4)
    now = cut(limiter, 20)
    limiter.succeeded(now + 1, sent_at=now - 1)
    assert limiter.present_rate(now + 5) == pytest.approx(0.02)
    limiter.succeeded(now + 1, sent_at=now + 0.5)
    assert limiter.present_rate(now + 5) > 0.02


def test_the_burst_comes_back_with_the_ceiling() -> None:
    limiter = RateLimiter(2, 4)
    limiter.throttled(1.0, 1.0)
    assert [limiter.reserve(8.0) == 0 for _ in range(2)] == [True, False]
    assert [limiter.reserve(60.0) == 0 for _ in range(5)] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("before", "refused", "accepted", "elapsed", "after"),
    [
        pytest.param(LearnedLimit(), 2.0, 9, 9.0, LearnedLimit(2.0), id="first"),
        pytest.param(LearnedLimit(1.0, 3), 0.7, 0, 1.0, LearnedLimit(0.7), id="nothing passes"),
        pytest.param(LearnedLimit(0.2, 3), 0.7, 0, 1.0, LearnedLimit(0.2), id="nothing passes, lower known"),
        pytest.param(LearnedLimit(1.0, 3), 1.05, 99, 99.0, LearnedLimit(1.05, 4), id="met again"),
        pytest.param(LearnedLimit(1.0, 0), 1.05, 2, 2.0, LearnedLimit(1.05, 1), id="met again soon"),
        pytest.param(LearnedLimit(1.0, 3), 0.95, 90, 100.0, LearnedLimit(0.905, 4), id="too high: measured"),
        pytest.param(LearnedLimit(1.0, 3), 0.9, 2, 100.0, LearnedLimit(0.63, 3), id="measured while idle"),
        pytest.param(LearnedLimit(1.0, 3), 1.9, 99, 99.0, LearnedLimit(1.9, 3, 1.0), id="far above: doubted"),
        pytest.param(LearnedLimit(1.0, 0), 1.9, 99, 99.0, LearnedLimit(1.9), id="far above one never confirmed"),
        pytest.param(LearnedLimit(1.9, 3, 1.0), 1.3, 2, 2.0, LearnedLimit(1.05, 4), id="doubted and true"),
        pytest.param(LearnedLimit(1.9, 3, 1.0), 1.9, 50, 30.0, LearnedLimit(1.9, 4), id="doubted and outdated"),
        pytest.param(LearnedLimit(1.0, 10), 1.0, 99, 99.0, LearnedLimit(1.0, 10), id="as sure as can be"),
    ],
)
def test_what_a_refusal_teaches(
    before: LearnedLimit, refused: float, accepted: int, elapsed: float, after: LearnedLimit
) -> None:
    learned = before.after_refusal(refused, accepted, elapsed)
    assert learned.rate == pytest.approx(after.rate)
    assert (learned.confirmed, learned.doubted) == (after.confirmed, after.doubted)


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        pytest.param(LearnedLimit(), 0, id="unknown"),
        pytest.param(LearnedLimit(1.0), 0, id="met once"),
        pytest.param(LearnedLimit(1.0, 1), 20, id="met twice"),
        pytest.param(LearnedLimit(1.0, 3), 80, id="again"),
        pytest.param(LearnedLimit(1.0, 10), 300, id="three hundred calls"),
        pytest.param(LearnedLimit(50.0, 10), 40, id="quick calls"),
        pytest.param(LearnedLimit(0.01, 10), 600, id="slow calls"),
    ],
)
def test_how_long_a_limit_is_believed(limit: LearnedLimit, seconds: float) -> None:
    assert limit.hold_s == seconds


def test_what_was_learned_survives_a_restart() -> None:
    limiter = RateLimiter(10, 5)
    now = cut(limiter, 3)
    stored = json.loads(json.dumps(asdict(limiter.state(now + 1))))
    state = RateState.parsed(stored)
    assert state is not None
    assert state.since_cut_s == pytest.approx(1)
    again = RateLimiter.restored(10, 5, state, now=5000.0)
    assert again.present_rate(5000.0) == pytest.approx(limiter.present_rate(now + 1))
    assert again.state(5000.0).learned == limiter.state(now).learned
    assert again.delay(5000.0) > 0
    assert again.present_rate(5040.0) == 10


def test_a_rate_that_has_recovered_has_nothing_new_to_store() -> None:
    limiter = RateLimiter(10, 5)
    now = cut(limiter, 3)
    assert limiter.state(now + 1) != limiter.state(now + 2)
    assert limiter.state(now + 60) == limiter.state(now + 90)
    assert limiter.state(now + 60).learned is not None


@pytest.mark.parametrize(
    ("raw", "rate"),
    [
        pytest.param({"rate": 1e9, "learned": None, "confirmed": 0}, 10, id="above the ceiling"),
        pytest.param({"rate": 1e-9, "learned": 1e-9, "confirmed": 0}, 0.1, id="below the floor"),
        pytest.param({"rate": 10, "learned": 1e9, "confirmed": 10**9, "since_cut_s": -5}, 10, id="absurd limit"),
        pytest.param({"rate": 5, "learned": "3", "confirmed": -1, "since_cut_s": math.nan}, 5, id="wrong types"),
    ],
)
def test_absurd_state_is_not_trusted(raw: dict[str, Any], rate: float) -> None:
    state = RateState.parsed(raw)
    assert state is not None
    limiter = RateLimiter.restored(10, 5, state, now=100.0)
    assert limiter.present_rate(100.0) == pytest.approx(rate)
    assert limiter.state(100.0).learned is None
    assert limiter.present_rate(140.0) == 10


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({}, id="empty"),
        pytest.param({"rate": None, "confirmed": 0}, id="no rate"),
        pytest.param({"rate": True, "confirmed": 0}, id="flag"),
        pytest.param({"rate": math.inf, "confirmed": 0}, id="infinite"),
        pytest.param({"rate": 1.0, "confirmed": "many"}, id="no number"),
    ],
)
def test_what_is_no_state_is_none(raw: dict[str, Any]) -> None:
    assert RateState.parsed(raw) is None


@pytest.mark.parametrize(
    ("attempt", "most"),
    [
        pytest.param(0, 1.0, id="first"),
        pytest.param(3, 8.0, id="doubled"),
        pytest.param(10, 30.0, id="ceiling"),
        pytest.param(10**9, 30.0, id="no overflow"),
        pytest.param(-1, 1.0, id="negative"),
    ],
)
def test_full_jitter_fills_its_range(attempt: int, most: float) -> None:
    chance = Random(1)
    delays = [full_jitter(1.0, attempt, 30.0, chance) for _ in range(500)]
    assert 0 <= min(delays) < 0.05 * most
    assert 0.95 * most < max(delays) <= most


knot_lists = st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.01, 20.0)), min_size=1, max_size=6)


@given(knots=knot_lists, begin=st.floats(0.0, 300.0), calls=st.floats(0.001, 50.0))
def test_waiting_is_the_inverse_of_counting(knots: list[tuple[float, float]], begin: float, calls: float) -> None:
    at, ascending = 0.0, []
    for gap, rate in knots:
        at += gap + 0.01
        ascending.append((at, rate))
    curve = Curve(tuple(ascending))
    wait = curve.wait(begin, calls)
    assert curve.calls(begin, begin + wait) == pytest.approx(calls, rel=1e-6)


class Pace(RuleBasedStateMachine):
    """A patient caller: waits for each call, while refusals, successes and pauses come as they like."""

    limiter: RateLimiter
    rate: float
    burst: int

    @initialize(rate=st.floats(0.05, 50.0), burst=st.integers(1, 20))
    def begin(self, rate: float, burst: int) -> None:
        self.limiter, self.rate, self.burst = RateLimiter(rate, burst), rate, burst
        self.now = 0.0
        self.sent: list[float] = []

    @rule(calls=st.integers(1, 30))
    def call(self, calls: int) -> None:
        for _ in range(calls):
            self.now += self.limiter.delay(self.now)
            assert self.limiter.reserve(self.now) == 0
            self.sent.append(self.now)

    @rule(calls=st.integers(1, 10))
    def book_ahead(self, calls: int) -> None:
        self.sent += [self.now + self.limiter.reserve(self.now) for _ in range(calls)]
        self.now = self.sent[-1]

    @rule(seconds=st.floats(0.0, 100.0))
    def pause(self, seconds: float) -> None:
        self.now += seconds

    @rule(age=st.floats(0.0, 5.0))
    def refused(self, age: float) -> None:
        before = self.limiter.present_rate(self.now)
        if self.limiter.throttled(self.now - age, self.now):
            assert self.limiter.present_rate(self.now) <= max(0.7 * before, 0.01 * self.rate) * (1 + 1e-9)

    @rule()
    def succeeded(self) -> None:
        self.limiter.succeeded(self.now)

    @rule()
    def restart(self) -> None:
        self.limiter = RateLimiter.restored(self.rate, self.burst, self.limiter.state(self.now), self.now)
        # A process that starts knows of no call before it, and may send one at once.
        self.sent.clear()

    @invariant()
    def delay_is_bounded(self) -> None:
        delay = self.limiter.delay(self.now)
        assert 0 <= delay <= min(110 / self.rate, 700 + 1 / self.rate)

    @invariant()
    def rate_is_bounded(self) -> None:
        assert 0.01 * self.rate * (1 - 1e-9) <= self.limiter.present_rate(self.now) <= self.rate * (1 + 1e-9)

    @invariant()
    def no_window_holds_too_many(self) -> None:
        last = len(self.sent) - 1
        for first in range(last):
            fits = self.rate * (self.sent[last] - self.sent[first]) + self.burst
            assert last - first + 1 <= fits + 1e-6


TestPace = Pace.TestCase
TestPace.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda limiter, now: limiter.throttled(now, now), id="refused"),
        pytest.param(lambda limiter, now: limiter.succeeded(now), id="succeeded"),
    ],
)
def test_steps_before_any_call_are_harmless(step: Callable[[RateLimiter, float], object]) -> None:
    limiter = RateLimiter(2, 4)
    step(limiter, 0.0)
    assert limiter.delay(0.0) <= 1.0
