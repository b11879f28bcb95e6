"""`make bench`: one table, each figure beside its anchor of the same run.

Pairs are interleaved (bare, Ferryman, bare, ...) and medians quoted, since these figures are ratios: a machine that is
busy with something else slows both sides alike.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

PAIRS = int(os.environ.get("PAIRS", "5"))
CREATES = int(os.environ.get("CREATES", "3000"))
ROOT = Path(__file__).resolve().parent.parent.parent
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}


def run(module: str, url: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", url, str(CREATES)],
        cwd=ROOT,
        env={**os.environ, **CREDENTIALS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def ask(endpoint: "subprocess.Popen[str]") -> dict[str, float]:
    assert endpoint.stdin is not None
    assert endpoint.stdout is not None
    endpoint.stdin.write("\n")
    endpoint.stdin.flush()
    figures: dict[str, float] = json.loads(endpoint.stdout.readline())
    return figures


def main() -> None:
    endpoint = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.endpoint"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert endpoint.stdout is not None
    url = f"http://127.0.0.1:{int(endpoint.stdout.readline())}"
    bare, ours = [], []
    try:
        for pair in range(PAIRS):
            bare.append(run("bare", url))
            ours.append(run("dispatching", url))
            print(f"pair {pair + 1}: bare {rate(bare[-1]):.0f}/s, ferryman {rate(ours[-1]):.0f}/s", file=sys.stderr)  # noqa: T201
        served = ask(endpoint)
    finally:
        endpoint.kill()
    report(bare, ours, served)


def rate(figures: dict[str, Any]) -> float:
    return float(figures["creates"] / figures["wall_s"])


def cpu_ms(figures: dict[str, Any]) -> float:
    return float(1000 * figures["cpu_s"] / figures["creates"])


def report(bare: list[dict[str, Any]], ours: list[dict[str, Any]], served: dict[str, float]) -> None:
    ratios = [rate(mine) / rate(anchor) for mine, anchor in zip(ours, bare, strict=True)]
    beyond = [cpu_ms(mine) - cpu_ms(anchor) for mine, anchor in zip(ours, bare, strict=True)]
    capacity = served["answered"] / served["cpu_s"]
    anchor = statistics.median(map(rate, bare))
    rows = [
        ("creates/s, ferryman / bare", statistics.median(ratios), ">= 0.6", f"{min(ratios):.2f} .. {max(ratios):.2f}"),
        ("creates/s, ferryman", statistics.median(map(rate, ours)), "", f"bare {anchor:.0f}"),
        ("CPU ms a create, ferryman", statistics.median(map(cpu_ms, ours)), "", ""),
        ("CPU ms a create, bare", statistics.median(map(cpu_ms, bare)), "", ""),
        ("CPU ms a create beyond bare", statistics.median(beyond), "", f"{min(beyond):.2f} .. {max(beyond):.2f}"),
        ("endpoint's capacity / bare", capacity / anchor, ">= 5", f"{capacity:.0f} requests per CPU second"),
        ("MiB grown over the run", statistics.median(m["grown_mib"] for m in ours), "", f"{CREATES} running jobs"),
    ]
    for name, value, must, note in rows:
        print(f"{name:32} {value:10.3f}  {must:8} {note}")  # noqa: T201 - the table


if __name__ == "__main__":
    main()
