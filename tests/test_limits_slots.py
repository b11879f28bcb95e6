import json
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.limits import Slots, SlotsState

MODEL, LANE, BLUEPRINT = "model", "lane", "blueprint:b"
PARKED = frozenset({MODEL})


def slots(*, model: int = 20) -> Slots:
    ceilings = {MODEL: model, LANE: 5, BLUEPRINT: 1}
    return Slots(lambda key: ceilings.get(key, 1))


def occupied(count: int, *, model: int = 20) -> Slots:
    taken = slots(model=model)
    for job in range(count):
        taken.occupy(job, (MODEL,))
    return taken


def parked_at(count: int, *, model: int = 20) -> Slots:
    """So many active, one more refused at the time 0."""
    taken = occupied(count + 1, model=model)
    taken.refused((MODEL,), 0.0, job=count)
    return taken


def test_used_is_ours_and_theirs() -> None:
    taken = occupied(3)
    taken.foreign({MODEL: {"a", "b"}, LANE: {"c"}})
    assert (taken.used(MODEL), taken.used(LANE), taken.free((MODEL,))) == (5, 1, 15)


def test_occupying_twice_is_occupying_once() -> None:
    taken = slots()
    for _ in range(2):
        taken.occupy(1, (LANE, BLUEPRINT))
    assert (taken.used(LANE), taken.used(BLUEPRINT), taken.occupied_by(1)) == (1, 1, (LANE, BLUEPRINT))


def test_occupying_with_other_keys_moves_the_job() -> None:
    taken = slots()
    taken.occupy(1, (LANE, BLUEPRINT))
    taken.occupy(1, (MODEL,))
    assert (taken.used(LANE), taken.used(BLUEPRINT), taken.used(MODEL)) == (0, 0, 1)


def test_a_job_of_several_keys_needs_room_in_all() -> None:
    taken = slots()
    assert taken.free((LANE, BLUEPRINT)) == 1
    taken.occupy(1, (LANE, BLUEPRINT))
    assert taken.free((LANE, BLUEPRINT)) == 0
    assert taken.free((LANE, "blueprint:other")) == 1
    assert taken.free((LANE,)) == 4
    taken.release(1)
    assert taken.free((LANE, BLUEPRINT)) == 1


def test_more_than_the_ceiling_may_run_and_none_is_free() -> None:
    taken = occupied(25)
    assert (taken.used(MODEL), taken.free((MODEL,))) == (25, 0)


def test_releasing_the_unknown_is_harmless() -> None:
    taken = occupied(2)
    assert taken.release(99) == frozenset()
    assert taken.release(0) == taken.release(0) == frozenset()
    assert taken.used(MODEL) == 1


def test_a_complete_pass_replaces_all_foreign_jobs() -> None:
    taken = slots()
    taken.foreign({MODEL: {"a", "b"}, LANE: {"c"}})
    taken.foreign({LANE: {"d"}})
    assert (taken.used(MODEL), taken.used(LANE)) == (0, 1)
    taken.foreign_ended({"d", "unknown"})
    assert taken.used(LANE) == 0


def test_the_pass_may_go_on_changing_its_own_sets() -> None:
    taken, seen = slots(), {"a"}
    taken.foreign({MODEL: seen})
    seen.add("b")
    assert taken.used(MODEL) == 1


@pytest.mark.parametrize(
    ("active", "foreign", "learned"),
    [
        pytest.param(4, 0, 4, id="ours"),
        pytest.param(2, 3, 5, id="with foreign ones"),
        pytest.param(0, 0, 1, id="never below one"),
        pytest.param(30, 0, 20, id="never above the configured"),
    ],
)
def test_a_refusal_teaches_what_was_used(active: int, foreign: int, learned: int) -> None:
    taken = occupied(active + 1)
    taken.foreign({MODEL: {f"arn-{number}" for number in range(foreign)}})
    assert taken.refused((MODEL,), 0.0, job=0) is (learned < 20)
    assert taken.ceiling(MODEL) == learned
    assert taken.parked() == {MODEL}
    assert taken.free((MODEL,)) == 0


