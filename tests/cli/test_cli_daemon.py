"""Commands that are long-lived or look at AWS: `run --simulate`, `simulate`, `doctor`."""

import json
import os
import pty
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.cli.doctor.daemon import ask_daemon
from controller.cli.doctor.finding import Level
from tests.cli.command import (
    DEADLINE_S,
    answering,
    at_terminal,
    daemon,
    environment,
    ferryman,
    ferryman_anew,
    lines,
    write_documents,
)
from tests.documents import mixed
from tests.processes import start, until

FAST = {
    "FERRYMAN_HTTP__PORT": "0",
    "FERRYMAN_SIMULATOR__SPEED": "5000",
    "FERRYMAN_RECONCILE__INTERVAL": "0.5",
    "FERRYMAN_RECONCILE__INTERVAL_MIN": "0.2",
    "FERRYMAN_EVENTS__SINKS": '["file:events.jsonl"]',
}


def write(path: Path, documents: Any) -> Path:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def created(folder: Path) -> int:
    ledger = (folder / "ferryman-simulated-ledger.jsonl").read_text().splitlines()[1:]
    return sum(json.loads(line)["entry"]["effect"] == "create" for line in ledger)


def test_a_simulated_run_settles_and_a_second_one_finds_its_world_again(tmp_path: Path) -> None:
    jobs = write(tmp_path / "jobs.jsonl", mixed(12, "world"))
    arguments = ("run", str(jobs), "--simulate", "--until-settled")
    first = ferryman_anew(*arguments, folder=tmp_path, FERRYMAN_SIMULATOR__FAILURE_RATE="0", **FAST)
    assert first.code == 0
    said = [json.loads(line) for line in first.out.splitlines()]
    assert {"serving", "ready"} <= {line["event"] for line in said}
    assert all(line["timestamp"].endswith("Z") for line in said)
    assert next(line["store"] for line in said if line["event"] == "ready") == "sqlite:///ferryman-simulated.db"
    assert created(tmp_path) == 12
    assert not (tmp_path / "ferryman.db").exists()
    assert ferryman(*arguments, folder=tmp_path, FERRYMAN_SIMULATOR__FAILURE_RATE="0", **FAST).code == 0
    assert created(tmp_path) == 12


@pytest.mark.parametrize(
    ("rate", "extra", "code"),
    [pytest.param("1", [], 3, id="not all succeeded"), pytest.param("0", [{"kind": "x"}], 4, id="documents rejected")],
)
def test_exit_codes_of_a_run_until_settled(tmp_path: Path, rate: str, extra: list[Any], code: int) -> None:
    jobs = write(tmp_path / "jobs.jsonl", [*mixed(4, "code"), *extra])
    ended = ferryman(
        "run",
        str(jobs),
        "--simulate",
        "--until-settled",
        folder=tmp_path,
        FERRYMAN_SIMULATOR__FAILURE_RATE=rate,
        **FAST,
    )
    assert ended.code == code


