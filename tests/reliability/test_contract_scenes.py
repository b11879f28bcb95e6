"""Sentences of the contract that no other world contains, each as a scene on virtual time."""

from pathlib import Path
from typing import Any

import pytest

from controller.desk import AT_ONCE
from controller.kinds import KINDS
from controller.model import Identity, make_remote_name, make_token, make_uid
from controller.resolutions import GIVE_UP_S
from controller.simulator import Fault, LoseReply, Refuse, Throttle, app
from controller.simulator.errors import AwsError
from controller.simulator.families import FAMILIES
from controller.simulator.faults import DropConnection, Effect, Missed, RefuseCredentials
from controller.store import EntryType
from tests.documents import ACCOUNT, BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, REGION, document, spec_of
from tests.reliability.stage import Stage, perform

QUICK: dict[str, dict[str, Any]] = {
    BATCH: {"Submitted": (5, 5), "Validating": (5, 5), "Scheduled": (5, 5), "InProgress": (60, 60), "Stopping": (5, 5)},
    PROMPT: {"InProgress": (60, 60), "Stopping": (5, 5), "Deleting": (2, 2)},
    BLUEPRINT: {"Created": (5, 5), "InProgress": (60, 60)},
    RECOMMENDATION: {"CREATE PENDING": (5, 5), "CREATE IN_PROGRESS": (60, 60)},
}
LONG: dict[str, dict[str, Any]] = {
    kind: {stage: (7200, 7200) if "PROGRESS" in stage.upper() else span for stage, span in stages.items()}
    for kind, stages in QUICK.items()
}
DENIED = Refuse(code="AccessDeniedException", message="not authorized", status=403)


def test_a_person_names_the_remote_job_of_another(quick_folder: Path) -> None:
    """A remote id belongs to one attempt: the answer is no, and the lane goes on."""

    async def scene(stage: Stage) -> None:
        await stage.send([document(BLUEPRINT, "other")])
        await stage.until(lambda: stage.all_in("Running"), 60, "the other runs")
        stage.simulator.faults.add(Fault(effect=LoseReply(), operation="Invoke*", times=1))
        await stage.send([document(BLUEPRINT, "lost", 1)])
        await stage.until(lambda: stage.all_in("Running", "Uncertain"), 600, "it is uncertain")
        taken = (await stage.jobs())["other"]["remoteId"]
        identity = Identity("default", BLUEPRINT, "lost")
        answer = await stage.ferryman.command(EntryType.RESOLVE, identity, arguments={"remoteId": taken}, wait_s=30)
        assert answer["answer"] == "rejected", answer
        assert (await stage.jobs())["lost"]["phase"] == "Uncertain"
        await stage.send([document(BLUEPRINT, "next", 2)])
        await stage.until(lambda: len(stage.creates()) == 3, 60, "the lane goes on")

    perform(quick_folder, scene, options={"durations": LONG, "tags_show_blueprint_optimizations": False})


async def _make_uncertain(stage: Stage, name: str) -> Any:
    """A job whose create was carried out and not answered; returns what was made."""
    stage.simulator.faults.add(Fault(effect=LoseReply(), operation="Invoke*", times=1))
    await stage.send([document(BLUEPRINT, name)])
    await stage.until(lambda: stage.all_in("Uncertain"), 3000, "it is uncertain")
    return stage.creates()[0].arn


def test_an_order_that_a_stop_meets_is_carried_out_by_the_next_start(quick_folder: Path) -> None:
    """The stop comes while the look-up waits for its turn: an order that is durable is not thrown away."""

    async def stopped(stage: Stage) -> None:
        arn = await _make_uncertain(stage, "job")
        order = {"remoteId": arn}
        answer = await stage.ferryman.command(EntryType.RESOLVE, Identity("default", BLUEPRINT, "job"), order, wait_s=0)
        assert answer["answer"] == "pending", answer

    async def started_again(stage: Stage) -> None:
        await stage.until(lambda: stage.all_in("Running", "Succeeded"), 300, "the order is carried out")
        assert stage.told("job.resolved") == 1
        assert len(stage.creates()) == 1

    perform(
        quick_folder,
        stopped,
        started_again,
        limits={BLUEPRINT: {"get": {"rate": 0.2, "burst": 1}}},
        options={"tags_show_blueprint_optimizations": False},
        kinds=[BLUEPRINT],
    )


