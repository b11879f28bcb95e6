"""The short form of the fuzz, and what the long form has found. Each round is a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.forks import run_forked
from tests.reliability.fuzz import perform_round
from tests.reliability.fuzz_checks import CALLS, Network, Tally, check_message
from tests.reliability.world import set_environment, warm

ROUNDS = (900_001, 900_002)
SHARE = 0.1


def test_nothing_crashes_stalls_or_sticks(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    warm()
    rounds = []
    for number in ROUNDS:
        folder = tmp_path / str(number)
        folder.mkdir()
        rounds.append((number, lambda n=number, f=folder: _round(n, f)))
    for number, answer in run_forked(rounds, run_s_max=300):
        assert "error" not in answer, answer["error"]
        assert not answer["problems"], (number, answer["problems"])
        record_property("row", f"{answer['counts']}, slowest {answer['slowest_ms']:.1f} ms")


def _round(number: int, folder: Path) -> dict[str, object]:
    set_environment()
    return perform_round(number, folder, SHARE)


def test_answers_that_are_no_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    tally = Tally()
    with Network() as network:
        for call in CALLS:
            for body in (b"null", b"[]", b"", b'"x"', b"[" * 3000, b"\xff"):
                network.check_answer(call, (200, {}, body), tally)
    assert tally.counts["answers"] == 6 * len(CALLS)


def test_a_message_that_takes_too_long_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: with a bound that nothing can keep."""
    monkeypatch.setattr("tests.reliability.fuzz_checks.STALL_S", 0.0)
    with pytest.raises(AssertionError, match="took"):
        check_message(json.dumps({"kind": "x"}).encode(), Tally())
