"""A store with a million jobs, a hundred thousand of them running: restart, memory, reads and idleness.

`python -m tests.benchmarks.figures_scale [URL] [KNOWN RUNNING]`: the endpoint is one of its own, which lists what runs.
The store is filled by SQL: one running and one ended job are made as Ferryman makes them, and copied.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anyio

from controller.seams import SystemClock, no_failpoint
from controller.store import JobChange, LaneWrite
from controller.store.opening import open_store
from tests.benchmarks.daemon import LANE, environment
from tests.benchmarks.endpoint import ARN, summary
from tests.benchmarks.measuring import CREDENTIALS, ROOT
from tests.store.building import ended, running, waiting

FEW: Final = 1_000
IDLE_S: Final = 20.0
PASSES: Final = 3
WITHIN_S: Final = 300.0


async def _make(url: str, known: int, live: int) -> None:
    """One job of each sort, then the rest of them by SQL."""
    async with open_store(url, clock=SystemClock(), failpoint=no_failpoint, lock_wait_s=1) as store:
        record = await store.take_lane(LANE)
        scope, _, kind = LANE.partition("/")
        now = time.time()
        jobs = [running(waiting("running"), f"{ARN}000000000000"), ended(waiting("ended"), at=now)]
        made = []
        for job in jobs:
            identity = replace(job.identity, scope=scope, kind=kind)
            attempts = tuple(replace(attempt, created_at=now - 600) for attempt in job.attempts)
            made.append(
                replace(job, identity=identity, attempts=attempts, accepted_at=now - 900, remote_status="InProgress")
            )
        await store.commit(record, LaneWrite(LANE, changes=[JobChange(None, job) for job in made]))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        _copy(database, "running", live)
        _copy(database, "ended", known - live)
        database.execute("UPDATE lanes SET last_job = (SELECT max(id) FROM jobs)")
        database.execute("ANALYZE")
        database.commit()


def _copy(database: sqlite3.Connection, name: str, copies: int) -> None:
    """Copies of a job and its attempt, each with ids of its own."""
    (job_id,) = database.execute("SELECT id FROM jobs WHERE name = ?", (name,)).fetchone()
    begin = database.execute("SELECT max(id) FROM jobs").fetchone()[0]
    numbers = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)"
    jobs = [row[1] for row in database.execute("PRAGMA table_info(jobs)")]
    own = {
        "id": f"{begin} + n",
        "name": f"'{name}-' || n",
        "uid": "printf('%016d', n)",
        "remote_id": f"CASE WHEN remote_id IS NULL THEN NULL ELSE printf('{ARN}%012d', n) END",
    }
    chosen = ", ".join(own.get(column, column) for column in jobs)
    database.execute(
        f"{numbers} INSERT INTO jobs ({', '.join(jobs)}) SELECT {chosen} FROM number, jobs WHERE jobs.id = ?",  # noqa: S608 - names of our own columns
        (copies, job_id),
    )
    attempts = [row[1] for row in database.execute("PRAGMA table_info(attempts)")]
    own = {
        "job_id": f"{begin} + n",
        "token": f"'{name}-' || n",
        "remote_name": f"'{name}-' || n",
        "remote_id": f"CASE WHEN remote_id IS NULL THEN NULL ELSE printf('{ARN}%012d', n) END",
    }
    chosen = ", ".join(own.get(column, column) for column in attempts)
    database.execute(
        f"{numbers} INSERT INTO attempts ({', '.join(attempts)}) "  # noqa: S608 - names of our own columns
        f"SELECT {chosen} FROM number, attempts WHERE attempts.job_id = ?",
        (copies, job_id),
    )
    database.execute("DELETE FROM attempts WHERE job_id = ?", (job_id,))
    database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


@contextmanager
def endpoint(live: int) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """An endpoint in a process of its own, and a way to ask it for its figures."""
    command = [sys.executable, "-c", f"from tests.benchmarks.figures_scale import serve; serve({live})"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ask, tell = process.stdin, process.stdout

        def figures() -> dict[str, float]:
            ask.write("figures\n")
            ask.flush()
            answer: dict[str, float] = json.loads(tell.readline())
            return answer

        try:
            yield f"http://127.0.0.1:{int(tell.readline())}", figures
        finally:
            process.kill()


def serve(live: int) -> None:
    """The benchmarks' endpoint, with so many jobs in it from the beginning."""
    import uvloop  # noqa: PLC0415 - the process of the endpoint alone

    from tests.benchmarks import endpoint as served  # noqa: PLC0415 - the same

    class Filled(served.World):
        def __init__(self, history: int) -> None:
            super().__init__(history)
            began = datetime.now(UTC)
            self.created = [
                summary(f"{ARN}{number:012d}", "InProgress", began, {"jobName": f"running-{number}"})
                for number in range(1, live + 1)
            ]

    served.World = Filled  # type: ignore[misc]
    uvloop.run(served.main())


