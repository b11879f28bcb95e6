"""Seeds of the simulation, in a process of their own in which every one of them can be repeated by its number."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from controller.simulator import Fault, LoseReply, OutcomeRule
from controller.simulator.faults import RefuseCredentials, Throttle
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, document
from tests.processes import ROOT
from tests.reliability.cases import Case, check_case, one
from tests.reliability.forks import Answer, run_forked
from tests.reliability.scenario import tagged
from tests.reliability.simulate import perform_plan
from tests.reliability.simulate_faults import Planted, Window
from tests.reliability.simulate_plan import Sending, draw
from tests.reliability.stage import Stage, perform
from tests.reliability.world import set_environment, warm

SEEDS = os.environ.get("FERRYMAN_SIMULATE_SEEDS", "200")


def simulate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.reliability.simulate", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


@pytest.mark.xdist_group("matrix")
def test_every_seed_is_safe_and_comes_to_rest(record_property: Callable[[str, object], None]) -> None:
    done = simulate("--seeds", SEEDS)
    sys.stdout.write(done.stdout)
    record_property("row", "\n".join(line for line in done.stdout.splitlines() if " seeds failed" in line))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seed_is_the_same_run_every_time() -> None:
    """The order of calls, answers, faults and side effects, each with its time."""
    first, again = (_digests(simulate("--seeds", "4", "--from", "41", "--digests").stdout) for _ in range(2))
    assert len(first) == 4
    assert first == again


def _digests(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if line.startswith("seed "))


def test_a_seed_that_fails_says_how_to_see_it_again() -> None:
    """With a bug planted: nobody counts slots."""
    done = simulate("--seeds", "6", "--plant", "unbounded")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "again: python -m tests.reliability.simulate --seed " in done.stdout
    assert "O3: " in done.stdout


# What seeds have found


def test_a_refusal_after_a_lost_answer_ends_the_job(tmp_path: Path) -> None:
    """Where the name is unique, as where there is a token."""
    rule = OutcomeRule(name="one-*", refuse={"code": "InvalidInputException", "message": "no such bucket"})
    case = Case(
        [one(RECOMMENDATION)],
        {"one": ("failed", 0)},
        options={"rules": (rule,)},
        faults=[Fault(effect=LoseReply(then=502), operation="CreateBatchInferenceJob")],
        data={"one": {"reason": "CreateRefused"}},
    )
    check_case(case, tmp_path)


async def _an_hour_ahead(stage: Stage) -> None:
    stage.host_wrong_s = 3600
    await stage.send([document(BLUEPRINT, "first", 1)])
    await stage.until(lambda: len(stage.creates()) == 1, 60, "created")
    stage.host_wrong_s = 0
    await stage.until(lambda: stage.all_in("Succeeded"), 900, "read, although the clock has gone back")


def test_a_clock_that_was_ahead_holds_nothing_up(tmp_path: Path) -> None:
    durations = {BLUEPRINT: {"Created": (1, 2), "InProgress": (20, 40)}}
    perform(tmp_path, _an_hour_ahead, options={"check_signature_date": False, "durations": durations})


@pytest.mark.parametrize(
    ("fault", "begins"),
    [
        pytest.param(Fault(effect=LoseReply(), operation="Create*", times=None), 0.0, id="creates to be sent again"),
        pytest.param(Fault(effect=RefuseCredentials(), times=None), 5.0, id="a scope that is lost"),
        pytest.param(Fault(effect=Throttle(), times=None), 5.0, id="throttles to be told"),
    ],
)
def test_a_full_disk_ends_nothing(fault: Fault, begins: float, tmp_path: Path) -> None:
    names = {"job-b0": BATCH, "job-p1": PROMPT, "job-r2": RECOMMENDATION}
    documents = {name: [tagged(kind, name, 1, generation=1)] for name, kind in names.items()}
    plan = replace(
        draw(1),
        faulty_s=50.0,
        options={**draw(1).options, "outcomes": {}, "throttles": {}},
        versions=documents,
        sendings=[Sending(0.0, [each for (each,) in documents.values()])],
        policy=dict.fromkeys(names, "truth"),
        windows=[Window("P25 disk full", 4.0, 15.0), Window("P25 disk full", 20.0, 45.0)],
        planted=[Planted("fault", begins, 50.0, fault)],
        happenings=[],
    )

    def run() -> Answer:
        set_environment()
        return perform_plan(plan, tmp_path)

    warm()
    ((_, answer),) = run_forked([("plan", run)], run_s_max=300)
    assert _problems(answer) == []
    assert answer["met"].get("P25 disk full")


def _problems(answer: Answer) -> Sequence[str]:
    return list(answer.get("problems", [answer.get("error")]))
