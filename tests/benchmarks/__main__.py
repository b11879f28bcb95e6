"""`make bench`: one table, each figure beside its anchor of the same run.

`PAIRS` (5) says how often what is compared is run, `CREATES` (3000) how many jobs each run has, `ROWS` which rows are
taken: those whose name holds one of its words. Ends with 1 where a row missed its mark.

A figure of a script of its own needs a line below and no more: `of("figures_x", "key")` is the member `key` of the JSON
object that `tests.benchmarks.figures_x` prints last.
"""

import os
import sys
from collections.abc import Callable
from typing import Final

from tests.benchmarks.measuring import Bench, Taken, cpu_ms, rate, running_endpoint
from tests.benchmarks.table import Figure, Row, show

PAIRS: Final = int(os.environ.get("PAIRS", "5"))
CREATES: Final = int(os.environ.get("CREATES", "3000"))
WORDS: Final = os.environ.get("ROWS", "").split(",")
STALL_MS: Final = "< 50"
THE_RATE: Final = "of the allowed rate, on virtual time"


def of(module: str, key: str, beside: str = "", *arguments: str) -> Callable[[Bench], Figure]:
    """A member of what a script prints; `beside` names another of its members, or is said as it stands."""

    def take(bench: Bench) -> Figure:
        taken = bench.script(module, *arguments)
        return Figure(float(taken[key]), str(taken.get(beside, beside)))

    return take


def durable(story: str, batch: int = 1) -> Callable[[Bench], Figure]:
    def take(bench: Bench) -> Figure:
        taken = bench.arriving(story, batch)
        beside = f"{cpu_ms(taken):.3f} ms CPU a document, applying it to its job included"
        return Figure(rate(taken), f"{beside}; the endpoint's {taken['endpoint_cpu_ms']:.3f}")

    return take


def whole_life(bench: Bench) -> Figure:
    taken = bench.arriving("ended")
    anchor = cpu_ms(bench.rounds[0]["bare"]) + bench.script("tricks")["page_item_ms"]
    return Figure(cpu_ms(taken), f"bare create + 1/1000 of a page {anchor:.3f} ms")


def stall(story: str, batch: int = 1) -> Callable[[Bench], Figure]:
    return lambda bench: stalled(bench.arriving(story, batch))


def stalled(taken: Taken) -> Figure:
    own, cpu = taken["stall_own_ms"], taken["stall_cpu_ms"]
    return Figure(taken["stall_ms"], f"without waits for a processor {own:.0f} ms, computed at once {cpu:.0f} ms")


def flooded(name: str, story: str, documents: int, batch: int = 1) -> tuple[Row[Bench], ...]:
    """Documents/s, memory and stall while so many arrive and become jobs."""

    def take(bench: Bench) -> Taken:
        return bench.flood(story, documents, batch)

    def grown(bench: Bench) -> Figure:
        taken = take(bench)
        return Figure(
            taken["grown_mib"], f"at most; {taken['left_mib']:.1f} at the end; {taken['before_mib']:.0f} before"
        )

    return (
        Row(
            f"{name}, documents/s",
            "",
            lambda bench: Figure(rate(take(bench)), "until all are jobs; over HTTP, accepted"),
        ),
        Row("memory meanwhile, MiB more", "< 70", grown),
        Row("longest stall of it, ms", STALL_MS, lambda bench: stalled(take(bench))),
    )


ORDER: Final = ("1500", "500", "10000", "100000")
"""Creates, and numbers of jobs that wait."""

