"""Scenes on virtual time that measure how well slots, rates and calls are used; for tests and for benchmarks.

Each plays the real daemon against the simulator in a process of its own and gives its facts.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.model import Identity
from tests.documents import BATCH, document, spec_of
from tests.reliability.stage import Stage, perform

CREATE = "CreateModelInvocationJob"
LIST = "ListModelInvocationJobs"
GET = "GetModelInvocationJob"
DEFAULTS = {
    "create": {"rate": 2, "burst": 4},
    "get": {"rate": 5, "burst": 5},
    "list": {"rate": 5, "burst": 5},
}
"""As settings that say nothing have them."""
STAGES = {"Submitted": 0.05, "Validating": 0.05, "Scheduled": 0.05, "InProgress": 0.85}
MANY = 10_000_000


def lives(seconds: float) -> Mapping[str, Any]:
    return {BATCH: {stage: (part * seconds, part * seconds) for stage, part in STAGES.items()}}


async def send(stage: Stage, jobs: int, prefix: str = "job", **members: Any) -> None:
    """Documents of one model, in batches."""
    for begin in range(0, jobs, 2000):
        names = range(begin, min(begin + 2000, jobs))
        await stage.send(document(BATCH, f"{prefix}-{number}", 0, **members) for number in names)


async def until_succeeded(stage: Stage, jobs: int) -> None:
    """The file is read seldom: it grows."""
    while stage.told("job.succeeded") < jobs:
        await stage.pass_time(5)


def use_of_slots(folder: Path, *, slots: int = 20, job_s: float = 60, rounds: int = 10) -> dict[str, Any]:
    """The share of slot-seconds that jobs took while others waited, after two rounds; default settings."""

    async def scene(stage: Stage) -> None:
        await send(stage, slots * (rounds + 5))
        await stage.pass_time(2 * job_s)
        lists, began = stage.calls(LIST), stage.aws_now()
        await stage.pass_time(rounds * job_s)
        ended = stage.aws_now()
        taken = [min(entry.at + job_s, ended) - max(entry.at, began) for entry in stage.creates()]
        use = sum(max(0.0, each) for each in taken) / (slots * (ended - began))
        stage.facts.update(use=use, lists=stage.calls(LIST) - lists, gets=stage.calls(GET), seconds=ended - began)
        stage.nothing_twice()

    return perform(
        folder,
        scene,
        limits={BATCH: {**DEFAULTS, "jobs": slots}},
        options={"durations": lives(job_s), "quotas": {BATCH: {"*": slots}}},
    )


def use_of_rate(folder: Path, *, allowed: float, ceiling: float, seconds: float, after_s: float = 10) -> dict[str, Any]:
    """The share of an allowed rate of creates that was used, and how many were throttled."""

    async def scene(stage: Stage) -> None:
        await send(stage, int(1.2 * max(allowed, 1) * (seconds + after_s)))
        await stage.pass_time(after_s)
        made, calls = len(stage.creates()), stage.calls(CREATE)
        throttled = stage.calls(CREATE, "ThrottlingException")
        await stage.pass_time(seconds)
        calls = stage.calls(CREATE) - calls
        stage.facts.update(
            use=(len(stage.creates()) - made) / (allowed * seconds),
            throttled=(stage.calls(CREATE, "ThrottlingException") - throttled) / calls,
        )
        stage.nothing_twice()

    return perform(
        folder,
        scene,
        limits={BATCH: {"create": {"rate": ceiling, "burst": max(1, int(ceiling / 10))}, "jobs": MANY}},
        options={
            "quotas": {BATCH: {"*": MANY}},
            "throttles": {CREATE: {"rate": allowed, "burst": max(2.0, allowed / 5)}},
        },
    )


def reads_of_passes(folder: Path, *, running: int, finished: int, page: int = 1000, passes: int = 5) -> dict[str, Any]:
    """Calls of each pass over our running jobs among finished ones of others, all submitted within the hour."""

    async def scene(stage: Stage) -> None:
        theirs = {**spec_of(BATCH, 0), "jobName": "theirs"}
        for _ in range(0, finished, 10_000):
            stage.simulator.plant(BATCH, theirs, region="us-east-1", count=min(10_000, finished))
        await stage.pass_time(70)
        await send(stage, running)
        await stage.until(lambda: len(stage.creates()) == running, 3600, "all are created")
        await stage.pass_time(1200)
        lists, gets = [], stage.calls(GET)
        for _ in range(passes):
            before, done = stage.calls(LIST), _passes(stage)
            await stage.until(lambda done=done: _passes(stage) > done, 600, "a pass")  # type: ignore[misc]
            lists.append(stage.calls(LIST) - before)
        stage.facts.update(lists=lists, gets=stage.calls(GET) - gets)

    ours = {"kind": BATCH, "name": "job-*", "durations": {**dict(lives(100)[BATCH]), "InProgress": (90_000, 90_000)}}
    return perform(
        folder,
        scene,
        limits={BATCH: {"jobs": MANY}},
        options={
            "quotas": {BATCH: {"*": MANY}},
            "durations": lives(60),
            "rules": [ours],
            "page_size_max": page,
        },
    )


def _passes(stage: Stage) -> int:
    return stage.ferryman.lane_statuses()[f"default/{BATCH}"].passes


def lateness(folder: Path, *, jobs: int, job_s: float = 60, settings: Mapping[str, Any] | None = None) -> list[float]:
    """Seconds from each job's end at AWS to its event, without notifications."""

    async def scene(stage: Stage) -> None:
        await send(stage, jobs)
        await until_succeeded(stage, jobs)
        ends = {entry.arn: entry.at + job_s for entry in stage.creates()}
        late = [
            datetime.fromisoformat(event["time"]).timestamp() - ends[event["data"]["remoteId"]]
            for event in stage.events()
            if event["type"] == "ferryman.job.succeeded"
        ]
        stage.facts["late"] = sorted(late)

    facts = perform(
        folder,
        scene,
        settings=settings,
        limits={BATCH: {**DEFAULTS, "jobs": MANY}},
        options={"durations": lives(job_s), "quotas": {BATCH: {"*": MANY}}},
    )
    late: list[float] = facts["late"]
    return late


