"""Rows of AWS and the host's clock, on virtual time: P17 to P23, P29."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from controller.model import Identity
from controller.simulator import Delay, Fault, Hang, Refuse, Throttle
from controller.store import EntryType
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, document, mixed, spec_of
from tests.reliability.forks import run_forked
from tests.reliability.stage import KEY, Stage, lose_power, perform

Record = Callable[[str, object], None]
SHORT = {
    BATCH: {"Submitted": (5, 5), "Validating": (5, 5), "Scheduled": (5, 5), "InProgress": (30, 60), "Stopping": (5, 5)},
    PROMPT: {"InProgress": (30, 60), "Stopping": (5, 5), "Deleting": (2, 2)},
    BLUEPRINT: {"Created": (5, 5), "InProgress": (30, 60)},
    RECOMMENDATION: {"CREATE PENDING": (5, 5), "CREATE IN_PROGRESS": (30, 60)},
}
CREATE = "CreateModelInvocationJob"
FINISHED = ("Succeeded",)


def test_p17_throttled_for_ten_minutes_then_half(quick_folder: Path, record_property: Record) -> None:
    """No call but the floor's while everything is throttled; then 90 % of what is allowed within a minute."""
    ceiling, allowed = 8.0, 4.0

    async def scene(stage: Stage) -> None:
        stage.simulator.faults.add(Fault(effect=Throttle(), operation=CREATE, times=None))
        await stage.send(document(BATCH, f"job-{n}", n) for n in range(600))
        await stage.pass_time(600)
        during = stage.calls(CREATE)
        stage.simulator.faults.clear()
        stage.simulator.configure(throttles={CREATE: {"rate": allowed, "burst": 2}})
        await stage.pass_time(60)
        before, tried = len(stage.creates()), stage.calls(CREATE)
        await stage.pass_time(60)
        made, calls = len(stage.creates()) - before, stage.calls(CREATE) - tried
        stage.facts.update(calls_while_throttled=during, share=made / (60 * allowed), calls_per_create=calls / made)
        stage.nothing_twice()
        assert {job["phase"] for job in (await stage.jobs()).values()} <= {
            "Pending",
            "Creating",
            "Running",
            "Succeeded",
        }

    facts = perform(
        quick_folder,
        scene,
        limits={BATCH: {"create": {"rate": ceiling, "burst": 8}, "jobs": 10_000}},
        options={"quotas": {BATCH: {"*": 10_000}}},
        kinds=[BATCH],
    )
    record_property("row", f"P17: {facts}")
    assert facts["calls_while_throttled"] <= 600 * ceiling / 100 * 2 + 40
    assert facts["share"] >= 0.9
    assert facts["calls_per_create"] <= 1.2


def test_p18_quota_full(quick_folder: Path, record_property: Record) -> None:
    """Forty jobs, settings that believe in 30 slots, and 3 at AWS: none fails, all run, refusals are few."""

    async def scene(stage: Stage) -> None:
        await stage.send(document(BATCH, f"job-{n}", 0, labels={"n": str(n)}) for n in range(40))
        await stage.until(lambda: stage.all_in(*FINISHED), 7200, "all succeed")
        stage.nothing_twice()
        stage.facts.update(creates=len(stage.creates()), refused=stage.calls(CREATE, "ServiceQuotaExceededException"))

    facts = perform(
        quick_folder,
        scene,
        limits={BATCH: {"jobs": 30}},
        options={"quotas": {BATCH: {"*": 3}}, "durations": SHORT},
        kinds=[BATCH],
    )
    record_property("row", f"P18: {facts}")
    assert facts["creates"] == 40
    assert facts["refused"] <= 60


def test_p19_quota_lowered_and_foreign_jobs(quick_folder: Path, record_property: Record) -> None:
    """AWS measures and does not enforce; others take 6 of 10 slots: never more than 10 are active together."""

    async def scene(stage: Stage) -> None:
        spec = {**spec_of(BATCH, 0), "jobName": "theirs"}
        stage.simulator.plant(BATCH, spec, region="us-east-1", count=6)
        await stage.send(document(BATCH, f"job-{n}", 0) for n in range(30))
        await stage.until(lambda: stage.all_in(*FINISHED), 7200, "all succeed")
        stage.nothing_twice()
        stage.facts.update(peak=max(stage.simulator.ledger.peaks.values()), creates=len(stage.creates()))

    facts = perform(
        quick_folder,
        scene,
        limits={BATCH: {"jobs": 10}},
        options={"enforce_quotas": False, "durations": SHORT},
        kinds=[BATCH],
    )
    record_property("row", f"P19: {facts}")
    assert facts["creates"] == 30
    assert facts["peak"] <= 10


