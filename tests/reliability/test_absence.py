"""What an earlier store made, or an unknown create, is never taken to be absent while AWS shows it; on virtual time."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from controller.model import Identity, make_remote_name, make_token, make_uid
from controller.simulator import DropConnection, EmptyPage, Fault, LoseReply, Refuse, Reshape
from tests.documents import BATCH, BLUEPRINT, document, spec_of
from tests.reliability.stage import Scene, Stage, perform

SHORT: Final[dict[str, dict[str, Any]]] = {
    BATCH: {"Submitted": (5, 5), "Validating": (5, 5), "Scheduled": (5, 5), "InProgress": (30, 30)},
    BLUEPRINT: {"Created": (5, 5), "InProgress": (30, 30)},
}
FORGETFUL: Final[dict[str, Any]] = {"token_lifetime_s": 60, "durations": SHORT}
"""An AWS that answers a token it has seen as if it were new, so that nothing but looking can tell."""
HOUR_S: Final = 3600
NEVER_LOST: Final = {"reconcile": {"adopt": False}}
DENIED: Final = Refuse(code="AccessDeniedException", message="no", status=403)


@pytest.mark.parametrize(
    ("shown", "phase"),
    [
        pytest.param(Reshape(remove=frozenset({"clientRequestToken"})), "Succeeded", id="without its token"),
        pytest.param(
            Reshape(set={"jobArn": "arn:aws:bedrock:us-west-2:123456789012:model-invocation-job/abcdefghijkl"}),
            "Creating",
            id="under an id of another Region",
        ),
        pytest.param(Reshape(remove=frozenset({"jobArn"})), "Creating", id="without an id"),
    ],
)
def test_an_unknown_create_that_list_shows_oddly_is_not_sent_again(
    quick_folder: Path, shown: Reshape, phase: str
) -> None:
    """Its reply is lost, creates then fail for longer than its token is trusted, and two scans have to tell."""

    async def scene(stage: Stage) -> None:
        create = "CreateModelInvocationJob"
        stage.simulator.faults.add(Fault(effect=LoseReply(), operation=create, times=1))
        down = Fault(effect=DropConnection(), operation=create, times=None, for_s=4500, skip=1)
        stage.simulator.faults.add(down, now=stage.aws_now())
        stage.simulator.faults.add(Fault(effect=shown, operation="List*", times=None))
        await stage.send([document(BATCH, "job")])
        await stage.pass_time(6500)
        stage.facts["phase"] = (await stage.jobs())["job"]["phase"]
        stage.facts["made"] = len(stage.creates())

    facts = perform(quick_folder, scene, kinds=[BATCH], options=FORGETFUL)
    assert facts["made"] == 1
    assert facts["phase"] == phase


def backup(folder: Path) -> Callable[[int], None]:
    """Keeps the store of the first life, and puts it back after the second."""
    kept = folder / "backup"
    names = ("ferryman.db", "ferryman.db-wal")

    def between(life: int) -> None:
        kept.mkdir(exist_ok=True)
        if life == 1:
            _copy(folder, kept, names)
        elif life == 2:
            _copy(kept, folder, names)

    return between


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (target / name).unlink(missing_ok=True)
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def lives(kind: str, *, looked_at: bool = False, fault: Fault | None = None) -> list[Scene]:
    """Before the backup; after it; perhaps a start at which nothing is to be done; and the documents once more."""

    async def done(stage: Stage, name: str) -> None:
        await stage.send([document(kind, name)])
        await stage.until(lambda: stage.all_in("Succeeded"), 600, f"{name} is done")

    async def before(stage: Stage) -> None:
        await done(stage, "before")
        await stage.pass_time(100)

    async def after(stage: Stage) -> None:
        await done(stage, "after")
        await stage.pass_time(2.2 * HOUR_S)

    async def nothing(stage: Stage) -> None:
        await stage.pass_time(60)

    async def again(stage: Stage) -> None:
        if fault is not None:
            stage.simulator.faults.add(fault)
        await done(stage, "after")
        stage.facts["made"] = len(stage.creates())
        stage.facts["adopted"] = stage.told("job.adopted")

    return [before, after, nothing, again] if looked_at else [before, after, again]


@pytest.mark.parametrize(
    ("kind", "looked_at", "fault"),
    [
        pytest.param(BATCH, True, None, id="started and stopped before there was anything to do"),
        pytest.param(BATCH, False, Fault(effect=DENIED, operation="List*", times=1), id="the first List denied"),
        pytest.param(
            BLUEPRINT, False, Fault(effect=EmptyPage(), operation="GetResources", times=1), id="an empty page of tags"
        ),
    ],
)
def test_what_was_made_after_a_backup_is_found(
    quick_folder: Path, kind: str, fault: Fault | None, *, looked_at: bool
) -> None:
    scenes = lives(kind, looked_at=looked_at, fault=fault)
    facts = perform(quick_folder, *scenes, kinds=[kind], options=FORGETFUL, between=backup(quick_folder))
    assert facts["made"] == 2
    assert facts["adopted"] == 1


def test_a_list_that_stays_denied_does_not_stop_a_lane(quick_folder: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.simulator.faults.add(Fault(effect=DENIED, operation="List*", times=None))
        await stage.send([document(BATCH, "job")])
        await stage.until(lambda: stage.all_in("Succeeded"), 600, "it is done without List")
        await stage.send([document(BATCH, "second", 1)])
        lists = stage.calls("ListModelInvocationJobs")
        await stage.pass_time(300)
        stage.facts["lists"] = stage.calls("ListModelInvocationJobs") - lists
        assert await stage.all_in("Succeeded")

    facts = perform(quick_folder, scene, kinds=[BATCH], options={"durations": SHORT}, settings=NEVER_LOST)
    assert 0 < facts["lists"] <= 12


@pytest.mark.parametrize("other_spec", [False, True])
def test_an_orphan_belongs_to_one_attempt(quick_folder: Path, *, other_spec: bool) -> None:
    """It was found for an intent which a pause took back; the document then begins a new incarnation."""
    lane = f"default/{BATCH}"

    async def scene(stage: Stage) -> None:
        uid = make_uid(await stage.ferryman.instance(), Identity("default", BATCH, "job"), 1)
        name, token = make_remote_name("job", uid, 1, 63), make_token(uid, 1)
        lost = {**spec_of(BATCH, 0), "jobName": name, "clientRequestToken": token}
        stage.simulator.plant(BATCH, lost, region="us-east-1", count=1)
        await stage.send([document(BATCH, "first")])
        await stage.until(lambda: len(stage.creates()) == 1, 60, "the first pass has seen it")
        waiting = [document(BATCH, f"other-{number}") for number in range(7)]
        await stage.send([*waiting, document(BATCH, "job", 0, generation=1, priority=-1)])
        while (await stage.jobs())["job"]["phase"] != "Creating":
            await anyio.sleep(0.002)
        await stage.ferryman.pause(lane)
        await stage.until(lambda: stage.all_in("Pending", "Running", "Succeeded"), 60, "it is taken back")
        assert (await stage.jobs())["job"]["phase"] == "Pending"
        await stage.send([{"kind": BATCH, "name": "job", "generation": 2, "desired": "Stopped"}])
        await stage.send([document(BATCH, "job", 3 * other_spec, generation=3, onSpecChange="replace")])
        await stage.ferryman.resume(lane)
        await stage.pass_time(60)
        job = (await stage.jobs())["job"]
        stage.facts["job"] = [job["incarnation"], job["phase"]]
        stage.facts["made"] = sum(entry.name.startswith("job-") for entry in stage.creates())

    slow = {BATCH: {"create": {"rate": 40, "burst": 1}}}
    facts = perform(quick_folder, scene, kinds=[BATCH], limits=slow)
    assert facts["job"] == [2, "Running"]
    assert facts["made"] == 1
