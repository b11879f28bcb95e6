"""JSON text to values, refusing what JSON in the wild gets wrong.

Invariant: depth and number of values are bounded before the parser runs, so that it cannot exhaust the stack, stall or
fill the memory. NaN and Infinity, numbers that overflow, lone surrogates and members given twice are found but do not
end the parse: they spoil the document that holds them, not its neighbours in the same list.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any, Final

from controller.documents.bounds import Bounds
from controller.validation.findings import INTEGER_MAX, INTEGER_MIN, PROBLEMS_MAX, is_text
from controller.validation.quoting import child_path, cut, quoted

_INTEGER_DIGITS_MAX: Final = 20
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_STEPS: Final = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


_Place = tuple["_Place | None", str | int]
"""Where a value stands: the place of what holds it, and its name or index there."""


class JsonTextError(ValueError):
    """The text is not JSON, or holds too much: the message is the problem in words."""


@dataclass(frozen=True, slots=True)
class NotANumber:
    """Stands where a number stood that JSON or 64 bits cannot hold."""

    text: str

    def __str__(self) -> str:
        return self.text


class RepeatedMember(dict[str, Any]):
    """An object in which a member stood twice; holds the last of each."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                self.repeated = key
                return
            seen.add(key)


class JsonParser:
    """Parses one text; `flaws` then finds in its parts what the parse let pass."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._flawed = False
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._not_a_number,
            parse_float=self._float,
            parse_int=self._integer,
        )

    def parse(self, text: str) -> Any:
        """The value of a text.

        Raises:
            JsonTextError: not JSON, nested too deep, or too many values.
        """
        _check_bounds(text, self._bounds)
        self._flawed = _SURROGATE_ESCAPE.search(text) is not None
        try:
            return self._decoder.decode(text)
        except json.JSONDecodeError as error:
            # Of a text of one line, which may be one of many in a file, its own number would be a second one.
            line = f"line {error.lineno}, " if "\n" in text.strip() else ""
            place = f"{line}column {error.colno}"
            raise JsonTextError(f"not JSON at {place}: {error.msg[:1].lower()}{error.msg[1:]}") from None

    def flaws(self, value: Any) -> list[str]:
        """Problems of one parsed document that the parse let pass."""
        found = islice(_flaws(value), PROBLEMS_MAX) if self._flawed else ()
        return [f"{path}: {text}" for path, text in found]

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        self._flawed = True
        return RepeatedMember(pairs)

    def _not_a_number(self, text: str) -> NotANumber:
        self._flawed = True
        return NotANumber(cut(text, 40))

    def _float(self, text: str) -> float | NotANumber:
        value = float(text)
        return value if math.isfinite(value) else self._not_a_number(text)

    def _integer(self, text: str) -> int | NotANumber:
        if len(text) > _INTEGER_DIGITS_MAX:
            return self._not_a_number(text)
        value = int(text)
        return value if INTEGER_MIN <= value <= INTEGER_MAX else self._not_a_number(text)


def _check_bounds(text: str, bounds: Bounds) -> None:
    """Refuse a text that holds too much; a count that includes what stands in strings is enough where it is small."""
    openings, commas = text.count("[") + text.count("{"), text.count(",")
    if openings <= bounds.depth_max and commas <= bounds.nodes_max:
        return
    structure = _without_strings(text)
    if structure.count("[") + structure.count("{") + structure.count(",") > bounds.nodes_max:
        raise JsonTextError(f"holds more than {bounds.nodes_max} values")
    brackets = structure.encode("utf-8", "replace").translate(None, _NOT_BRACKETS).translate(_STEPS)
    if max(accumulate(memoryview(brackets).cast("b")), default=0) > bounds.depth_max:
        raise JsonTextError(f"is nested deeper than {bounds.depth_max} levels")


def _without_strings(text: str) -> str:
    """The text with its strings taken out.

    Exact up to the first backslash outside a string, at which the parser stops.
    """
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    return "".join(text.split('"')[::2])


def _flaws(document: Any) -> Iterator[tuple[str, str]]:
    """Path and problem of each flaw, in the order of the text."""
    waiting: list[tuple[Any, _Place | None]] = [(document, None)]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, NotANumber):
            yield _path(place), f"{value.text} is not a number that JSON and 64 bits can hold"
        elif isinstance(value, str):
            if not is_text(value):
                yield _path(place), f"{quoted(value)} holds a lone surrogate, which is not a character"
        elif isinstance(value, list):
            waiting.extend(
                (item, (place, index)) for index, item in zip(_down_from(value), reversed(value), strict=True)
            )
        elif isinstance(value, dict):
            if isinstance(value, RepeatedMember):
                yield _path(place), f"the member {quoted(value.repeated)} stands twice in this object"
            if not all(map(is_text, value)):
                yield _path(place), "the name of a member holds a lone surrogate, which is not a character"
            waiting.extend((item, (place, key)) for key, item in reversed(value.items()))


def _down_from(items: list[Any]) -> range:
    return range(len(items) - 1, -1, -1)


def _path(place: "_Place | None") -> str:
    """A place in words; it is kept as links, for most of the places that are walked need no words."""
    steps: list[str | int] = []
    while place is not None:
        place, step = place
        steps.append(step)
    path = ""
    for step in reversed(steps):
        path = child_path(path, step) if isinstance(step, str) else f"{path}[{step}]"
    return path or "document"
