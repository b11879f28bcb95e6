"""Client commands against a daemon: a real one on the simulator, and servers that answer nonsense."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from controller.cli.client import BUSY_S, BusyDaemonError, Client
from controller.cli.following import Events
from controller.cli.getting import Get
from controller.cli.output import Format
from controller.cli.program import run_command
from controller.cli.selection import Selected, select
from controller.cli.terminal import Terminal
from controller.cli.waiting import wait_for
from controller.errors import NoDaemonError
from tests.cli.command import (
    DEADLINE_S,
    Answers,
    Ended,
    answering,
    at_terminal,
    daemon,
    environment,
    write_documents,
)
from tests.documents import document
from tests.processes import COMMAND, start, until

BATCH = "bedrock.ModelInvocationJob"
BATCH_LANE = f"default/{BATCH}"
TARGETS = f"{BATCH}/one"
Cli = Callable[..., Ended]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One daemon for the module: slow remote jobs that neither fail nor end while the tests run, unless told to."""
    folder = tmp_path_factory.mktemp("daemon")
    with daemon(folder, FERRYMAN_SIMULATOR__SPEED="400", FERRYMAN_SIMULATOR__FAILURE_RATE="0") as url:
        yield url


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another, whose remote jobs live for a second at most."""
    folder = tmp_path_factory.mktemp("quick")
    with daemon(folder, FERRYMAN_SIMULATOR__SPEED="5000", FERRYMAN_SIMULATOR__FAILURE_RATE="0") as url:
        yield url


@pytest.fixture
def cli(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: str) -> Cli:
    """The command, in this process, pointed at the daemon."""
    del here
    monkeypatch.setenv("FERRYMAN_SERVER", server)

    def call(*arguments: str) -> Ended:
        code = run_command(arguments)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Ended(code, printed.out, printed.err)

    return call


def apply(cli: Cli, path: Path, *arguments: str) -> Ended:
    return cli("apply", "-f", str(path), *arguments)


def test_apply_says_what_became_of_each_document(cli: Cli, here: Path) -> None:
    path = write_documents(here / "jobs.jsonl", ["apply-1", "apply-2"], generation=2)
    first = apply(cli, path)
    assert first.code == 0
    assert [line.split()[:2] for line in first.out.splitlines()] == [
        [f"default/{BATCH}/apply-{number}", "accepted"] for number in (1, 2)
    ] or first.out.count("accepted:") == 2
    assert apply(cli, path).out.count(" unchanged") == 2
    older = write_documents(here / "older.jsonl", ["apply-1"], generation=1, priority=3)
    assert " ignored: generation 1 is older" in apply(cli, older).out
    changed = document(BATCH, "apply-2", generation=3)
    changed["spec"]["modelId"] = "amazon.nova-pro-v1:0"
    (here / "changed.json").write_text(json.dumps([changed, {"kind": BATCH}]))
    until(lambda: cli("get", f"{BATCH}/apply-2", "-o", "json").json["attempt"] == 1)
    refused = apply(cli, here / "changed.json")
    assert refused.code == 4
    assert f"changed.json[1]: default/{BATCH}/apply-2 rejected" in refused.out
    assert "  name: is required" in refused.out
    assert refused.err == "2 rejected\n"


def test_apply_dry_run_applies_nothing(cli: Cli, here: Path) -> None:
    path = write_documents(here / "jobs.jsonl", ["dry"])
    ended = apply(cli, path, "--dry-run")
    assert ended.code == 0
    assert "accepted" in ended.out
    assert cli("get", f"{BATCH}/dry").code == 6


def test_apply_of_one_name_with_two_specs_takes_the_first_alone(cli: Cli, here: Path) -> None:
    items = [document(BATCH, "dup-1"), document(BATCH, "dup-1", 1), document(BATCH, "dup-2")]
    (here / "dup.json").write_text(json.dumps(items))
    ended = apply(cli, here / "dup.json")
    assert (ended.code, ended.err) == (4, "2 accepted, 1 rejected\n")
    assert "dup.json[1] with another spec" in ended.out
    kept = cli("get", f"{BATCH}/dup-1", "-o", "json").json
    assert kept["spec"]["modelId"] == items[0]["spec"]["modelId"]


def test_apply_without_waiting(cli: Cli, here: Path) -> None:
    ended = apply(cli, write_documents(here / "jobs.jsonl", ["no-wait"]), "--no-wait")
    assert ended.code == 0
    assert " pending" in ended.out
    until(lambda: cli("get", f"{BATCH}/no-wait").code == 0)


def test_apply_takes_directories_and_more_than_one_batch(cli: Cli, here: Path) -> None:
    (here / "many").mkdir()
    names = [f"many-{number:04d}" for number in range(1203)]
    write_documents(here / "many" / "jobs.jsonl", names, desired="Stopped", labels={"run": "many"})
    ended = apply(cli, here / "many")
    assert ended.code == 0
    assert [line.split()[0].rpartition("/")[2] for line in ended.out.splitlines()] == names
    listed = cli("get", "-l", "run=many", "-o", "name").out.splitlines()
    assert sorted(listed) == [f"{BATCH}/{name}" for name in names]
    assert cli("wait", "-l", "run=many").code == 1


def test_apply_with_a_scope(cli: Cli, here: Path) -> None:
    path = write_documents(here / "jobs.jsonl", ["scoped"])
    refused = apply(cli, path, "--scope", "elsewhere")
    assert refused.code == 4
    assert "is not a scope here" in refused.out
    write_documents(here / "other.jsonl", ["scoped"], scope="elsewhere")
    refused = apply(cli, here / "other.jsonl", "--scope", "default")
    assert refused.code == 4
    assert "names another scope than --scope" in refused.out


def test_get_in_every_form(cli: Cli, here: Path) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["form-1", "form-2"], labels={"run": "form", "team": "a"}))
    table = cli("get", "modelinvocationjob", "-l", "run=form,team=a").out.splitlines()
    assert table[0].split() == ["NAME", "KIND", "PHASE", "REASON", "PROGRESS", "ATTEMPT", "AGE"]
    assert [line.split()[0] for line in table[1:]] == ["form-2", "form-1"]
    listed = cli("get", "-l", "run=form", "-o", "json").json
    assert [item["name"] for item in listed["items"]] == ["form-2", "form-1"]
    assert listed["next"] is None
    assert listed["items"][0]["labels"] == {"run": "form", "team": "a"}
    assert cli("get", f"{BATCH}/form-1", "-o", "json").json["name"] == "form-1"
    assert "\n- uid: " in cli("get", "-l", "run=form", "-o", "yaml").out
    assert cli("get", "-l", "run=form", "-o", "name").out == f"{BATCH}/form-2\n{BATCH}/form-1\n"


def test_get_of_nothing(cli: Cli) -> None:
    empty = cli("get", "-l", "run=nobody")
    assert (empty.code, empty.out, empty.err) == (0, "", "there are no jobs with the label run=nobody\n")
    assert cli("get", "-l", "run=nobody", "-o", "json").json == {"items": [], "next": None}
    missing = cli("get", f"{BATCH}/nobody")
    assert missing.code == 6
    assert missing.err.count("\n") == 1


def test_wait_and_its_answers(cli: Cli, here: Path, quick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_SERVER", quick)
    assert cli("pause", BATCH_LANE).code == 0
    apply(cli, write_documents(here / "jobs.jsonl", ["wait-1", "wait-2"], labels={"run": "wait"}))
    late = cli("wait", "-l", "run=wait", "--timeout", "0.3")
    assert late.code == 124
    assert "the jobs go on" in late.err
    assert cli("resume", BATCH_LANE).code == 0
    done = cli("wait", "-l", "run=wait", "--timeout", str(DEADLINE_S))
    assert (done.code, done.out) == (0, "all have ended; all succeeded\n")
    assert cli("wait", f"{BATCH}/wait-1").code == 0
    assert cli("wait", "-l", "run=nobody").code == 6
    assert cli("wait", f"{BATCH}/nobody").code == 6


def test_describe_says_why_a_job_waits_and_what_to_do(cli: Cli, here: Path) -> None:
    lane = "default/personalize.BatchInferenceJob"
    assert cli("pause", lane, "--why", "the bucket moves").code == 0
    try:
        kind = "personalize.BatchInferenceJob"
        apply(cli, write_documents(here / "jobs.jsonl", ["describe"], kind=kind, labels={"b": "2", "a": "1"}))
        until(lambda: "Paused" in cli("get", f"{kind}/describe").out)
        out = cli("describe", "BatchInferenceJob/describe").out
        for line in ("Labels:        a=1, b=2", "Phase:         Pending", "Reason:        Paused"):
            assert line in out
        assert "Queue:         number 1 in its lane" in out
        assert "job.accepted" in out
        assert f"its lane is paused (the bucket moves): `ferryman resume {lane}` lets it go on" in out
        lanes = cli("lanes")
        assert [line.split()[1] for line in lanes.out.splitlines() if line.startswith(lane)] == ["paused"]
        assert f"{lane} is paused: the bucket moves" in lanes.err
        assert "paused already" in cli("pause", "default/BatchInferenceJob").out
        assert cli("stop", f"{kind}/describe").code == 0
    finally:
        assert "resumed" in cli("resume", lane).out
    assert cli("resume", "elsewhere/BatchInferenceJob").code == 6


def test_pause_and_resume_all(cli: Cli) -> None:
    assert cli("pause").out.count("paused") == 4
    assert cli("lanes", "-o", "json").out.count('"paused": true') == 4
    assert cli("resume").out.count("resumed") == 4


def test_commands_for_one_job(cli: Cli, here: Path) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["command"], desired="Stopped"))
    until(lambda: " Stopped " in cli("get", f"{BATCH}/command").out)
    assert "retry accepted" in cli("retry", f"{BATCH}/command").out
    again = cli("retry", f"{BATCH}/command")
    assert (again.code, again.out) == (6, "")
    assert "cannot be retried" in again.err
    assert cli("resolve", f"{BATCH}/command", "--fail").code == 6
    assert cli("stop", f"{BATCH}/command", "--dry-run").out.startswith("would stop")
    assert " delete accepted" in cli("delete", f"{BATCH}/command", "--yes").out
    assert cli("wait", f"{BATCH}/command", "--timeout", str(DEADLINE_S)).code == 1
    assert cli("stop", f"{BATCH}/nobody").code == 6


def test_many_jobs_need_a_yes(cli: Cli, here: Path, server: str) -> None:
    names = ["bulk-1", "bulk-2", "bulk-3"]
    apply(cli, write_documents(here / "jobs.jsonl", names, labels={"run": "bulk"}))
    refused = cli("stop", "-l", "run=bulk")
    assert refused.code == 2
    assert "this would stop 3 jobs: look with --dry-run, then say --yes" in refused.err
    dry = cli("stop", "-l", "run=bulk", "--dry-run")
    assert dry.code == 0
    assert sorted(dry.out.splitlines()) == [f"{BATCH}/{name} would stop" for name in names]
    assert dry.err == "would be 3 accepted; nothing was done\n"
    declined = at_terminal("stop", "-l", "run=bulk", folder=here, typed="n\n", FERRYMAN_SERVER=server)
    assert declined.code == 1
    assert "stop 3 jobs with the label run=bulk? [y/N]" in declined.out
    assert " Stop" not in cli("get", "-l", "run=bulk").out
    agreed = at_terminal("stop", "-l", "run=bulk", folder=here, typed="y\n", FERRYMAN_SERVER=server)
    assert agreed.code == 0
    assert agreed.out.count(" stop accepted") == 3
    assert cli("wait", "-l", "run=bulk", "--timeout", str(DEADLINE_S)).code == 1
    retried = cli("retry", "-l", "run=bulk", "--phase", "stopped", "--yes")
    assert (retried.code, retried.out.count(" retry accepted")) == (0, 3)
    rejected = cli("retry", "-l", "run=bulk", "--yes")
    assert (rejected.code, rejected.err) == (1, "3 rejected\n")
    foreseen = cli("retry", "-l", "run=bulk", "--dry-run")
    assert foreseen.code == 1
    assert foreseen.out.count(" retry would be rejected: ") == 3
    assert cli("stop", "-l", "run=nobody", "--yes").code == 6


def test_events_and_dead_letters(cli: Cli, here: Path) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["events"], desired="Stopped"))
    until(lambda: " Stopped " in cli("get", f"{BATCH}/events").out)
    table = cli("events", f"{BATCH}/events").out.splitlines()
    assert [line.split()[2] for line in table[1:]] == ["job.accepted", "job.stopped"]
    events = [json.loads(line) for line in cli("events", "-o", "json").out.splitlines()]
    assert {event["specversion"] for event in events} == {"1.0"}


def test_events_since_a_time(cli: Cli, here: Path) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["since"], desired="Stopped"))
    until(lambda: " Stopped " in cli("get", f"{BATCH}/since").out)
    assert len(cli("events", f"{BATCH}/since", "--since", "1h", "-o", "name").out.splitlines()) == 2
    none = cli("events", f"{BATCH}/since", "--since", "2999-01-01")
    assert (none.code, none.out, none.err) == (0, "", "no events since then\n")
    assert cli("events", "--since", "soon").code == 2


def test_following_shows_only_what_comes(cli: Cli, here: Path, server: str) -> None:
    apply(cli, write_documents(here / "before.jsonl", ["before"], desired="Stopped"))
    until(lambda: " Stopped " in cli("get", f"{BATCH}/before").out)
    output = here / "events.txt"
    with (
        output.open("wb") as stream,
        start(
            "events",
            "--follow",
            folder=here,
            environment=environment(FERRYMAN_SERVER=server),
            stdout=stream,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        number = 0

        def arrived() -> bool:
            """It follows from when it was connected, which only an event can show."""
            nonlocal number
            number += 1
            apply(cli, write_documents(here / "after.jsonl", [f"after-{number}"], desired="Stopped"))
            return "/after-" in output.read_text()

        until(arrived)
        until(lambda: f"/after-{number} " in output.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
    lines = output.read_text().splitlines()
    assert lines[0].startswith("TIME")
    assert not [line for line in lines if "/before " in line]
    assert len({line.index("job.") for line in lines if "/after-1 " in line or f"/after-{number} " in line}) == 1


class Written(StringIO):
    """Keeps what was written, piece by piece."""

    def __init__(self, pieces: list[str]) -> None:
        super().__init__()
        self._pieces = pieces

    def write(self, text: str) -> int:
        self._pieces.append(text)
        return len(text)


def test_following_begins_again_where_a_connection_ended() -> None:
    asked: list[tuple[str, str, str]] = []
    event = b'{"id": "e-1", "time": "2026-11-21T12:00:00Z", "subject": "s", "type": "ferryman.job.created"}'
    stream = b"retry: 2000\nid: c1\n\nid: c2\ndata: " + event + b"\n\n"
    written: list[str] = []
    with answering({("GET", "/v1/events"): (200, stream)}, asked) as url, Client(url) as client:
        terminal = Terminal(stdout=Written(written))

        def sleep(_seconds: float) -> None:
            terminal.reader_gone = len(written) > 2

        client.sleep = sleep
        Events(client, terminal, Format.NAME, None, datetime.now(UTC)).show(since=None, follow=True)
    assert set(written) == {"e-1\n"}
    assert len(asked) == len(written)


def test_following_waits_for_a_daemon_that_is_away_and_says_so() -> None:
    now = 0.0
    said = StringIO()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += 100 * seconds

    client = Client("http://127.0.0.1:1", sleep=sleep, monotonic=lambda: now)
    events = Events(client, Terminal(stdout=StringIO(), stderr=said), Format.TABLE, None, datetime.now(UTC))
    with client, pytest.raises(NoDaemonError, match="no daemon answers"):
        events.show(since=None, follow=True)
    assert now > 300
    assert said.getvalue().count("it is asked again for 300 s") == 1


def test_all_needs_a_yes_even_for_one_job(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    done = json.dumps(
        {"items": [{"job": {"kind": BATCH, "name": "only"}, "answer": "accepted"}], "next": None}
    ).encode()
    asked: list[tuple[str, str, str]] = []
    answers = {("POST", f"/v1/jobs:{verb}"): (200, done) for verb in ("stop", "delete", "retry")}
    with answering(answers, asked) as url:
        monkeypatch.setenv("FERRYMAN_SERVER", url)
        for verb in ("stop", "delete", "retry"):
            refused = cli(verb, "--all")
            assert (refused.code, refused.out) == (2, "")
            assert f"this would {verb} 1 job: look with --dry-run, then say --yes" in refused.err
        assert all("dryRun=true" in path for _, path, _ in asked)
        assert cli("stop", "--all", "--yes").code == 0
        assert "dryRun=false" in asked[-1][1]


def complete(words: str, **variables: str) -> list[str]:
    """What a shell is offered for the last word."""
    ended = subprocess.run(
        COMMAND,
        env=environment(
            _FERRYMAN_COMPLETE="complete_bash",
            COMP_WORDS=f"ferryman {words}",
            COMP_CWORD=str(len(f"ferryman {words}x".split()) - 1),
            **variables,
        ),
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert not ended.stderr
    return ended.stdout.decode().split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        pytest.param("iam", ["iam-policy"], id="commands"),
        pytest.param("get Mo", ["ModelInvocationJob"], id="kinds"),
        pytest.param("explain bedrock.M", ["bedrock.ModelInvocationJob"], id="full kinds"),
        pytest.param("get --phase Su", ["Succeeded"], id="phases"),
        pytest.param("stop --reason Quo", ["QuotaFull"], id="reasons"),
        pytest.param("get -o js", ["json"], id="formats"),
        pytest.param("iam-policy --kind Ba", ["BatchInferenceJob"], id="kinds of an option"),
        pytest.param("describe ModelInvocationJob/x", [], id="no daemon"),
    ],
)
def test_a_shell_completes(words: str, offered: list[str]) -> None:
    assert complete(words, FERRYMAN_SERVER="http://127.0.0.1:1") == offered


def test_a_shell_completes_what_the_daemon_knows(cli: Cli, here: Path, server: str) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["complete-1", "complete-2", "other"], desired="Stopped"))
    until(lambda: cli("get", BATCH).out.count("complete-") == 2)
    found = complete("describe ModelInvocationJob/complete-", FERRYMAN_SERVER=server)
    assert sorted(found) == ["ModelInvocationJob/complete-1", "ModelInvocationJob/complete-2"]
    assert complete("pause default/p", FERRYMAN_SERVER=server) == ["default/personalize.BatchInferenceJob"]


def test_a_single_job_says_what_to_do(cli: Cli, here: Path) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["hint"]))
    assert cli("pause", BATCH_LANE).code == 0
    try:
        apply(cli, write_documents(here / "more.jsonl", ["hinted"]))
        until(lambda: " Paused " in cli("get", f"{BATCH}/hinted").out)
        assert f"ferryman resume {BATCH_LANE}" in cli("get", f"{BATCH}/hinted").err
        assert f"ferryman resume {BATCH_LANE}" in cli("describe", f"{BATCH}/hinted").out
    finally:
        assert cli("resume", BATCH_LANE).code == 0


def test_dead_letters_and_their_requeue(cli: Cli, here: Path) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["letter"]))
    until(lambda: cli("get", f"{BATCH}/letter", "-o", "json").json["attempt"] == 1)
    changed = document(BATCH, "letter")
    changed["spec"]["modelId"] = "amazon.nova-pro-v1:0"
    (here / "changed.json").write_text(json.dumps(changed))
    assert apply(cli, here / "changed.json").code == 4
    letter = cli("deadletters", "-o", "json").json["items"][-1]
    assert letter["subject"] == f"default/{BATCH}/letter"
    assert str(letter["id"]) in cli("deadletters").out
    requeued = cli("deadletters", str(letter["id"]), "--requeue")
    assert (requeued.code, requeued.out) == (0, f"{letter['id']} accepted: durable in the inbox\n")
    until(lambda: cli("deadletters", "-o", "json").json["items"][-1]["id"] > letter["id"])
    assert cli("deadletters", str(letter["id"]), "--requeue").code == 4


def test_watch_prints_changes_until_interrupted(
    cli: Cli, here: Path, quick: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRYMAN_SERVER", quick)
    apply(cli, write_documents(here / "jobs.jsonl", ["watched"]))
    output = here / "watch.txt"
    with (
        output.open("wb") as stream,
        start(
            "get",
            f"{BATCH}/watched",
            "--watch",
            folder=here,
            environment=environment(FERRYMAN_SERVER=quick),
            stdout=stream,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        until(lambda: "Succeeded" in output.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
    lines = output.read_text().splitlines()
    assert lines[0].startswith("NAME")
    assert len(set(lines)) == len(lines)


class Screen(StringIO):
    """A terminal that remembers everything."""

    def isatty(self) -> bool:
        return True


class LeaveError(Exception):
    """Whoever watches has seen enough."""


def test_a_watch_at_a_terminal_redraws_in_place_with_progress_bars() -> None:
    seen: list[str] = []

    def look(_seconds: float) -> None:
        seen.append(screen.getvalue())
        screen.truncate(0)
        screen.seek(0)
        if len(seen) == 2:
            raise LeaveError

    job = JOB | {"phase": "Running", "records": {"total": 200, "processed": 100, "succeeded": 100, "failed": 0}}
    screen = Screen()
    terminal = Terminal(screen, screen, StringIO(), {"NO_COLOR": "1"})
    with (
        answering({PAGE: (200, json.dumps({"items": [job], "next": None}).encode())}) as url,
        Client(url, sleep=look) as client,
        pytest.raises(LeaveError),
    ):
        Get(client, terminal, select(None), Format.TABLE, lambda: datetime.now(UTC)).watch()
    first, second = seen
    assert "█████░░░░░  50% 100/200" in first
    assert first.startswith("\x1b[H\x1b[2J")  # the first drawing clears the screen, the next goes over it
    assert second.startswith("\x1b[H")
    assert "\x1b[2J" not in second
    assert "\x1b[3" not in first + second


@pytest.mark.parametrize(
    ("selected", "counted", "said"),
    [
        pytest.param(select(None), True, "... 63 more", id="all are counted"),
        pytest.param(select(BATCH, phases=["Running"]), True, "... 60 more", id="those of a phase are counted"),
        pytest.param(select(BATCH, labels=["run=x"]), False, "... and more", id="nobody counts them"),
    ],
)
def test_a_watch_says_how_many_it_has_no_room_for(
    selected: Selected, counted: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """84 jobs, three of which run no more, in 24 rows."""
    jobs = [JOB | {"name": f"job-{number}"} for number in range(84)]
    lanes = [
        {"lane": f"default/{BATCH}", "phases": {"Running": 81, "Failed": 1}},
        {"lane": "default/personalize.BatchInferenceJob", "phases": {"Failed": 2}},
    ]
    answers = {
        PAGE: (200, json.dumps({"items": jobs, "next": None}).encode()),
        ("GET", "/v1/summary"): (200, json.dumps({"lanes": lanes}).encode()),
    }
    heard: list[tuple[str, str, str]] = []
    screen = Screen()
    terminal = Terminal(screen, screen, StringIO(), {"NO_COLOR": "1"})

    def look(_seconds: float) -> None:
        raise LeaveError

    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLUMNS", "120")
    with (
        answering(answers, heard) as url,
        Client(url, sleep=look) as client,
        pytest.raises(LeaveError),
    ):
        Get(client, terminal, selected, Format.TABLE, lambda: datetime.now(UTC)).watch()
    lines = screen.getvalue().splitlines()
    assert [line.removesuffix("\x1b[K") for line in lines if "more" in line] == [said]
    assert len([line for line in lines if "job-" in line]) == 21
    assert bool([path for _, path, _ in heard if path.startswith("/v1/summary")]) is counted


def test_colour_and_width_only_at_a_terminal(cli: Cli, here: Path, server: str) -> None:
    apply(cli, write_documents(here / "jobs.jsonl", ["x" * 63], desired="Stopped", labels={"run": "colour"}))
    until(lambda: " Stopped " in cli("get", "-l", "run=colour").out)
    assert "\x1b" not in cli("get", "-l", "run=colour").out
    arguments = ("get", "-l", "run=colour")
    shown = at_terminal(*arguments, folder=here, FERRYMAN_SERVER=server, COLUMNS="80")
    assert "\x1b[33mStopped\x1b[0m" in shown.out
    plain = at_terminal(*arguments, folder=here, FERRYMAN_SERVER=server, COLUMNS="60", NO_COLOR="1")
    assert "\x1b" not in plain.out
    assert max(map(len, plain.out.splitlines())) <= 60


JOB = {"scope": "default", "kind": BATCH, "name": "one", "phase": "Failed", "labels": None, "attempts": "?", "queue": 3}
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\r\n\x9b31m"
PAGE = ("GET", "/v1/jobs")
ENDLESS = b'{"items": [], "next": "1"}'
ONE_JOB = json.dumps({"items": [JOB], "next": None}).encode()
ONE = ("GET", f"/v1/jobs/default/{BATCH}/one")


@pytest.mark.parametrize(
    ("answers", "arguments", "code", "said"),
    [
        ({PAGE: (200, b"<html>")}, ["get"], 5, "answer is not JSON"),
        ({PAGE: (200, b"[" * 100_000)}, ["get"], 5, "answer is not JSON"),
        ({PAGE: (200, b"[]")}, ["get"], 5, "answer is no object"),
        ({PAGE: (200, b'{"items": 3}')}, ["get"], 5, "answer is no list"),
        ({PAGE: (200, b'{"items": [null]}')}, ["wait", "-l", "a=b"], 5, "answer is no list"),
        ({PAGE: (200, ENDLESS)}, ["get"], 5, "list has no end"),
        ({PAGE: (200, ENDLESS)}, ["wait", "-l", "a=b"], 5, "list has no end"),
        ({("POST", "/v1/jobs:retry"): (200, ENDLESS), PAGE: (200, ONE_JOB)}, ["retry", "--all", "--yes"], 5, "no end"),
        ({("GET", "/v1/deadletters"): (200, ENDLESS)}, ["deadletters"], 5, "list has no end"),
        ({("GET", "/v1/deadletters"): (200, ENDLESS)}, ["deadletters", "--requeue"], 5, "list has no end"),
        ({PAGE: (301, b"")}, ["get"], 5, "HTTP 301"),
        ({PAGE: (401, b'{"detail": "no token"}')}, ["get"], 5, "set its token in FERRYMAN_HTTP__TOKEN"),
        ({PAGE: (403, b"")}, ["get"], 5, "set its token in FERRYMAN_HTTP__TOKEN"),
        ({PAGE: (422, b'{"detail": "after: no cursor"}')}, ["get"], 2, "after: no cursor"),
        ({PAGE: (500, b"\xff\x00")}, ["get"], 5, "HTTP 500"),
        ({PAGE: (503, b'{"detail": "the store is away"}')}, ["get"], 5, "the store is away"),
        ({ONE: (404, json.dumps({"detail": EVIL}).encode())}, ["get", TARGETS], 6, "owned"),
        ({}, ["lanes"], 6, "nothing is here"),
        ({PAGE: (404, b"<p>File not found")}, ["get"], 5, "is not a Ferryman daemon (HTTP 404)"),
        ({("POST", "/v1/lanes:pause"): (501, b"")}, ["pause"], 5, "is not a Ferryman daemon (HTTP 501)"),
        ({("POST", f"/v1/jobs/default/{BATCH}/one:stop"): (200, b"{}")}, ["stop", TARGETS], 5, "answer is odd"),
        ({("POST", "/v1/lanes:pause"): (202, b"3")}, ["pause"], 5, "answer is no object"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_whatever_a_server_answers_ends_in_one_sentence(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    answers: Answers,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    del here
    with answering(answers) as url:
        returned = run_command([*arguments, "--server", url])
    printed = capsys.readouterr()
    assert (returned, printed.out) == (code, "")
    assert printed.err.startswith("ferryman: ")
    assert printed.err.removesuffix("\n").isprintable()
    assert said in printed.err


@pytest.mark.parametrize("form", ["table", "json", "yaml", "name"])
def test_what_a_server_says_cannot_steer_the_terminal(
    here: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    del here
    job = JOB | {"name": EVIL, "message": EVIL, "reason": EVIL, "labels": {EVIL: EVIL}, "records": [EVIL]}
    body = json.dumps({"items": [job, {}], "next": None}).encode()
    with answering({PAGE: (200, body)}) as url:
        assert run_command(["get", "-o", form, "--server", url]) == 0
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    if form == "json":
        assert json.loads(out)["items"][0]["message"] == EVIL


def test_a_disabled_sink_is_resumed_by_its_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del here
    sink = "webhook:https://hooks.example.com#1f2e3d4c"
    heard: list[tuple[str, str, str]] = []
    body = json.dumps({"sink": sink, "answer": "accepted", "message": "goes on where it stopped"}).encode()
    with answering({("POST", "/v1/sinks:resume"): (200, body)}, heard) as url:
        assert run_command(["resume", sink, "--server", url]) == 0
    assert capsys.readouterr().out == f"{sink} goes on where it stopped\n"
    assert [path for _, path, _ in heard] == ["/v1/sinks:resume"]


def test_dead_letters_are_discarded_by_their_ids(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del here
    body = b'{"items": [{"id": 3, "answer": "accepted", "message": "discarded"}], "next": null}'
    with answering({("POST", "/v1/deadletters:discard"): (200, body)}) as url:
        assert run_command(["deadletters", "3", "--discard", "--server", url]) == 0
        assert capsys.readouterr().out == "3 accepted: discarded\n"
        for arguments in (["--discard"], ["3"], ["3", "--discard", "--requeue"]):
            assert run_command(["deadletters", *arguments, "--server", url]) == 2
    assert "--discard" in capsys.readouterr().err


def test_describe_of_a_job_that_lacks_everything(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del here
    with answering(
        {
            ONE: (200, json.dumps(JOB | {"message": EVIL}).encode()),
            ("GET", "/v1/events"): (200, b'{"items": [{"data": 3, "time": "x"}], "next": null}'),
        }
    ) as url:
        assert run_command(["describe", TARGETS, "--server", url]) == 0
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert f"`ferryman retry {TARGETS}` runs it again" in out


def test_the_token_goes_along_and_no_proxy_is_asked_on_loopback(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    heard: list[tuple[str, str, str]] = []
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("FERRYMAN_HTTP__TOKEN", "t0ken")
    with answering({PAGE: (200, b'{"items": [], "next": null}')}, heard) as url:
        assert run_command(["get", "-l", "run=a b,c=", "--phase", "running", "--reason", "lost", "--server", url]) == 0
    capsys.readouterr()
    path = "/v1/jobs?phase=Running&reason=Lost&label=run%3Da+b&label=c%3D&limit=500"
    assert heard == [("GET", path, "Bearer t0ken")]


def test_apply_tries_again_while_the_daemon_is_busy_and_gives_up_in_time(here: Path) -> None:
    """The wait is the client's own, so its clock is too."""
    del here
    waited: list[float] = []
    with (
        answering({("POST", "/v1/documents"): (503, b'{"detail": "the inbox is full"}')}) as url,
        Client(url, sleep=waited.append, monotonic=lambda: sum(waited)) as client,
        pytest.raises(BusyDaemonError, match="the inbox is full"),
    ):
        client.submit([{"kind": "x"}], 0)
    assert BUSY_S - 3 < sum(waited) <= BUSY_S


