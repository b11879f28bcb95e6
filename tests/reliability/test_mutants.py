"""Every planted bug is caught: the case is green without it, and red with it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.reliability.cases import perform_case
from tests.reliability.forks import Answer
from tests.reliability.hatchery import Hatchery
from tests.reliability.mutants import MUTANTS

LIMIT_S = 400.0
"""Virtual seconds of a life: what a bug keeps from settling need not be watched for longer."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, hatchery: Hatchery, record_property: Callable[[str, object], None]) -> None:
    caught: list[str] = []
    for row in MUTANTS[name].cases:
        without = hatchery.perform(partial(perform_mutant, name, row, False))
        assert without.get("problems") == [], without
        planted = hatchery.perform(partial(perform_mutant, name, row, True))
        # A patch that falls over by itself has shown nothing.
        assert "error" not in planted, planted["error"]
        if planted["problems"]:
            caught.append(f"{row} ({planted['problems'][0][:90]})")
    what = MUTANTS[name].what
    record_property("row", f"{what}: caught by {'; '.join(caught) or 'nothing'}")
    assert caught, f"nobody notices: {what}"


def perform_mutant(name: str, row: str, planted: bool, folder: Path) -> Answer:
    """One case of a mutant, with its patch or without; its step is learned without."""
    mutant = MUTANTS[name]
    given = mutant.cases[row]
    case = given() if callable(given) else given
    if planted:
        mutant.plant()
    return perform_case(replace(case, limit_s=LIMIT_S), folder)
