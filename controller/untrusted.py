"""Texts from outside, of answers and of file systems, made fit to keep: in a store, an event, a log line.

Invariant: what comes out has a known length, is valid UTF-8 without NUL, and holds no credential of a URL. An
identifier is never mended: one that is not as it should be is none. Pure, and cheap for a text that is fit already.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from controller.masking import mask_text

TEXT_LENGTH_MAX: Final = 256
"""Of a name or a status."""
MESSAGE_LENGTH_MAX: Final = 2000
COUNT_MAX: Final = 2**53
"""Of records: what every peer's numbers can hold."""
_IDENTIFIER: Final = re.compile(r"[!-~]{1,1011}")
"""As long as the longest ARN that the models of AWS allow for a job."""
_MARK: Final = "..."


def fit_text(value: object, length_max: int = TEXT_LENGTH_MAX) -> str | None:
    """The beginning of a text, as it is but for what cannot be stored; None for what is no text."""
    if not isinstance(value, str):
        return None
    short = value if len(value) <= length_max else value[: length_max - len(_MARK)] + _MARK
    if short.isascii():
        return short.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return short.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def fit_message(value: object) -> str | None:
    """A sentence for people: on one line, without the credentials that stand in its URLs."""
    text = fit_text(value, 2 * MESSAGE_LENGTH_MAX)
    return None if text is None else fit_text(" ".join(mask_text(text).split()), MESSAGE_LENGTH_MAX)


def fit_identifier(value: object) -> str | None:
    """An identifier; None for what cannot be one."""
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def fit_path(path: object) -> str:
    """A file's name or path as text: they are bytes, and need not be UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def objects_in(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; none for anything else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def named(entries: Iterable[Mapping[str, Any]], member: str) -> set[str]:
    """The texts that entries of an answer hold in a member."""
    return {value for entry in entries if isinstance(value := entry.get(member), str)}
