"""Slots, rates and calls are used well: the real daemon against the simulator, on virtual time, at default settings."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from controller.store import Selection
from tests import using
from tests.documents import BATCH
from tests.reliability.stage import Stage, perform

Record = Callable[[str, object], None]
ESTIMATED_WITHIN = 0.25
"""By how much an estimate may be wrong, as a part of what then comes."""


def test_slots_stay_full_while_work_waits(quick_folder: Path, record_property: Record) -> None:
    facts = using.use_of_slots(quick_folder, rounds=5)
    record_property("slots", str(facts))
    assert facts["use"] >= 0.95
    assert facts["gets"] <= 2  # a Get where a single job is to be read; never one for each


@pytest.mark.parametrize(
    ("ceiling", "use"),
    [
        pytest.param(50.0, 0.98, id="the limit is set"),
        pytest.param(80.0, 0.90, id="the limit must be found out"),
    ],
)
def test_an_allowed_rate_is_used(quick_folder: Path, record_property: Record, ceiling: float, use: float) -> None:
    facts = using.use_of_rate(quick_folder, allowed=50, ceiling=ceiling, seconds=20)
    record_property("rate", str(facts))
    assert facts["use"] >= use
    assert facts["throttled"] < 0.01


def test_a_pass_reads_what_runs_and_not_the_history(quick_folder: Path, record_property: Record) -> None:
    """A page holds a fiftieth of what it does at AWS, and so do the numbers of jobs: 10,000 among 200,000."""
    facts = using.reads_of_passes(quick_folder, running=200, finished=4000, page=20, passes=3)
    record_property("reads", str(facts))
    assert max(facts["lists"]) <= 12
    assert facts["gets"] == 0


def test_an_end_is_seen_within_the_interval(quick_folder: Path, record_property: Record) -> None:
    late = using.lateness(quick_folder, jobs=40)
    record_property("late", f"{late[0]:.1f}..{late[-1]:.1f} s")
    assert late[-1] <= 31


@pytest.mark.parametrize("jobs", [pytest.param(10, id="slots are free"), pytest.param(20, id="just full")])
def test_a_lane_whose_work_waits_for_nothing_reads_at_the_interval(quick_folder: Path, jobs: int) -> None:
    async def scene(stage: Stage) -> None:
        await using.send(stage, jobs)
        await stage.pass_time(100)
        before = stage.calls(using.LIST)
        await stage.pass_time(300)
        assert stage.calls(using.LIST) - before <= 11

    limits = {BATCH: {**using.DEFAULTS, "jobs": 20}}
    perform(quick_folder, scene, limits=limits, options={"durations": using.lives(3600)})


def test_groups_wait_for_their_turn_and_not_for_each_other(quick_folder: Path, record_property: Record) -> None:
    """One of three dumps 500 jobs, 25 rounds of the slots; the others' twenty go in turn with its next twenty."""
    facts = using.waiting_of_groups(quick_folder, dumped=500, others=20)
    record_property("groups", str(facts))
    assert facts["dumped_meanwhile"] <= 22
    assert max(facts["waited"].values()) <= 240
    for group, waited in facts["waited"].items():
        estimated = facts["estimated"][group]
        assert estimated["position"] <= 62
        assert estimated["etaSeconds"] == pytest.approx(waited, rel=ESTIMATED_WITHIN)
    assert facts["all"] >= 1200


def test_a_slot_that_a_pass_saw_free_is_taken_at_once(quick_folder: Path) -> None:
    """AWS admits three, the settings thirty: the key is parked, and wakes with the pass that shows an end."""

    async def scene(stage: Stage) -> None:
        await using.send(stage, 24)
        await stage.until(lambda: stage.told("lane.quota_full") == 1, 60, "it is full")
        await stage.until(lambda: stage.told("job.succeeded") >= 12, 3600, "half are done")
        created = [entry.at for entry in stage.creates()]
        ended = [event["time"] for event in stage.events() if event["type"] == "ferryman.job.succeeded"][:9]
        for moment in (datetime.fromisoformat(time).timestamp() for time in ended):
            assert any(moment - 1 <= at <= moment + 5 for at in created), (moment, created)

    perform(
        quick_folder,
        scene,
        limits={BATCH: {**using.DEFAULTS, "jobs": 30}},
        options={"durations": using.lives(60), "quotas": {BATCH: {"*": 3}}},
    )


async def _estimate(stage: Stage, **labels: str) -> dict[str, object]:

    return dict(await stage.ferryman.estimate(Selection(labels=labels)))


def test_a_night_that_will_not_fit_is_seen_when_it_is_sent(quick_folder: Path, record_property: Record) -> None:
    """The estimate for a selection, against what came of it."""

    async def scene(stage: Stage) -> None:
        await using.send(stage, 25, "first")
        await using.until_succeeded(stage, 25)
        await using.send(stage, 30, "before", labels={"run": "early"})
        await using.send(stage, 40, "night", labels={"run": "nightly"})
        await stage.pass_time(1)
        sent = stage.elapsed
        began = stage.aws_now()
        estimate = await _estimate(stage, run="nightly")
        summary = await stage.ferryman.summary(fresh=True)
        (learned_s,) = stage.ferryman.lane_statuses()[f"default/{BATCH}"].median_s.values()
        assert estimate["waiting"] == 40
        assert (await _estimate(stage, run="nothing")) == {
            "waiting": 0,
            "running": 0,
            "etaSeconds": 0.0,
            "endSeconds": 0.0,
        }
        await using.until_succeeded(stage, 95)
        created = max(entry.at for entry in stage.creates()) - began
        stage.facts.update(estimate=estimate, took=stage.elapsed - sent, learned=learned_s)
        stage.facts.update(summary=summary["etaSeconds"], created=created)

    facts = perform(
        quick_folder,
        scene,
        limits={BATCH: {**using.DEFAULTS, "jobs": 20}},
        options={"durations": using.lives(60), "quotas": {BATCH: {"*": 20}}},
    )
    record_property("estimate", str(facts))
    assert facts["learned"] == pytest.approx(60, rel=0.1)  # and not when a pass saw the ends
    assert facts["summary"] == pytest.approx(facts["created"], rel=ESTIMATED_WITHIN)
    assert facts["estimate"]["etaSeconds"] == pytest.approx(facts["created"], rel=ESTIMATED_WITHIN)
    assert facts["estimate"]["endSeconds"] == pytest.approx(facts["took"], rel=ESTIMATED_WITHIN)
    assert facts["estimate"]["etaSeconds"] < facts["estimate"]["endSeconds"]
