"""Settings: precedence, refusals, and the reference file that must stay true."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from controller.errors import SettingsError
from controller.settings import LAST_WORDS_S, LimitSettings, Scope, Settings, load_settings

REFERENCE = Path(__file__).resolve().parent.parent / "config" / "ferryman.toml"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FERRYMAN_CONFIG", raising=False)


def load(monkeypatch: pytest.MonkeyPatch, config: Path | None = None, /, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings(config, variables)


def test_the_names_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        FERRYMAN_STORE__URL="sqlite:////data/ferryman.db",
        FERRYMAN_QUEUE__SOURCES='["sqs:https://sqs.us-east-1.amazonaws.com/1/q"]',
        FERRYMAN_EVENTS__SINKS='["file:/data/events.jsonl", {"url": "log:", "types": ["ferryman.job.*"]}]',
        FERRYMAN_HTTP__HOST="127.0.0.1",
        FERRYMAN_HTTP__PORT="8470",
        FERRYMAN_HTTP__TOKEN="",
        FERRYMAN_HTTP__PROBE_PORT="",
        FERRYMAN_RECONCILE__INTERVAL="30",
        FERRYMAN_SCOPES='{"default": {"region": "us-east-1"}}',
        FERRYMAN_LIMITS=json.dumps(
            {
                "bedrock.ModelInvocationJob": {
                    "create": {"rate": 2, "burst": 4},
                    "jobs": {"*": 20, "custom-model": 3},
                },
                "personalize.BatchInferenceJob": {"jobs": 7},
            }
        ),
    )
    assert settings.store.url == "sqlite:////data/ferryman.db"
    assert [sink.url for sink in settings.events.sinks] == ["file:/data/events.jsonl", "log:"]
    assert settings.http.probe_port is None
    assert settings.limits_of("bedrock.ModelInvocationJob").jobs == {"*": 20, "custom-model": 3}
    assert settings.limits_of("personalize.BatchInferenceJob").jobs == {"*": 7}
    assert settings.limits_of("bedrock.AdvancedPromptOptimizationJob") == LimitSettings()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ferryman.toml"
    file.write_text('[http]\nport = 1\nhost = "127.0.0.2"\n', encoding="utf-8")
    settings = load(monkeypatch, file, FERRYMAN_HTTP__PORT="2")
    assert (settings.http.port, settings.http.host) == (2, "127.0.0.2")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        pytest.param("FERRYMAN_HTTP__PORT", "abc", "http.port", id="type"),
        pytest.param("FERRYMAN_HTTP__PORT", "70000", "http.port", id="range"),
        pytest.param("FERRYMAN_HTTP__COLOUR", "red", "http.colour: is not a setting", id="unknown in a group"),
        pytest.param("FERRYMAN_COLOUR", "red", "FERRYMAN_COLOUR", id="unknown group"),
        pytest.param("FERRYMAN_COLOR", "red", "config/ferryman.toml", id="unknown group, nothing near"),
        pytest.param("FERRYMAN_QUEU__SOURCES", "[]", "did you mean FERRYMAN_QUEUE[?]", id="misspelt group"),
        pytest.param("FERRYMAN_QUEUE__SORCES", "[]", "did you mean queue.sources[?]", id="misspelt"),
        pytest.param(
            "FERRYMAN_SCOPES", "{", 'FERRYMAN_SCOPES is not JSON: write \'{"default": {"region"', id="not JSON"
        ),
        pytest.param(
            "FERRYMAN_QUEUE__SOURCES",
            "dir:canary",
            r'FERRYMAN_QUEUE__SOURCES is not JSON: write .\["dir:spool"\].$',
            id="one source that is not JSON",
        ),
        pytest.param("FERRYMAN_QUEUE__BUCKETS", "canary", r"FERRYMAN_QUEUE__BUCKETS is not JSON: write '\[", id="list"),
        pytest.param("FERRYMAN_HTTP", "canary", "FERRYMAN_HTTP is not JSON: write '{", id="a group that is not JSON"),
        pytest.param(
            "FERRYMAN_QUEUE",
            '{"sources": "dir:canary"}',
            r"queue.sources: must be a list of texts: \[.dir:",
            id="a text for a list",
        ),
        pytest.param(
            "FERRYMAN_LIMITS__X__CREATE",
            "2",
            "limits.x.create: must be a table with rate and burst",
            id="a number for a table",
        ),
        pytest.param("FERRYMAN_HTTP__ENABLED", "perhaps", "http.enabled: must be true or false$", id="truth"),
        pytest.param("FERRYMAN_QUEUE__RECEIVERS", "0", "queue.receivers: must be at least 1$", id="too small"),
        pytest.param("FERRYMAN_GRACE_S", "1e9", "grace_s: must be at most 31622400$", id="too large"),
        pytest.param("FERRYMAN_LOG__LEVEL", "loud", "log.level: must be 'debug', 'info', .*'error'$", id="choice"),
        pytest.param("FERRYMAN_EVENTS__SINKS", "[{}]", r"events.sinks.0.url: is required$", id="missing"),
        pytest.param("FERRYMAN_SCOPES", "{}", "at least one scope", id="no scope"),
        pytest.param("FERRYMAN_SCOPES", '{"a/b": {}}', "not a scope's name", id="scope's name"),
        pytest.param("FERRYMAN_AWS__TIMEOUT_S", "17.1", "at least 3 s shorter than grace_s", id="longer than a stop"),
        pytest.param("FERRYMAN_GRACE_S", "17.9", "at least 3 s shorter than grace_s", id="a stop too short"),
        pytest.param("FERRYMAN_HTTP__PROBE_PORT", "8470", "http.probe_port and http.port are the same", id="one port"),
        pytest.param("FERRYMAN_RECONCILE__INTERVAL", "0", "reconcile.interval", id="zero"),
        pytest.param("FERRYMAN_RECONCILE__INTERVAL", "nan", "reconcile.interval", id="nan"),
    ],
)
def test_a_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("'", ".")) as caught:
        load(monkeypatch, **{variable: value})
    assert "\n" not in str(caught.value)
    assert "Input should" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_call_may_last_as_long_as_a_stop_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults fit each other, and so does the longest call of the shortest stop."""
    assert load(monkeypatch).aws.timeout_s + LAST_WORDS_S <= load(monkeypatch).grace_s
    assert load(monkeypatch, FERRYMAN_GRACE_S="18").grace_s == 18