@pytest.mark.parametrize(
    "effect",
    [
        pytest.param(Throttle(), id="throttled"),
        pytest.param(DropConnection(), id="no-answer"),
        pytest.param(Refuse(code="InternalServerException", status=500), id="server-error"),
        pytest.param(RefuseCredentials(), id="scope-unavailable"),
    ],
)
def test_an_order_waits_until_aws_answers_about_its_job(quick_folder: Path, effect: Effect) -> None:
    """Neither lost nor in the way: documents of others are applied meanwhile, and orders to its job stay in order."""

    async def scene(stage: Stage) -> None:
        arn = await _make_uncertain(stage, "job")
        fault = stage.simulator.faults.add(Fault(effect=effect, operation="GetBlueprint*", times=None))
        before = stage.calls("GetBlueprintOptimizationStatus")
        job = Identity("default", BLUEPRINT, "job")
        named = await stage.ferryman.command(EntryType.RESOLVE, job, {"remoteId": arn}, wait_s=0)
        again = await stage.ferryman.command(EntryType.RESOLVE, job, {"retry": True}, wait_s=0)
        await stage.pass_time(600)
        stage.facts["tries"] = stage.calls("GetBlueprintOptimizationStatus") - before
        await stage.send([document(BLUEPRINT, "other", 1)])
        assert (await stage.jobs())["job"]["phase"] == "Uncertain"
        stage.simulator.faults.remove(fault)
        await stage.until(lambda: stage.all_in("Running", "Succeeded"), 600, "both run")
        assert stage.told("job.resolved") == 1
        assert len(stage.creates()) == 2, (named, again)

    facts = perform(
        quick_folder,
        scene,
        options={"durations": LONG, "tags_show_blueprint_optimizations": False},
        kinds=[BLUEPRINT],
    )
    assert 5 <= facts["tries"] <= 60


def test_orders_that_aws_never_answers_about_hold_up_nobody(quick_folder: Path) -> None:
    """More than are read at a time: what came after them is applied, and they are given up in the end."""

    async def scene(stage: Stage) -> None:
        arn = await _make_uncertain(stage, "job")
        stage.simulator.faults.add(Fault(effect=DropConnection(), operation="GetBlueprint*", times=None))
        job = Identity("default", BLUEPRINT, "job")
        for _ in range(AT_ONCE + 10):
            await stage.ferryman.command(EntryType.RESOLVE, job, {"remoteId": arn}, wait_s=0)
        await stage.send([document(BLUEPRINT, "other", 1, desired="Stopped")])
        await stage.ferryman.command(EntryType.RESOLVE, job, {"fail": True}, wait_s=0)
        await stage.pass_time(GIVE_UP_S + 600)
        assert (await stage.jobs())["job"]["phase"] == "Failed"

    perform(
        quick_folder,
        scene,
        settings={"queue": {"sources": []}},
        options={"durations": QUICK, "tags_show_blueprint_optimizations": False},
        kinds=[BLUEPRINT],
    )


def test_a_stop_that_is_refused_while_the_job_runs_on(quick_folder: Path) -> None:
    """It is tried again at a civil pace, and succeeds in the end."""

    async def scene(stage: Stage) -> None:
        await stage.send([document(BATCH, "job")])
        await stage.until(lambda: stage.all_in("Running"), 60, "it runs")
        await stage.pass_time(60)
        refuse = Refuse(code="ConflictException", message="The job cannot be stopped just now", status=400)
        fault = stage.simulator.faults.add(Fault(effect=refuse, operation="Stop*", times=None))
        await stage.ferryman.command(EntryType.STOP, Identity("default", BATCH, "job"), wait_s=10)
        await stage.pass_time(600)
        stage.facts.update(stops=stage.calls("StopModelInvocationJob"), gets=stage.calls("GetModelInvocationJob"))
        stage.simulator.faults.remove(fault)
        await stage.until(lambda: stage.all_in("Stopped"), 180, "it is stopped")

    facts = perform(quick_folder, scene, options={"durations": LONG})
    assert facts["stops"] <= 40
    assert facts["gets"] <= 60


def test_refused_creates_are_not_spent(quick_folder: Path) -> None:
    """Probes of a full quota make nothing: the guard counts what may have been made."""

    async def scene(stage: Stage) -> None:
        await stage.send(document(BATCH, f"job-{n}") for n in range(4))
        await stage.pass_time(600)
        assert len(stage.creates()) == 2
        (lane,) = [lane for lane in await stage.ferryman.lanes() if lane["lane"].endswith(BATCH)]
        assert not lane["paused"], lane

    perform(
        quick_folder,
        scene,
        limits={BATCH: {"creates_per_day": 4, "jobs": 20}},
        options={"durations": LONG, "quotas": {BATCH: {"*": 2}}},
    )