def test_a_refused_job_may_keep_its_slot() -> None:
    taken = occupied(5)
    assert taken.refused((MODEL,), 0.0)
    assert (taken.ceiling(MODEL), taken.used(MODEL)) == (4, 5)
    assert taken.release(4) == frozenset()
    assert taken.parked() == {MODEL}


def test_a_refusal_parks_the_first_key_alone() -> None:
    taken = slots()
    taken.occupy(1, (LANE, BLUEPRINT))
    taken.refused((LANE, BLUEPRINT), 0.0, job=1)
    assert taken.parked() == {LANE}
    assert taken.free((MODEL,)) == 20


def test_a_flight_of_refusals_teaches_what_is_left() -> None:
    taken = occupied(12)
    for job in range(5, 12):
        taken.refused((MODEL,), 0.0, job=job)
    assert (taken.ceiling(MODEL), taken.used(MODEL), taken.parked()) == (5, 5, PARKED)


@pytest.mark.parametrize(
    "free",
    [
        pytest.param(lambda taken: taken.release(0), id="ours"),
        pytest.param(lambda taken: taken.foreign({MODEL: {"a"}}), id="a pass"),
        pytest.param(lambda taken: taken.foreign_ended(["b"]), id="seen ended"),
    ],
)
def test_a_freed_slot_wakes_its_key(free: Callable[[Slots], frozenset[str]]) -> None:
    taken = occupied(4)
    taken.foreign({MODEL: {"a", "b"}})
    taken.refused((MODEL,), 0.0, job=3)
    taken.foreign({MODEL: {"a", "b"}})
    assert taken.parked() == {MODEL}
    assert free(taken) == {MODEL}
    assert (taken.parked(), taken.free((MODEL,))) == (frozenset(), 1)


def test_a_pass_that_frees_nothing_wakes_nothing() -> None:
    taken = occupied(1)
    taken.refused((MODEL,), 0.0, job=0)
    assert taken.foreign({}) == frozenset()
    assert taken.parked() == {MODEL}


def test_an_end_in_another_key_wakes_nothing() -> None:
    taken = parked_at(4)
    taken.occupy(100, (LANE,))
    assert taken.release(100) == frozenset()
    assert taken.parked() == {MODEL}


@pytest.mark.parametrize(
    ("jitter", "early", "due"),
    [
        pytest.param(0.0, 44.9, 45.0, id="least"),
        pytest.param(0.5, 59.9, 60.0, id="middle"),
        pytest.param(1.0, 74.9, 75.0, id="most"),
    ],
)
def test_probes_are_slow_and_spread(jitter: float, early: float, due: float) -> None:
    taken = occupied(5)
    taken.refused((MODEL,), 0.0, job=4, jitter=jitter)
    assert taken.probe_due(early) == frozenset()
    assert taken.probe_due(due) == {MODEL}


def test_a_probe_admits_one_above_the_learned_ceiling() -> None:
    taken = parked_at(4)
    taken.probe(MODEL, 60.0)
    assert (taken.free((MODEL,)), taken.ceiling(MODEL)) == (1, 4)
    taken.occupy(50, (MODEL,))
    assert taken.free((MODEL,)) == 0
    assert taken.probe_due(60.0) == frozenset()
    assert taken.admitted((MODEL,))
    assert (taken.ceiling(MODEL), taken.parked(), taken.free((MODEL,))) == (5, frozenset(), 0)


def test_a_refused_probe_waits_for_the_next() -> None:
    taken = parked_at(4)
    taken.probe(MODEL, 60.0)
    taken.occupy(50, (MODEL,))
    assert not taken.refused((MODEL,), 61.0, job=50)
    assert (taken.ceiling(MODEL), taken.parked(), taken.free((MODEL,))) == (4, PARKED, 0)
    assert taken.probe_due(120.0) == frozenset()
    assert taken.probe_due(121.0) == {MODEL}


def test_a_probe_that_said_nothing_leaves_the_key_parked() -> None:
    taken = parked_at(4)
    taken.probe(MODEL, 60.0)
    taken.occupy(50, (MODEL,))
    assert taken.release(50) == frozenset()
    assert (taken.parked(), taken.free((MODEL,))) == (PARKED, 0)
    assert taken.probe_due(120.0) == {MODEL}


