"""Tables in the manner of kubectl: no lines, columns apart by spaces.

Invariant: a table fits the given width: first the columns that can be spared give way, and are named, then the widest
are cut, and marked; without a width nothing is lost. Cells are made safe here. A row costs microseconds, so that a
hundred thousand of them can be printed.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.cli.text import visible

GAP: Final = "   "
_NARROWEST: Final = 6
_RESET: Final = "\x1b[0m"
COLOURS: Final[Mapping[str, str]] = {
    "Succeeded": "\x1b[32m",
    "Running": "\x1b[36m",
    "Creating": "\x1b[36m",
    "Stopping": "\x1b[33m",
    "Uncertain": "\x1b[1;35m",
    "Failed": "\x1b[1;31m",
    "Stopped": "\x1b[33m",
    "Deleted": "\x1b[2m",
    "ok": "\x1b[32m",
    "warning": "\x1b[33m",
    "failed": "\x1b[1;31m",
    "accepted": "\x1b[32m",
    "rejected": "\x1b[1;31m",
}
"""Of words which tables show, where they stand alone in a cell."""


@dataclass(frozen=True, slots=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    """Columns of numbers."""
    spare: Sequence[str] = ()
    """Columns that can be left out where there is no room for all, the first to go first."""


def without(table: Table, columns: Collection[str]) -> Table:
    """The table without some of its columns."""
    kept = [index for index, column in enumerate(table.columns) if column not in columns]
    if len(kept) == len(table.columns):
        return table
    rows = [[row[index] for index in kept] for row in table.rows]
    return replace(table, columns=[table.columns[index] for index in kept], rows=rows)


def spared(table: Table, width: int | None) -> list[str]:
    """The columns to leave out so that the others fit uncut, as far as that helps."""
    if width is None:
        return []
    needed = {
        column: max(cells(column), *(cells(visible(row[index])) for row in table.rows))
        for index, column in enumerate(table.columns)
        if table.rows
    }
    gone: list[str] = []
    for column in table.spare:
        if sum(needed.values()) + len(GAP) * (len(needed) - 1) <= width:
            break
        if needed.pop(column, None) is not None:
            gone.append(column)
    return gone


def render(table: Table, *, width: int | None, coloured: bool, header: bool = True) -> str:
    """The table as text that ends with a line feed; `width` in columns of the terminal, None: as wide as it is."""
    rows = [[visible(cell) for cell in row] for row in table.rows]
    lines = [list(table.columns), *rows]
    widths = _fitted([max(map(cells, column)) for column in zip(*lines, strict=True)], width)
    right = [column in table.right for column in table.columns]
    text = [] if not header else [_line(list(table.columns), widths, right, {})]
    colours = COLOURS if coloured else {}
    text += [_line(row, widths, right, colours) for row in rows]
    return "\n".join(text) + "\n" if text else ""


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _fitted(widths: list[int], width: int | None) -> list[int]:
    """The widths, the widest cut until the whole fits."""
    if width is None:
        return widths
    room = width - len(GAP) * (len(widths) - 1)
    fitted = list(widths)
    while sum(fitted) > room and max(fitted) > _NARROWEST:
        widest = max(fitted)
        next_widest = max([value for value in fitted if value < widest], default=_NARROWEST)
        share = fitted.count(widest)
        cut = min(widest - max(next_widest, _NARROWEST), -(-(sum(fitted) - room) // share))
        fitted = [value - max(1, cut) if value == widest else value for value in fitted]
    return fitted


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool], colours: Mapping[str, str]) -> str:
    parts = []
    for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
        text = shortened(cell, width)
        padding = " " * (width - cells(text))
        last = index == len(widths) - 1
        plain = padding + text if right[index] else text if last else text + padding
        colour = colours.get(cell)
        parts.append(plain if colour is None else plain.replace(text, f"{colour}{text}{_RESET}", 1))
    return GAP.join(parts).rstrip()


def shortened(text: str, width: int) -> str:
    """The text in at most so many columns, the loss marked."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells_of(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"
