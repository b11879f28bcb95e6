"""How values look in a terminal.

Invariant: what comes out of `visible` moves no cursor, sets no colour and reorders no text, whatever a name or a
message from outside holds.
"""

import math
from datetime import UTC, datetime
from typing import Any, Final

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_LARGE: Final = 10


def visible(text: str) -> str:
    """The text on one line, everything that cannot be printed written as an escape."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode-escape").decode("ascii")


def shown(value: Any) -> str:
    """A value of an answer, for a table: missing is `-`."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))


def moment(value: Any) -> datetime | None:
    """A time of an answer; None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def age(value: Any, now: datetime) -> str:
    """How long ago a time of an answer was, as `kubectl` writes it."""
    then = moment(value)
    return "-" if then is None else duration((now - then).total_seconds())


def duration(seconds: float) -> str:
    """`45s`, `12m`, `3h20m`, `5d2h`: two units at most, the second one only where the first is small."""
    if not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    for unit, name, below, below_name in (
        (_DAY_S, "d", _HOUR_S, "h"),
        (_HOUR_S, "h", _MINUTE_S, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= unit:
            count, rest = divmod(whole, unit)
            smaller = rest // below
            return f"{count}{name}" + (f"{smaller}{below_name}" if count < _LARGE and smaller else "")
    return f"{whole}s"


def number(value: Any) -> int:
    """A count of an answer; 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
