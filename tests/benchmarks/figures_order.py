"""What it costs to choose the jobs that go next, by how many wait behind them.

`python -m tests.benchmarks.figures_order URL CREATES WAITING...`: prints, as JSON, the processor time of a create in ms
for each number of jobs that wait besides those which are created meanwhile.
"""

import json
import subprocess
import sys
import time

import anyio

from controller.control import Control
from controller.store import LaneStore
from tests.benchmarks.daemon import run, until
from tests.benchmarks.measuring import ROOT


class Meter:
    """Begins with the first request and ends with a later one."""

    def __init__(self, creates: int) -> None:
        self.creates = creates
        self.sent = 0
        self.began = 0.0
        self.spent = 0.0

    @property
    def done(self) -> bool:
        return self.sent >= self.creates

    async def reach(self, step: str) -> None:
        if step != "aws.CreateModelInvocationJob:before":
            return
        if self.sent == 0:
            self.began = time.process_time()
        self.sent += 1
        if self.sent == self.creates:
            self.spent = time.process_time() - self.began


async def one(url: str, creates: int, waiting: int) -> None:
    meter = Meter(creates)

    async def story(_control: Control, _store: LaneStore) -> None:
        async def done() -> bool:
            return meter.done

        await until(done, every_s=0.01)

    await run(url, creates + waiting, story, meter.reach)
    print(json.dumps(1000 * meter.spent / creates))  # noqa: T201 - the figure


def main(url: str, creates: int, numbers: list[int]) -> None:
    """Each number in a process of its own, so that none is warmed up by another."""
    taken: dict[str, float] = {}
    for waiting in numbers:
        command = [sys.executable, "-m", "tests.benchmarks.figures_order", url, str(creates), str(waiting), "--one"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        taken[f"cpu_ms_{waiting}"] = float(done.stdout.splitlines()[-1])
    *_, middle, many = taken.values()
    shown = ", ".join(f"{ms:.3f} ms with {waiting}" for waiting, ms in zip(numbers, taken.values(), strict=True))
    print(json.dumps({**taken, "growth": many / middle, "shown": shown}))  # noqa: T201 - the figures


if __name__ == "__main__":
    address, *words = [word for word in sys.argv[1:] if word != "--one"]
    creates_, *waiting_ = map(int, words)
    if "--one" in sys.argv:
        anyio.run(one, address, creates_, waiting_[0], backend_options={"use_uvloop": True})
    else:
        main(address, creates_, waiting_)
