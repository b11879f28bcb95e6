"""A daemon to look at: `ferryman run` as a process on a simulated AWS, and what a test asks of both."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, "-m", "controller.cli")
WITHIN_S = 60.0
STOPPED_WITHIN_S = 30.0


@dataclass
class Site:
    """One daemon, and the simulated AWS below it."""

    url: str
    aws_url: str
    process: "subprocess.Popen[bytes]"

    def get(self, path: str, **parameters: Any) -> Any:
        answer = httpx.get(self.url + path, params=parameters, timeout=WITHIN_S, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        answer = httpx.post(self.url + path, json=body, params=parameters, timeout=WITHIN_S, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()

    def send(self, *documents: Mapping[str, Any]) -> None:
        """Hand documents over; each must be accepted."""
        taken = self.post("/v1/documents", list(documents), wait=30)
        assert [item["answer"] for item in taken["items"]] == ["accepted"] * len(documents), taken

    def plant(self, fault: Mapping[str, Any]) -> None:
        """Let the simulated AWS do something that it seldom does."""
        httpx.post(f"{self.aws_url}/_simulator/faults", json=fault, trust_env=False).raise_for_status()

    def until(self, fact: Callable[[], Any]) -> Any:
        """Wait until something is true of the daemon; gives what it was."""
        deadline = time.monotonic() + WITHIN_S
        while not (found := fact()):
            assert time.monotonic() < deadline, "it did not become true"
            time.sleep(0.05)  # the fact is in another process: there is nothing else to wait on
        return found

    def job(self, name: str, phase: str, *, scope: str = "default", kind: str = "ModelInvocationJob") -> Any:
        """The job, once it is in a phase."""
        path = f"/v1/jobs/{scope}/{kind}/{name}"
        return self.until(lambda: (job := self.get(path))["phase"] == phase and job)


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FERRYMAN_", "AWS_"))}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **variables,
    }


@contextmanager
def simulator(folder: Path, speed: float) -> Iterator[str]:
    """`ferryman simulate`, where no job fails by chance; gives its URL."""
    log = folder / "simulator.log"
    arguments = ("simulate", "--port", "0", "--speed", str(speed), "--failure-rate", "0")
    with _running(folder, log, *arguments) as process:
        yield _word_in(log, process, lambda line: line.partition("listens on ")[2].split(". ")[0])


@contextmanager
def daemon(folder: Path, aws_url: str, *, port: int = 0, **settings: str) -> Iterator[Site]:
    """`ferryman run` on a store in `folder`, ready when the block begins."""
    log = folder / f"daemon-{time.monotonic_ns()}.log"
    variables = {
        "AWS_ENDPOINT_URL": aws_url,
        "FERRYMAN_STORE__URL": f"sqlite:///{folder}/ferryman.db",
        "FERRYMAN_EVENTS__SINKS": "[]",
        "FERRYMAN_HTTP__PORT": str(port),
        "FERRYMAN_RECONCILE__INTERVAL": "1",
        "FERRYMAN_RECONCILE__INTERVAL_MIN": "0.5",
        **settings,
    }
    with _running(folder, log, "run", **variables) as process:
        url = _word_in(log, process, lambda line: json.loads(line)["url"] if '"serving"' in line else "")
        _word_in(log, process, lambda line: line if '"ready"' in line else "")
        yield Site(url.rstrip("/"), aws_url, process)


@contextmanager
def _running(folder: Path, log: Path, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
            process.wait(STOPPED_WITHIN_S)


def _word_in(log: Path, process: "subprocess.Popen[bytes]", find: Callable[[str], str]) -> str:
    """The first word found in a line of a log that is being written."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        *lines, _ = log.read_text(encoding="utf-8", errors="replace").split("\n")
        for line in lines:
            if word := find(line):
                return word
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.02)  # the fact is a line in a file: there is nothing else to wait on