def test_one_denial_after_a_long_outage(quick_folder: Path) -> None:
    """Denials in a row fail a job; an outage before them does not count."""

    async def scene(stage: Stage) -> None:
        fault = stage.simulator.faults.add(
            Fault(effect=Refuse(code="ResourceInUseException", status=400), operation="CreateBatch*", times=None)
        )
        await stage.send([document(RECOMMENDATION, "job")])
        await stage.pass_time(240)
        stage.simulator.faults.remove(fault)
        stage.simulator.faults.add(Fault(effect=DENIED, operation="CreateBatch*", times=1))
        await stage.until(lambda: stage.all_in("Running", "Failed"), 900, "it ends, or runs")
        assert (await stage.jobs())["job"]["phase"] == "Running"

    perform(quick_folder, scene, options={"durations": LONG})


def test_a_deadline_that_is_put_off_after_it_has_passed(quick_folder: Path) -> None:
    """The deadline of the newest document counts, as long as no stop was sent."""

    async def scene(stage: Stage) -> None:
        stage.simulator.faults.add(Fault(effect=DENIED, operation="Stop*", times=None))
        await stage.send([document(BATCH, "job", generation=1, deadlineSeconds=30)])
        await stage.until(lambda: stage.all_in("Running"), 60, "it runs")
        await stage.pass_time(40)
        await stage.send([document(BATCH, "job", generation=2, deadlineSeconds=86400)])
        stage.simulator.faults.clear()
        await stage.until(lambda: stage.all_in("Succeeded", "Failed", "Stopped"), 900, "it ends")
        job = (await stage.jobs())["job"]
        assert (job["phase"], job["deadlineExceeded"]) == ("Succeeded", False)

    perform(quick_folder, scene, options={"durations": QUICK})


def test_a_job_whose_get_is_denied_ends_by_list(quick_folder: Path) -> None:
    """A Get that fails keeps nobody from believing what List shows."""

    async def scene(stage: Stage) -> None:
        stage.simulator.faults.add(Fault(effect=DENIED, operation="Get*", times=None))
        await stage.send([document(BATCH, "job")])
        await stage.until(lambda: stage.all_in("Running"), 60, "it runs")
        stage.simulator.faults.add(Fault(effect=Missed(), operation="List*", times=1))
        await stage.until(lambda: stage.all_in("Succeeded"), 900, "it ends")

    perform(quick_folder, scene, options={"durations": QUICK})


def test_a_job_whose_get_is_denied_is_stopped(quick_folder: Path) -> None:
    """A Get that fails keeps nobody from stopping."""

    async def scene(stage: Stage) -> None:
        stage.simulator.faults.add(Fault(effect=DENIED, operation="Get*", times=None))
        stage.simulator.faults.add(Fault(effect=DENIED, operation="List*", times=None))
        await stage.send([document(BATCH, "job")])
        await stage.until(lambda: stage.all_in("Running"), 120, "it runs")
        await stage.pass_time(120)
        await stage.ferryman.command(EntryType.STOP, Identity("default", BATCH, "job"), wait_s=10)
        await stage.until(lambda: len(stage.simulator.ledger.effects("stop")) == 1, 300, "it is stopped")

    perform(quick_folder, scene, options={"durations": LONG})


def test_one_item_that_spoils_a_delete(quick_folder: Path) -> None:
    """A batch that is refused for one of its items does not keep the others."""

    async def scene(stage: Stage) -> None:
        await stage.send(document(PROMPT, f"job-{n}", generation=1) for n in range(6))
        await stage.until(lambda: stage.all_in("Succeeded"), 600, "all end")
        spoiled = (await stage.jobs())["job-3"]["remoteId"]
        kept = app._HANDLERS["BatchDeleteAdvancedPromptOptimizationJob"]

        def handle(call: Any) -> Any:
            if spoiled in call.parameters["jobIdentifiers"]:
                raise AwsError("ValidationException", "One of the jobs cannot be deleted.")
            return kept(call)

        app._HANDLERS["BatchDeleteAdvancedPromptOptimizationJob"] = handle  # type: ignore[index]
        await stage.send({"kind": PROMPT, "name": f"job-{n}", "generation": 2, "desired": "Absent"} for n in range(6))
        await stage.pass_time(60)
        phases = {name: job["phase"] for name, job in (await stage.jobs()).items()}
        assert phases == {f"job-{n}": "Succeeded" if n == 3 else "Deleted" for n in range(6)}

    perform(quick_folder, scene, options={"durations": QUICK})


def test_a_lost_store_and_a_read_that_fails(quick_folder: Path) -> None:
    """What an earlier store created is looked at until AWS shows it; it is not created again meanwhile."""
    kind = KINDS[BATCH]
    uid = make_uid("known", Identity("default", BATCH, "job"), 1)
    request = kind.parameters(spec_of(BATCH), make_token(uid, 1), make_remote_name("job", uid, 1, kind.name_length_max))

    async def scene(stage: Stage) -> None:
        stage.simulator._backend.create(FAMILIES[BATCH], (ACCOUNT, REGION), request, stage.aws_now())
        await stage.pass_time(120)  # by now AWS has forgotten the token
        refuse = Refuse(code="InternalServerException", status=500)
        stage.simulator.faults.add(Fault(effect=refuse, operation="GetModelInvocationJob", times=3))
        await stage.send([document(BATCH, "job")])
        await stage.until(lambda: stage.all_in("Running"), 300, "it is adopted")
        assert len(stage.creates()) == 1
        assert stage.told("job.adopted") == 1

    perform(quick_folder, scene, settings={"instance": "known"}, options={"durations": LONG, "token_lifetime_s": 60})


