"""What a plain scalar of YAML means: the core schema of YAML 1.2, less numbers that begin with a zero.

Invariant: everything that is not null, a boolean or a number by that schema is text, character for character.
"""

import re
from typing import Final

from controller.validation.findings import INTEGER_MAX, INTEGER_MIN
from controller.validation.quoting import quoted

Scalar = str | int | float | bool | None

_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_RADIX: Final = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE: Final = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_NUMBER_LENGTH_MAX: Final = 64
_BASES: Final = {"0o": 8, "0x": 16}
_WORDS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_BEGINS_A_NUMBER: Final = frozenset("0123456789+-.")


def resolve(text: str) -> Scalar:
    """The value of a plain scalar.

    Raises:
        ValueError: a number that is not finite or does not fit 64 bits; the message is the problem in words.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _BEGINS_A_NUMBER:
        return text
    if _INTEGER.match(text):
        return _fitting(text, 10)
    if _RADIX.match(text):
        return _fitting(text, _BASES[text[:2]])
    if _NOT_FINITE.match(text):
        raise ValueError(f"{quoted(text)} is not a finite number")
    if _FLOAT.match(text):
        return _finite(text)
    return text


def _fitting(text: str, base: int) -> int:
    value = int(text, base) if len(text) <= _NUMBER_LENGTH_MAX else INTEGER_MAX + 1
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise ValueError(f"{quoted(text)} does not fit 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"{quoted(text)} is too large a number")
    return value