def test_two_scopes_in_one_simulated_world(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", mixed(3, "twin", scope="a"))
    write(tmp_path / "b.jsonl", mixed(3, "twin", scope="b"))
    scopes = json.dumps({"a": {}, "b": {}})
    arguments = ("run", "a.jsonl", "b.jsonl", "--simulate", "--until-settled")
    ended = ferryman(*arguments, folder=tmp_path, FERRYMAN_SCOPES=scopes, FERRYMAN_SIMULATOR__FAILURE_RATE="0", **FAST)
    assert ended.code == 0
    assert created(tmp_path) == 6


def test_a_directory_is_searched_for_documents_not_for_what_ferryman_writes(tmp_path: Path) -> None:
    write(tmp_path / "jobs.jsonl", mixed(2, "beside"))
    (tmp_path / "ferryman.schema.json").write_text(ferryman("explain", "--json-schema", folder=tmp_path).out)
    quiet = {"url": "file:none.jsonl", "types": ["ferryman.document.rejected"]}
    settings = {**FAST, "FERRYMAN_EVENTS__SINKS": json.dumps(["file:events.jsonl", quiet])}
    (tmp_path / "none.jsonl").touch()
    for _ in range(2):  # the second finds the events and the ledger of the first
        ended = ferryman("run", ".", "--simulate", "--until-settled", folder=tmp_path, **settings)
        assert ended.code in {0, 3}, ended.out
    assert created(tmp_path) == 2
    (tmp_path / "none.jsonl").unlink()
    found = ferryman("validate", "-f", ".", folder=tmp_path)
    assert (found.code, found.out.count(" is valid")) == (0, 2)
    assert ferryman("validate", "-f", "ferryman.schema.json", folder=tmp_path).code == 1


def test_a_terminal_shows_a_table_and_a_summary_at_last(tmp_path: Path) -> None:
    jobs = write_documents(tmp_path / "jobs.jsonl", ["shown-1", "shown-2"])
    ended = at_terminal(
        "run",
        str(jobs),
        "--simulate",
        "--until-settled",
        folder=tmp_path,
        FERRYMAN_SIMULATOR__FAILURE_RATE="0",
        COLUMNS="150",
        **FAST | {"FERRYMAN_SIMULATOR__SPEED": "500", "FERRYMAN_EVENTS__SINKS": '["log:"]'},
    )
    assert ended.code == 0
    assert "\nModelInvocationJob " in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", ended.out)
    assert "shown-1" in ended.out
    assert "░" in ended.out
    assert any(line.endswith(": 2 Succeeded") for line in ended.out.splitlines()[-4:])
    assert "ferryman.job.accepted" not in ended.out


def test_lines_instead_of_a_table_where_a_format_is_asked_for(tmp_path: Path) -> None:
    jobs = write_documents(tmp_path / "jobs.jsonl", ["lines"], desired="Stopped")
    arguments = ("run", str(jobs), "--simulate", "--until-settled")
    ended = at_terminal(*arguments, folder=tmp_path, FERRYMAN_LOG__FORMAT="json", **FAST)
    assert ended.code == 0
    assert all(json.loads(line) for line in ended.out.splitlines())


def test_a_log_that_nobody_reads_ends_no_daemon(tmp_path: Path) -> None:
    jobs = write(tmp_path / "jobs.jsonl", mixed(4, "unread"))
    variables = FAST | {
        "FERRYMAN_EVENTS__SINKS": '["log:", "file:events.jsonl"]',
        "FERRYMAN_SIMULATOR__FAILURE_RATE": "0",
    }
    reader, unread = os.pipe()
    os.close(reader)
    said = tmp_path / "stderr.txt"
    with (
        said.open("wb") as stderr,
        start(
            "run",
            str(jobs),
            "--simulate",
            "--until-settled",
            folder=tmp_path,
            environment=environment(**variables),
            stdout=unread,
            stderr=stderr,
        ) as process,
    ):
        os.close(unread)
        assert process.wait(DEADLINE_S) == 0, said.read_text()
    assert said.read_text() == ""
    assert sum(event["type"] == "ferryman.job.succeeded" for event in lines(tmp_path / "events.jsonl")) == 4


def test_a_second_daemon_on_the_same_store_is_told_so(tmp_path: Path) -> None:
    with daemon(tmp_path):
        ended = ferryman(
            "run", "--simulate", folder=tmp_path, FERRYMAN_HTTP__PORT="0", FERRYMAN_STORE__LOCK_WAIT_S="0.2"
        )
    assert ended.code == 7
    assert ended.err.count("\n") == 1


@contextmanager
def simulator(folder: Path, *arguments: str) -> Iterator[str]:
    """`ferryman simulate` on a free port; gives its URL."""
    said = folder / "simulator.txt"
    with (
        said.open("wb") as output,
        start(
            "simulate", "--port", "0", *arguments, folder=folder, environment=environment(), stdout=output
        ) as process,
    ):
        until(lambda: process.poll() is not None or "\n" in said.read_text())
        try:
            yield said.read_text().split()[5].rstrip(".")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == 0
            assert "AWS_ENDPOINT_URL" in said.read_text()
            said.unlink()


def test_simulate_alone_with_a_ledger(tmp_path: Path) -> None:
    with simulator(tmp_path, "--ledger", "world.jsonl", "--speed", "3", "--failure-rate", "0.5") as url:
        options = httpx.get(f"{url}/_simulator/options", trust_env=False).json()
        again = ferryman("simulate", "--port", "0", "--ledger", "world.jsonl", folder=tmp_path)
    assert options["speed"] == 3
    assert options["outcomes"]["bedrock.ModelInvocationJob"] == {"Failed": 0.5}
    assert again.code == 7
    assert "in use by another simulator" in again.err


def account(url: str, **variables: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "canary-of-the-account",
        "AWS_REGION": "us-east-1",
        **variables,
    }


def refuse(url: str, operation: str) -> None:
    refusal = {"effect": "refuse", "code": "AccessDeniedException"}
    fault = {"effect": refusal, "operation": operation}
    answer = httpx.post(f"{url}/_simulator/faults", json=fault, trust_env=False)
    assert answer.status_code == 200, answer.text


def test_doctor_finds_nothing_wrong_and_changes_nothing(tmp_path: Path) -> None:
    with simulator(tmp_path) as url:
        ended = ferryman("doctor", folder=tmp_path, **account(url))
        calls = httpx.get(f"{url}/_simulator/calls", trust_env=False).json()
        ledger = httpx.get(f"{url}/_simulator/ledger", trust_env=False).json()
    assert ended.code == 0
    assert "account 123456789012, Region us-east-1" in ended.out
    assert "agrees with AWS" in ended.out
    assert "iam:PassRole" in ended.out
    assert "canary-of-the-account" not in ended.out
    assert not [line for line in ended.out.splitlines() if line.startswith("failed")]
    assert list(tmp_path.iterdir()) == []
    assert ledger["items"] == []
    assert not [name for name in calls if name.startswith(("Create", "Invoke"))]


def test_doctor_names_the_permission_that_is_missing(tmp_path: Path) -> None:
    with simulator(tmp_path) as url:
        refuse(url, "ListBatchInferenceJobs")
        ended = ferryman("doctor", folder=tmp_path, **account(url))
    assert ended.code == 1
    wrong = [line for line in ended.out.splitlines() if line.startswith("failed")]
    assert len(wrong) == 1
    assert "BatchInferenceJob" in wrong[0]
    assert "not allowed: personalize:ListBatchInferenceJobs" in wrong[0]
    assert "iam:PassRole" not in ended.out


def failures(variables: dict[str, str], folder: Path) -> str:
    ended = ferryman("doctor", folder=folder, **variables)
    assert ended.code == 1
    return "\n".join(line for line in ended.out.splitlines() if line.startswith("failed"))


def test_doctor_says_everything_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database")
    sinks = ["file:notes.db/x", "sns:nothing", "nothing:", {"url": "webhook:ftp://x"}, "log:"]
    wrong = failures(
        account("http://127.0.0.1:1")
        | {
            "FERRYMAN_STORE__URL": "sqlite:///notes.db/x.db",
            "FERRYMAN_QUEUE__SOURCES": '["dir:nowhere", "nothing:x", "sqs:x"]',
            "FERRYMAN_EVENTS__SINKS": json.dumps(sinks),
        },
        tmp_path,
    )
    for subject, said in (
        ("store", "cannot be made"),
        ("scope default", "AWS cannot be reached"),
        ("source dir:nowhere", "no such directory"),
        ("source nothing:x", "is not a source"),
        ("source sqs:x", "needs a URL"),
        (f"sink file:{tmp_path}/notes.db/x", "cannot be made"),
        ("sink sns:nothing", "needs an ARN"),
        ("sink nothing:", "is not a sink"),
        ("sink webhook:", "needs an https: or http: URL"),
    ):
        assert any(subject in line and said in line for line in wrong.splitlines()), (subject, wrong)
    assert "log:" not in wrong.splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param({"FERRYMAN_HTTP__PORT": "x"}, "http.port", id="settings"),
        pytest.param({"FERRYMAN_STORE__URL": "sqlite:///notes.db"}, "notes.db cannot be read", id="no store"),
        pytest.param({"FERRYMAN_STORE__URL": "postgresql://127.0.0.1:1/x"}, "cannot be reached", id="no database"),
    ],
)
def test_doctor_says_what_is_wrong_first(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    (tmp_path / "notes.db").write_text("not a database")
    assert said in failures(account("http://127.0.0.1:1") | variables, tmp_path)


def test_doctor_without_an_account(tmp_path: Path) -> None:
    ended = ferryman("doctor", folder=tmp_path, AWS_REGION="us-east-1")
    assert ended.code == 1
    assert "no usable AWS credentials" in ended.out


def test_doctor_beside_a_running_daemon(tmp_path: Path) -> None:
    """A simulated one needs no account; what `doctor` calls its sinks is what `resume` knows."""
    sinks = {"FERRYMAN_EVENTS__SINKS": '["log:", "file:events.jsonl"]'}
    with daemon(tmp_path, **sinks) as url:
        ended = ferryman("doctor", folder=tmp_path, FERRYMAN_SERVER=url, **sinks)
        names = [sink["name"] for sink in httpx.get(f"{url}/v1/summary").json()["sinks"]]
        resumed = [ferryman("resume", name, "--server", url, folder=tmp_path) for name in (*names, "log:")]
        unknown = ferryman("resume", "webhook:x", "--server", url, folder=tmp_path)
    assert ended.code == 0
    assert "ferryman-simulated.db is sound, and in use by a running daemon (process " in ended.out
    assert f"runs at {url}" in ended.out
    assert " (simulated AWS): no jobs" in ended.out
    (skipped,) = [line for line in ended.out.splitlines() if line.startswith("skipped")]
    assert "scope default" in skipped
    assert "nothing of AWS was checked" in skipped
    assert "no source is configured" in next(
        line for line in ended.out.splitlines() if line.startswith("ok      queue")
    )
    assert "iam:PassRole" not in ended.out
    printed = [line.split()[2] for line in ended.out.splitlines() if line.split()[1:2] == ["sink"]]
    assert printed == names == ["log", f"file:{tmp_path}/events.jsonl"]
    assert [(said.code, said.out.partition(" ")[2]) for said in resumed] == [(0, "it is not disabled\n")] * 3
    assert unknown.code == 6
    assert f"its sinks are log, file:{tmp_path}/events.jsonl" in unknown.err


def test_doctor_asks_the_daemon_what_is_wrong_with_it(tmp_path: Path) -> None:
    sinks = json.dumps(["file:events.jsonl", "file:nowhere/events.jsonl"])
    (tmp_path / "nowhere").mkdir()
    with daemon(tmp_path, FERRYMAN_EVENTS__SINKS=sinks) as url:
        shutil.rmtree(tmp_path / "nowhere")
        with httpx.Client(base_url=url, timeout=DEADLINE_S) as client:
            client.post("/v1/lanes/default/BatchInferenceJob:pause", json={"reason": "a fire"}).raise_for_status()
            client.post("/v1/documents", content=b'{"kind": "Nonsense"}')
            until(lambda: any(sink["failures"] for sink in client.get("/v1/summary").json()["sinks"]))
            until(lambda: client.get("/v1/summary").json()["deadLetters"] == 1)
        found = {finding.subject: finding for finding in ask_daemon(url, "").findings}
        texts = [f"{finding.level} {finding.detail} {finding.advice}" for finding in ask_daemon(url, "").findings]
    lane = found["lane default/personalize.BatchInferenceJob"]
    assert (lane.level, lane.detail) == (Level.WARNING, "paused: a fire")
    assert "ferryman resume default/personalize.BatchInferenceJob" in lane.advice
    (sink,) = [finding for subject, finding in found.items() if subject.startswith("sink ")]
    assert sink.subject.endswith("nowhere/events.jsonl")
    assert sink.level is Level.FAILED
    assert any(text.startswith(f"ok runs at {url}") for text in texts)
    assert any("1 dead letter is kept" in text for text in texts)


def test_doctor_says_how_a_disabled_sink_goes_on() -> None:
    name = "webhook:https://hooks.example.com#1f2e3d4c"
    sink = {"name": name, "depth": 7, "failures": 0, "problem": "the receiver answered 410 Gone", "disabled": True}
    summary = json.dumps({"ready": True, "phases": {}, "sinks": [sink]}).encode()
    answers = {("GET", "/v1/summary"): (200, summary), ("GET", "/v1/lanes"): (200, b'{"items": [], "next": null}')}
    with answering(answers) as url:
        (found,) = [finding for finding in ask_daemon(url, "").findings if finding.subject.startswith("sink ")]
    assert (found.level, found.detail) == (Level.FAILED, "disabled, 7 events wait: the receiver answered 410 Gone")
    assert f"`ferryman resume '{name}'`" in found.advice


def test_doctor_without_a_daemon_and_with_one_that_wants_a_token() -> None:
    (none,) = ask_daemon("http://127.0.0.1:1", "").findings
    assert (none.level, none.detail) == (Level.OK, "none runs at http://127.0.0.1:1")
    refusal = b'{"title": "Unauthorized", "status": 401, "detail": "a bearer token is needed"}'
    with answering({("GET", "/v1/summary"): (401, refusal)}) as url:
        (closed,) = ask_daemon(url, "wrong").findings
    assert closed.level is Level.FAILED
    assert "set its token in FERRYMAN_HTTP__TOKEN" in closed.detail


def test_ctrl_c_once_drains(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with start(
        "run",
        "--simulate",
        folder=tmp_path,
        environment=environment(**FAST),
        stdin=slave,
        stdout=slave,
        session=True,
    ) as process:
        os.close(slave)
        seen = bytearray()

        def is_up() -> bool:
            seen.extend(os.read(master, 4096))
            return b"no jobs yet" in seen

        until(is_up)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                seen.extend(os.read(master, 4096))
            except OSError:
                break
        assert process.wait(DEADLINE_S) == 0
    os.close(master)
    assert b"draining" in seen
