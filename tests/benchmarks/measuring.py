"""Takes the figures: each script in a process of its own, the endpoint in another.

Invariant: what is compared was run in turns, and medians are compared, since a machine that is busy with something
else slows both sides alike; a script is run once for all the rows that ask for it.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.table import Figure

ROOT: Final = Path(__file__).resolve().parent.parent.parent
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "y",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SCRIPT_S: Final = 1800.0
STALLS: Final = ("stall_ms", "stall_own_ms", "stall_cpu_ms")

Taken = Mapping[str, Any]


class Endpoint:
    """The endpoint's process, and its lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{int(self._line())}"

    def ask(self, command: str = "figures") -> Mapping[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        figures: dict[str, float] = json.loads(self._line())
        return figures

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def running_endpoint() -> Iterator[Endpoint]:
    command = [sys.executable, "-m", "tests.benchmarks.endpoint"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Endpoint(process)
        finally:
            process.kill()


def run_script(module: str, *arguments: str) -> Taken:
    """The last line that `python -m tests.benchmarks.MODULE` prints, which is JSON.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
        subprocess.TimeoutExpired: it took too long.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        cwd=ROOT,
        env={**os.environ, **CREDENTIALS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=SCRIPT_S,
    )
    taken: Taken = json.loads(done.stdout.splitlines()[-1])
    return taken


@dataclass(slots=True)
class Bench:
    """Figures of one run of the table.

    Args:
        pairs: how often what is compared is run in turns.
        creates: jobs of each such run.
    """

    endpoint: Endpoint
    pairs: int
    creates: int
    _taken: dict[str, Any] = field(default_factory=dict)

    def script(self, module: str, *arguments: str) -> Taken:
        """What a script printed; run once, with the endpoint's URL before its other arguments."""
        taken: Taken = self._once(
            f"{module} {' '.join(arguments)}", lambda: run_script(module, self.endpoint.url, *arguments)
        )
        return taken

    def _once(self, name: str, take: Callable[[], Any]) -> Any:
        if name not in self._taken:
            sys.stderr.write(f"... {name}\n")
            self._taken[name] = take()
        return self._taken[name]

    # Creates, beside the bare loop

    @property
    def rounds(self) -> Sequence[Mapping[str, Taken]]:
        """The bare loop, a backlog, and documents that arrive over SQS, in turns."""
        found: Sequence[Mapping[str, Taken]] = self._once(
            "rounds", lambda: [self._round(number) for number in range(1, self.pairs + 1)]
        )
        return found

    def _round(self, number: int) -> Mapping[str, Taken]:
        url, creates = self.endpoint.url, str(self.creates)
        before = self.endpoint.ask("forget 0")
        bare = run_script("bare", url, creates)
        after = self.endpoint.ask("forget 0")
        capacity = (after["answered"] - before["answered"]) / (after["cpu_s"] - before["cpu_s"])
        backlog = run_script("dispatching", url, creates)
        self.endpoint.ask("forget 0")
        self.endpoint.ask(f"queue {creates}")
        arriving = run_script("arriving", url, creates, "created")
        rates = ", ".join(f"{rate(taken):.0f}/s" for taken in (bare, backlog, arriving))
        sys.stderr.write(f"    {number}: bare, backlog, arriving: {rates}\n")
        return {"bare": {**bare, "capacity": capacity}, "backlog": backlog, "arriving": arriving}

    def ratio(self, of: str) -> Figure:
        """Creates a second of `backlog` or `arriving`, as a share of the bare loop's."""
        ratios = [rate(taken[of]) / rate(taken["bare"]) for taken in self.rounds]
        ours = statistics.median(rate(taken[of]) for taken in self.rounds)
        bare = statistics.median(rate(taken["bare"]) for taken in self.rounds)
        cpu = statistics.median(cpu_ms(taken[of]) for taken in self.rounds)
        spread = f"{min(ratios):.2f} .. {max(ratios):.2f}"
        return Figure(statistics.median(ratios), f"{spread}; {ours:.0f}/s and {cpu:.3f} ms CPU; bare {bare:.0f}/s")

    def beyond(self) -> Figure:
        """CPU of a create of a backlog beyond that of the bare call."""
        beyond = [cpu_ms(taken["backlog"]) - cpu_ms(taken["bare"]) for taken in self.rounds]
        bare = statistics.median(cpu_ms(taken["bare"]) for taken in self.rounds)
        return Figure(statistics.median(beyond), f"{min(beyond):.3f} .. {max(beyond):.3f}; the bare call {bare:.3f} ms")

    def capacity(self) -> Figure:
        """What the endpoint could answer if it had a processor to itself, by what the bare loop asks of it."""
        shares = [taken["bare"]["capacity"] / rate(taken["bare"]) for taken in self.rounds]
        answers = statistics.median(taken["bare"]["capacity"] for taken in self.rounds)
        return Figure(statistics.median(shares), f"{answers:.0f} answers a CPU second")

    # Documents

    def arriving(self, story: str, batch: int = 1) -> Taken:
        """A story of `arriving`, with the queue filled for it: the run of the median rate, the longest stall of all."""

        def take() -> Taken:
            return self._arrive(story, self.creates, batch)

        taken: Sequence[Taken] = self._once(f"arriving {story} {batch}", lambda: [take() for _ in range(self.pairs)])
        middle = sorted(taken, key=rate)[len(taken) // 2]
        return {**middle, **{stall: max(one[stall] for one in taken) for stall in STALLS}}

    def flood(self, story: str, documents: int, batch: int) -> Taken:
        """A story of `arriving` with so many documents, once."""
        taken: Taken = self._once(f"{story} {documents} {batch}", lambda: self._arrive(story, documents, batch))
        return taken

    def _arrive(self, story: str, documents: int, batch: int) -> Taken:
        self.endpoint.ask("forget 0")
        over_sqs = story not in {"http", "flood_http", "flood_file"}
        before = self.endpoint.ask(f"queue {documents} {batch}" if over_sqs else "figures")
        taken = run_script("arriving", self.endpoint.url, str(documents), story, str(batch))
        spent_s = self.endpoint.ask()["cpu_s"] - before["cpu_s"]
        return {**taken, "endpoint_cpu_ms": 1000 * spent_s / documents}


def rate(taken: Taken) -> float:
    return float(taken["creates"] / taken["wall_s"])


def cpu_ms(taken: Taken) -> float:
    return float(1000 * taken["cpu_s"] / taken["creates"])
