"""`make demo`: the daemon on the built-in simulator, with a few hundred documents of all four kinds.

Everything happens in a folder of its own below the system's temporary folder, which is removed afterwards; nothing
leaves this machine.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.documents import KINDS, mixed

DOCUMENTS = 300
SIMULATED_SECONDS_PER_SECOND = 900
RATE = {"rate": 40, "burst": 10}


def main() -> int:
    """Write the documents, run the daemon until all are settled, and give its exit code."""
    with tempfile.TemporaryDirectory(prefix="ferryman-demo-") as folder:
        jobs = Path(folder) / "jobs.jsonl"
        retry = {"attempts": 6, "backoffSeconds": 1}
        documents = mixed(DOCUMENTS, "demo", labels={"run": "demo"}, retry=retry)
        jobs.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
        limits = {kind: {"create": RATE, "list": RATE, "get": RATE, "jobs": 20} for kind in KINDS}
        limits["personalize.BatchInferenceJob"]["jobs"] = 5
        environment = os.environ | {
            "FERRYMAN_INSTANCE": "demo",
            "FERRYMAN_LIMITS": json.dumps(limits),
            "FERRYMAN_RECONCILE__INTERVAL": "2",
            "FERRYMAN_RECONCILE__INTERVAL_MIN": "0.5",
            "FERRYMAN_EVENTS__SINKS": json.dumps(["file:events.jsonl"]),
            "FERRYMAN_SIMULATOR__SPEED": str(SIMULATED_SECONDS_PER_SECOND),
            "FERRYMAN_SIMULATOR__FAILURE_RATE": "0.1",
            "FERRYMAN_HTTP__PORT": "0",
            "FERRYMAN_LOG__LEVEL": "warning",
        }
        sys.stdout.write(f"{DOCUMENTS} documents of four kinds, one job in ten fails once or more; a simulated AWS.\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "controller.cli", "run", str(jobs), "--simulate", "--until-settled"]
        root = Path(__file__).resolve().parent.parent
        environment["PYTHONPATH"] = str(root)
        finished = subprocess.run(command, cwd=folder, env=environment, check=False)
        summarise(Path(folder) / "events.jsonl")
        return finished.returncode


def summarise(events: Path) -> None:
    """Count the events, by type."""
    counts: dict[str, int] = {}
    for line in events.read_text(encoding="utf-8").splitlines():
        kind = json.loads(line)["type"].removeprefix("ferryman.")
        counts[kind] = counts.get(kind, 0) + 1
    sys.stdout.write("events: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) + "\n")


if __name__ == "__main__":
    sys.exit(main())