@contextmanager
def daemon(folder: Path, url: str, **settings: str) -> Iterator[tuple["subprocess.Popen[str]", float]]:
    """A daemon on the store of the folder; gives its process and the seconds until it was ready."""
    values = {**environment(folder, url), "FERRYMAN_LOG__LEVEL": "info", **settings}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "controller.cli", "run"],
        cwd=folder,
        env={**os.environ, **CREDENTIALS, **values, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if '"ready"' in line:
                    yield process, time.perf_counter() - began
                    return
            raise SystemExit("the daemon left before it was ready")
        finally:
            process.kill()


def memory_mib(process: "subprocess.Popen[str]", field: str) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(field))


def cpu_s(process: "subprocess.Popen[str]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Figures = Callable[[], dict[str, float]]


def read_all(folder: Path, live: int, url: str, figures: Figures) -> dict[str, float]:
    """A restart, and passes over everything that runs."""
    pages = -(-live // 1000)
    with daemon(folder, url, FERRYMAN_RECONCILE__INTERVAL="3") as (process, ready_s):
        at_ready = memory_mib(process, "VmRSS")
        deadline = time.monotonic() + WITHIN_S
        while figures()["list"] < PASSES * pages and time.monotonic() < deadline:
            time.sleep(0.2)
        found = figures()
        return {
            "ready_s": ready_s,
            "ready_mib": at_ready,
            "peak_mib": memory_mib(process, "VmHWM"),
            "cpu_s_per_pass": cpu_s(process) / max(1.0, found["list"] / pages),
            "lists": found["list"],
            "gets": found["get"],
        }


def idle(folder: Path, url: str, figures: Figures) -> dict[str, float]:
    """The same store with everything ended."""
    with closing(sqlite3.connect(folder / "ferryman.db")) as database:
        database.execute("UPDATE jobs SET phase = 'Succeeded', live = 0, ended_at = ? WHERE live", (time.time(),))
        database.commit()
    with daemon(folder, url) as (process, ready_s):
        time.sleep(5)
        calls, spent = figures(), cpu_s(process)
        time.sleep(IDLE_S)
        after = figures()
        return {
            "idle_ready_s": ready_s,
            "idle_cpu_percent": 100 * (cpu_s(process) - spent) / IDLE_S,
            "idle_calls": after["list"] + after["get"] - calls["list"] - calls["get"],
        }


def filled(folder: Path, known: int, live: int) -> Path:
    folder.mkdir()
    anyio.run(_make, f"sqlite:///{folder}/ferryman.db", known, live)
    return folder


def main(known: int, live: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-", dir=os.environ.get("BENCHMARK_DIR")) as scratch:
        with endpoint(FEW) as (url, figures):
            few = read_all(filled(Path(scratch) / "few", 10 * FEW, FEW), FEW, url, figures)
        began = time.perf_counter()
        many_folder = filled(Path(scratch) / "many", known, live)
        filled_s = time.perf_counter() - began
        with endpoint(live) as (url, figures):
            many = read_all(many_folder, live, url, figures)
            quiet = idle(many_folder, url, figures)
        taken: dict[str, Any] = {
            "known": known,
            "running": live,
            "filled_s": filled_s,
            **many,
            "grown_mib": many["peak_mib"] - few["peak_mib"],
            "few": few,
            **quiet,
        }
    print(json.dumps(taken))  # noqa: T201 - the figures


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    main(*(numbers or [1_000_000, 100_000]))
