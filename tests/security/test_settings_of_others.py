"""Settings that slip in from the folder in which a daemon is started, or from its environment."""

from pathlib import Path

import pytest

from controller.errors import SettingsError
from controller.settings import load_settings


def test_files_that_lie_around_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (".env", "ferryman.toml", "settings.toml", "config.toml", "pyproject.toml", ".ferryman"):
        (tmp_path / name).write_text('FERRYMAN_HTTP__HOST=0.0.0.0\n[http]\nhost = "0.0.0.0"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}).http.host == "127.0.0.1"


@pytest.mark.parametrize("name", ["FERRYMAN_HTPP__HOST", "FERRYMAN__HTTP__HOST", "FERRYMAN_", "FERRYMAN_HOST"])
def test_a_variable_that_is_no_setting_is_named_and_its_value_is_not(name: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings(None, {name: "canary"})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        '[http]\ntoken = "canary\n',
        "[http]\ntoken = ['canary']\n",
        "[http]\ncanary = 1\n[http]\n",
        '[store]\nurl = ["canary"]\n',
        'scopes = "canary"\n',
        "\x00",
    ],
)
def test_a_file_that_is_wrong_is_named_and_its_values_are_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ferryman.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_settings(path, {})
    assert "canary" not in str(refused.value)
    assert str(refused.value).isprintable()
