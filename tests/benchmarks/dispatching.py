"""Ferryman's side: the daemon creates from an accepted backlog.

Each create has its durable intent, its durable outcome and its event. The clock runs from the first request to the
commit of the last outcome.

`python -m tests.benchmarks.dispatching URL CREATES [--stall]`: watches the event loop as well.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio

from controller.control import Control
from controller.model import Job, Phase
from controller.store import LaneRecord, LaneStore, LaneWrite
from controller.store.lane_reads import LaneReads
from controller.store.lane_writes import LaneWrites
from tests.benchmarks.daemon import LANE, run, until, watched


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


def count_store() -> Counter[str]:
    """Counts what the lane asks of its store."""
    counted: Counter[str] = Counter()
    commit, heads = LaneWrites.commit, LaneReads.queue_heads

    async def counting_commit(self: LaneWrites, record: LaneRecord, write: LaneWrite) -> LaneRecord:
        changes = [change for change in write.changes if change.before is not None]
        if changes:
            kind = "outcomes" if write.events else "intents"
            counted[kind] += len(changes)
            counted[f"{kind}_commits"] += 1
        return await commit(self, record, write)

    async def counting_heads(self: LaneReads, lane: str, quota_key: str, limit: int) -> Sequence[Job]:
        found = await heads(self, lane, quota_key, limit)
        counted["heads"] += len(found)
        return found

    LaneWrites.commit = counting_commit  # type: ignore[method-assign]
    LaneReads.queue_heads = counting_heads  # type: ignore[method-assign]
    return counted


async def main(url: str, creates: int, *, stall: bool) -> None:
    meter, figures, counted = Meter(), dict[str, Any](), count_store()

    async def story(_control: Control, store: LaneStore) -> None:
        async def created() -> bool:
            return meter.sent >= creates and (await store.phase_counts(LANE)).get(Phase.RUNNING, 0) >= creates

        if stall:
            async with watched() as watch:
                await until(created)
            figures.update(watch.figures())
        else:
            await until(created)
        figures.update(
            wall_s=time.perf_counter() - meter.began,
            cpu_s=time.process_time() - meter.cpu,
            creates=creates,
            **counted,
        )

    await run(url, creates, story, meter.reach)
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    begin = partial(main, sys.argv[1], int(sys.argv[2]), stall="--stall" in sys.argv)
    anyio.run(begin, backend_options={"use_uvloop": True})
