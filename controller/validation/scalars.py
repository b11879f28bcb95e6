"""Checks of strings, numbers, booleans, timestamps and blobs against their shapes."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from botocore.model import Shape

from controller.validation.findings import Findings, is_text
from controller.validation.patterns import JUDGED_LENGTH_MAX, compile_pattern
from controller.validation.quoting import did_you_mean, listed, quoted, quoted_pattern

Check = Callable[[Any, str, Findings], None]
"""Looks at a value at a path, and adds what is wrong with it to the findings."""

_INTEGER_BITS: Final = {"integer": 32, "long": 64}
_FLOAT_MAX: Final = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?\Z"
)
_EPOCH_MAX: Final = 253_402_300_799
"""The last second of the year 9999."""


def length_bounds(shape: Shape) -> tuple[int, float]:
    """Modelled minimum and maximum; a member that becomes part of the host name has at least one character."""
    minimum = shape.metadata.get("min", 1 if shape.serialization.get("hostLabel") else 0)
    return minimum, shape.metadata.get("max", math.inf)


def count_problem(count: int, minimum: float, maximum: float, unit: str) -> str | None:
    """How a count breaks its bounds, in words; None where it does not."""
    units = unit if count == 1 else {"entry": "entries"}.get(unit, f"{unit}s")
    if count < minimum:
        return f"has {count} {units}, the minimum is {minimum}"
    if count > maximum:
        return f"has {count} {units}, the maximum is {maximum}"
    return None


def string_check(shape: Shape) -> tuple[Check, bool]:
    """The check of a string shape, and whether its pattern had to be skipped."""
    minimum, maximum = length_bounds(shape)
    pattern = shape.metadata.get("pattern")
    matches = compile_pattern(pattern) if pattern is not None else None
    if pattern is not None:
        maximum = min(maximum, JUDGED_LENGTH_MAX)
    allowed = list(shape.metadata.get("enum", ()))
    members = frozenset(allowed)

    def check(value: Any, path: str, findings: Findings) -> None:
        if not isinstance(value, str):
            findings.add(path, f"{quoted(value)} is not a string")
        elif not is_text(value):
            findings.add(path, f"{quoted(value)} holds a lone surrogate, which is not a character")
        elif members:
            if value not in members:
                findings.add(path, not_one_of(value, allowed))
        elif not minimum <= len(value) <= maximum:
            findings.add(path, f"{count_problem(len(value), minimum, maximum, 'character')}")
        elif matches is not None and not matches(value):
            findings.add(path, f"{quoted(value)} does not match the pattern {quoted_pattern(pattern)}")

    return check, pattern is not None and matches is None


def not_one_of(value: Any, allowed: list[str]) -> str:
    """The message about a value that is none of the allowed ones."""
    near = did_you_mean(value, allowed)
    hint = f", did you mean {near}?" if near else ""
    return f"{quoted(value)} is not one of {listed(allowed)}{hint}"


def integer_check(shape: Shape) -> Check:
    bits = _INTEGER_BITS[shape.type_name]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    minimum, maximum = shape.metadata.get("min", -math.inf), shape.metadata.get("max", math.inf)

    def check(value: Any, path: str, findings: Findings) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            findings.add(path, f"{quoted(value)} is not an integer")
        elif value < minimum:
            findings.add(path, f"{quoted(value)} is below the minimum {minimum}")
        elif value > maximum:
            findings.add(path, f"{quoted(value)} is above the maximum {maximum}")
        elif not low <= value <= high:
            findings.add(path, f"{quoted(value)} does not fit {bits} bits")

    return check


def float_check(shape: Shape) -> Check:
    largest = _FLOAT_MAX[shape.type_name]
    minimum, maximum = shape.metadata.get("min", -math.inf), shape.metadata.get("max", math.inf)

    def check(value: Any, path: str, findings: Findings) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            findings.add(path, f"{quoted(value)} is not a number")
        elif not -largest <= value <= largest:
            finite = isinstance(value, int) or math.isfinite(value)
            findings.add(path, f"{quoted(value)} is {'too large' if finite else 'not a finite number'}")
        elif value < minimum:
            findings.add(path, f"{quoted(value)} is below the minimum {minimum}")
        elif value > maximum:
            findings.add(path, f"{quoted(value)} is above the maximum {maximum}")

    return check


def check_boolean(value: Any, path: str, findings: Findings) -> None:
    if not isinstance(value, bool):
        findings.add(path, f"{quoted(value)} is not a boolean")


def check_timestamp(value: Any, path: str, findings: Findings) -> None:
    """A timestamp is text as RFC 3339 writes it, or seconds since the epoch; a document holds no other."""
    if not _is_timestamp(value):
        findings.add(path, f"{quoted(value)} is not a time such as 2026-11-21T03:00:00Z")


def _is_timestamp(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return 0 <= value <= _EPOCH_MAX
    if not isinstance(value, str) or not _TIMESTAMP.match(value):
        return False
    try:
        datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def blob_check(shape: Shape) -> Check:
    """A blob is text here, since documents are JSON; its length counts the bytes of UTF-8."""
    minimum, maximum = length_bounds(shape)

    def check(value: Any, path: str, findings: Findings) -> None:
        if not isinstance(value, str) or not is_text(value):
            findings.add(path, f"{quoted(value)} is not a string")
        elif problem := count_problem(len(value.encode("utf-8")), minimum, maximum, "byte"):
            findings.add(path, problem)

    return check
