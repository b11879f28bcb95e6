"""Guards and bounds that a lane keeps, on virtual time: creates a day, quota keys, calls without a store."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from controller.store import sqlite
from tests.documents import BATCH, BLUEPRINT, document, spec_of
from tests.reliability.stage import Stage, perform


@pytest.mark.parametrize("kind", [BATCH, BLUEPRINT])
def test_no_more_is_created_in_a_day_than_the_guard_allows(quick_folder: Path, kind: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.send(document(kind, f"job-{number}", number) for number in range(15))
        await stage.pass_time(600)
        stage.facts["made"] = len(stage.creates())
        stage.facts["paused"] = stage.told("lane.paused")

    facts = perform(quick_folder, scene, kinds=[kind], limits={kind: {"creates_per_day": 3, "jobs": 100}})
    assert (facts["made"], facts["paused"]) == (3, 1)


def test_what_the_guard_let_pass_is_in_the_store_before_it_is_sent(quick_folder: Path) -> None:
    """A daemon that is killed again and again must not begin each time to count anew."""

    async def scene(stage: Stage) -> None:
        wrong: list[tuple[int, int]] = []

        async def look(step: str) -> None:
            if step == "aws.CreateModelInvocationJob:after":
                with sqlite3.connect(quick_folder / "ferryman.db") as database:
                    ((state,),) = database.execute("SELECT state FROM lanes WHERE lane LIKE '%ModelInvocationJob'")
                counted, made = json.loads(state)["spend"]["count"], len(stage.creates())
                if counted < made:
                    wrong.append((counted, made))

        stage.failpoint = look
        await stage.send(document(BATCH, f"job-{number}", number) for number in range(40))
        await stage.until(lambda: len(stage.creates()) == 40, 60, "all are made")
        stage.facts["wrong"] = wrong

    assert perform(quick_folder, scene, kinds=[BATCH], limits={BATCH: {"creates_per_day": 50}})["wrong"] == []


def test_keys_without_a_free_slot_are_not_in_the_way(quick_folder: Path) -> None:
    """A hundred blueprints are busy, each with more work waiting; jobs of others find slots free and go at once."""
    busy = 100

    async def scene(stage: Stage) -> None:
        await stage.send(document(BLUEPRINT, f"a-{number}", number) for number in range(busy))
        await stage.until(lambda: len(stage.creates()) == busy, 100, "one of each runs")
        await stage.send(document(BLUEPRINT, f"b-{number}", number) for number in range(busy))
        await stage.pass_time(30)
        began = stage.elapsed
        await stage.send(document(BLUEPRINT, f"new-{number}", 5000 + number) for number in range(5))
        await stage.until(lambda: len(stage.creates()) == busy + 5, 1000, "the new ones run")
        stage.facts["waited_s"] = stage.elapsed - began

    days: dict[str, Any] = {"Created": (5, 5), "InProgress": (86400, 86400)}
    options = {"durations": {BLUEPRINT: days}, "quotas": {BLUEPRINT: {"*": 1000}}}
    facts = perform(quick_folder, scene, kinds=[BLUEPRINT], limits={BLUEPRINT: {"jobs": 300}}, options=options)
    assert facts["waited_s"] < 5


def test_a_full_disk_does_not_spend_the_rate_of_list(quick_folder: Path) -> None:
    """The first pass has something to write, and cannot."""

    async def scene(stage: Stage) -> None:
        real, full = sqlite.SqliteChannel.command, True

        async def command(channel: sqlite.SqliteChannel, text: str) -> None:
            if text == "COMMIT" and full:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            await real(channel, text)

        theirs = {**spec_of(BATCH, 0), "jobName": "job-abcdefgh-1"}
        stage.simulator.plant(BATCH, theirs, region="us-east-1", count=1)
        await stage.send([document(BATCH, "mine")])
        sqlite.SqliteChannel.command = command  # type: ignore[method-assign,assignment]
        await stage.pass_time(300)
        stage.facts["lists"] = stage.calls("ListModelInvocationJobs")
        full = False
        await stage.until(lambda: len(stage.creates()) == 1, 120, "there is room again")

    assert 0 < perform(quick_folder, scene, kinds=[BATCH])["lists"] < 60