def test_a_probe_of_unknown_outcome_blocks_nobody() -> None:
    taken = parked_at(4)
    taken.probe(MODEL, 60.0)
    taken.occupy(50, (MODEL,))
    assert taken.probe_due(120.0) == {MODEL}
    assert taken.release(0) == {MODEL}


def test_a_learned_ceiling_is_probed_while_nothing_is_parked() -> None:
    taken = parked_at(4)
    taken.release(0)
    assert taken.probe_due(60.0) == frozenset()
    taken.occupy(0, (MODEL,))
    assert taken.parked() == frozenset()
    assert taken.probe_due(60.0) == {MODEL}


def test_a_probe_never_goes_above_the_configured_ceiling() -> None:
    taken = parked_at(20)
    assert taken.probe_due(1000.0) == frozenset()
    taken.probe(MODEL, 1000.0)
    assert taken.free((MODEL,)) == 0
    assert taken.release(0) == {MODEL}
    assert taken.free((MODEL,)) == 1


def test_creates_that_succeed_raise_the_ceiling_to_the_configured() -> None:
    taken = parked_at(1, model=3)
    for now, job in ((60.0, 50), (120.0, 51)):
        assert taken.probe_due(now) == {MODEL}
        taken.probe(MODEL, now)
        taken.occupy(job, (MODEL,))
        assert taken.admitted((MODEL,))
    assert taken.ceiling(MODEL) == 3
    assert taken.probe_due(1000.0) == frozenset()
    assert taken.state() == SlotsState()


def test_a_success_within_the_ceiling_changes_nothing() -> None:
    taken = occupied(2)
    assert not taken.admitted((MODEL,))


def test_a_word_from_outside_unparks() -> None:
    taken = parked_at(4)
    taken.release(0)
    taken.occupy(60, (MODEL,))
    taken.refused((MODEL,), 5.0)
    taken.unpark(MODEL)
    taken.unpark("never seen")
    assert taken.parked() == frozenset()


def test_what_was_learned_survives_a_restart() -> None:
    before = parked_at(4)
    state = SlotsState.parsed(json.loads(json.dumps(asdict(before.state()))))
    after = Slots.restored(lambda _: 20, state, now=1000.0)
    for job in range(4):
        after.occupy(job, (MODEL,))
    assert (after.ceiling(MODEL), after.parked(), after.free((MODEL,))) == (4, PARKED, 0)
    assert after.probe_due(1059.0) == frozenset()
    assert after.probe_due(1060.0) == {MODEL}
    assert after.release(0) == {MODEL}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({}, id="empty"),
        pytest.param({"learned": [], "parked": "model"}, id="wrong shapes"),
        pytest.param({"learned": {MODEL: 0}}, id="none"),
        pytest.param({"learned": {MODEL: -3}}, id="negative"),
        pytest.param({"learned": {MODEL: True}}, id="flag"),
        pytest.param({"learned": {MODEL: 1.5}}, id="fraction"),
        pytest.param({"learned": {MODEL: "4"}}, id="text"),
        pytest.param({"learned": {MODEL: 10**30}}, id="above the configured"),
        pytest.param({"parked": [1, None]}, id="keys that are none"),
    ],
)
def test_absurd_state_is_not_trusted(raw: dict[str, Any]) -> None:
    taken = Slots.restored(lambda _: 20, SlotsState.parsed(raw), now=0.0)
    assert (taken.ceiling(MODEL), taken.parked(), taken.free((MODEL,))) == (20, frozenset(), 20)


def test_a_hundred_thousand_jobs_fit_in_twelve_megabytes() -> None:
    tracemalloc.start()
    taken = Slots(lambda _: 100_000)
    for job in range(1_000_000, 1_100_000):
        taken.occupy(job, ("bedrock:amazon.nova-lite-v1:0",))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken.used("bedrock:amazon.nova-lite-v1:0") == 100_000
    assert size < 12_000_000


