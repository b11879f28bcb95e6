"""`make demo`: the daemon on the built-in simulator, with a few hundred documents of all four kinds.

Everything happens in a folder of its own below the system's temporary folder, which is removed afterwards; nothing
leaves this machine. Ctrl-C ends it as it ends the daemon: what was done until then is summed up all the same.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.documents import KINDS, mixed

DOCUMENTS = 300
SIMULATED_SECONDS_PER_SECOND = 900
RATE = {"rate": 40, "burst": 10}
USUAL_PORT = 8470
INTERRUPTED = 130


def main() -> int:
    """Write the documents, run the daemon until all are settled, and give its exit code."""
    with tempfile.TemporaryDirectory(prefix="ferryman-demo-") as name:
        folder, port = Path(name), free_port()
        jobs = folder / "jobs.jsonl"
        retry = {"attempts": 6, "backoffSeconds": 1}
        documents = mixed(DOCUMENTS, "demo", labels={"run": "demo"}, retry=retry)
        jobs.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
        say(f"{DOCUMENTS} documents of four kinds, one job in ten fails once or more; a simulated AWS.")
        say(f"look at http://127.0.0.1:{port}/ while it runs")
        command = [sys.executable, "-m", "controller.cli", "run", str(jobs), "--simulate", "--until-settled"]
        began = time.monotonic()
        code = run_to_its_end(command, folder, environment(port))
        summarise(folder / "events.jsonl", time.monotonic() - began)
        return code


def environment(port: int) -> dict[str, str]:
    """The settings of the daemon."""
    limits = {kind: {"create": RATE, "list": RATE, "get": RATE, "jobs": 20} for kind in KINDS}
    limits["personalize.BatchInferenceJob"]["jobs"] = 5
    return os.environ | {
        "FERRYMAN_INSTANCE": "demo",
        "FERRYMAN_LIMITS": json.dumps(limits),
        "FERRYMAN_RECONCILE__INTERVAL": "2",
        "FERRYMAN_RECONCILE__INTERVAL_MIN": "0.5",
        "FERRYMAN_EVENTS__SINKS": json.dumps(["file:events.jsonl"]),
        "FERRYMAN_SIMULATOR__SPEED": str(SIMULATED_SECONDS_PER_SECOND),
        "FERRYMAN_SIMULATOR__FAILURE_RATE": "0.1",
        "FERRYMAN_HTTP__PORT": str(port),
        "FERRYMAN_LOG__LEVEL": "warning",
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }


def free_port() -> int:
    """The usual one, so that `ferryman get` finds the daemon as it is; any other where that is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def run_to_its_end(command: list[str], folder: Path, variables: Mapping[str, str]) -> int:
    """Its exit code; a Ctrl-C reaches the daemon too, which then ends by itself, and a second one hurries it."""
    interrupted = False
    with subprocess.Popen(command, cwd=folder, env=variables) as process:
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                interrupted = True
            else:
                return INTERRUPTED if interrupted else code


def summarise(path: Path, took_s: float) -> None:
    """Count the events, by type, and the jobs that have succeeded."""
    events = list(read(path))
    counts = Counter(str(event["type"]).removeprefix("ferryman.") for event in events)
    if counts:
        say("events: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    succeeded = {event["subject"] for event in events if event["type"] == "ferryman.job.succeeded"}
    say(f"{len(succeeded)} of {DOCUMENTS} Succeeded in {took_s:.0f} s")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The events of the file, but for a line that was cut off; none where it was never written."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before the daemon has begun
        sys.exit(INTERRUPTED)
