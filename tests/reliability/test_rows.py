"""What the table of perturbations says of a row, and that it is printed once, whoever performs the tests."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from tests.processes import ROOT
from tests.reliability.rows import Findings, Row

ROW = Row("P0 nothing", "as a test", ("tests/a.py::test_one", "tests/b.py::"))
ONE, TWO, OTHER = "tests/a.py::test_one[1]", "tests/a.py::test_one[2]", "tests/b.py::test_other"
ALL = frozenset({ONE, TWO, OTHER})
PASSED: Mapping[str, Sequence[str]] = {test: ["passed"] for test in ALL}


@pytest.mark.parametrize(
    ("outcomes", "collected", "narrowed", "result"),
    [
        pytest.param(PASSED, ALL, (), "green", id="all passed"),
        pytest.param({}, ALL, (), "not run", id="none ran"),
        pytest.param({**PASSED, TWO: ["failed"]}, ALL, (), "FAILED", id="one failed"),
        pytest.param({**PASSED, TWO: ["passed", "error"]}, ALL, (), "FAILED", id="one failed in its teardown"),
        pytest.param({**PASSED, TWO: ["skipped"]}, ALL, (), "skipped", id="one skipped"),
        pytest.param({ONE: ["passed"], OTHER: ["passed"]}, ALL, (), "ran in part", id="one deselected"),
        pytest.param({ONE: ["passed"], TWO: ["passed"]}, {ONE, TWO}, (), "ran in part", id="a file not asked for"),
        pytest.param(PASSED, ALL, ("tests/a.py",), "ran in part", id="tests asked for by name"),
        pytest.param(PASSED, ALL, ("tests/c.py",), "green", id="tests of another file by name"),
    ],
)
def test_a_row_is_green_only_if_all_its_tests_passed(
    outcomes: Mapping[str, Sequence[str]], collected: frozenset[str], narrowed: Sequence[str], result: str
) -> None:
    assert Findings(outcomes, {}, frozenset(collected), frozenset(narrowed)).result(ROW) == result


SHOWN = "tests/test_publish.py::test_a_dead_sink_delays_only_itself"
SHOWS_NOTHING = "tests/reliability/test_rows.py::test_a_row_is_green_only_if_all_its_tests_passed"


@pytest.mark.parametrize(
    ("asked", "workers", "tables"),
    [
        pytest.param(SHOWN, "1", 1, id="performed by a worker"),
        pytest.param(SHOWN, "0", 1, id="performed at once"),
        pytest.param(SHOWS_NOTHING, "0", 0, id="of no row"),
    ],
)
def test_the_table_is_printed_once(asked: str, workers: str, tables: int) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", workers, asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" perturbations ") == tables
    assert done.stdout.count(f"{'ran in part':<14} P33 slow sink") == tables
    assert done.stdout.count(f"{'not run':<14} P24 process paused") == tables
