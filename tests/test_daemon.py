"""The daemon as a whole, in this process, against a simulated AWS."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import anyio
import pytest
from structlog.testing import capture_logs

from controller.daemon import RunOptions, Seams, run_daemon
from controller.errors import ExitCode
from controller.settings import EventSettings, HttpSettings, QueueSettings, Scope, Settings, StoreSettings
from controller.simulator import IN_PROCESS_ENDPOINT, Simulator, SimulatorOptions, in_process_session
from tests.documents import BATCH, document
from tests.processes import ROOT


async def test_names_that_are_not_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file of the command line, of the working directory, and with it of a spool and of the events' file."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    (folder / "spool").mkdir(parents=True)
    name = Path(os.fsdecode(b"odd\xe9.json"))
    (folder / name).write_text(json.dumps([document(BATCH, "gone", desired="Stopped"), {"kind": "none"}]))
    (folder / "spool" / name).write_text(json.dumps(document(BATCH, "gone-too", 1, desired="Stopped")))
    monkeypatch.chdir(folder)
    settings = Settings(
        store=StoreSettings(url="sqlite:///ferryman.db"),
        queue=QueueSettings(sources=("dir:spool",), poll_s=0.1),
        http=HttpSettings(enabled=False),
        events=EventSettings.model_validate({"sinks": ["file:events.jsonl"]}),
        scopes={"default": Scope(region="us-east-1", endpoint_url=IN_PROCESS_ENDPOINT)},
    )
    with Simulator(SimulatorOptions(), now=time.time, random=Random(1)) as simulator, capture_logs() as said:
        seams = Seams(transport=in_process_session(simulator), signals=False)
        with anyio.fail_after(60):
            code = await run_daemon(settings, RunOptions(files=(name,), until_settled=True), seams=seams)
    assert code is ExitCode.REJECTED
    assert {line["file"] for line in said if line["event"] == "a document was rejected"} == {"odd\\udce9.json"}
    assert json.dumps(said, ensure_ascii=False, default=str).encode()
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(event["type"].endswith(".stopped") for event in events) == 2


def test_a_thread_that_hangs_does_not_hold_the_process() -> None:
    """As a file system may hold one of `run`; the exit code and what was written stay."""
    program = (
        "import sys, threading\n"
        "from controller.cli import main\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "sys.argv = ['ferryman', 'kinds', '--wrong']\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert ended.returncode == ExitCode.USAGE
    assert b"--wrong" in ended.stderr
