"""Every planted bug is caught: the case is green without it, and red with it."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.reliability.cases import Case, perform_case
from tests.reliability.forks import Answer, run_forked
from tests.reliability.mutants import MUTANTS, Mutant
from tests.reliability.world import set_environment, warm


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    mutant = MUTANTS[name]
    warm()
    caught: list[str] = []
    for row, given in mutant.cases.items():
        case = given() if callable(given) else given

        def run(planted: Mutant | None, folder: Path, case: Case = case) -> Answer:
            set_environment()
            folder.mkdir()
            if planted is not None:
                planted.plant()
            try:
                return perform_case(case, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        runs = [
            ("without", partial(run, None, tmp_path / "without")),
            ("with", partial(run, mutant, tmp_path / "with")),
        ]
        answers = dict(run_forked(runs))
        assert answers["without"].get("problems") == [], answers["without"]
        # A patch that falls over by itself has shown nothing.
        assert "error" not in answers["with"], answers["with"]["error"]
        if answers["with"]["problems"]:
            caught.append(f"{row} ({answers['with']['problems'][0][:90]})")
    record_property("row", f"{mutant.what}: caught by {'; '.join(caught) or 'nothing'}")
    assert caught, f"nobody notices: {mutant.what}"
