"""Reads the members of one object of the envelope, and notes what is wrong with each.

Invariant: a reader returns a value of the type it names in any case: the member's, or the default where the member is
left out or wrong.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from controller.validation import Findings, child_path, quoted
from controller.validation.findings import is_text
from controller.validation.scalars import not_one_of

Choice = TypeVar("Choice", bound=StrEnum)


class Section:
    """An object at a path; an unknown member is noted at once."""

    def __init__(self, value: dict[Any, Any], path: str, known: Mapping[str, Any], findings: Findings) -> None:
        self._value = value
        self._path = path
        self._findings = findings
        for key in value:
            if key not in known:
                findings.unknown_member(path, key, list(known))

    def has(self, member: str) -> bool:
        return member in self._value

    def get(self, member: str) -> Any:
        return self._value.get(member)

    def path(self, member: str) -> str:
        return child_path(self._path, member)

    def note(self, member: str, text: str) -> None:
        self._findings.add(self.path(member), text)

    def text(self, member: str, length_max: int, default: str | None) -> str | None:
        """A string of printable characters; None, which is noted, where it is required (no default) or wrong."""
        if member not in self._value:
            if default is None:
                self.note(member, "is required")
            return default
        value = self._value[member]
        if not isinstance(value, str):
            self.note(member, f"{quoted(value)} is not a string")
        elif len(value) > length_max:
            self.note(member, f"has {len(value)} characters, the maximum is {length_max}")
        elif not is_printable(value):
            self.note(member, f"{quoted(value)} holds characters that cannot be printed")
        else:
            return value
        return default

    def choice(self, member: str, choices: type[Choice], default: Choice) -> Choice:
        value = self._value.get(member, default)
        try:
            return choices(value)
        except ValueError:
            self.note(member, not_one_of(value, [choice.value for choice in choices]))
            return default

    def integer(self, member: str, low: int, high: int, default: int) -> int:
        value = self._value.get(member, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self.note(member, f"{quoted(value)} is not an integer")
        elif self._within(member, value, low, high):
            return value
        return default

    def number(self, member: str, low: float, high: float, default: float) -> float:
        """A number of seconds, whole or not."""
        value = self._value.get(member, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
            self.note(member, f"{quoted(value)} is not a number")
        elif self._within(member, value, low, high):
            return value
        return default

    def object(self, member: str) -> dict[Any, Any]:
        value = self._value.get(member, {})
        if isinstance(value, dict):
            return value
        self.note(member, f"{quoted(value)} is not an object")
        return {}

    def list(self, member: str) -> list[Any]:
        value = self._value.get(member, [])
        if isinstance(value, list):
            return value
        self.note(member, f"{quoted(value)} is not a list")
        return []

    def _within(self, member: str, value: float, low: float, high: float) -> bool:
        if value < low:
            self.note(member, f"{quoted(value)} is below the minimum {low}")
        elif value > high:
            self.note(member, f"{quoted(value)} is above the maximum {high}")
        return low <= value <= high


def is_printable(text: str) -> bool:
    return is_text(text) and text.isprintable()
