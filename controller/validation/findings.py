"""What one check has found so far, and how much more work it may do.

Invariant: neither the list of problems nor the number of values looked at grows without a bound.
"""

import math
from typing import Any, Final

from controller.validation.quoting import child_path, did_you_mean, listed, quoted

PROBLEMS_MAX: Final = 50
NODES_MAX: Final = 100_000
DEPTH_MAX: Final = 64
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1


class Findings:
    """Problems, each with its path, and the budget of values."""

    __slots__ = ("_more", "_nodes_left", "_problems", "depth")

    def __init__(self, nodes_max: int = NODES_MAX) -> None:
        self._problems: list[str] = []
        self._more = 0
        self._nodes_left = nodes_max
        self.depth = 0

    def add(self, path: str, text: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(f"{path}: {text}")
        else:
            self._more += 1

    @property
    def any(self) -> bool:
        return bool(self._problems)

    @property
    def full(self) -> bool:
        """Whether further problems would only be counted."""
        return len(self._problems) >= PROBLEMS_MAX

    def extend(self, problems: list[str]) -> None:
        """Take over problems that have their paths already."""
        room = PROBLEMS_MAX - len(self._problems)
        self._problems += problems[:room]
        self._more += len(problems[room:])

    def spend(self, path: str, nodes: int) -> bool:
        """Pay for looking at `nodes` values; false, and a problem, where there are too many."""
        self._nodes_left -= nodes
        if self._nodes_left >= 0:
            return True
        self.add(path, f"the whole holds more than {NODES_MAX} values")
        return False

    def deepen(self, path: str) -> bool:
        """Go one level down; false, and a problem, where that is too deep. Pairs with `depth -= 1` where true."""
        if self.depth < DEPTH_MAX:
            self.depth += 1
            return True
        self.add(path, f"is nested deeper than {DEPTH_MAX} levels")
        return False

    def unknown_member(self, path: str, key: Any, known: list[str]) -> None:
        if self.full:
            self._more += 1
            return
        near = did_you_mean(key, known)
        hint = f"did you mean {near}?" if near else f"known are {listed(known)}" if known else "none is known"
        self.add(child_path(path, key), f"unknown member, {hint}")

    def problems(self) -> list[str]:
        if not self._more:
            return list(self._problems)
        return [*self._problems, f"and {self._more} more problems"]


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: it holds no lone surrogate."""
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_json(value: Any, path: str, findings: Findings) -> None:
    """Check that a value is JSON that every peer can read, whatever its structure."""
    if isinstance(value, str):
        if not is_text(value):
            findings.add(path, f"{quoted(value)} holds a lone surrogate, which is not a character")
    elif isinstance(value, dict | list):
        _check_container(value, path, findings)
    elif isinstance(value, float):
        if not math.isfinite(value):
            findings.add(path, f"{quoted(value)} is not a finite number")
    elif isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            findings.add(path, f"{quoted(value)} does not fit 64 bits")
    elif value is not None:
        findings.add(path, "is not a JSON value")


def _check_container(value: dict[Any, Any] | list[Any], path: str, findings: Findings) -> None:
    if not findings.spend(path, len(value)) or not findings.deepen(path):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_json(item, f"{path}[{index}]", findings)
    else:
        for key, item in value.items():
            if not isinstance(key, str) or not is_text(key):
                findings.add(child_path(path, key), "this key is not a string of characters")
            check_json(item, child_path(path, key), findings)
    findings.depth -= 1
