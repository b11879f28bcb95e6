"""Memory of a daemon: from idle to ten thousand running jobs, and from a thousand to a hundred thousand.

`python -m tests.benchmarks.figures_memory [URL] [RUNNING KNOWN LIVE]`. The first is a daemon that has created all of
them itself, documents over HTTP included; the second is two restarts on stores with so many jobs and passes over them.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from tests.benchmarks.arriving import free_port
from tests.benchmarks.figures_scale import FEW, WITHIN_S, daemon, endpoint, filled, memory_mib, read_all
from tests.benchmarks.measuring import ROOT
from tests.documents import BATCH

WARM: Final = 20
"""Jobs before the idle figure: the first call of a client loads what it needs for all others."""
SETTLE_S: Final = 5.0
PASSES: Final = 2
SLOTS: Final = 1_000_000
RATE: Final = {"rate": 2_000, "burst": 500}
LIST: Final = {"rate": 50, "burst": 50}


class Told:
    """What the daemon says of itself over HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port

    def running(self) -> int:
        try:
            with closing(urlopen(f"http://127.0.0.1:{self.port}/v1/summary", timeout=10)) as answer:
                phases: dict[str, int] = json.load(answer)["phases"]
        except URLError:
            return 0
        return phases["Running"]


def send(port: int, documents: int, prefix: str) -> None:
    arguments = [str(port), str(documents), "100", "4", prefix]
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.sender", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )


def wait_for(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not fact():
        if time.monotonic() > deadline:
            raise SystemExit("it takes too long")
        time.sleep(0.2)


def growth(folder: Path, running: int) -> dict[str, float]:
    """From idle to so many running jobs, created by the daemon itself and read in a few passes."""
    port = free_port()
    told = Told(port)
    settings = {
        "FERRYMAN_HTTP__ENABLED": "true",
        "FERRYMAN_HTTP__PORT": str(port),
        "FERRYMAN_EVENTS__SINKS": f'["file:{folder}/events.jsonl"]',
        "FERRYMAN_LIMITS": json.dumps({BATCH: {"create": RATE, "list": LIST, "jobs": SLOTS}}),
    }
    with endpoint(0) as (url, figures), daemon(folder, url, **settings) as (process, _ready_s):
        send(port, WARM, "warm")
        wait_for(lambda: told.running() >= WARM)
        time.sleep(SETTLE_S)
        idle_mib = memory_mib(process, "VmRSS")
        send(port, running, "job")
        wait_for(lambda: told.running() >= WARM + running)
        lists = figures()["list"]
        wait_for(lambda: figures()["list"] >= lists + PASSES * (running // 1000))
        running_mib = memory_mib(process, "VmRSS")
        return {
            "idle_mib": idle_mib,
            "running_mib": running_mib,
            "peak_mib": memory_mib(process, "VmHWM"),
            "from_idle_mb": (running_mib - idle_mib) * 1.048576,
        }


def main(running: int, known: int, live: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-") as scratch:
        home = Path(scratch) / "idle"
        home.mkdir()
        taken: dict[str, Any] = growth(home, running)
        peaks = []
        for jobs, all_jobs in ((FEW, 10 * FEW), (live, known)):
            with endpoint(jobs) as (url, figures):
                folder = filled(Path(scratch) / str(jobs), all_jobs, jobs)
                peaks.append(read_all(folder, jobs, url, figures)["peak_mib"])
    taken["few_mib"], taken["many_mib"] = peaks
    taken["few_to_many_mib"] = peaks[1] - peaks[0]
    taken["idle"] = f"{taken['idle_mib']:.0f} MiB idle; at most {taken['peak_mib']:.0f}"
    taken["few"] = f"at most {peaks[0]:.0f} and {peaks[1]:.0f} MiB"
    print(json.dumps(taken))  # noqa: T201 - the figures


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    main(*(numbers or [10_000, 200_000, 100_000]))
