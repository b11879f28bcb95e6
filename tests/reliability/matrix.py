"""The crash matrix: every step of every story, and everything that can happen to it.

    python -m tests.reliability.matrix                    the whole matrix
    python -m tests.reliability.matrix STORY ...          some stories
    python -m tests.reliability.matrix STORY STEP#N:MODE  one run again, with its log

A clean run of a story is learned point by point. Two crashes between which AWS, store, sinks and queue stay the same
are one crash: of each such class one is run, and the table says how many it stands for. Answers are perturbed at every
call that changes something, and at the first calls of each that only reads.
"""

import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.reliability.forks import Answer, run_forked
from tests.reliability.matrix_table import Told, render
from tests.reliability.scenario import STORIES, Story
from tests.reliability.steps import Mode, Perturbation
from tests.reliability.walking import LearningSteps, Run, perform, point_of, walk
from tests.reliability.world import set_environment, warm

READS = ("aws.List", "aws.Get", "aws.Describe")
READS_PERTURBED = 3
"""Of each reading call of a story, so many occurrences have their answers perturbed."""
COMMIT_DELAY_EVERY = 6
SEND_DELAY_EVERY = 4
STORY_S_MAX = 1200.0
"""Real seconds of a story with all of its runs."""


def is_read(step: str) -> bool:
    return step.startswith(READS)


def crash_runs(points: Sequence[str], states: Sequence[Any]) -> Iterator[Run]:
    """One crash of each class: as long as nothing changes outside, every crash is the same crash."""
    for _, group in groupby(range(len(points)), key=lambda index: states[index]):
        members = list(group)
        step, _, side = points[members[-1]].rpartition(":")
        name, _, occurrence = step.rpartition("#")
        mode = Mode.CRASH_BEFORE if side == "before" else Mode.CRASH_AFTER
        yield Run(Perturbation(name, int(occurrence), mode), members[-1], len(members))


def answer_runs(points: Sequence[str]) -> Iterator[Run]:
    """What can happen to the answers of calls, to acknowledgements, commits and sends."""
    for index, point in enumerate(points):
        step, _, side = point.rpartition(":")
        if side == "before":
            name, _, text = step.rpartition("#")
            for mode in _modes(name, int(text)):
                yield Run(Perturbation(name, int(text), mode), index)


def _modes(name: str, occurrence: int) -> Sequence[Mode]:
    if name == "store.commit":
        return (Mode.SLOW,) if occurrence % COMMIT_DELAY_EVERY == 1 else ()
    if name == "sink.send":
        return (Mode.SLOW,) if occurrence % SEND_DELAY_EVERY == 1 else ()
    if name == "queue.acknowledge":
        return (Mode.SLOW, Mode.TWICE)
    if is_read(name):
        return (Mode.LOST, Mode.SLOW, Mode.LATE) if occurrence <= READS_PERTURBED else ()
    if name == "aws.InvokeBlueprintOptimizationAsync":
        # AWS has nothing by which it could tell a repeated request: two requests are two jobs, whoever repeats them.
        return (Mode.LOST, Mode.DROPPED, Mode.LATE, Mode.SLOW)
    return (Mode.LOST, Mode.DROPPED, Mode.LATE, Mode.TWICE, Mode.SLOW)


def not_run(points: Sequence[str]) -> Counter[str]:
    """Cases which are left out, by the reason."""
    left: Counter[str] = Counter()
    for point in points:
        name, _, text = point.removesuffix(":before").rpartition("#")
        if not point.endswith(":before"):
            continue
        if is_read(name) and int(text) > READS_PERTURBED:
            left[f"answers of reading calls beyond the {READS_PERTURBED}rd of their name in a story"] += 3
        if name == "store.commit" and int(text) % COMMIT_DELAY_EVERY != 1:
            left[f"delays of commits: one in {COMMIT_DELAY_EVERY} is run"] += 1
        if name == "sink.send" and int(text) % SEND_DELAY_EVERY != 1:
            left[f"delays of sends: one in {SEND_DELAY_EVERY} is run"] += 1
        if name == "aws.InvokeBlueprintOptimizationAsync":
            left["duplicates of a request that AWS cannot recognise as one"] += 1
    return left