def waiting_of_groups(folder: Path, *, dumped: int, others: int, slots: int = 20) -> dict[str, Any]:
    """One group dumps many jobs; then two others send a few each. Seconds until the last of each group's first few is
    created, and what was estimated for them when they were sent."""

    async def scene(stage: Stage) -> None:
        await send(stage, dumped, "dump", group="dumper")
        await stage.pass_time(200)
        sent = stage.aws_now()
        for group in ("b", "c"):
            await send(stage, others, group, group=group)
        await stage.pass_time(1)
        summary = await stage.ferryman.summary(fresh=True)
        last = {group: Identity("default", BATCH, f"{group}-{others - 1}") for group in ("b", "c")}
        stage.facts["estimated"] = {group: (await stage.ferryman.job(last[group]))["queue"] for group in last}
        stage.facts["all"] = summary["etaSeconds"]

        def created(group: str) -> list[float]:
            ours = (entry for entry in stage.creates() if entry.parameters["jobName"].startswith(f"{group}-"))
            return [entry.at - sent for entry in ours]

        await stage.until(lambda: all(len(created(group)) == others for group in ("b", "c")), 36_000, "others' turn")
        stage.facts["waited"] = {group: max(created(group)) for group in ("b", "c")}
        stage.facts["dumped_meanwhile"] = len([at for at in created("dump") if 0 <= at <= max(created("b"))])
        stage.nothing_twice()

    return perform(
        folder,
        scene,
        limits={BATCH: {**DEFAULTS, "jobs": slots}},
        options={"durations": lives(60), "quotas": {BATCH: {"*": slots}}},
    )