def test_p19_the_quota_is_lowered_while_jobs_run(quick_folder: Path, record_property: Record) -> None:
    """From 10 to 4 in the middle, with refusals: nothing fails, and the rest goes on within 4."""

    async def scene(stage: Stage) -> None:
        await stage.send(document(BATCH, f"job-{n}", 0) for n in range(36))
        await stage.until(lambda: len(stage.creates()) >= 10, 60, "ten run")
        stage.simulator.configure(quotas={BATCH: {"*": 4}})
        await stage.until(lambda: stage.all_in(*FINISHED), 7200, "all succeed")
        stage.nothing_twice()
        refused = stage.calls(CREATE, "ServiceQuotaExceededException")
        stage.facts.update(creates=len(stage.creates()), refused=refused)

    facts = perform(
        quick_folder,
        scene,
        limits={BATCH: {"jobs": 10}},
        options={"quotas": {BATCH: {"*": 10}}, "durations": SHORT},
        kinds=[BATCH],
    )
    record_property("row", f"P19 lowered: {facts}")
    assert facts["creates"] == 36
    assert facts["refused"] <= 60


def test_p20_hung_sockets_on_one_operation(quick_folder: Path, record_property: Record) -> None:
    """Every Bedrock create hangs for five minutes: the other lanes finish as if nothing were; then Bedrock's do too."""

    async def scene(stage: Stage) -> None:
        stage.simulator.faults.add(Fault(effect=Hang(when="before"), operation=CREATE, times=None))
        others = [
            *(document(PROMPT, f"p-{n}", n) for n in range(20)),
            *(document(BLUEPRINT, f"b-{n}", n) for n in range(8)),
        ]
        await stage.send([*others, *(document(RECOMMENDATION, f"r-{n}", n) for n in range(5))])
        await stage.send(document(BATCH, f"job-{n}", n) for n in range(40))

        async def others_done() -> bool:
            jobs = await stage.jobs()
            return all(job["phase"] == "Succeeded" for name, job in jobs.items() if not name.startswith("job"))

        stage.facts["others_done_after_s"] = await stage.until(others_done, 300, "the other lanes finish")
        await stage.pass_time(200)
        assert not [entry for entry in stage.creates() if entry.kind == BATCH]
        stage.simulator.faults.clear()
        stage.facts["all_done_after_s"] = await stage.until(lambda: stage.all_in(*FINISHED), 600, "all succeed")
        stage.nothing_twice()

    facts = perform(quick_folder, scene, options={"durations": SHORT})
    record_property("row", f"P20: {facts}")


def test_p21_credentials_expire_and_come_back(quick_folder: Path, record_property: Record) -> None:
    """Ten minutes without credentials: no create, no job fails, an event says so; all is done afterwards."""

    async def scene(stage: Stage) -> None:
        await stage.send(mixed(40))
        await stage.until(lambda: len(stage.creates()) >= 8, 60, "some run")
        stage.simulator.configure(revoked_keys={KEY: "ExpiredTokenException"})
        made = len(stage.creates())
        await stage.send(document(BATCH, f"late-{n}", n) for n in range(20))
        await stage.pass_time(600)
        assert len(stage.creates()) == made
        lanes = await stage.ferryman.lanes()
        assert all(lane["unavailable"] for lane in lanes if lane["phases"].get("Running"))
        calls = sum(stage.calls(operation) for operation in stage.simulator.ledger.calls)
        await stage.pass_time(60)
        calls_a_minute = sum(stage.calls(operation) for operation in stage.simulator.ledger.calls) - calls
        assert await stage.ferryman.why_not_ready() == ""
        stage.simulator.configure(revoked_keys={})
        begun = stage.elapsed
        done = await stage.until(lambda: stage.all_in(*FINISHED), 900, "all succeed")
        stage.nothing_twice()
        told = stage.told("lane.scope_unavailable")
        stage.facts.update(calls_a_minute_meanwhile=calls_a_minute, events=told, done_after_s=round(done - begun))

    facts = perform(quick_folder, scene, options={"durations": SHORT})
    record_property("row", f"P21: {facts}")
    assert 1 <= facts["events"] <= 8
    assert facts["calls_a_minute_meanwhile"] <= 200