# A story


def learn(story: Story, folder: Path) -> LearningSteps:
    """The clean run. It is run twice: the second finds all that is made once in a process, as every later one does."""
    learned: list[LearningSteps] = []

    def steps_of(world: Any) -> LearningSteps:
        learned.append(LearningSteps(world))
        return learned[-1]

    for name in ("first", "second"):
        answer = perform(story, folder / name, steps_of)
        if answer["problems"]:
            raise RuntimeError("the clean run is not clean:\n" + "\n".join([*answer["problems"], *answer["log"][-40:]]))
    return learned[-1]


def perform_story(name: str, folder: Path) -> Answer:
    """Everything that can happen to a story, in this process and its children: a `Told` as JSON."""
    began = time.monotonic()
    story = STORIES[name]
    gc.disable()
    learned = learn(story, folder)
    points = learned.points
    runs = [*crash_runs(points, learned.states), *answer_runs(points)]
    walked = walk(story, runs, points, folder / "walk")
    told = Told.of(points, not_run(points))
    answers = [*walked.answers, *run_forked(_from_the_beginning(story, walked.left, folder), at_once=1)]
    for run, answer in answers:
        told.add(run.plan, run.stands_for, name, answer)
    if told.runs != len(runs):
        raise RuntimeError(f"{len(runs)} runs were to be, and {told.runs} were")
    told.seconds = time.monotonic() - began
    return told.as_json()


def _from_the_beginning(story: Story, runs: Sequence[Run], folder: Path) -> Iterator[tuple[Run, partial[Answer]]]:
    for number, run in enumerate(runs):
        yield run, partial(_once, story, run.plan, folder / f"run{number}")


def _once(story: Story, plan: Perturbation, folder: Path) -> Answer:
    try:
        return perform(story, folder, plan=plan)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# All of them


def folder_of_runs() -> Path:
    """Below a file system in memory where there is one: durability is judged by what was written, not by waiting."""
    memory = Path("/dev/shm")  # noqa: S108 - a place for scratch files, removed at the end
    return Path(tempfile.mkdtemp(prefix="ferryman-matrix-", dir=memory if os.access(memory, os.W_OK) else None))


def main(arguments: Sequence[str]) -> int:
    set_environment()
    base = folder_of_runs()
    os.environ["FERRYMAN_TEST_FOLDER"] = str(base)
    try:
        warm()
        if len(arguments) > 1 and "#" in arguments[1]:
            return _again(STORIES[arguments[0]], Perturbation.parsed(arguments[1]), base)
        return _all(arguments or list(STORIES), base)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _again(story: Story, plan: Perturbation, base: Path) -> int:
    points = learn(story, base).points
    walked = walk(story, [Run(plan, point_of(points, plan))], points, base / "walk")
    answers = [*walked.answers, *run_forked(_from_the_beginning(story, walked.left, base))]
    ((_, answer),) = answers
    problems = answer.get("problems", [answer.get("error", "")])
    sys.stdout.write("\n".join([*answer.get("log", ()), *problems, f"lives: {answer.get('codes')}"]) + "\n")
    return 1 if problems else 0


def _all(names: Sequence[str], base: Path) -> int:
    began = time.monotonic()
    whole = Told()
    errors: list[str] = []
    stories = ((name, partial(_in_folder, name, base / f"story{n}")) for n, name in enumerate(names))
    for name, answer in run_forked(stories, run_s_max=STORY_S_MAX):
        if "error" in answer:
            errors.append(f"FAILED {name}: {answer['error']}")
            continue
        whole.take(Told.from_json(answer))
    whole.seconds = time.monotonic() - began
    sys.stdout.write("\n".join([*render(whole), *errors]) + "\n")
    sys.stdout.write(json.dumps({"runs": whole.runs, "failed": len(whole.failures), "lives": whole.lives}) + "\n")
    return 1 if whole.failures or errors else 0


def _in_folder(name: str, folder: Path) -> Answer:
    folder.mkdir()
    return perform_story(name, folder)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.reliability.matrix", *sys.argv[1:]])  # noqa: S606
    sys.exit(main(sys.argv[1:]))