def test_a_wait_outlives_a_daemon_that_restarts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del here
    answers = {PAGE: (200, json.dumps({"items": [JOB | {"phase": "Running"}], "next": None}).encode())}
    script = [(503, b"{}"), (502, b""), (200, b'{"items": [], "next": null}')]

    def sleep(_seconds: float) -> None:
        answers[PAGE] = script.pop(0)

    with answering(answers) as url, Client(url, sleep=sleep) as client:
        assert wait_for(client, Terminal(), select(None, labels=["run=x"]), None) == 0
    assert capsys.readouterr().out == "all have ended; all succeeded\n"
    assert not script


@pytest.mark.parametrize(
    ("pages", "shown"),
    [
        pytest.param([3, 1], ["0 of 3 have ended", "2 of 3 have ended"], id="counted"),
        pytest.param([1, 3], ["0 of 1 have ended", "0 of 3 have ended"], id="some come later"),
    ],
)
def test_a_wait_at_a_terminal_says_how_many_have_ended(here: Path, pages: list[int], shown: list[str]) -> None:
    del here
    script = [_running(jobs) for jobs in (*pages, 0)]
    answers = {PAGE: script.pop(0)}
    said, result = Screen(), StringIO()

    def sleep(_seconds: float) -> None:
        answers[PAGE] = script.pop(0)

    with answering(answers) as url, Client(url, sleep=sleep) as client:
        assert wait_for(client, Terminal(result, said), select(None, labels=["run=x"]), None) == 0
    assert said.getvalue() == "".join(f"\r{line}\x1b[K" for line in [*shown, ""])
    assert result.getvalue() == "all have ended; all succeeded\n"


