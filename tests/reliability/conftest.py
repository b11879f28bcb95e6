"""Prints the table of perturbations after a run."""

from typing import Any

from tests.reliability.rows import summarise


def pytest_terminal_summary(terminalreporter: Any) -> None:
    summarise(terminalreporter)
