"""Seeded simulation: the real daemon on virtual time, everything that goes wrong drawn from one number.

    python -m tests.reliability.simulate --seeds 200 --from 1    so many seeds
    python -m tests.reliability.simulate --seed 17               one seed again, with its trace and its log

While faults last, nothing may be created twice and nothing lost; when they are over, every job must come to where its
document wants it, and then nothing may happen for ten passes. A seed that fails prints its options and its command.
"""

import argparse
import gc
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from tests.reliability.cases import sent_but_not_committed
from tests.reliability.forks import Answer, run_forked
from tests.reliability.matrix import folder_of_runs
from tests.reliability.mutants import MUTANTS
from tests.reliability.simulate_oracles import judge_seed
from tests.reliability.simulate_plan import Plan, draw
from tests.reliability.simulate_world import SimulatedWorld
from tests.reliability.world import capture_log, set_environment, warm

WARM_SEEDS = (3, 8)
SHOWN_MAX = 10
SEED_S_MAX = 300.0
"""Real seconds of one seed, which needs less than one of a processor; one that never rests needs ten."""


def perform_plan(plan: Plan, folder: Path, *, keep: bool = False) -> Answer:
    """One plan in this process, judged; an empty list of problems is what is wanted."""
    world = SimulatedWorld(folder, plan, keep_trace=keep)
    capture_log(world.log)
    problems: list[str] = []
    world.after_life = lambda: problems.extend(sent_but_not_committed(world))
    world.perform()
    problems += judge_seed(world)
    met = Counter(dict.fromkeys(world.met, 1)) + Counter(set(plan.natures()))
    return {
        "problems": problems,
        "digest": world.digest,
        "lives": world.lives,
        "jobs": len(plan.versions),
        "creates": len(world.creates()),
        "virtual_s": round(world.elapsed),
        "met": met,
        "log": [*(world.lines or []), *world.log] if keep else [],
    }


def in_folder(base: Path, seed: int, *, keep: bool = False) -> Callable[[], Answer]:
    def performed() -> Answer:
        folder = base / f"seed{seed}"
        folder.mkdir()
        try:
            return perform_plan(draw(seed), folder, keep=keep)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return performed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.simulate")
    parser.add_argument("--seeds", type=int, default=200, metavar="N")
    parser.add_argument("--from", type=int, default=1, metavar="S", dest="first")
    parser.add_argument("--seed", type=int, metavar="S", help="one seed, with its trace")
    parser.add_argument("--for", type=float, default=1e9, metavar="SECONDS", dest="seconds", help="begin none later")
    parser.add_argument("--plant", metavar="BUG", help="one of the planted bugs: some seed must see it")
    parser.add_argument("--digests", action="store_true", help="print the digest of every seed's trace")
    chosen = parser.parse_args(arguments)
    set_environment()
    base = folder_of_runs()
    os.environ["FERRYMAN_TEST_FOLDER"] = str(base)
    try:
        if chosen.plant is not None:
            MUTANTS[chosen.plant].plant()
        _warm_up(base)
        if chosen.seed is not None:
            return _again(chosen.seed, base)
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        return _all(seeds, base, seconds=chosen.seconds, digests=chosen.digests)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _warm_up(base: Path) -> None:
    """What every process needs: imports, models, statements. Its answers do not matter."""
    warm()
    gc.disable()
    for seed in WARM_SEEDS:
        in_folder(base, seed)()
    gc.freeze()


def _again(seed: int, base: Path) -> int:
    ((_, answer),) = run_forked([(seed, in_folder(base, seed, keep=True))])
    lines = [*answer.get("log", ()), draw(seed).described(), *_problems(answer)]
    sys.stdout.write("\n".join(lines) + f"\ndigest {answer.get('digest')}, {answer.get('virtual_s')} s\n")
    return 1 if _problems(answer) else 0


def _problems(answer: Answer) -> list[str]:
    return list(answer.get("problems", [answer.get("error", "no answer")]))


def _all(seeds: range, base: Path, *, seconds: float, digests: bool) -> int:
    began = time.monotonic()
    totals: Counter[str] = Counter()
    met: Counter[str] = Counter()
    failures: dict[int, list[str]] = {}
    for seed, answer in run_forked(_runs(seeds, base, began + seconds), run_s_max=SEED_S_MAX):
        totals["seeds"] += 1
        if digests:
            sys.stdout.write(f"seed {seed} digest {answer.get('digest')}\n")
        met.update(answer.get("met", {}))
        totals.update({name: answer.get(name, 0) for name in ("lives", "jobs", "creates", "virtual_s")})
        if problems := _problems(answer):
            failures[seed] = problems
            sys.stderr.write(f"FAILED seed {seed}: {problems[0][-300:]}\n")
    _print(seeds, failures, totals, met, time.monotonic() - began)
    return 1 if failures else 0


def _runs(seeds: range, base: Path, until: float) -> Iterator[tuple[int, Callable[[], Answer]]]:
    return ((seed, in_folder(base, seed)) for seed in takewhile(lambda _: time.monotonic() < until, seeds))


def _print(
    seeds: range, failures: dict[int, list[str]], totals: Counter[str], met: Counter[str], took_s: float
) -> None:
    write = sys.stdout.write
    for name, count in sorted(met.items()):
        write(f"{count:>7} seeds: {name}\n")
    for seed, problems in list(failures.items())[:SHOWN_MAX]:
        write(f"\nFAILED {draw(seed).described()}\n  " + "\n  ".join(problems[:8]))
        write(f"\n  again: python -m tests.reliability.simulate --seed {seed}\n")
    write(
        f"{len(failures)} of {totals['seeds']} seeds failed; {totals['jobs']} jobs, {totals['creates']} remote jobs,"
        f" {totals['lives']} lives, {totals['virtual_s'] / 3600:.0f} h of virtual time, {took_s:.0f} s\n"
    )
    write(json.dumps({"seeds": totals["seeds"], "failed": len(failures), "first": seeds.start}) + "\n")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.reliability.simulate", *sys.argv[1:]])  # noqa: S606
    sys.exit(main(sys.argv[1:]))
