"""Fixtures of the command line's tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("FERRYMAN_", "AWS_")):
            monkeypatch.delenv(name)
    return tmp_path
