"""A daemon in this process for the benchmarks: on a SQLite file with FULL synchronisation, with an accepted backlog.

Nothing of the product is switched off but HTTP and the sinks; rate limits and job slots are out of the way. Figures are
of this process alone.
"""

import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from controller.cli.logging import Masker, configure_logging
from controller.cli.terminal import Terminal
from controller.control import Control
from controller.daemon import RunOptions, Seams, run_daemon, spare_the_collector
from controller.documents import Policy, read_document
from controller.kinds import KINDS
from controller.model import Document, lane_name
from controller.seams import SystemClock, no_failpoint
from controller.settings import load_settings
from controller.store import JobChange, LaneStore, LaneWrite
from controller.store.opening import open_store
from controller.transitions.step import Context
from controller.transitions.wanting import apply_document
from tests.documents import BATCH, document

LANE = lane_name("default", BATCH)
BATCHES = 500
TICK_S = 0.005
FOLDER = "FOLDER"
"""Stands for the folder of the run in the values of its settings."""
OUT_OF_THE_WAY = {"rate": 10_000, "burst": 10_000}

Failpoint = Callable[[str], Awaitable[None]]
Story = Callable[[Control, LaneStore], Awaitable[None]]
"""What happens while the daemon runs; its end is the daemon's."""


def environment(folder: Path, url: str) -> Mapping[str, str]:
    return {
        "FERRYMAN_STORE__URL": f"sqlite:///{folder}/ferryman.db",
        "FERRYMAN_SCOPES": json.dumps({"default": {"region": "us-east-1", "endpoint_url": url}}),
        "FERRYMAN_EVENTS__SINKS": "[]",
        "FERRYMAN_HTTP__ENABLED": "false",
        "FERRYMAN_LIMITS": json.dumps({BATCH: {"create": OUT_OF_THE_WAY, "list": OUT_OF_THE_WAY, "jobs": 10_000_000}}),
        "FERRYMAN_LOG__LEVEL": "warning",
    }


async def accept(store_url: str, jobs: int, *, paused: bool = False) -> None:
    """The backlog, as intake and the inbox leave it."""
    async with open_store(store_url, clock=SystemClock(), failpoint=no_failpoint, lock_wait_s=1) as store:
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
        if paused:
            await store.commit(record, LaneWrite(LANE, paused=True, pause_reason="the clock does not run yet"))


async def run(
    url: str,
    jobs: int,
    story: Story,
    failpoint: Failpoint = no_failpoint,
    *,
    paused: bool = False,
    settings: Mapping[str, str] | None = None,
    files: Sequence[Path] = (),
) -> None:
    """Run a daemon with a backlog of `jobs`, and with files it is given, until the story ends."""
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-", dir=os.environ.get("BENCHMARK_DIR")) as folder:
        more = {name: value.replace(FOLDER, folder) for name, value in (settings or {}).items()}
        os.environ.update({**environment(Path(folder), url), **more})
        loaded = load_settings(None)
        configure_logging(loaded.log, Masker(), Terminal(), live=False)
        await accept(loaded.store.url, jobs, paused=paused)

        async def watch(control: Control) -> None:
            spare_the_collector()  # as where the process is the daemon's own
            await story(control, control._store)
            control.shutdown()

        await run_daemon(
            loaded, RunOptions(files=tuple(files)), watch=watch, seams=Seams(failpoint=failpoint, signals=False)
        )


class LoopWatch:
    """The longest time for which the event loop did not turn.

    On a machine that is busy with something else it holds what others took. So two more are kept: the longest without
    the time for which the loop's thread was ready and waited for a processor, and the most that it computed itself
    between two turns. Each is the longest of its own sort, not of one and the same stall.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.longest_own_s = 0.0
        self.longest_cpu_s = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        with _processor_waits() as waited_s:
            while True:
                before, waited, cpu = time.perf_counter(), waited_s(), time.thread_time()
                await anyio.sleep(TICK_S)
                stalled_s = time.perf_counter() - before - TICK_S
                self.longest_s = max(self.longest_s, stalled_s)
                self.longest_own_s = max(self.longest_own_s, stalled_s - (waited_s() - waited))
                self.longest_cpu_s = max(self.longest_cpu_s, time.thread_time() - cpu)

    def figures(self) -> dict[str, float]:
        return {
            "stall_ms": 1000 * self.longest_s,
            "stall_own_ms": 1000 * self.longest_own_s,
            "stall_cpu_ms": 1000 * self.longest_cpu_s,
        }


@contextmanager
def _processor_waits() -> Iterator[Callable[[], float]]:
    """How long this thread has been ready to run without a processor to run on, in seconds; 0 where nobody counts."""
    try:
        counts = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        yield lambda: 0.0
        return
    try:
        yield lambda: int(os.pread(counts, 100, 0).split()[1]) / 1e9
    finally:
        os.close(counts)


@asynccontextmanager
async def watched() -> AsyncIterator[LoopWatch]:
    """Watch the event loop meanwhile."""
    watch = LoopWatch()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        yield watch
        tasks.cancel_scope.cancel()


class Weight:
    """The most memory of this process that was in RAM."""

    def __init__(self) -> None:
        self.peak_mib = resident_mib()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.peak_mib = max(self.peak_mib, resident_mib())
            await anyio.sleep(10 * TICK_S)


@asynccontextmanager
async def weighed() -> AsyncIterator[Weight]:
    """Weigh the process meanwhile."""
    weight = Weight()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(weight.run)
        yield weight
        tasks.cancel_scope.cancel()


async def until(fact: Callable[[], Awaitable[bool]], every_s: float = 0.05) -> None:
    with anyio.fail_after(600):
        while not await fact():
            await anyio.sleep(every_s)


def resident_mib() -> float:
    """Memory of this process that is in RAM now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
