"""A disk that takes seconds for every commit, on virtual time."""

import json
from pathlib import Path

import anyio
import pytest

from tests.documents import mixed
from tests.reliability.stage import Stage, perform

GRACE_S = 20


@pytest.mark.parametrize(("commit_s", "after_s"), [(2.0, 20.0), (6.0, 20.0), (6.0, 47.0)])
def test_a_stop_keeps_its_grace_time(quick_folder: Path, commit_s: float, after_s: float) -> None:
    """Whatever is in hand when the stop comes: three seconds before its time is over nothing is begun any more."""

    async def slow(step: str) -> None:
        if step == "store.commit:before":
            await anyio.sleep(commit_s)

    async def scene(stage: Stage) -> None:
        stage.failpoint = slow
        with anyio.move_on_after(after_s):
            await stage.ferryman.submit(mixed_body(), wait_s=1)
            await anyio.sleep_forever()
        stage.facts["stop_at"] = stage.elapsed

    facts = perform(quick_folder, scene, settings={"grace_s": GRACE_S})
    assert facts["virtual_s"] - facts["stop_at"] <= max(GRACE_S, GRACE_S - 3 + commit_s) + 0.5


def mixed_body() -> bytes:
    return json.dumps(list(mixed(24))).encode()