def test_a_secret_is_not_in_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, FERRYMAN_HTTP='{"token": ["canary-secret"]}')
    assert "canary-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("[http\n", "is not TOML", id="broken"),
        pytest.param("[http]\ncolour = 1\n", "http.colour: is not a setting", id="unknown"),
        pytest.param(
            "[limits.bedrock.ModelInvocationJob]\njobs = 3\n",
            r'put the kind in quotes: \[limits."bedrock.ModelInvocationJob"\]',
            id="a kind without quotes",
        ),
        pytest.param('[scopes.a]\nrole-arn = "x"\n', r"did you mean scopes.a.role_arn\?", id="misspelt in a scope"),
    ],
)
def test_a_wrong_file_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "ferryman.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        load(monkeypatch, file)


def test_a_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the settings file"):
        load(monkeypatch, tmp_path / "none.toml")


def _uncommented() -> dict[str, Any]:
    """The reference file with every default in force; prose stays comment."""
    lines = []
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        bare = line.removeprefix("# ")
        is_setting = bare != line and (bare.startswith("[") or bare.partition(" = ")[0].isidentifier())
        lines.append(bare if is_setting and "(none)" not in bare else line)
    return tomllib.loads("\n".join(lines))


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    return list(value) if isinstance(value, tuple) else value


def test_the_reference_file_has_every_setting_with_its_default() -> None:
    shown = _uncommented()
    limits = shown.pop("limits")["bedrock.ModelInvocationJob"]
    scopes = shown.pop("scopes")
    defaults = Settings()
    for name in Settings.model_fields:
        if name in {"limits", "scopes"}:
            continue
        expected = _plain(getattr(defaults, name))
        if isinstance(expected, dict):
            expected = {key: value for key, value in expected.items() if value is not None}
        if name == "events":
            expected["sinks"] = ["log:"]
        assert shown.pop(name) == expected, name
    assert shown == {}
    assert scopes["default"] == _plain(Scope())
    assert set(limits) == set(LimitSettings.model_fields)
    for use in ("create", "get", "list", "stop", "delete"):
        assert limits[use] == _plain(getattr(LimitSettings(), use))


def test_the_reference_file_can_be_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, REFERENCE) == Settings()