KEYS = st.sampled_from([(MODEL,), (LANE,), (LANE, BLUEPRINT), (LANE, "blueprint:c"), ("other",)])
ALL_KEYS = (MODEL, LANE, BLUEPRINT, "blueprint:c", "other")
JOBS = st.integers(0, 12)
IDENTITIES = st.sets(st.sampled_from("abcdef"))
CONFIGURED = {MODEL: 6, LANE: 4, BLUEPRINT: 1, "blueprint:c": 1, "other": 2}


class Quotas(RuleBasedStateMachine):
    """Any order of any steps, against sets that are kept beside."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(CONFIGURED.__getitem__)
        self.ours: dict[int, tuple[str, ...]] = {}
        self.theirs: dict[str, set[str]] = {}
        self.now = 0.0

    @rule(job=JOBS, keys=KEYS)
    def occupy(self, job: int, keys: tuple[str, ...]) -> None:
        self.slots.occupy(job, keys)
        self.ours[job] = keys

    @rule(job=JOBS)
    def release(self, job: int) -> None:
        woken = self.slots.release(job)
        assert woken <= set(self.ours.pop(job, ()))
        assert not woken & self.slots.parked()

    @rule(snapshot=st.dictionaries(st.sampled_from(ALL_KEYS), IDENTITIES))
    def complete_pass(self, snapshot: dict[str, set[str]]) -> None:
        self.slots.foreign(snapshot)
        self.theirs = {key: set(identities) for key, identities in snapshot.items()}

    @rule(identities=IDENTITIES)
    def ended(self, identities: set[str]) -> None:
        self.slots.foreign_ended(identities)
        self.theirs = {key: active - identities for key, active in self.theirs.items()}

    @rule(job=JOBS, release=st.booleans(), jitter=st.floats(0, 1))
    def refused(self, job: int, release: bool, jitter: float) -> None:
        if job in self.ours:
            keys, before = self.ours[job], self.slots.ceiling(self.ours[job][0])
            changed = self.slots.refused(keys, self.now, job=job if release else None, jitter=jitter)
            assert changed == (self.slots.ceiling(keys[0]) != before)
            assert keys[0] in self.slots.parked()
            if release:
                del self.ours[job]

    @rule(job=JOBS)
    def admitted(self, job: int) -> None:
        if job in self.ours:
            self.slots.admitted(self.ours[job])
            assert not self.slots.parked() & set(self.ours[job])

    @rule(seconds=st.floats(0, 100), jitter=st.floats(0, 1))
    def probe(self, seconds: float, jitter: float) -> None:
        self.now += seconds
        for key in self.slots.probe_due(self.now):
            assert self.slots.free((key,)) == 0
            self.slots.probe(key, self.now, jitter)
            assert self.slots.free((key,)) == 1
            assert key not in self.slots.probe_due(self.now + 1000)

    @rule()
    def restart(self) -> None:
        state = SlotsState.parsed(json.loads(json.dumps(asdict(self.slots.state()))))
        parked = self.slots.parked()
        self.slots = Slots.restored(CONFIGURED.__getitem__, state, self.now)
        assert self.slots.parked() == parked
        for job, keys in self.ours.items():
            self.slots.occupy(job, keys)
        self.slots.foreign(self.theirs)

    @invariant()
    def counts_are_true(self) -> None:
        for key in ALL_KEYS:
            ours = sum(key in keys for keys in self.ours.values())
            used = self.slots.used(key)
            assert used == ours + len(self.theirs.get(key, ()))
            assert 1 <= self.slots.ceiling(key) <= CONFIGURED[key]
            assert 0 <= self.slots.free((key,)) <= max(0, CONFIGURED[key] - used)

    @invariant()
    def every_job_is_where_it_was_put(self) -> None:
        for job in range(13):
            assert self.slots.occupied_by(job) == self.ours.get(job, ())

    @invariant()
    def what_is_parked_can_wake(self) -> None:
        for key in self.slots.parked():
            can_probe = key in self.slots.probe_due(self.now + 1000) or self.slots.free((key,)) == 1
            assert can_probe or self.slots.used(key) >= CONFIGURED[key]


TestQuotas = Quotas.TestCase
TestQuotas.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
