"""How soon an end at AWS is an event on disk, with notifications: real time, a simulator and a queue on sockets.

`python -m tests.benchmarks.figures_notified [URL]`. Each job's event is sent when the simulator ends it; the daemon
would look by itself once in ten minutes.
"""

import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.documents import BATCH, document
from tests.test_notifications import event, lives, notified, send

JOBS = 100
"""As many as have a slot at once: five models of twenty."""
LIVED_S = 20.0


async def measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    options = {**lives(LIVED_S), "quotas": {BATCH: {"*": JOBS}}}
    async with notified(folder, monkeypatch, **options) as (aws, daemon, home, queue):
        await daemon.post("/v1/documents", [document(BATCH, f"job-{number}", number) for number in range(JOBS)])
        told: set[str] = set()
        while len(told) < JOBS:
            over = [entry.arn for entry in aws.creates() if entry.at + LIVED_S <= time.time() and entry.arn not in told]
            if over:
                await anyio.to_thread.run_sync(send, queue, *map(event, over))
                told.update(over)
            await anyio.sleep(0.02)
        succeeded: list[dict[str, Any]] = []
        with anyio.fail_after(120):
            while len(succeeded) < JOBS:
                await anyio.sleep(0.5)
                succeeded = [each for each in home.events() if each["type"] == "ferryman.job.succeeded"]
        ends = {entry.arn: entry.at + LIVED_S for entry in aws.creates()}
        late = sorted(
            datetime.fromisoformat(each["time"]).timestamp() - ends[each["data"]["remoteId"]] for each in succeeded
        )
        reads = aws.calls("ListModelInvocationJobs"), aws.calls("GetModelInvocationJob")
        return {
            "p50_s": late[JOBS // 2],
            "p99_s": late[int(0.99 * JOBS)],
            "reads": f"{reads[0]} lists, {reads[1]} gets",
        }


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-") as folder, pytest.MonkeyPatch.context() as patch:
        figures = anyio.run(measured, Path(folder), patch)
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    main()
