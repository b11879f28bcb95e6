"""The crash matrix: every step of the scenario, and everything that can happen to it.

    python -m tests.reliability.matrix              the whole matrix
    python -m tests.reliability.matrix --share 5    one run in five of each kind of step and fault, and at least one
    python -m tests.reliability.matrix STEP#N:MODE  one run again, with its log

A clean run is learned point by point. Two crashes between which AWS, store, sinks and queue stay the same are one
crash: of each such class one is run, and the table says how many it stands for. Answers are perturbed at every call
that changes something, and at the first calls of each that only reads.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.reliability.cases import sent_but_not_committed
from tests.reliability.forks import Answer, run_forked
from tests.reliability.oracles import judge
from tests.reliability.scenario import FINAL, FINAL_DATA, JOBS, matrix_world
from tests.reliability.steps import CRASHES, Mode, Perturbation, Steps
from tests.reliability.world import World, capture_log, set_environment, warm

READS = ("aws.List", "aws.Get", "aws.Describe")
READS_PERTURBED = 3
"""Of each reading call, so many occurrences have their answers perturbed."""
COMMIT_DELAY_EVERY = 6
SEND_DELAY_EVERY = 4


@dataclass
class Learned:
    """A clean run, point by point."""

    points: list[str] = field(default_factory=list)
    """`<step>#<occurrence>:before` and `:after`, as they came."""
    states: list[Any] = field(default_factory=list)
    """What a crash at each point would leave outside: store, AWS, sink, queue, and what the user has done."""
    hasty: int = 0
    """Points of the run without its end, in which jobs are pruned and all is handed over again."""

    def steps(self) -> list[str]:
        return [point.removesuffix(":before") for point in self.points if point.endswith(":before")]


class LearningSteps(Steps):
    """Writes down every point of a run."""

    points: list[str]
    states: list[Any]
    state: Callable[[], Any]

    async def __call__(self, point: str) -> None:
        step, _, side = point.rpartition(":")
        if side == "before":
            self.points.append(f"{step}#{self.counts[step] + 1}:before")
        else:
            self.points.append(f"{step}#{self.counts[step]}:after")
        self.states.append(self.state())
        await super().__call__(point)


def is_read(step: str) -> bool:
    return step.startswith(READS)


@dataclass(frozen=True)
class Run:
    """One run, and the cases it stands for."""

    plan: Perturbation
    stands_for: int
    patient: bool


def crash_runs(points: Sequence[str], states: Sequence[Any], hasty: int) -> Iterator[Run]:
    """One crash of each class: as long as nothing changes outside, every crash is the same crash."""
    for _, group in groupby(range(len(points)), key=lambda index: states[index]):
        members = list(group)
        step, _, side = points[members[-1]].rpartition(":")
        name, _, occurrence = step.rpartition("#")
        mode = Mode.CRASH_BEFORE if side == "before" else Mode.CRASH_AFTER
        yield Run(Perturbation(name, int(occurrence), mode), len(members), members[-1] >= hasty)


def answer_runs(points: Sequence[str], hasty: int) -> Iterator[Run]:
    """What can happen to the answers of calls, to acknowledgements, commits and sends."""
    for index, point in enumerate(points):
        if not point.endswith(":before"):
            continue
        step = point.removesuffix(":before")
        name, _, text = step.rpartition("#")
        occurrence = int(text)
        for mode in _modes(name, occurrence):
            yield Run(Perturbation(name, occurrence, mode), 1, index >= hasty)


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
            left[f"answers of reading calls beyond the {READS_PERTURBED}rd of their name"] += 3
        if name == "store.commit" and int(text) % COMMIT_DELAY_EVERY != 1:
            left[f"delays of commits: one in {COMMIT_DELAY_EVERY} is run"] += 1
        if name == "sink.send" and int(text) % SEND_DELAY_EVERY != 1:
            left[f"delays of sends: one in {SEND_DELAY_EVERY} is run"] += 1
        if name == "aws.InvokeBlueprintOptimizationAsync":
            left["duplicates of a request that AWS cannot recognise as one"] += 1
    return left


# One run


def perform(run: Run | None, folder: Path, prepare: Callable[[World], None] | None = None) -> Answer:
    """A run in a fresh world, judged; an empty list of problems is what is wanted."""
    world = matrix_world(folder, patient=run is None or run.patient)
    capture_log(world.log)
    if prepare is not None:
        prepare(world)
    problems: list[str] = []
    world.after_life = lambda: problems.extend(sent_but_not_committed(world))
    world.run(run.plan if run else None)
    problems += judge(world, FINAL, JOBS)
    problems += _details(world)
    if run is not None and not world.steps.happened:
        problems.append(f"{run.plan} did not happen")
    return {"problems": problems, "lives": world.lives, "codes": world.codes, "log": world.log if problems else []}


def _details(world: World) -> Iterator[str]:
    for name, wanted in FINAL_DATA.items():
        data = world.user.jobs[name].data if name in world.user.jobs else {}
        for member, value in wanted.items():
            if data.get(member) != value:
                yield f"O2: {name} ends with {member} {data.get(member)!r}, not {value!r}"
    if world.user.rejected < 1:
        yield "O2: no event tells of the rejected document"


def learn(folder: Path) -> Learned:
    """The clean run, in this process; it also warms what every run needs."""
    hasty, _ = _learned_points(folder / "hasty", patient=False)
    patient, states = _learned_points(folder / "patient", patient=True)
    same = next((i for i, pair in enumerate(zip(hasty, patient, strict=False)) if pair[0] != pair[1]), len(hasty))
    return Learned(patient, states, same)


def _learned_points(folder: Path, *, patient: bool) -> tuple[list[str], list[Any]]:
    folder.mkdir(parents=True)
    world = matrix_world(folder, patient=patient)
    capture_log(world.log)
    steps = LearningSteps(world.cut, world.deliver_again)
    steps.points, steps.states, steps.state = [], [], lambda: outside(world)
    world.steps = steps
    world.run()
    problems = [*judge(world, FINAL, JOBS), *_details(world)]
    if problems:
        raise SystemExit("the clean run is not clean:\n" + "\n".join(problems) + "\n" + "\n".join(world.log[-40:]))
    return steps.points, steps.states


def outside(world: World) -> tuple[int, ...]:
    """What tells one state of everything outside of the process from the next."""
    wal = Path(f"{world.store}-wal")
    return (
        wal.stat().st_size if wal.exists() else 0,
        world.simulator.ledger.sequence,
        world.events.stat().st_size if world.events.exists() else 0,
        len(list(world.spool.rglob("*.jsonl"))) + 1000 * len(list((world.spool / "done").glob("*"))),
        sum(act.done for act in world.user.acts) + len(world.user.answered),
    )


# All of them


def folder_of_runs() -> Path:
    """Below a file system in memory where there is one: durability is judged by what was written, not by waiting."""
    memory = Path("/dev/shm")  # noqa: S108 - a place for scratch files, removed at the end
    return Path(tempfile.mkdtemp(prefix="ferryman-matrix-", dir=memory if os.access(memory, os.W_OK) else None))


def in_folder(base: Path, number: int, run: Run) -> Callable[[], Answer]:
    def performed() -> Answer:
        folder = base / f"run{number}"
        folder.mkdir()
        try:
            return perform(run, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return performed


def main(arguments: Sequence[str]) -> int:
    set_environment()
    base = folder_of_runs()
    os.environ["FERRYMAN_TEST_FOLDER"] = str(base)
    try:
        warm()
        if arguments[:1] == ["--share"]:
            return _all(base, int(arguments[1]))
        if arguments:
            return _again(Run(Perturbation.parsed(arguments[0]), 1, patient=True), base)
        return _all(base, 1)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _again(run: Run, base: Path) -> int:
    (base / "again").mkdir()
    answer = perform(run, base / "again")
    sys.stdout.write("\n".join([*answer["log"], *answer["problems"], f"lives: {answer['codes']}"]) + "\n")
    return 1 if answer["problems"] else 0


def shared(runs: Sequence[Run], share: int) -> list[Run]:
    """One run in `share` of everything that can happen to a kind of step, and at least one of each."""
    alike: dict[tuple[str, Mode], list[Run]] = defaultdict(list)
    for run in runs:
        alike[run.plan.step, run.plan.mode].append(run)
    chosen = {
        run for number, same in enumerate(alike.values()) for run in same[number % min(share, len(same)) :: share]
    }
    return [run for run in runs if run in chosen]


def _all(base: Path, share: int) -> int:
    began = time.monotonic()
    learned = learn(base)
    every = [*crash_runs(learned.points, learned.states, learned.hasty), *answer_runs(learned.points, learned.hasty)]
    runs = shared(every, share)
    failures: dict[str, list[str]] = {}
    counted: dict[tuple[str, Mode], list[int]] = defaultdict(lambda: [0, 0, 0])
    lives = 0
    for run, answer in run_forked((run, in_folder(base, number, run)) for number, run in enumerate(runs)):
        problems = answer.get("problems", [answer.get("error", "")])
        lives += answer.get("lives", 0)
        cell = counted[run.plan.step, run.plan.mode]
        cell[0] += 1
        cell[1] += run.stands_for
        if problems:
            cell[2] += 1
            failures[str(run.plan)] = problems
            sys.stderr.write(f"FAILED {run.plan}: {problems[0][-300:]}\n")
    _print(learned, counted, failures, lives, time.monotonic() - began)
    if len(runs) < len(every):
        left = len(every) - len(runs)
        sys.stdout.write(
            f"not run: {left} of {len(every)} runs, but of each kind of step and fault at least one (--share {share})\n"
        )
    return 1 if failures else 0


def _print(
    learned: Learned,
    counted: dict[tuple[str, Mode], list[int]],
    failures: dict[str, list[str]],
    lives: int,
    took_s: float,
) -> None:
    write = sys.stdout.write
    steps = Counter(step.rpartition("#")[0] for step in learned.steps())
    write(f"{'step':<52}{'times':>6}" + "".join(f"{mode.value:>14}" for mode in Mode) + "\n")
    for name, times in sorted(steps.items()):
        cells = [counted.get((name, mode)) for mode in Mode]
        shown = "".join(f"{'-' if cell is None else _cell(cell):>14}" for cell in cells)
        write(f"{name:<52}{times:>6}{shown}\n")
    runs = sum(cell[0] for cell in counted.values())
    crashes = sum(cell[1] for (_, mode), cell in counted.items() if mode in CRASHES)
    write(f"{sum(steps.values())} steps; {crashes} crashes in {_runs(counted)} classes; {runs} runs, {lives} lives\n")
    for reason, left in not_run(learned.points).items():
        write(f"not run: {left} {reason}\n")
    for plan, problems in list(failures.items())[:20]:
        write(f"\nFAILED {plan}\n  " + "\n  ".join(problems[:6]) + "\n")
    write(f"{len(failures)} of {runs} runs failed, {took_s:.0f} s\n")
    write(json.dumps({"steps": sum(steps.values()), "runs": runs, "failed": len(failures), "lives": lives}) + "\n")


def _runs(counted: dict[tuple[str, Mode], list[int]]) -> int:
    return sum(cell[0] for (_, mode), cell in counted.items() if mode in CRASHES)


def _cell(cell: Sequence[int]) -> str:
    runs, stands_for, failed = cell
    text = f"{runs}" if runs == stands_for else f"{runs} for {stands_for}"
    return f"{text} !{failed}" if failed else text


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.reliability.matrix", *sys.argv[1:]])  # noqa: S606
    sys.exit(main(sys.argv[1:]))
