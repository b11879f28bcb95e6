"""How long the command takes to say its help, and a new daemon to be ready: real processes.

`python -m tests.benchmarks.starting URL TIMES`
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures_scale import daemon


def help_s() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "controller.cli", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def bare_s() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def ready_s(url: str) -> float:
    """From the start of the process to the line that says so."""
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-", dir=os.environ.get("BENCHMARK_DIR")) as folder:
        served = {"FERRYMAN_HTTP__ENABLED": "true", "FERRYMAN_HTTP__PORT": "0"}
        with daemon(Path(folder), url, **served) as (_process, took_s):
            return took_s


def main(url: str, times: int) -> None:
    figures = {
        "help_s": statistics.median(help_s() for _ in range(times)),
        "python_s": f"python alone {statistics.median(bare_s() for _ in range(times)):.3f}",
        "ready_s": statistics.median(ready_s(url) for _ in range(times)),
    }
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
