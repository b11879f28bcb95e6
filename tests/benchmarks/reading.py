"""The page path: passes over many running jobs among a long history, and what those jobs cost in memory.

`python -m tests.benchmarks.reading [URL] [JOBS HISTORY]`: the endpoint is one of its own. The lane begins paused and
idle; then its backlog is created, seen running, and read again and again.
"""

import json
import sys
import time
from collections import Counter
from typing import Any

import anyio

from controller.control import Control
from controller.kinds.aws import AwsClients, Reply
from controller.model import Phase
from controller.reconcile import Reconciler
from controller.store import LaneStore
from tests.benchmarks.daemon import LANE, resident_mib, run, until, watched
from tests.benchmarks.measuring import running_endpoint

STEADY_PASSES = 5


class Passes:
    """Each pass over List: its wall and processor time, and its calls."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        one_pass, call = Reconciler._one_pass, AwsClients.call
        passes = self

        async def counted_call(clients: AwsClients, service: str, operation: str, parameters: Any) -> Reply:
            passes.calls[operation] += 1
            return await call(clients, service, operation, parameters)

        async def measured(reconciler: Reconciler) -> None:
            if not reconciler._desk.lane.endswith(LANE.partition("/")[2]):
                return await one_pass(reconciler)
            passes.calls.clear()
            began, cpu = time.perf_counter(), time.process_time()
            await one_pass(reconciler)
            passes.done.append(
                {
                    "wall_s": time.perf_counter() - began,
                    "cpu_s": time.process_time() - cpu,
                    "lists": passes.calls["ListModelInvocationJobs"],
                    "gets": passes.calls["GetModelInvocationJob"],
                }
            )
            return None

        Reconciler._one_pass = measured  # type: ignore[method-assign,assignment]
        AwsClients.call = counted_call  # type: ignore[method-assign,assignment]


async def main(url: str, jobs: int) -> None:
    passes, figures = Passes(), dict[str, Any]()

    async def story(control: Control, store: LaneStore) -> None:
        async def all_running() -> bool:
            running = (await store.phase_counts(LANE)).get(Phase.RUNNING, 0) >= jobs
            return running and await seen_working(store)

        async def seen_working(store: LaneStore) -> bool:
            after = 0
            while mirrors := await store.running(LANE, after, 1000):
                if any(mirror.remote_status != "InProgress" for mirror in mirrors):
                    return False
                after = mirrors[-1].job_id
            return True

        async def enough() -> bool:
            return len(passes.done) >= before + 1 + STEADY_PASSES

        await anyio.sleep(1)
        idle_mib = resident_mib()
        await control.resume(LANE)
        async with watched() as watch:
            await until(all_running, every_s=1)
            before = len(passes.done)
            await until(enough, every_s=0.5)
        figures.update(
            jobs=jobs,
            grown_mib=resident_mib() - idle_mib,
            heaviest=max(passes.done, key=lambda one: one["cpu_s"]),
            steady=passes.done[before + 1 :],
            **{name: max(one[name] for one in passes.done[before + 1 :]) for name in ("lists", "gets")},
            **watch.figures(),
        )

    often = {"FERRYMAN_RECONCILE__INTERVAL": "2", "FERRYMAN_RECONCILE__INTERVAL_MIN": "2"}
    await run(url, jobs, story, paused=True, settings=often)
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    jobs, history = numbers or (10_000, 200_000)
    with running_endpoint() as endpoint:
        endpoint.ask(f"forget {history}")
        anyio.run(main, endpoint.url, jobs, backend_options={"use_uvloop": True})
