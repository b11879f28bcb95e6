"""A backup of the store is put back: what was made after it is found again, and not made twice."""

import shutil
from pathlib import Path

import pytest

from tests.documents import KINDS
from tests.reliability.forks import Answer, run_forked
from tests.reliability.scenario import tagged
from tests.reliability.user import User
from tests.reliability.world import World, capture_log, set_environment


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_made_after_the_backup_is_adopted(quick_folder: Path, kind: str) -> None:
    """AWS has forgotten every token, so that nothing but looking can tell."""

    def play() -> Answer:
        return _restored(kind, quick_folder)

    ((_, answer),) = run_forked([(kind, play)])
    assert "error" not in answer, answer["error"]
    assert answer["made"] == 2, answer["log"]
    assert answer["adopted"], answer["log"]


def _restored(kind: str, folder: Path) -> Answer:
    set_environment()
    before, after = tagged(kind, "before", 1, generation=1), tagged(kind, "after", 2, generation=1)
    world = World(folder, User([before], {}), options={"token_lifetime_s": 0}, kinds=[kind])
    capture_log(world.log)
    world.live()  # to its end, in good order
    backup = folder / "backup"
    shutil.copytree(world.store.parent, backup)
    world.user = User([before, after], {})
    world.user.enter(world)
    world.user.cut_when = lambda: world.user.is_made("after")
    assert world.live() == "cut"
    world.lose_store()
    shutil.copytree(backup, world.store.parent, dirs_exist_ok=True)
    world.user = User([before, after], {})
    world.user.enter(world)
    for path in sorted((world.spool / "done").iterdir()):
        path.rename(world.spool / path.name)
    world.user.cut_when = world.user.settled
    assert world.live() == "cut"
    told = [event["type"] for event in world.event_list()]
    return {
        "made": len(world.creates()),
        "adopted": "ferryman.job.adopted" in told,
        "log": world.log[-30:],
    }
