"""A clean run that is walked once, and forked at every point at which something is to go wrong.

What came before the point is paid once for all runs. A forked process goes on from there with its perturbation, in the
same files, while the walk stands still; then the walk puts the files back as they were, and goes on as if nothing had
been. A run whose point lies within a transaction of the store is not forked there, since SQLite's locks are not
inherited: it is handed back, to be run from the beginning.
"""

import os
import shutil
import sqlite3
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reliability.cases import sent_but_not_committed
from tests.reliability.forks import Answer, Branch, branch
from tests.reliability.scenario import Story
from tests.reliability.steps import CRASHES, Mode, Perturbation, Steps
from tests.reliability.world import World, capture_log


@dataclass(frozen=True)
class Run:
    """One thing that goes wrong at one point of a story.

    Attributes:
        point: its place among the points of the clean run.
        stands_for: so many cases, this one among them.
    """

    plan: Perturbation
    point: int
    stands_for: int = 1


class LearningSteps(Steps):
    """Writes down every point of a run, and what a crash there would leave outside."""

    def __init__(self, world: World) -> None:
        super().__init__(world.cut, world.deliver_again)
        self.points: list[str] = []
        """`<step>#<occurrence>:before` and `:after`, as they came."""
        self.states: list[Any] = []
        self._world = world

    async def __call__(self, point: str) -> None:
        step, _, side = point.rpartition(":")
        occurrence = self.counts[step] + (side == "before")
        self.points.append(f"{step}#{occurrence}:{side}")
        self.states.append(outside(self._world))
        await super().__call__(point)


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


class WalkingSteps(LearningSteps):
    """Forks at the points of `runs`."""

    def __init__(self, world: World, runs: Mapping[int, Sequence[Run]]) -> None:
        super().__init__(world)
        self.answers: list[tuple[Run, Answer]] = []
        self.left: list[Run] = []
        self.branch: Branch | None = None
        """Where this process is one that was forked on the way."""
        self._runs = runs
        self._files = _Files(world)

    async def __call__(self, point: str) -> None:
        if self.branch is None:
            self._meet(self._runs.get(len(self.points), ()))
        await super().__call__(point)

    def _meet(self, runs: Sequence[Run]) -> None:
        if runs:
            self._files.keep()
        for run in runs:
            if run.plan.mode not in CRASHES and _is_writing(self._world.store):
                self.left.append(run)
                continue
            answer = branch()
            if isinstance(answer, Branch):
                self.branch, self.plan = answer, run.plan
                return
            self.answers.append((run, answer))
            self._files.put_back()


class _Files:
    """The files of a world, kept as they are at one point, and put back: the same files, not only their content.

    The store's are read and written by descriptors that are never closed: closing one would drop the locks that SQLite
    holds on its file, and with them what keeps a forked run from removing a file that the walk has open. All others
    have a second link, by which they outlive being moved or removed.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._links = world.folder.with_name(f"{world.folder.name}-links")
        self._held: dict[Path, int] = {}
        self._kept: dict[Path, bytes] = {}

    def keep(self) -> None:
        shutil.rmtree(self._links, ignore_errors=True)
        self._kept = {}
        for path in self._paths():
            self._kept[path] = self._content(path)
            if path not in self._held:
                self._link(path).parent.mkdir(parents=True, exist_ok=True)
                os.link(path, self._link(path))

    def put_back(self) -> None:
        for path in self._world.folder.glob("store*"):
            if path != self._world.store.parent:
                shutil.rmtree(path)
        for path in self._paths():
            if path not in self._kept or (path not in self._held and not path.samefile(self._link(path))):
                path.unlink()
        for path, content in self._kept.items():
            self._put_back(path, content)

    def _put_back(self, path: Path, content: bytes) -> None:
        if path in self._held:
            held = self._held[path]
            if not path.exists() or path.stat().st_ino != os.fstat(held).st_ino:
                raise RuntimeError(f"a forked run has replaced a file that the walk holds open: {path}")
            os.pwrite(held, content, 0)
            os.ftruncate(held, len(content))
            return
        if not path.exists():
            os.link(self._link(path), path)
        if path.read_bytes() != content:
            path.write_bytes(content)

    def _paths(self) -> list[Path]:
        return [path for path in self._world.folder.rglob("*") if path.is_file()]

    def _link(self, path: Path) -> Path:
        return self._links / path.relative_to(self._world.folder)

    def _content(self, path: Path) -> bytes:
        if path.parent != self._world.store.parent:
            return path.read_bytes()
        if path not in self._held:
            self._held[path] = os.open(path, os.O_RDWR)
        held = self._held[path]
        return os.pread(held, os.fstat(held).st_size, 0)


def _is_writing(store: Path) -> bool:
    """Whether a transaction is open in the store."""
    probe = sqlite3.connect(store, timeout=0, isolation_level=None)
    try:
        probe.execute("BEGIN IMMEDIATE")
        probe.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return True
    else:
        return False
    finally:
        probe.close()


def walk(story: Story, runs: Sequence[Run], points: Sequence[str], folder: Path) -> WalkingSteps:
    """A clean run, forked at the points of `runs`; gives their answers, and those that it could not fork.

    Raises:
        RuntimeError: this clean run was not the one that `points` were learned from.
    """
    by_point: dict[int, list[Run]] = {}
    for run in runs:
        by_point.setdefault(run.point, []).append(run)
    made: list[WalkingSteps] = []

    def steps_of(world: World) -> WalkingSteps:
        made.append(WalkingSteps(world, by_point))
        return made[-1]

    try:
        answer = perform(story, folder, steps_of)
    except BaseException:
        if not made or made[-1].branch is None:
            raise
        answer = {"error": traceback.format_exc()}
    steps = made[-1]
    if steps.branch is not None:
        steps.branch.answer(answer)
    if answer["problems"] or steps.points != list(points):
        raise RuntimeError(f"the walk was not the clean run that was learned: {answer['problems']}")
    return steps


def perform(
    story: Story,
    folder: Path,
    steps_of: Callable[[World], Steps] | None = None,
    plan: Perturbation | None = None,
) -> Answer:
    """A run of a story, judged; an empty list of problems is what is wanted."""
    folder.mkdir()
    world = story.world(folder)
    capture_log(world.log)
    if steps_of is not None:
        world.steps = steps_of(world)
    problems: list[str] = []
    world.after_life = lambda: problems.extend(sent_but_not_committed(world))
    world.run(plan)
    problems += story.judge(world)
    if world.steps.plan is not None and not world.steps.happened:
        problems.append(f"{world.steps.plan} did not happen")
    return {"problems": problems, "lives": world.lives, "codes": world.codes, "log": world.log if problems else []}


def point_of(points: Sequence[str], plan: Perturbation) -> int:
    """Where a run that is told by its name begins to differ."""
    side = "after" if plan.mode is Mode.CRASH_AFTER else "before"
    return points.index(f"{plan.step}#{plan.occurrence}:{side}")
