"""Commands that need no daemon: help, versions, kinds, explain, validate, and every wrong word a user can type."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controller import __version__
from controller.cli.program import run_command
from controller.kinds import KINDS
from tests.cli.command import Ended, at_terminal, environment, ferryman, ferryman_anew
from tests.documents import document
from tests.processes import COMMAND, ROOT

HELP_S = 0.3


def test_help_is_quick_and_names_every_command(tmp_path: Path) -> None:
    took = []
    for _ in range(5):
        before = os.times()
        ended = ferryman_anew("--help", folder=tmp_path)
        after = os.times()
        assert ended.code == 0
        took.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(took) < HELP_S, "so much work is not done in that time on an idle machine either"
    names = "run apply validate get describe events wait stop delete retry resolve lanes pause resume deadletters kinds"
    for command in [*names.split(), "explain", "doctor", "simulate", "version"]:
        assert f" {command} " in ended.out


def test_version(tmp_path: Path) -> None:
    assert ferryman_anew("version", folder=tmp_path).out == f"ferryman {__version__}\n"
    asked = ferryman("--version", folder=tmp_path)
    assert (asked.code, asked.out, asked.err) == (0, f"ferryman {__version__}\n", "")


def test_no_command_is_a_question_for_help(tmp_path: Path) -> None:
    asked = ferryman(folder=tmp_path)
    assert (asked.code, asked.out, asked.err) == (0, ferryman("--help", folder=tmp_path).out, "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param("kinds", 0, id="kinds"),
        pytest.param("explain ModelInvocationJob", 0, id="explain"),
        pytest.param("iam-policy", 0, id="iam-policy"),
        pytest.param("validate -f job.json", 0, id="validate"),
        pytest.param("apply -f job.json", 5, id="apply"),
        pytest.param("get", 5, id="get"),
        pytest.param("describe ModelInvocationJob/x", 5, id="describe"),
        pytest.param("events", 5, id="events"),
        pytest.param("wait -l a=b", 5, id="wait"),
        pytest.param("stop ModelInvocationJob/x", 5, id="stop"),
        pytest.param("lanes", 5, id="lanes"),
        pytest.param("deadletters", 5, id="deadletters"),
        pytest.param("doctor", 1, id="doctor"),
        pytest.param("simulate --host 192.0.2.1 --port 0", 2, id="simulate"),
        pytest.param("run job.json", 2, id="run"),
    ],
)
def test_each_command_loads_what_it_needs(tmp_path: Path, words: str, code: int) -> None:
    """In an interpreter of its own; elsewhere they are borne by one that has loaded everything."""
    (tmp_path / "job.json").write_text(json.dumps(document("bedrock.ModelInvocationJob", "job")))
    variables = {"PYTHONWARNINGS": "error", "FERRYMAN_SERVER": "http://127.0.0.1:1", "AWS_REGION": "us-east-1"}
    ended = ferryman_anew(*words.split(), folder=tmp_path, **variables)
    assert ended.code == code, ended.err


@pytest.mark.parametrize("form", ["table", "json", "yaml", "name"])
def test_kinds(tmp_path: Path, form: str) -> None:
    ended = ferryman("kinds", "-o", form, folder=tmp_path)
    assert ended.code == 0
    assert all(kind in ended.out for kind in KINDS)
    if form == "json":
        assert [item["kind"] for item in ended.json["items"]] == list(KINDS)
        assert ended.json["next"] is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("ModelInvocationJob", "onSpecChange", id="document"),
        pytest.param("bedrock.ModelInvocationJob.spec", "timeoutDurationInHours", id="spec by full name"),
        pytest.param("modelinvocationjob.spec.timeoutDurationInHours", "24..168", id="case of the kind is free"),
        pytest.param("BatchInferenceJob.retry.attempts", "Remote jobs in all", id="member of a member"),
    ],
)
def test_explain(tmp_path: Path, path: str, expected: str) -> None:
    ended = ferryman("explain", path, folder=tmp_path)
    assert ended.code == 0
    assert expected in ended.out


def test_explain_prints_the_json_schema_for_editors(tmp_path: Path) -> None:
    every = ferryman("explain", "--json-schema", folder=tmp_path).json
    one = ferryman("explain", "batchinferencejob", "--json-schema", folder=tmp_path).json
    assert every["$schema"] == one["$schema"]
    assert one["title"] == "personalize.BatchInferenceJob"
    assert set(every["$defs"]) > set(KINDS)
    assert ferryman("explain", folder=tmp_path).code == 2
    assert ferryman("explain", "Nothing", "--json-schema", folder=tmp_path).code == 2


def test_explain_at_a_terminal_one_column_wide(tmp_path: Path) -> None:
    assert at_terminal("explain", "ModelInvocationJob.spec", folder=tmp_path, COLUMNS="1").code == 0


def test_validate_takes_every_example(tmp_path: Path) -> None:
    ended = ferryman("validate", "-f", str(ROOT / "config" / "examples"), folder=tmp_path)
    assert ended.code == 0
    assert ended.out.count("is valid") == len(list((ROOT / "config" / "examples").glob("*.yaml")))


def test_validate_names_all_that_is_wrong_and_goes_on(tmp_path: Path) -> None:
    bad = document("bedrock.ModelInvocationJob", "bad")
    bad["spec"]["timeoutDurationInHours"] = 12
    del bad["spec"]["roleArn"]
    good = document("personalize.BatchInferenceJob", "good", scope="elsewhere")
    (tmp_path / "jobs.json").write_text(json.dumps([bad, good]))
    ended = ferryman("validate", "-f", "jobs.json", folder=tmp_path)
    assert ended.code == 1
    assert "spec.timeoutDurationInHours: 12 is below the minimum 24" in ended.out
    assert "spec.roleArn: is required" in ended.out
    assert "jobs.json[2]: elsewhere/personalize.BatchInferenceJob/good is valid" in ended.out
    assert ended.err == "1 valid, 1 rejected\n"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        pytest.param([(0, {}), (1, {})], 1, id="another spec"),
        pytest.param([(0, {}), (0, {}), (1, {})], 1, id="the first counts"),
        pytest.param([(0, {}), (0, {"labels": {"a": "b"}})], 0, id="another label"),
        pytest.param([(0, {"generation": 1}), (1, {"generation": 2})], 0, id="in order"),
        pytest.param([(0, {}), (1, {"onSpecChange": "replace"})], 0, id="replaces"),
        pytest.param([(0, {}), (1, {"scope": "other"})], 0, id="another scope"),
    ],
)
def test_one_name_with_two_specs_is_no_hand_over(
    here: Path, capsys: pytest.CaptureFixture[str], members: list[tuple[int, dict[str, Any]]], code: int
) -> None:
    documents = [document("bedrock.ModelInvocationJob", "twice", number, **more) for number, more in members]
    (here / "dup.jsonl").write_text("".join(json.dumps(item) + "\n" for item in documents))
    (here / "other.json").write_text(json.dumps(document("bedrock.ModelInvocationJob", "once")))
    assert run_command(["validate", "-f", "dup.jsonl", "-f", "other.json"]) == code
    out = capsys.readouterr().out
    assert out.count(" is valid") == len(members) + 1 - code
    if code:
        place = f"dup.jsonl[{len(members)}]: default/bedrock.ModelInvocationJob/twice rejected\n"
        assert f"{place}  the same name as dup.jsonl[1] with another spec" in out


def test_validate_by_the_settings_where_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(document("bedrock.ModelInvocationJob", "job")))
    (tmp_path / "ferryman.toml").write_text('[queue]\nbuckets = ["other-*"]\n')
    assert ferryman("validate", "-f", "job.json", folder=tmp_path).code == 0
    ended = ferryman("validate", "-f", "job.json", "--config", "ferryman.toml", folder=tmp_path)
    assert ended.code == 1
    assert "is not allowed" in ended.out


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="brace"),
        pytest.param(b"null", id="null"),
        pytest.param(b'[1, [], "x"]', id="junk"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"[" * 5000, id="deep JSON"),
        pytest.param(b"a: " * 5000, id="deep YAML"),
        pytest.param(b"- " * 5000, id="deep lists"),
        pytest.param(b'{"kind": "\\ud800", "name": 1e400}', id="surrogate and infinity"),
        pytest.param(b"kind: x\nkind: y\n", id="duplicate keys"),
        pytest.param(b"name: \x1b[31mred\n", id="escape"),
        pytest.param(b'{"name": "\\u001b]0;title\\u0007\\u202e"}', id="escape in JSON"),
    ],
)
def test_validate_refuses_junk_in_words_that_a_terminal_survives(
    here: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (here / "junk").write_bytes(content)
    assert run_command(["validate", "-f", "junk"]) == 1
    out = capsys.readouterr().out
    assert "rejected" in out
    assert out.replace("\n", "").isprintable()


WRONG = [
    (["--version=1"], {}, 2, "does not take a value"),
    (["nope"], {}, 2, "no such command 'nope'"),
    (["version", "extra"], {}, 2, "unexpected extra argument"),
    (["get", "nope"], {}, 2, "is not a kind"),
    (["get", "ModelInvocationJob/a/b"], {}, 2, "is not KIND/NAME"),
    (["get", "-l", "novalue"], {}, 2, "is not a label"),
    (["get", "--phase", "Nope"], {}, 2, "is not a phase"),
    (["get", "--reason", "Nope"], {}, 2, "is not a reason"),
    (["get", "-o", "xml"], {}, 2, "'xml' is not one of"),
    (["get", "--server", "ftp://x"], {}, 2, "--server needs a URL"),
    (["get", "--server", "http://[::1"], {}, 2, "--server needs a URL"),
    (["get", "--server", "http://h:99999"], {}, 2, "--server needs a URL"),
    (["get", "--server", "http://user:pass@h"], {}, 2, "--server needs a URL"),
    (["get", "--server", "http://a b"], {}, 2, "--server needs a URL"),
    (["get", "--server", "127.0.0.1:1"], {}, 5, "no daemon answers at http://127.0.0.1:1"),
    (["get"], {"FERRYMAN_SERVER": "http://127.0.0.1:1"}, 5, "no daemon answers at http://127.0.0.1:1"),
    (["get"], {"FERRYMAN_HTTP__TOKEN": "kлюч"}, 2, "the token"),
    (["get"], {"FERRYMAN_HTTP__TOKEN": "a\nb"}, 2, "the token"),
    (["describe", "ModelInvocationJob"], {}, 2, "name one job"),
    (["events", "ModelInvocationJob"], {}, 2, "name one job"),
    (["events", "-f", "--server", "http://127.0.0.1:1"], {}, 5, "no daemon answers at http://127.0.0.1:1"),
    (["events", "--since", "soon"], {}, 2, "use 30s, 10m, 2h, 7d"),
    (["explain"], {}, 2, "name a kind"),
    (["explain", "Nope", "--json-schema"], {}, 2, "is not a kind"),
    (["iam-policy", "--kind", "Nope"], {}, 2, "is no kind"),
    (["iam-policy", "--scope", "Nope"], {}, 2, "is not among scopes: default"),
    (["iam-policy", "--account", "12"], {}, 2, "12 digits"),
    (["iam-policy", "--format", "xml"], {}, 2, "'json', 'terraform'"),
    (["wait"], {}, 2, "say what to wait for"),
    (["wait", "-l", "a=b", "--timeout", "nan"], {}, 2, "--timeout"),
    (["wait", "-l", "a=b", "--timeout", "-1"], {}, 2, "--timeout"),
    (["stop"], {}, 2, "say what to stop"),
    (["delete", "--yes"], {}, 2, "say what to delete"),
    (["stop", "--all", "-l", "a=b"], {}, 2, "--all means every job"),
    (["resolve", "ModelInvocationJob/a"], {}, 2, "exactly one of"),
    (["resolve", "ModelInvocationJob/a", "--fail", "--retry"], {}, 2, "exactly one of"),
    (["resolve", "-l", "a=b", "--remote-id", "x"], {}, 2, "--remote-id is of one job"),
    (["deadletters", "3"], {}, 2, "name dead letters with --requeue or with --discard"),
    (["deadletters", "x", "--requeue"], {}, 2, "invalid value"),
    (["pause", "default"], {}, 2, "is not a lane"),
    (["explain", "Nope"], {}, 6, "names no kind"),
    (["explain", "ModelInvocationJob.spec.rolArn"], {}, 6, "did you mean roleArn"),
    (["validate"], {}, 2, "missing option"),
    (["validate", "-f", "nofile"], {}, 2, "nofile is not a file or directory"),
    (["validate", "-f", "."], {}, 2, "holds no"),
    (["validate", "-f", "-", "--config", "nofile"], {}, 2, "cannot read the settings file"),
    (["apply", "-f", "nofile"], {}, 2, "nofile is not a file or directory"),
    (["simulate", "--port", "99999999"], {}, 2, "--port"),
    (["simulate", "--speed", "0"], {}, 2, "--speed"),
    (["simulate", "--failure-rate", "nan"], {}, 2, "--failure-rate"),
    (["simulate", "--host", "192.0.2.1", "--port", "0"], {}, 2, "cannot listen on 192.0.2.1"),
]


@pytest.mark.parametrize(("arguments", "variables", "code", "said"), WRONG, ids=lambda value: str(value)[:60])
def test_a_mistake_ends_in_one_sentence(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    code: int,
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    returned = run_command(arguments)
    printed = capsys.readouterr()
    ended = Ended(returned, printed.out, printed.err)
    assert list(here.iterdir()) == []
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("ferryman: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err


DAEMON_WRONG = [
    (["run", "--config", "nofile"], {}, 2, "cannot read the settings file"),
    (["run"], {"FERRYMAN_HTTP__PORT": "abc"}, 2, "http.port"),
    (["run"], {"AWS_REGION": "us-east-1"}, 2, "no usable AWS credentials"),
    (["run", "nofile", "--simulate"], {}, 2, "nofile is not a file or directory"),
    (["run", "--simulate"], {"FERRYMAN_STORE__URL": "mysql://x/y"}, 2, "no store"),
    (["run", "--simulate"], {"FERRYMAN_STORE__URL": "sqlite:////proc/x/y.db"}, 7, "cannot be"),
    (["run", "--simulate"], {"FERRYMAN_SIMULATOR__LEDGER": "/etc/passwd"}, 7, "not a simulator ledger"),
    (["run", "--simulate"], {"FERRYMAN_HTTP__HOST": "192.0.2.1"}, 2, "http.token"),
]


@pytest.mark.parametrize(("arguments", "variables", "code", "said"), DAEMON_WRONG, ids=lambda value: str(value)[:60])
def test_a_daemon_that_cannot_start_says_why_in_one_sentence(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], code: int, said: str
) -> None:
    ended = ferryman(*arguments, folder=tmp_path, **variables)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("ferryman: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("these are somebody's notes")
    ended = ferryman("run", "--simulate", folder=tmp_path, FERRYMAN_STORE__URL="sqlite:///other.db")
    assert ended.code == 7
    assert "is not a SQLite database" in ended.err
    assert (tmp_path / "other.db").read_text() == "these are somebody's notes"


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        pytest.param("{} kinds > /dev/full", 2, id="disk full"),
        pytest.param("{} kinds >&-", 0, id="no stdout"),
        pytest.param("{} get >&- 2>&-", 5, id="no streams at all"),
        pytest.param("{} apply -f - <&-", 4, id="no stdin"),
        pytest.param("set -o pipefail; {} explain ModelInvocationJob.spec | true", 0, id="reader leaves at once"),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path: Path, shell: str, code: int) -> None:
    finished = subprocess.run(
        ["bash", "-c", shell.format(" ".join(COMMAND))],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert finished.returncode == code
    assert b"Traceback" not in finished.stderr
    assert b"Exception ignored" not in finished.stderr


def test_a_locale_without_unicode_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("name: ключ")
    ended = ferryman_anew("validate", "-f", "job", folder=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.code == 1
    assert "\\u043a" in ended.out


def test_completion_for_a_shell(tmp_path: Path) -> None:
    ended = ferryman("--show-completion", "bash", folder=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert ended.code == 0
    assert "ferryman" in ended.out


def test_the_module_and_the_command_are_the_same(tmp_path: Path) -> None:
    script = ROOT / ".venv" / "bin" / "ferryman"
    if not os.access(script, os.X_OK):
        pytest.skip("the package is not installed in this environment")
    finished = subprocess.run([script, "version"], cwd=tmp_path, env=environment(), capture_output=True, check=True)
    assert finished.stdout == ferryman("version", folder=tmp_path).out.encode()