def test_a_lost_store_and_a_list_that_is_denied(quick_folder: Path) -> None:
    """Nobody can tell what an earlier store created: the lane says so and waits, and goes on by itself."""
    kind = KINDS[BATCH]
    uid = make_uid("known", Identity("default", BATCH, "job"), 1)
    request = kind.parameters(spec_of(BATCH), make_token(uid, 1), make_remote_name("job", uid, 1, kind.name_length_max))

    async def scene(stage: Stage) -> None:
        stage.simulator._backend.create(FAMILIES[BATCH], (ACCOUNT, REGION), request, stage.aws_now())
        await stage.pass_time(120)  # by now AWS has forgotten the token
        stage.simulator.faults.add(Fault(effect=DENIED, operation="List*", times=None))
        await stage.send([document(BATCH, "job")])
        await stage.pass_time(300)
        assert len(stage.creates()) == 1
        assert stage.calls("ListModelInvocationJobs") <= 10
        assert stage.told("lane.paused") == 1
        assert (await stage.jobs())["job"]["reason"] == "Paused"
        stage.simulator.faults.clear()
        await stage.until(lambda: stage.all_in("Running"), 120, "it is adopted")
        assert len(stage.creates()) == 1
        assert stage.told("lane.resumed") == 1

    perform(quick_folder, scene, settings={"instance": "known"}, options={"durations": LONG, "token_lifetime_s": 60})


def test_a_paused_lane_creates_nothing(quick_folder: Path) -> None:
    """An unknown create is looked for, and not sent again, until the lane goes on."""

    async def scene(stage: Stage) -> None:
        fault = stage.simulator.faults.add(Fault(effect=DropConnection(), operation="Create*", times=None))
        await stage.send([document(BATCH, "job")])
        await stage.until(lambda: stage.all_in("Creating"), 60, "its create is unknown")
        await stage.ferryman.pause(f"default/{BATCH}")
        await stage.pass_time(5)
        stage.simulator.faults.remove(fault)
        await stage.pass_time(900)
        assert not stage.creates()
        job = (await stage.jobs())["job"]
        assert (job["phase"], job["reason"]) == ("Pending", "Paused")
        await stage.ferryman.resume(f"default/{BATCH}")
        await stage.until(lambda: stage.all_in("Running"), 120, "it runs")
        assert len(stage.creates()) == 1

    perform(quick_folder, scene, options={"durations": LONG})


def test_a_stopped_job_that_was_never_made_is_not_made_to_be_stopped(quick_folder: Path) -> None:
    """An old intent is proved absent by two scans; nobody wants it any more, so that it ends there."""

    async def scene(stage: Stage) -> None:
        fault = stage.simulator.faults.add(Fault(effect=DropConnection(), operation="Create*", times=None))
        await stage.send([document(BATCH, "job")])
        await stage.pass_time(120)
        stage.simulator.faults.remove(fault)
        await stage.ferryman.command(EntryType.STOP, Identity("default", BATCH, "job"))
        await stage.until(lambda: stage.all_in("Stopped"), 900, "it is stopped")
        assert not stage.creates()

    perform(quick_folder, scene, settings={"reconcile": {"token_life_s": 60}}, options={"durations": LONG})


def test_a_guard_that_is_paused_by_a_person_stays_paused(quick_folder: Path) -> None:
    """A new day ends the pause of the guard, and no other."""

    async def scene(stage: Stage) -> None:
        await stage.send(document(BATCH, f"job-{n}", n) for n in range(3))
        await stage.until(lambda: stage.told("lane.paused") == 1, 60, "the guard pauses the lane")
        (answer,) = await stage.ferryman.pause(f"default/{BATCH}", "the bucket is being moved")
        assert answer["answer"] == "accepted"
        stage.before_s += 40_000  # past midnight
        await stage.pass_time(180)
        assert len(stage.creates()) == 2
        await stage.ferryman.resume(f"default/{BATCH}")
        await stage.until(lambda: len(stage.creates()) == 3, 120, "it goes on")

    perform(
        quick_folder,
        scene,
        limits={BATCH: {"creates_per_day": 2}},
        options={"durations": {BATCH: {**QUICK[BATCH], "InProgress": (1e6, 1e6)}}},
    )
