"""What a job costs the store: CPU of its intent commit and its outcome commit, 64 jobs a commit.

`python -m tests.benchmarks.store_commits [URL] [--jobs 12800] [--profile]`; without a URL: a SQLite file below TMPDIR.
"""

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from controller.events import of_job
from controller.model import Desired, Document, Identity, Job, OnSpecChange, Wishes
from controller.seams import SystemClock, no_failpoint
from controller.store import JobChange, LaneRecord, LaneWrite, Store
from controller.store.opening import open_store
from controller.transitions.creating import intend, made
from controller.transitions.step import Context, Step
from controller.transitions.wanting import apply_document

LANE = "default/bedrock.ModelInvocationJob"
BATCH = 64


@dataclass(frozen=True)
class Kind:
    can_stop: bool = True
    can_delete: bool = False
    can_list: bool = True
    repeatable: bool = True

    def quota_keys(self, _spec: Mapping[str, Any]) -> tuple[str, ...]:
        return ("*",)

    def output(self, spec: Mapping[str, Any], remote_id: str | None) -> tuple[str | None, str | None]:
        uri = spec["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]
        return (uri, None) if remote_id is None else (f"{uri}{remote_id[-12:]}/", f"{uri}manifest.json.out")


@dataclass
class Spent:
    """CPU and wall seconds by what they were spent on."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    wall_s: dict[str, float] = field(default_factory=dict)

    def add(self, what: str, cpu_s: float, wall_s: float) -> None:
        self.cpu_s[what] = self.cpu_s.get(what, 0.0) + cpu_s
        self.wall_s[what] = self.wall_s.get(what, 0.0) + wall_s


def document(number: int) -> Document:
    identity = Identity("default", "bedrock.ModelInvocationJob", f"nightly-20261121-{number:06d}")
    spec = {
        "roleArn": "arn:aws:iam::123456789012:role/batch",
        "modelId": "amazon.nova-lite-v1:0",
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://bucket/in/{number}.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
    }
    wishes = Wishes(group=f"team-{number % 7}", labels={"run": "nightly"})
    return Document(identity, Desired.COMPLETED, spec, wishes, None, OnSpecChange.REJECT, f"{number:064x}")


class Bench:
    def __init__(self, store: Store, record: LaneRecord, profile: cProfile.Profile | None) -> None:
        self.store = store
        self.record = record
        self.profile = profile
        self.spent = Spent()

    def context(self) -> Context:
        return Context(abilities=Kind(), now=time.time(), instance="bench")

    async def commit(self, what: str, decided: Sequence[tuple[Job | None, Step]]) -> None:
        now = time.time()
        changes = [JobChange(before, step.job) for before, step in decided]
        events = [of_job(happening, now) for _, step in decided for happening in step.happenings]
        write = LaneWrite(LANE, changes=changes, events=events)
        if self.profile and what != "accept":
            self.profile.enable()
        cpu, wall = time.process_time(), time.perf_counter()
        self.record = await self.store.commit(self.record, write)
        self.spent.add(what, time.process_time() - cpu, time.perf_counter() - wall)
        if self.profile:
            self.profile.disable()

    async def run(self, jobs: int) -> None:
        for begin in range(0, jobs, BATCH):
            verdicts = [apply_document(None, document(begin + n), self.context()) for n in range(BATCH)]
            await self.commit("accept", [(None, verdict.step) for verdict in verdicts if verdict.step])
        for begin in range(0, jobs, BATCH):
            cpu, wall = time.process_time(), time.perf_counter()
            heads = await self.store.queue_heads(LANE, "*", BATCH)
            self.spent.add("heads", time.process_time() - cpu, time.perf_counter() - wall)
            now = time.time()
            intents = [(job, intend(job, job.identity.name, 63, now)) for job in heads]
            await self.commit("intent", intents)
            made_steps: list[tuple[Job | None, Step]] = []
            for n, (_, step) in enumerate(intents):
                remote = f"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/{begin + n:012x}"
                made_steps.append((step.job, made(step.job, remote, self.context(), None)))
            await self.commit("outcome", made_steps)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?")
    parser.add_argument("--jobs", type=int, default=12_800)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    profile = cProfile.Profile() if arguments.profile else None
    with tempfile.TemporaryDirectory() as directory:
        url = arguments.url or f"sqlite:///{Path(directory) / 'bench.db'}"
        async with open_store(url, clock=SystemClock(), failpoint=no_failpoint, lock_wait_s=1) as store:
            bench = Bench(store, await store.take_lane(LANE), profile)
            await bench.run(arguments.jobs)
    for what, cpu_s in bench.spent.cpu_s.items():
        each = cpu_s / arguments.jobs * 1e6
        sys.stdout.write(
            f"{what:8} {each:7.1f} us CPU {bench.spent.wall_s[what] / arguments.jobs * 1e6:7.1f} us wall\n"
        )
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    anyio.run(main)
