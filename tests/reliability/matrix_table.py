"""What a matrix has found: counted by step and by what happened to it, added up over stories, and shown as a table."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.reliability.steps import CRASHES, Mode, Perturbation

FAILURES_SHOWN = 20
PROBLEMS_SHOWN = 6


@dataclass
class Cell:
    """Of one step and mode: how many runs, how many cases they stand for, how many failed."""

    runs: int = 0
    stands_for: int = 0
    failed: int = 0

    def __str__(self) -> str:
        text = f"{self.runs}" if self.runs == self.stands_for else f"{self.runs} for {self.stands_for}"
        return f"{text} !{self.failed}" if self.failed else text


@dataclass
class Told:
    """The findings of one story, or of several."""

    stories: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    cells: dict[tuple[str, Mode], Cell] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    """Cases that are not run, by the reason."""
    failures: dict[str, list[str]] = field(default_factory=dict)
    lives: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, points: Sequence[str], left: Counter[str]) -> Self:
        """Nothing found yet, in a story of these points."""
        names = Counter(point.rpartition("#")[0] for point in points if point.endswith(":before"))
        return cls(1, names, left=left)

    def add(self, plan: Perturbation, stands_for: int, story: str, answer: Mapping[str, Any]) -> None:
        """Count a run; an answer with an error, or without an empty list of problems, is a failure."""
        problems = answer.get("problems", [answer.get("error", "no answer")])
        cell = self.cells.setdefault((plan.step, plan.mode), Cell())
        cell.runs += 1
        cell.stands_for += stands_for
        self.lives += answer.get("lives", 0)
        if problems:
            cell.failed += 1
            self.failures[f"'{story}' '{plan}'"] = problems

    @property
    def runs(self) -> int:
        return sum(cell.runs for cell in self.cells.values())

    def take(self, other: "Told") -> None:
        """Add another's findings to these."""
        self.stories += other.stories
        self.steps += other.steps
        self.left += other.left
        self.failures |= other.failures
        self.lives += other.lives
        self.seconds += other.seconds
        for key, cell in other.cells.items():
            mine = self.cells.setdefault(key, Cell())
            mine.runs += cell.runs
            mine.stands_for += cell.stands_for
            mine.failed += cell.failed

    def as_json(self) -> dict[str, Any]:
        cells = [
            [step, mode.value, cell.runs, cell.stands_for, cell.failed] for (step, mode), cell in self.cells.items()
        ]
        return {
            "stories": self.stories,
            "steps": self.steps,
            "cells": cells,
            "left": self.left,
            "failures": self.failures,
            "lives": self.lives,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        cells = {(step, Mode(mode)): Cell(*counts) for step, mode, *counts in given["cells"]}
        steps, left = Counter(given["steps"]), Counter(given["left"])
        return cls(given["stories"], steps, cells, left, dict(given["failures"]), given["lives"], given["seconds"])


def render(told: Told) -> Iterator[str]:
    """The table, line by line, with what was not run, and what failed."""
    yield f"{'step':<52}{'times':>6}" + "".join(f"{mode.value:>14}" for mode in Mode)
    for name, times in sorted(told.steps.items()):
        cells = "".join(f"{told.cells.get((name, mode), '-')!s:>14}" for mode in Mode)
        yield f"{name:<52}{times:>6}{cells}"
    crashes = [cell for (_, mode), cell in told.cells.items() if mode in CRASHES]
    yield (
        f"{told.stories} stories, {sum(told.steps.values())} steps;"
        f" {sum(cell.stands_for for cell in crashes)} crashes in {sum(cell.runs for cell in crashes)} classes;"
        f" {told.runs} runs, {told.lives} lives"
    )
    for reason, left in told.left.items():
        yield f"not run: {left} {reason}"
    for plan, problems in list(told.failures.items())[:FAILURES_SHOWN]:
        yield f"FAILED python -m tests.reliability.matrix {plan}"
        yield from (f"  {problem}" for problem in problems[:PROBLEMS_SHOWN])
    yield f"{len(told.failures)} of {told.runs} runs failed, {told.seconds:.0f} s"