def _running(jobs: int) -> tuple[int, bytes]:
    items = [JOB | {"phase": "Running", "name": f"job-{number}"} for number in range(jobs)]
    return 200, json.dumps({"items": items, "next": None}).encode()


def test_events_at_a_narrow_terminal_differ_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    data = {"phase": "Running", "reason": None, "remoteStatus": "InProgress", "records": {"total": 809}}
    events = [
        {
            "id": f"e-{number}",
            "time": f"2026-11-{day}T12:00:00.000Z",
            "subject": f"default/{BATCH}/nightly-20261121-{number:04}",
            "type": "ferryman.job.progress",
            "data": data | {"records": {"total": 809, "processed": number}},
        }
        for number, day in ((781, 20), (782, 21), (783, 21))
    ]
    answers = {("GET", "/v1/events"): (200, json.dumps({"items": events, "next": None}).encode())}
    screen = Screen()
    now = datetime(2026, 11, 21, 13, tzinfo=UTC)
    with answering(answers) as url, Client(url) as client:
        terminal = Terminal(screen, StringIO(), StringIO(), {"NO_COLOR": "1"})
        Events(client, terminal, Format.TABLE, None, now).show(since=None, follow=False)
    header, *lines = screen.getvalue().splitlines()
    assert header.split() == ["TIME", "SUBJECT", "TYPE", "MESSAGE"]
    assert [line.split()[0] for line in lines] == ["11-20", "12:00:00", "12:00:00"]
    assert max(map(len, lines)) <= 80
    assert all(f"-{number:04} " in line for number, line in zip((781, 782, 783), lines, strict=True))
    assert all("AWS says InProgress" in line for line in lines)


def test_a_retry_by_reason_means_what_the_daemon_says(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str, str]] = []
    with answering({("POST", "/v1/jobs:retry"): (200, b'{"items": [], "next": null}')}, heard) as url:
        monkeypatch.setenv("FERRYMAN_SERVER", url)
        ended = cli("retry", "--reason", "JobFailed", "--yes")
    assert (ended.code, ended.err) == (6, "ferryman: there are no jobs for the reason JobFailed\n")
    assert [("reason=JobFailed" in path, "dryRun=true" in path) for _, path, _ in heard] == [(True, True)]
