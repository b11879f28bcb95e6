"""The table of `make bench`: a row is a figure, what it must reach, and what stands beside it.

Invariant: a row that misses its mark says so, and a figure that could not be taken is a row that missed.
"""

import operator
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_COMPARE: Final = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, and its anchor of the same run in words."""

    value: float
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """One line of the table.

    `must` is a comparison with a number, as `>= 0.85`, or empty for a figure that only stands beside others.
    """

    name: str
    must: str
    figure: Callable[[T], Figure]

    def reached(self, value: float) -> bool:
        """Whether a value is what it must be."""
        if not self.must:
            return True
        comparison, number = self.must.split()
        return bool(_COMPARE[comparison](value, float(number)))


def show(rows: Iterable[Row[T]], given: T) -> int:
    """Take and print each figure; returns how many rows missed."""
    missed = 0
    for row in rows:
        try:
            figure = row.figure(given)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, LookupError, ValueError) as error:
            missed += 1
            _print(f"{row.name:58} {'-':>10}  {row.must:9} MISSED  not taken: {type(error).__name__}: {error}")
            continue
        reached = row.reached(figure.value)
        missed += not reached
        verdict = "" if not row.must else "ok" if reached else "MISSED"
        _print(f"{row.name:58} {figure.value:10.3f}  {row.must:9} {verdict:7} {figure.beside}")
    return missed


def _print(line: str) -> None:
    sys.stdout.write(f"{line.rstrip()}\n")
    sys.stdout.flush()