@pytest.mark.parametrize(
    "operation", ["ListModelInvocationJobs", "GetBlueprintOptimizationStatus", "StopModelInvocationJob"]
)
def test_p22_access_denied_on_one_operation(quick_folder: Path, record_property: Record, operation: str) -> None:
    """Nothing fails for it; what needs the operation waits, and is done when it is allowed."""

    kind = BLUEPRINT if "Blueprint" in operation else BATCH

    async def scene(stage: Stage) -> None:
        refuse = Refuse(code="AccessDeniedException", message="not authorized", status=403)
        stage.simulator.faults.add(Fault(effect=refuse, operation=operation, times=None))
        await stage.send(document(kind, f"job-{n}", n) for n in range(20))
        await stage.until(lambda: len(stage.creates()) == 20, 120, "all are created")
        if operation.startswith("Stop"):
            await stage.send(document(BATCH, f"job-{n}", n, desired="Stopped", generation=1) for n in range(5))
        await stage.pass_time(300)
        stage.facts["calls_denied"] = stage.calls(operation, "AccessDeniedException")
        stage.simulator.faults.clear()
        await stage.until(lambda: stage.all_in("Succeeded", "Stopped"), 900, "all end")
        stage.nothing_twice()

    facts = perform(quick_folder, scene, options={"durations": SHORT}, kinds=[kind])
    record_property("row", f"P22 {operation}: {facts}")
    assert 1 <= facts["calls_denied"] <= 400


@pytest.mark.parametrize("wrong_s", [3600.0, -3600.0])
def test_p23_the_clock_jumps_an_hour(quick_folder: Path, record_property: Record, wrong_s: float) -> None:
    """Signing fails, so the scope is unavailable: no creates, no deadline fires; it recovers by itself."""

    async def scene(stage: Stage) -> None:
        patient = {**SHORT[BATCH], "InProgress": (900, 900)}
        stage.simulator.configure(durations={**SHORT, BATCH: patient})
        await stage.send(document(BATCH, f"job-{n}", n, deadlineSeconds=3000) for n in range(20))
        await stage.until(lambda: len(stage.creates()) == 20, 120, "all are created")
        stage.host_wrong_s = wrong_s
        await stage.send(document(BATCH, f"late-{n}", n, deadlineSeconds=3000) for n in range(10))
        await stage.pass_time(600)
        assert len(stage.creates()) == 20
        assert not [event for event in stage.events() if "DeadlineExceeded" in str(event["data"].get("reason"))]
        assert stage.told("lane.scope_unavailable") >= 1
        stage.host_wrong_s = 0.0
        begun = stage.elapsed
        await stage.until(lambda: len(stage.creates()) == 30, 120, "the others are created")
        stage.facts["creates_again_after_s"] = round(stage.elapsed - begun)
        await stage.until(lambda: stage.all_in(*FINISHED), 2400, "all succeed")
        stage.nothing_twice()

    facts = perform(quick_folder, scene, options={"durations": SHORT}, kinds=[BATCH])
    record_property("row", f"P23 {wrong_s:+.0f} s: {facts}")


POWER_SEEDS = 6
LOSSES = 6


