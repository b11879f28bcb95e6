"""Where in a run a step is: learned from a clean run of the same case, in a process of its own."""

import os
import tempfile
from pathlib import Path

from tests.reliability.cases import Case
from tests.reliability.forks import Answer, run_forked
from tests.reliability.steps import Mode, Perturbation, Steps
from tests.reliability.world import capture_log, set_environment, warm


class Recorder(Steps):
    """Writes down the points of a run."""

    points: list[str]

    async def __call__(self, point: str) -> None:
        step, _, side = point.rpartition(":")
        await super().__call__(point)
        self.points.append(f"{step}#{self.counts[step]}:{side}")


def point_of(case: Case, operation: str, where: str, side: str) -> Perturbation:
    """The crash at a place that is described relative to the create."""
    points = _points(case)
    create = points.index(f"aws.{operation}#1:before")
    before = [point for point in points[:create] if point.startswith("store.commit#") and point.endswith(":before")]
    after = [point for point in points[create:] if point.endswith(":before")]
    found = {
        "the create": points[create],
        "the last commit before the create": before[-1],
        "the first commit after the create": next(point for point in after if point.startswith("store.commit#")),
        "the acknowledgement": "queue.acknowledge#1:before",
        "the first send after the create": next(point for point in after if point.startswith("sink.send#")),
    }[where]
    step, _, occurrence = found.removesuffix(":before").rpartition("#")
    return Perturbation(step, int(occurrence), Mode.CRASH_BEFORE if side == "before" else Mode.CRASH_AFTER)


def _points(case: Case) -> list[str]:
    def run() -> Answer:
        set_environment()
        with tempfile.TemporaryDirectory(prefix="learn-", dir=os.environ.get("FERRYMAN_TEST_FOLDER")) as folder:
            world = case.world(Path(folder))
            capture_log(world.log)
            steps = Recorder(world.cut, world.deliver_again)
            steps.points = []
            world.steps = steps
            world.run()
            return {"points": steps.points}

    warm()
    ((_, answer),) = list(run_forked([("learn", run)]))
    assert "error" not in answer, answer["error"]
    points: list[str] = answer["points"]
    return points
