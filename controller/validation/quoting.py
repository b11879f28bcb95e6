"""Shows untrusted values inside messages.

Invariant: what comes out is short, one line, valid UTF-8, and free of control characters, terminal escapes and
characters that reorder text; a message can go to a terminal, a log and a database as it is. Of a URL neither the query
nor user information is shown.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

from controller.masking import mask_text

QUOTED_LENGTH_MAX: Final = 60
PATTERN_LENGTH_MAX: Final = 160
LISTED_MAX: Final = 20
_GUESSED_LENGTH_MAX: Final = 80
_MASKED_LENGTH_MAX: Final = 4096
_INTEGER_BITS_SHOWN: Final = 128
_PLAIN_MEMBER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_SHORT_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def cut(text: str, length_max: int) -> str:
    """The text, at most `length_max` characters long, the loss marked by three dots."""
    return text if len(text) <= length_max else text[: length_max - 3] + "..."


def printable(text: str) -> str:
    """The text with everything but printable characters written as an escape."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")  # noqa: PLR2004 - the last code point of four hexadecimal digits


def quoted(value: Any) -> str:
    """A value as it looks in JSON, cut short; containers by their type alone."""
    if isinstance(value, str):
        shown = mask_text(value[:_MASKED_LENGTH_MAX]) if "://" in value else value
        short = shown[: QUOTED_LENGTH_MAX + 1].replace("\\", "\\\\").replace('"', '\\"')
        return f'"{cut(printable(short), QUOTED_LENGTH_MAX)}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _INTEGER_BITS_SHOWN else "a huge number"
    if isinstance(value, float):
        return repr(value)
    return described(value)


def described(value: Any) -> str:
    """What a value is, for a reader who knows JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return "not a JSON value"


def quoted_pattern(pattern: str) -> str:
    return cut(printable(pattern), PATTERN_LENGTH_MAX)


def listed(names: Iterable[str]) -> str:
    """The names with commas between, as many as a person reads."""
    all_names = list(names)
    more = len(all_names) - LISTED_MAX
    return ", ".join(all_names[:LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def child_path(path: str, key: Any) -> str:
    """The path of a member: `path.key`, or `path["odd key"]`."""
    if isinstance(key, str) and _PLAIN_MEMBER.match(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{quoted(key)}]"


def did_you_mean(name: Any, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely stands for, if one is near."""
    if not isinstance(name, str) or len(name) > _GUESSED_LENGTH_MAX:
        return None
    by_folded = {_folded(other): other for other in known}
    near = difflib.get_close_matches(_folded(name), by_folded, n=1, cutoff=0.75)
    return by_folded[near[0]] if near else None


def _folded(name: str) -> str:
    """Without what people leave out or put in: hyphens, capitals, the plural of `retry`."""
    text = name.replace("_", "").replace("-", "").lower()
    return f"{text[:-3]}y" if text.endswith("ies") else text
