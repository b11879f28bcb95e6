"""What AWS ends, or forgets, between two passes, on virtual time."""

from pathlib import Path
from typing import Any

import pytest

from controller.model import Identity
from controller.simulator import DropConnection, Fault
from controller.store import EntryType
from tests.documents import BATCH, BLUEPRINT, KINDS, PROMPT, RECOMMENDATION, document, spec_of
from tests.reliability.stage import Stage, perform

LONG: dict[str, dict[str, Any]] = {
    BATCH: {"Submitted": (5, 5), "Validating": (5, 5), "Scheduled": (5, 5), "InProgress": (7200, 7200)},
    PROMPT: {"InProgress": (7200, 7200)},
    BLUEPRINT: {"Created": (5, 5), "InProgress": (7200, 7200)},
    RECOMMENDATION: {"CREATE PENDING": (5, 5), "CREATE IN_PROGRESS": (7200, 7200)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_remote_job_that_vanished_is_lost(quick_folder: Path, kind: str) -> None:
    """Somebody else deleted the record: after two passes, the grace time and a Get it is Failed, and not made again."""

    async def scene(stage: Stage) -> None:
        await stage.send([document(kind, "gone"), document(kind, "stays", 1)])
        await stage.until(lambda: stage.all_in("Running"), 600, "both run")
        await stage.pass_time(60)
        (gone,) = [entry for entry in stage.creates() if entry.sequence == min(e.sequence for e in stage.creates())]
        world = stage.simulator._backend.world
        job = world._by_arn[gone.arn]
        world._drop(job, job.status)
        began = stage.elapsed

        async def failed() -> bool:
            return any(job["phase"] == "Failed" for job in (await stage.jobs()).values())

        stage.facts["lost_after_s"] = await stage.until(failed, 1200, "it is lost") - began
        phases = sorted((job["phase"], job["reason"]) for job in (await stage.jobs()).values())
        assert phases == [("Failed", "Lost"), ("Running", None)]
        assert len(stage.creates()) == 2

    facts = perform(quick_folder, scene, options={"durations": {kind: LONG[kind]}})
    assert facts["lost_after_s"] > 180


def test_a_vanished_job_among_a_long_history_is_lost(quick_folder: Path) -> None:
    """Where Gets are cheaper than List, what a Get does not find is looked for in List after all."""

    async def scene(stage: Stage) -> None:
        stage.simulator.plant(RECOMMENDATION, spec_of(RECOMMENDATION, 9), region="us-east-1", count=500)
        await stage.pass_time(300)
        stage.simulator.configure(durations=LONG)
        await stage.send([document(RECOMMENDATION, "gone")])
        await stage.until(lambda: stage.all_in("Running"), 1200, "it runs")
        await stage.pass_time(600)
        gets, lists = stage.calls("DescribeBatchInferenceJob"), stage.calls("ListBatchInferenceJobs")
        await stage.pass_time(120)
        assert stage.calls("DescribeBatchInferenceJob") > gets
        assert stage.calls("ListBatchInferenceJobs") == lists
        (gone,) = stage.creates()
        world = stage.simulator._backend.world
        job = world._by_arn[gone.arn]
        world._drop(job, job.status)
        await stage.until(lambda: stage.all_in("Failed"), 1200, "it is lost")
        assert stage.calls("ListBatchInferenceJobs") - lists <= 3 * 6

    finished = {RECOMMENDATION: {"CREATE PENDING": (5, 5), "CREATE IN_PROGRESS": (30, 30)}}
    perform(quick_folder, scene, options={"durations": finished})


@pytest.mark.parametrize("kind", [BATCH, PROMPT])
def test_a_job_that_was_stopped_young_is_seen_to_have_ended(quick_folder: Path, kind: str) -> None:
    """It leaves the one status that is listed before List would have to show it; two passes are enough."""

    async def scene(stage: Stage) -> None:
        await stage.send([document(kind, "one"), document(kind, "two", 1)])
        await stage.until(lambda: stage.all_in("Running"), 600, "both run")
        for name in ("one", "two"):
            await stage.ferryman.command(EntryType.STOP, Identity("default", kind, name), wait_s=10)

        async def stopping() -> bool:
            return {job["remoteStatus"] for job in (await stage.jobs()).values()} == {"Stopping"}

        await stage.until(stopping, 60, "a pass shows them as Stopping")
        await stage.until(lambda: stage.all_in("Stopped"), 45 + 65, "their end is seen")

    perform(quick_folder, scene, options={"durations": {kind: {**LONG[kind], "Stopping": (45, 45)}}})


def test_what_a_wrong_clock_put_off_is_not_left_for_hours(quick_folder: Path) -> None:
    """A start while this host's clock is an hour ahead and nobody tells AWS's: Gets fail, and are tried again later."""

    async def before(stage: Stage) -> None:
        await stage.send([document(BLUEPRINT, "job")])
        await stage.until(lambda: stage.all_in("Running"), 600, "it runs")
        for operation, times in (("GetCallerIdentity", None), ("GetBlueprintOptimizationStatus", 1)):
            stage.simulator.faults.add(Fault(effect=DropConnection(), operation=operation, times=times))
        stage.host_wrong_s = 3600

    async def after(stage: Stage) -> None:
        await stage.pass_time(10)
        stage.host_wrong_s = 0
        await stage.until(lambda: stage.all_in("Succeeded"), 900, "its end is seen")

    durations = {BLUEPRINT: {"Created": (5, 5), "InProgress": (60, 60)}}
    options = {"durations": durations, "check_signature_date": False}
    perform(quick_folder, before, after, kinds=[BLUEPRINT], options=options)
