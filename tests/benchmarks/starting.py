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

from tests.benchmarks.daemon import environment


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
        settings = {**environment(Path(folder), url), "FERRYMAN_LOG__LEVEL": "info", "FERRYMAN_HTTP__PORT": "0"}
        settings["FERRYMAN_HTTP__ENABLED"] = "true"
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "controller.cli", "run"],
            cwd=folder,
            env={**os.environ, **settings, "PYTHONPATH": str(Path(__file__).resolve().parent.parent.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as daemon:
            assert daemon.stdout is not None
            try:
                for line in daemon.stdout:
                    if '"ready"' in line:
                        return time.perf_counter() - began
            finally:
                daemon.terminate()
    raise SystemExit("the daemon left before it was ready")


def main(url: str, times: int) -> None:
    figures = {
        "help_s": statistics.median(help_s() for _ in range(times)),
        "python_s": statistics.median(bare_s() for _ in range(times)),
        "ready_s": statistics.median(ready_s(url) for _ in range(times)),
    }
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
