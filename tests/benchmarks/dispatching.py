"""Ferryman's side: the daemon creates from an accepted backlog, on SQLite with FULL synchronisation.

Each create has its durable intent, its durable outcome and its event; nothing of the product is switched off but HTTP
and the sinks. The clock runs from the first request to the commit of the last outcome.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from controller.cli.logging import Masker, configure_logging
from controller.cli.terminal import Terminal
from controller.control import Control
from controller.daemon import RunOptions, Seams, run_daemon
from controller.documents import Policy, read_document
from controller.kinds import KINDS
from controller.model import Document, Phase, lane_name
from controller.seams import SystemClock, no_failpoint
from controller.settings import load_settings
from controller.store import JobChange, LaneWrite
from controller.store.opening import open_store
from controller.transitions.step import Context
from controller.transitions.wanting import apply_document
from tests.documents import BATCH, document

LANE = lane_name("default", BATCH)
BATCHES = 500
OUT_OF_THE_WAY = {"rate": 10_000, "burst": 10_000}


def environment(folder: Path, url: str) -> Mapping[str, str]:
    return {
        "FERRYMAN_STORE__URL": f"sqlite:///{folder}/ferryman.db",
        "FERRYMAN_SCOPES": json.dumps({"default": {"region": "us-east-1", "endpoint_url": url}}),
        "FERRYMAN_EVENTS__SINKS": "[]",
        "FERRYMAN_HTTP__ENABLED": "false",
        "FERRYMAN_LIMITS": json.dumps({BATCH: {"create": OUT_OF_THE_WAY, "jobs": 10_000_000}}),
    }


async def accept(url: str, jobs: int) -> None:
    """The backlog, as intake and the inbox leave it."""
    async with open_store(url, clock=SystemClock(), failpoint=no_failpoint, lock_wait_s=1) as store:
        record = await store.take_lane(LANE)
        context = Context(KINDS[BATCH], time.time(), (await store.facts())["instance"])
        policy = Policy(scopes={"default": frozenset()})
        for begin in range(0, jobs, BATCHES):
            changes = []
            for number in range(begin, min(begin + BATCHES, jobs)):
                read = read_document(document(BATCH, f"job-{number}", number), KINDS, policy)
                assert isinstance(read, Document)
                step = apply_document(None, read, context).step
                assert step is not None
                changes.append(JobChange(None, step.change(turn=number).job))
            record = await store.commit(record, LaneWrite(LANE, changes=changes))


class Meter:
    """Begins with the first request; a failpoint is where production lets a test look."""

    def __init__(self) -> None:
        self.began = 0.0
        self.cpu = 0.0
        self.sent = 0

    async def reach(self, step: str) -> None:
        if step != "aws.CreateModelInvocationJob:before":
            return
        if not self.began:
            self.began, self.cpu = time.perf_counter(), time.process_time()
        self.sent += 1


async def main(url: str, creates: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-", dir=os.environ.get("BENCHMARK_DIR")) as folder:
        for name, value in environment(Path(folder), url).items():
            os.environ[name] = value
        settings = load_settings(None)
        configure_logging(settings.log, Masker(), Terminal(), live=False)
        await accept(settings.store.url, creates)
        meter, figures = Meter(), dict[str, Any]()
        idle_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def watch(control: Control) -> None:
            store = control._store
            while meter.sent < creates or (await store.phase_counts(LANE)).get(Phase.RUNNING, 0) < creates:
                await anyio.sleep(0.05)
            figures.update(
                wall_s=time.perf_counter() - meter.began,
                cpu_s=time.process_time() - meter.cpu,
                creates=creates,
                grown_mib=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle_kib) / 1024,
            )
            control.shutdown()

        seams = Seams(failpoint=meter.reach, signals=False)
        await run_daemon(settings, RunOptions(), watch=watch, seams=seams)
        print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), backend_options={"use_uvloop": True})