def test_p26_unsynced_writes_lost(quick_folder: Path, record_property: Record) -> None:
    """The power fails at random steps; the next life has what was synced by the last commit, and no more."""

    async def scene(stage: Stage) -> None:
        await stage.until(lambda: not list((stage.folder / "spool").glob("*.jsonl")), 600, "all are taken")
        await stage.until(lambda: stage.all_in("Succeeded", "Failed", "Uncertain"), 3000, "all end")
        jobs = await stage.jobs()
        assert len(jobs) == 40
        stage.nothing_twice()
        held = [name for name, job in jobs.items() if job["phase"] == "Uncertain"]
        stage.facts.update(creates=len(stage.creates()), uncertain=len(held))
        assert len(stage.creates()) >= 40 - len(held)

    def run(seed: int) -> dict[str, object]:
        folder = quick_folder / str(seed)
        (folder / "spool").mkdir(parents=True)
        for number, item in enumerate(mixed(40)):
            (folder / "spool" / f"{number:03d}.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
        return lose_power(folder, seed, LOSSES, scene, {"durations": SHORT})

    answers = list(run_forked((seed, partial(run, seed)) for seed in range(POWER_SEEDS)))
    wrong = {seed: answer["error"] for seed, answer in answers if "error" in answer}
    assert not wrong, "\n".join(wrong.values())
    lives = sum(answer["lives"] for _, answer in answers)
    creates = sum(answer["creates"] for _, answer in answers)
    uncertain = sum(answer["uncertain"] for _, answer in answers)
    assert lives > 3 * POWER_SEEDS
    record_property("row", f"P26: {POWER_SEEDS} seeds, {lives} lives, {creates} creates, {uncertain} uncertain")


def test_p29_documents_out_of_order(quick_folder: Path, record_property: Record) -> None:
    """Update before create, stop before create, old generation last: the highest generation decides."""

    async def scene(stage: Stage) -> None:
        await stage.send([document(BATCH, "updated", generation=3, labels={"of": "3"})])
        await stage.send([document(BATCH, "updated", generation=1, labels={"of": "1"})], "ignored")
        await stage.send([{"kind": BATCH, "name": "stopped", "generation": 2, "desired": "Stopped"}])
        await stage.send([document(BATCH, "stopped", generation=1)], "ignored")
        await stage.send([{"kind": BATCH, "name": "absent", "generation": 2, "desired": "Absent"}])
        await stage.send([document(BATCH, "absent", generation=1)], "ignored")
        await stage.until(lambda: stage.all_in("Succeeded", "Stopped", "Deleted"), 600, "all end")
        jobs = await stage.jobs()
        assert jobs["updated"]["labels"] == {"of": "3"}
        assert (jobs["stopped"]["phase"], jobs["absent"]["phase"]) == ("Stopped", "Deleted")
        assert len(stage.creates()) == 1
        stage.facts["creates"] = 1

    facts = perform(quick_folder, scene, options={"durations": SHORT}, kinds=[BATCH])
    record_property("row", f"P29: {facts}")


def test_a_replacement_that_was_called_off_does_not_come_back(quick_folder: Path) -> None:
    """A person deletes a job while its replacement waits; the replacement is delivered again: nothing runs."""

    async def scene(stage: Stage) -> None:
        await stage.send([document(BLUEPRINT, "job", 1, generation=1)])
        await stage.until(lambda: len(stage.creates()) == 1, 60, "it is created")
        replacement = document(BLUEPRINT, "job", 2, generation=2, onSpecChange="replace")
        await stage.send([replacement])
        identity = Identity("default", BLUEPRINT, "job")
        answer = await stage.ferryman.command(EntryType.DELETE, identity)
        assert answer["answer"] == "accepted"
        await stage.send([replacement], "unchanged")
        await stage.until(lambda: stage.all_in("Deleted"), 600, "it is deleted")
        await stage.send([replacement], "unchanged")
        await stage.pass_time(60)
        assert len(stage.creates()) == 1

    perform(quick_folder, scene, options={"durations": SHORT})


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stop_that_crosses_the_end_of_its_job(quick_folder: Path, when: str) -> None:
    """The stop's answer comes after a pass has seen the end: the delete that follows is not forgotten."""

    async def scene(stage: Stage) -> None:
        patient = {**SHORT, PROMPT: {**SHORT[PROMPT], "InProgress": (20, 20), "Stopping": (1, 1)}}
        stage.simulator.configure(durations=patient)
        delay = Delay(seconds=12, when=when)
        stage.simulator.faults.add(Fault(effect=delay, operation="Stop*", times=None))
        stage.simulator.faults.add(Fault(effect=Delay(seconds=14, when="before"), operation="BatchDelete*", times=None))
        await stage.send(document(PROMPT, f"job-{n}", generation=1) for n in range(10))
        await stage.until(lambda: len(stage.creates()) == 10, 60, "all are created")
        await stage.pass_time(13)
        await stage.send({"kind": PROMPT, "name": f"job-{n}", "generation": 2, "desired": "Absent"} for n in range(10))
        await stage.until(lambda: stage.all_in("Deleted"), 300, "all are deleted")
        assert len(stage.simulator.ledger.effects("delete")) == 10
        gets = stage.calls("GetAdvancedPromptOptimizationJob")
        await stage.pass_time(600)
        assert stage.calls("GetAdvancedPromptOptimizationJob") == gets

    perform(
        quick_folder, scene, settings={"reconcile": {"interval": 3, "interval_min": 1}}, options={"durations": SHORT}
    )
