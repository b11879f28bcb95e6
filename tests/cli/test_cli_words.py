"""Pure parts of the command line: selections, tables, texts, advice, masks, simulated settings."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from controller.cli import documents
from controller.cli.advice import advice
from controller.cli.doctor.scopes import nowhere
from controller.cli.following import read_since
from controller.cli.job_table import progress_of, reason_of
from controller.cli.live import summary_line
from controller.cli.logging import Masker, secrets_of
from controller.cli.operating import lane_slots, lane_table
from controller.cli.output import json_line, yaml_text
from controller.cli.selection import NOT_TERMINAL, select
from controller.cli.simulating import (
    STORE_URL,
    ledger_path,
    local_settings,
    pointed_at,
    simulated_environment,
    simulator_options,
)
from controller.cli.table import Table, cells, render, spared, without
from controller.cli.terminal import Terminal
from controller.cli.text import age, duration, visible
from controller.errors import SettingsError
from controller.kinds import KINDS
from controller.kinds.models import operation_model
from controller.model import Phase, WaitReason
from controller.settings import Scope, Settings, load_settings
from controller.validation.patterns import compile_pattern
from tests.cli.command import write_documents
from tests.documents import BLUEPRINT, PROMPT

BATCH = "bedrock.ModelInvocationJob"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_selection_is_what_its_words_say() -> None:
    selected = select("batchinferencejobs", labels=["a=1,b=", "c=x=y"], phases=["failed,Stopped"], reasons=["lost"])
    assert selected.kind == "personalize.BatchInferenceJob"
    assert selected.labels == ("a=1", "b=", "c=x=y")
    assert selected.phases == ("Failed", "Stopped")
    assert selected.reasons == ("Lost",)
    assert str(selected) == (
        "jobs of kind personalize.BatchInferenceJob with the labels a=1 and b= and c=x=y in phase Failed or Stopped"
        " for the reason Lost"
    )


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        pytest.param([], [phase.value for phase in NOT_TERMINAL], id="no phases: all that were asked for"),
        pytest.param(["Running", "Failed"], ["Running"], id="both"),
        pytest.param(["Failed"], None, id="nothing can match"),
    ],
)
def test_a_selection_within_phases(phases: list[str], expected: list[str] | None) -> None:
    within = select(BATCH, phases=phases).within(NOT_TERMINAL)
    assert (None if within is None else list(within.phases)) == expected


@pytest.mark.parametrize(
    ("padding", "sizes"),
    [pytest.param(0, [500, 500, 203], id="by number"), pytest.param(4000, [118] * 10 + [23], id="by bytes")],
)
def test_documents_go_in_bounded_requests(tmp_path: Path, padding: int, sizes: list[int]) -> None:
    labels = {f"label-{number}": "x" * 250 for number in range(padding // 250)}
    path = write_documents(tmp_path / "jobs.jsonl", [f"job-{number}" for number in range(1203)], labels=labels)
    batches = list(documents._batches(documents.find([str(path)])))
    found = [len(batch) for batch in batches]
    assert sum(found) == sum(sizes)
    assert abs(len(found) - len(sizes)) <= 1
    assert max(found) <= documents.BATCH
    for batch in batches:
        assert len(json.dumps([body for _, body in batch])) < 1.1 * documents.BATCH_BYTES


def test_one_job_is_in_the_default_scope_and_a_list_in_every_scope() -> None:
    assert select(f"{BATCH}/x").scope == "default"
    assert select(BATCH).scope is None


@pytest.mark.parametrize("width", [None, 200, 60, 30, 1])
def test_a_table_fits(width: int | None) -> None:
    rows = [("name" * 12, "日本語のメッセージ" * 4, "Running"), ("n\x1b[2J", "é\u0301", "Failed")]
    lines = render(Table(("NAME", "MESSAGE", "PHASE"), rows), width=width, coloured=False).splitlines()
    assert len(lines) == 3
    narrowest = 3 * 6 + 2 * 3
    assert all(cells(line) <= max(width or 10_000, narrowest) for line in lines)
    assert all(line.isprintable() for line in lines)
    if width is None:
        assert rows[0][0] in lines[1]


LANES = [
    {
        "lane": f"default/{kind.name}",
        "scope": "default",
        "kind": kind.name,
        "slots": {"*": {"used": 3, "ceiling": 20}},
        "phases": {"Pending": 7, "Running": 3, "Failed": 1},
    }
    for kind in KINDS.values()
]


@pytest.mark.parametrize(
    ("width", "shown", "gone"),
    [
        pytest.param(None, ["STOPPING", "ETA"], [], id="not a terminal"),
        pytest.param(300, ["STOPPING", "ETA"], [], id="wide"),
        pytest.param(100, ["PENDING", "FAILED"], ["STOPPING", "CREATING"], id="what says nothing goes first"),
        pytest.param(70, ["LANE", "STATE", "PENDING", "RUNNING"], ["SLOTS", "STOPPING"], id="narrow"),
    ],
)
def test_lanes_fit_and_name_what_they_leave_out(width: int | None, shown: list[str], gone: list[str]) -> None:
    table = lane_table(LANES, short=width is not None)
    left = spared(table, width)
    text = render(without(table, left), width=width, coloured=False)
    assert set(gone) <= set(left)
    assert not [column for column in shown if f"{column} " not in text.splitlines()[0] + " "]
    assert width is None or all(cells(line) <= width for line in text.splitlines())
    assert "…" not in text


def test_a_terminal_draws_in_place_without_clearing_it_again() -> None:
    written = StringIO()
    terminal = Terminal(stdout=written)
    terminal.redraw("one\ntwo\n")
    terminal.redraw("one\n")
    assert written.getvalue().count("\x1b[2J") == 1
    assert written.getvalue().endswith("\x1b[Hone\x1b[K\n\x1b[J")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("9" * 30 + "d", NOW - timedelta(days=36_500)),
        ("2026-11-21T11:00:00Z", datetime(2026, 11, 21, 11, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
    ],
)
def test_since(text: str, expected: datetime) -> None:
    assert read_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "h", "10", "10w", "-5m", "yesterday", "²h"])
def test_since_says_what_it_takes(text: str) -> None:
    with pytest.raises(SettingsError, match="use 30s, 10m, 2h, 7d, or a time like 2026-11-21T12:00:00Z"):
        read_since(text, NOW)


def test_colours_stand_around_the_word_alone() -> None:
    text = render(Table(("A", "B"), [("Failed", "x")]), width=None, coloured=True, header=False)
    assert text == "\x1b[1;31mFailed\x1b[0m   x\n"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (59.4, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (3660, "1h1m"),
        (36_060, "10h"),
        (90_000, "1d1h"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2026-11-21T11:58:30.000Z", "1m30s"), ("2026-11-21T11:58:30", "1m30s"), ("x", "-"), (None, "-"), (3, "-")],
)
def test_ages(value: Any, expected: str) -> None:
    assert age(value, NOW) == expected


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202e", "\u2028", "\ud800", "\x9b", "a\r\nb", "\x00"])
def test_nothing_invisible_gets_through(text: str) -> None:
    assert visible(text).isprintable()
    assert json.loads(json_line({"x": text}))["x"] == text
    if text != "\ud800":
        assert YAML(typ="safe").load(yaml_text({"x": text}))["x"] == text


@pytest.mark.parametrize(
    ("job", "progress", "reason"),
    [
        pytest.param({}, "-", "-", id="nothing known"),
        pytest.param(
            {"phase": "Pending", "reason": "QuotaFull", "queue": {"position": 3, "etaSeconds": 125.0}},
            "#3 ~2m5s",
            "QuotaFull",
            id="waits",
        ),
        pytest.param(
            {"phase": "Running", "remoteStatus": "InProgress", "records": {"total": 200, "processed": 50, "failed": 2}},
            "50/200 (2 failed)",
            "InProgress",
            id="runs",
        ),
        pytest.param({"phase": "Succeeded", "partial": True, "records": {"total": 0}}, "-", "Partial", id="partial"),
        pytest.param({"phase": "Running", "records": {"total": "x"}, "queue": []}, "-", "-", id="junk"),
    ],
)
def test_progress_and_reason(job: dict[str, Any], progress: str, reason: str) -> None:
    assert (progress_of(job), reason_of(job)) == (progress, reason)


def test_a_progress_bar() -> None:
    records = {"total": 200, "processed": 100, "failed": 0}
    assert progress_of({"phase": "Running", "records": records}, bars=True) == "█████░░░░░  50% 100/200"


@pytest.mark.parametrize(
    ("summary", "ending", "said"),
    [
        pytest.param({"phases": {"Pending": 3}, "etaSeconds": 68.0}, False,
                     "3 Pending; the last is created in about 1m8s", id="works"),
        pytest.param({"phases": {"Pending": 3, "Succeeded": 1}, "etaSeconds": 68.0}, True,
                     "3 Pending, 1 Succeeded", id="nothing remote"),
        pytest.param({"phases": {"Pending": 3, "Running": 19, "Stopping": 1}, "etaSeconds": 68.0}, True,
                     "3 Pending, 19 Running, 1 Stopping; 20 remote jobs go on at AWS; start again to follow them",
                     id="ends"),
        pytest.param({"phases": {"Running": 1}, "etaSeconds": 68.0, "stopping": True, "simulated": True}, False,
                     "1 Running; 1 remote job goes on in the simulated AWS; start again to follow it",
                     id="is stopping"),
    ],
)  # fmt: skip
def test_the_last_line_of_a_run_predicts_no_work_that_it_will_not_do(
    summary: dict[str, Any], ending: bool, said: str
) -> None:
    assert summary_line({"instance": "x", **summary}, ending=ending) == f"ferryman x: {said}"


def test_slots_are_counted_once_where_one_key_counts_all() -> None:
    each = {"used": 1, "ceiling": 1}
    assert lane_slots({"slots": {"*": {"used": 3, "ceiling": 20}, "a": each, "b": each}}) == "3/20"
    assert lane_slots({"slots": {"a": {"used": 3, "ceiling": 20}, "b": {"used": 1, "ceiling": 20}}}) == "4/40"
    assert lane_slots({}) == "-"


ROLE = "arn:aws:iam::123456789012:role/batch"


@pytest.mark.parametrize(
    ("job", "lane", "said"),
    [
        pytest.param({"phase": "Pending", "reason": "AccessDenied", "kind": BATCH, "spec": {"roleArn": ROLE}}, {},
                     ["iam:PassRole", ROLE, "bedrock.amazonaws.com", "simulate-principal-policy"], id="PassRole"),
        pytest.param({"phase": "Failed", "reason": "AccessDenied", "kind": "personalize.BatchInferenceJob"}, {},
                     ["iam:PassRole", "personalize.amazonaws.com", "ferryman retry"], id="PassRole, given up"),
        pytest.param({"phase": "Uncertain", "kind": BATCH, "name": "x"}, {},
                     [f"ferryman resolve {BATCH}/x --remote-id ARN", "--retry", "--fail"], id="Uncertain"),
        pytest.param({"phase": "Pending", "reason": "Paused", "scope": "s", "kind": BATCH}, {"pauseReason": "fire"},
                     [f"ferryman resume s/{BATCH}", "fire"], id="paused"),
        pytest.param({"phase": "Pending", "reason": "ScopeUnavailable"}, {}, ["ferryman doctor"], id="no credentials"),
        pytest.param({"phase": "Pending", "reason": "QuotaFull"}, {}, ["by itself", "ferryman lanes"], id="quota"),
        pytest.param({"phase": "Pending", "reason": "QuotaFull"}, {"phases": {"Uncertain": 3}},
                     ["3 of its lane are Uncertain", "ferryman get --phase Uncertain"], id="quota held by uncertain"),
        pytest.param({"phase": "Pending", "reason": "ScopeUnavailable"}, {"unavailable": "ExpiredToken"},
                     ["ExpiredToken", "by itself"], id="no credentials, and why"),
        pytest.param({"phase": "Pending", "reason": "QuotaFull", "kind": BATCH},
                     {"slots": {"m": {"used": 20, "ours": 12, "ceiling": 20, "configured": 20},
                                "free": {"used": 1, "ours": 1, "ceiling": 20, "configured": 20}}},
                     ["20 of 20 slots of m", "8 of them by jobs that are not Ferryman's", f'limits."{BATCH}".jobs'],
                     id="quota, and who holds it"),
        pytest.param({"phase": "Pending", "reason": "QuotaFull", "kind": BLUEPRINT},
                     {"slots": {f"blueprint:{name}": {"used": 1, "ours": 1, "ceiling": 1, "configured": 1}
                                for name in "ab"}},
                     ["of each blueprint one job runs at a time", "fixed"], id="quota, fixed"),
        pytest.param({"phase": "Pending", "reason": "QuotaFull", "kind": BATCH},
                     {"slots": {"*": {"used": 3, "ours": 3, "ceiling": 5, "configured": 9, "parked": True}}},
                     ["3 of 5 slots are taken", "more than 5 although the settings allow 9", "Service Quotas"],
                     id="quota, learned"),
        pytest.param({"phase": "Pending", "reason": "RateLimited", "kind": BATCH},
                     {"rates": {"create": {"rate": 2.0, "ceiling": 2.0, "throttles": 0}}},
                     ["the pace is 2/s", f'limits."{BATCH}".create'], id="rate"),
        pytest.param({"phase": "Pending", "reason": "RateLimited", "kind": BATCH},
                     {"rates": {"create": {"rate": 0.5, "ceiling": 2.0, "throttles": 7}}},
                     ["throttled 7 creates", "0.5/s now", "up to 2/s by itself"], id="rate, throttled"),
        pytest.param({"phase": "Pending", "reason": "Queued", "queue": {"position": 5}}, {},
                     ["4 jobs of its lane go before it", "priority"], id="queued"),
        pytest.param({"phase": "Pending", "reason": "Queued", "queue": {"position": 1}}, {},
                     ["it is the next"], id="next"),
        pytest.param({"phase": "Pending", "reason": "Backoff"}, {}, ["as the message says", "by itself"], id="backoff"),
        pytest.param({"phase": "Pending", "reason": "AccessDenied", "kind": PROMPT}, {},
                     ["s3:GetObject", "bedrock:InvokeModel", "iam-policy --kind AdvancedPromptOptimizationJob"],
                     id="denied to the caller"),
        pytest.param({"phase": "Failed", "reason": "CreateRefused"}, {}, ["onSpecChange: replace"], id="refused"),
        pytest.param({"phase": "Failed", "reason": "JobFailed", "kind": BATCH, "name": "x"}, {},
                     [f"ferryman retry {BATCH}/x"], id="failed"),
        pytest.param({"phase": "Succeeded"}, {}, [], id="nothing to do"),
        pytest.param({"phase": "Running"}, {}, [], id="nothing to do yet"),
    ],
)  # fmt: skip
def test_advice(job: Mapping[str, Any], lane: Mapping[str, Any], said: list[str]) -> None:
    text = " ".join(advice(job, lane))
    assert all(words in text for words in said)
    assert bool(text) == bool(said)


def test_nobody_is_sent_to_raise_a_quota_that_is_fixed() -> None:
    slots = {f"blueprint:{name}": {"used": 1, "ours": 1, "ceiling": 1, "configured": 1} for name in "ab"}
    said = advice({"phase": "Pending", "reason": "QuotaFull", "kind": BLUEPRINT}, {"slots": slots})
    assert not [sentence for sentence in said if "limits." in sentence or "account" in sentence]
    assert len([sentence for sentence in said if "one job runs at a time" in sentence]) == 1


def test_the_setting_that_advice_names_is_read_from_a_settings_file(tmp_path: Path) -> None:
    slots = {"*": {"used": 2, "ours": 2, "ceiling": 2, "configured": 2}}
    said = " ".join(advice({"phase": "Pending", "reason": "QuotaFull", "kind": BATCH}, {"slots": slots}))
    named = said.partition("in the settings: ")[2]
    config = tmp_path / "ferryman.toml"
    config.write_text(f"{named} = 30\n")
    assert load_settings(config).limits[BATCH].jobs == {"*": 30}


@pytest.mark.parametrize("reason", list(WaitReason))
def test_advice_has_an_answer_for_every_reason_to_wait(reason: WaitReason) -> None:
    junk: dict[str, Any] = {"slots": {"a": 1, "b": {"used": "x"}}, "rates": {"create": {"rate": None}}, "queue": 3}
    for lane in (None, {}, junk):
        assert advice({"phase": "Pending", "reason": reason.value, "kind": BATCH, "queue": []}, lane)


@pytest.mark.parametrize("phase", list(Phase))
def test_advice_has_an_answer_for_every_phase(phase: Phase) -> None:
    assert all(sentence.isprintable() for sentence in advice({"phase": phase.value, "deadlineExceeded": True}, None))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.short)
@pytest.mark.parametrize("caller", ["", "arn:aws-cn:iam::123456789012:user/x"])
def test_the_doctor_asks_for_jobs_that_could_exist_by_their_form(kind: Any, caller: str) -> None:
    arn = nowhere(kind, "us-east-1", "123456789012", caller)
    modelled = operation_model(kind.service, kind.get).input_shape.members[kind.get_parameter].metadata
    matches = compile_pattern(modelled["pattern"])
    assert matches is not None
    assert matches(arn)
    assert len(arn) <= modelled["max"]


CANARY = "canarycanarycanarycanarycanarycanary0123"


@pytest.mark.parametrize(
    "text",
    [
        f"https://bucket.s3.amazonaws.com/key?X-Amz-Signature={CANARY}&x=1",
        f"postgresql://ferryman:{CANARY}@db/x",
        f"Authorization: Bearer {CANARY}",
        f"secret whsec_{CANARY} is used",
        f"aws_secret_access_key = {CANARY}",
        f'{{"SessionToken": "{CANARY}"}}',
        f"'SecretAccessKey': '{CANARY}'",
        f"X-Amz-Security-Token={CANARY}",
    ],
)
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(text: str) -> None:
    masker = Masker()
    event = masker(None, "info", {"event": text, "deep": [{"more": (text, {"x": text})}], "error": ValueError(text)})
    assert CANARY not in str(event)


def test_secrets_known_by_name_are_masked_however_they_are_written() -> None:
    settings = Settings.model_validate(
        {
            "store": {"url": "postgresql://user:pa55word-of-the-store@db/x"},
            "http": {"token": "token-of-the-api"},
            "events": {"sinks": [{"url": "webhook:https://x/", "secret": "secret-of-the-webhook"}]},
        }
    )
    secrets = secrets_of(settings, {"AWS_SECRET_ACCESS_KEY": "key-of-the-account", "AWS_SESSION_TOKEN": "x"})
    assert set(secrets) == {
        "pa55word-of-the-store",
        "token-of-the-api",
        "secret-of-the-webhook",
        "key-of-the-account",
    }
    masked = Masker(secrets).text(" ".join(f"<{secret}>" for secret in secrets))
    assert not any(secret in masked for secret in secrets)


def test_values_that_are_no_secret_stay_as_they_are() -> None:
    event = {"event": "ready", "jobs": 3, "rate": 0.5, "none": None, "ok": True, "uri": "s3://bucket/in/0001.jsonl"}
    assert Masker()(None, "info", dict(event)) == event


def test_a_simulated_run_sees_nothing_of_the_account() -> None:
    seen = simulated_environment(
        {"AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "t", "AWS_ENDPOINT_URL": "https://x", "PATH": "/bin"}
    )
    assert "production" not in seen.values()
    assert "AWS_SESSION_TOKEN" not in seen
    assert "AWS_ENDPOINT_URL" not in seen
    assert (seen["PATH"], seen["AWS_REGION"]) == ("/bin", "us-east-1")
    assert simulated_environment({"AWS_REGION": "eu-west-1"})["AWS_REGION"] == "eu-west-1"


@pytest.mark.parametrize(
    ("url", "variables", "expected"),
    [
        pytest.param("sqlite:///ferryman.db", {}, STORE_URL, id="the real store is left alone"),
        pytest.param("sqlite:///mine.db", {}, "sqlite:///mine.db", id="named in the settings"),
        pytest.param(
            "sqlite:///ferryman.db",
            {"FERRYMAN_STORE__URL": "sqlite:///ferryman.db"},
            "sqlite:///ferryman.db",
            id="named in the environment",
        ),
    ],
)
def test_the_store_of_a_simulated_run(url: str, variables: dict[str, str], expected: str) -> None:
    settings = Settings.model_validate({"store": {"url": url, "lock_wait_s": 3}})
    local = local_settings(settings, variables)
    assert local.store.url == expected
    assert local.store.lock_wait_s == 3


@pytest.mark.parametrize(
    ("variables", "interval", "minimum"),
    [
        pytest.param({}, 1.0, 1.0, id="sixty times faster"),
        pytest.param({"SIMULATOR__SPEED": "3"}, 10.0, 1.0, id="three times faster"),
        pytest.param({"SIMULATOR__SPEED": "0.1"}, 30.0, 2.0, id="slower"),
        pytest.param({"RECONCILE__INTERVAL": "30"}, 30.0, 1.0, id="the user has said how often"),
        pytest.param({"RECONCILE__ADOPT": "false"}, 1.0, 1.0, id="the user has said something else"),
        pytest.param({"RECONCILE__INTERVAL": "0.2", "RECONCILE__INTERVAL_MIN": "0.1"}, 0.2, 0.1, id="both"),
    ],
)
def test_a_simulated_run_looks_as_often_as_its_jobs_live_faster(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], interval: float, minimum: float
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"FERRYMAN_{name}", value)
    reconcile = local_settings(load_settings(None), os.environ).reconcile
    assert (reconcile.interval, reconcile.interval_min) == (interval, minimum)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"store": {"url": STORE_URL}}, "ferryman-simulated-ledger.jsonl", id="beside the store"),
        pytest.param({"store": {"url": "sqlite:////data/x.db"}}, "/data/x-ledger.jsonl", id="wherever that is"),
        pytest.param(
            {"store": {"url": "postgresql://h/d"}}, "ferryman-simulated-ledger.jsonl", id="here where it is no file"
        ),
        pytest.param({"simulator": {"ledger": "/data/world"}}, "/data/world", id="named"),
    ],
)
def test_where_the_simulated_world_is_kept(settings: dict[str, Any], expected: str) -> None:
    assert ledger_path(Settings.model_validate(settings)) == Path(expected)


def test_scopes_of_a_simulated_run_stay_apart() -> None:
    scopes = {
        "a": Scope(profile="p", endpoint_url="https://real"),
        "b": Scope(),
        "c": Scope(region="eu-west-1", role_arn=ROLE, external_id="e"),
    }
    pointed = pointed_at(Settings(scopes=scopes), "http://127.0.0.1:1", "us-east-1").scopes
    assert {scope.endpoint_url for scope in pointed.values()} == {"http://127.0.0.1:1"}
    assert {scope.profile for scope in pointed.values()} == {""}
    assert [scope.region for scope in pointed.values()] == ["us-east-1", "us-east-1", "eu-west-1"]
    assert pointed["a"].role_arn == ""
    assert pointed["b"].role_arn.startswith("arn:aws:iam::200000000001:")
    assert pointed["c"].role_arn == ROLE


def test_the_simulated_world_follows_the_settings() -> None:
    limits = {BATCH: {"jobs": {"*": 7}}}
    settings = Settings.model_validate({"simulator": {"speed": 9, "failure_rate": 0.25}, "limits": limits})
    options = simulator_options(settings)
    assert options.speed == 9
    assert options.quotas[BATCH] == {"*": 7, "custom-model": 3}
    assert options.quotas["personalize.BatchInferenceJob"] == {"*": 5}
    assert {sum(statuses.values()) for statuses in options.outcomes.values()} == {0.25}
    assert set(options.outcomes) == set(KINDS)
