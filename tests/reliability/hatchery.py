"""A process that is the worlds' alone: it has performed one, and forks itself for every other that is asked for.

So the seconds that imports, models and statements take are paid once, and whoever asks stays as it was. Orders are
pickled calls of functions of modules; they come with their length on stdin, and answers go as JSON lines to stdout. The
order of sets is fixed in this process, so that a run can be repeated.
"""

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from tests.documents import KINDS
from tests.processes import ROOT
from tests.reliability.cases import Case, perform_case
from tests.reliability.forks import RUN_S_MAX, Answer, run_forked
from tests.reliability.matrix import folder_of_runs
from tests.reliability.scenario import tagged
from tests.reliability.sharing import forget_prepared_requests
from tests.reliability.world import set_environment, warm

Order = Callable[[Path], Answer]
"""Given a folder of its own."""
_LENGTH = 8


class Hatchery:
    """The asking side: one order at a time."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def perform(self, order: Order, run_s_max: float = RUN_S_MAX) -> Answer:
        """Let an order be performed in a process of its own.

        Raises:
            RuntimeError: the hatchery is gone.
        """
        text = pickle.dumps((order, run_s_max))
        to, answers = self._process.stdin, self._process.stdout
        assert to is not None
        assert answers is not None
        to.write(len(text).to_bytes(_LENGTH, "big") + text)
        to.flush()
        line = answers.readline()
        if not line:
            raise RuntimeError(f"the hatchery ended with {self._process.wait()}")
        answer: Answer = json.loads(line)
        return answer

    def check(self, build: Callable[..., Case], *arguments: Any) -> Answer:
        """Perform the case that `build` makes of its arguments; fails the test that asks with what is wrong.

        Args:
            build: a function of a module.
        """
        answer = self.perform(partial(perform_built, build, arguments))
        log = "\n".join(answer.get("log", [])[-30:])
        assert "error" not in answer, answer["error"]
        assert not answer["problems"], "\n".join([*answer["problems"], f"lives: {answer['codes']}", log])
        return answer


def perform_built(build: Callable[..., Case], arguments: tuple[Any, ...], folder: Path) -> Answer:
    return perform_case(build(*arguments), folder)


@contextmanager
def open_hatchery() -> Iterator[Hatchery]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "tests.reliability.hatchery"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Hatchery(process)  # its stdin is closed at the end of the block, which ends it


# The process itself


def main() -> None:
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a run may print is no answer
    set_environment()
    base = folder_of_runs()
    os.environ["FERRYMAN_TEST_FOLDER"] = str(base)
    try:
        _warm(base / "warm")
        for number, (order, run_s_max) in enumerate(_orders(orders)):
            ((_, answer),) = run_forked([(number, partial(_perform, order, base / str(number)))], run_s_max=run_s_max)
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _warm(folder: Path) -> None:
    """What every run needs, but for the first request of each operation, which a process sends through the SDK."""
    warm()
    folder.mkdir()
    names = {kind: f"job-{number}" for number, kind in enumerate(KINDS)}
    documents = [tagged(kind, name, 1) for kind, name in names.items()]
    answer = perform_case(Case(documents, dict.fromkeys(names.values(), ("succeeded", 1))), folder)
    if answer["problems"]:
        raise RuntimeError(f"a plain world does not come to its end: {answer['problems']}")
    forget_prepared_requests()
    gc.collect()
    gc.disable()
    gc.freeze()


def _orders(pipe: BinaryIO) -> Iterator[tuple[Order, float]]:
    while length := pipe.read(_LENGTH):
        yield pickle.loads(pipe.read(int.from_bytes(length, "big")))  # noqa: S301 - written by the test that started this


def _perform(order: Order, folder: Path) -> Answer:
    folder.mkdir()
    try:
        return order(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