ROWS: Final[tuple[Row[Bench], ...]] = (
    Row("creates/s from an accepted backlog, of the bare loop's", ">= 0.85", lambda bench: bench.ratio("backlog")),
    Row("the same while the documents arrive over SQS", ">= 0.6", lambda bench: bench.ratio("arriving")),
    Row("CPU ms a create beyond the bare call", "<= 0.15", Bench.beyond),
    Row("the endpoint's capacity, of the bare loop's need", ">= 5", Bench.capacity),
    Row("CPU ms a job, document to terminal event", "<= 3", whole_life),
    Row("durable intake over SQS, default settings, documents/s", ">= 2000", durable("accepted")),
    Row("the same, ten documents a message", ">= 2000", durable("accepted", 10)),
    Row("durable intake over HTTP, lists of 100, documents/s", ">= 2000", durable("http", 100)),
    Row("durable intake over HTTP, one by one, documents/s", "", durable("http", 1)),
    Row(
        "longest stall, ms: creates from a backlog",
        STALL_MS,
        lambda bench: stalled(bench.script("dispatching", str(CREATES), "--stall")),
    ),
    Row("longest stall, ms: documents over SQS, created", STALL_MS, stall("created")),
    Row("longest stall, ms: documents over SQS, to the end", STALL_MS, stall("ended")),
    Row("longest stall, ms: documents over SQS, accepted", STALL_MS, stall("accepted")),
    Row("longest stall, ms: documents over HTTP", STALL_MS, stall("http", 100)),
    Row("use of an allowed rate of 5 creates/s", ">= 0.98", of("figures_slots", "rate_5", THE_RATE)),
    Row("throttles of it", "< 0.01", of("figures_slots", "throttled_5")),
    Row("use of an allowed rate of 50 creates/s", ">= 0.98", of("figures_slots", "rate_50", THE_RATE)),
    Row("throttles of it", "< 0.01", of("figures_slots", "throttled_50")),
    Row("use of an allowed rate of 500 creates/s", ">= 0.98", of("figures_slots", "rate_500", THE_RATE)),
    Row("throttles of it", "< 0.01", of("figures_slots", "throttled_500")),
    Row("use of a rate of 50 that is to be found out below 80", "", of("figures_slots", "rate_found_out", THE_RATE)),
    Row("throttles of it", "", of("figures_slots", "throttled_found_out")),
    Row("use of 20 job slots, jobs of 60 s", ">= 0.95", of("figures_slots", "slots", "slots_lists")),
    Row("end at AWS to event, p99 s, interval of 30 s", "<= 31", of("figures_slots", "late_p99_s")),
    Row("the same with notifications", "<= 1", of("figures_notified", "p99_s", "reads")),
    Row("lists a pass, 10,000 running, 200,000 ended long ago", "<= 12", of("reading", "lists")),
    Row("gets a pass of the same", "<= 0", of("reading", "gets")),
    Row("lists a pass, all submitted within the hour, a tenth", "<= 12", of("figures_reading", "lists", "anchor")),
    Row("longest stall, ms: passes over 10,000 running", STALL_MS, lambda bench: stalled(bench.script("reading"))),
    Row("restart to ready, 1,000,000 known, s", "< 3", of("figures_scale", "ready_s")),
    Row("memory, idle to 10,000 running, MB", "< 30", of("figures_memory", "from_idle_mb", "idle")),
    Row("memory, 1,000 to 100,000 running, MiB", "< 60", of("figures_memory", "few_to_many_mib", "few")),
    *flooded("100,000 documents at once over HTTP", "flood_http", 100_000, 100),
    *flooded("100,000 documents in a file", "flood_file", 100_000),
    *flooded("20,000 documents at once over SQS", "flood_sqs", 20_000),
    Row(
        "CPU of a create, 100,000 waiting, of it with 10,000", "<= 1.2", of("figures_order", "growth", "shown", *ORDER)
    ),
    Row("two groups' wait, one dumps 10,000, of it with 500", "<= 1.1", of("figures_groups", "longer", "shown")),
    Row("idle, CPU in percent", "< 1", of("figures_scale", "idle_cpu_percent")),
    Row("idle, AWS job calls in 20 s", "<= 0", of("figures_scale", "idle_calls")),
    Row("`ferryman --help`, s", "< 0.3", of("starting", "help_s", "python_s", "5")),
    Row("start of a process to ready, s", "< 2", of("starting", "ready_s", "python_s", "5")),
)


def tricks(bench: Bench) -> None:
    """What each trick saves, beside the plain way."""
    for name, plain_us, ours_us in bench.script("tricks")["rows"]:
        sys.stdout.write(f"  {name:56} {ours_us:10.1f} us of CPU; the plain way {plain_us:.1f}\n")


def main() -> int:
    rows = [row for row in ROWS if any(word.strip() in row.name for word in WORDS)]
    with running_endpoint() as endpoint:
        bench = Bench(endpoint, PAIRS, CREATES)
        missed = show(rows, bench)
        if len(rows) == len(ROWS):
            tricks(bench)
    if missed:
        sys.stdout.write(f"{missed} of {len(rows)} rows missed their mark\n")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
