"""Tables in the manner of kubectl: no lines, columns apart by spaces.

Invariant: a table fits the given width: first the columns that can be spared give way, and are named, then the widest
are cut, and marked; without a width nothing is lost. Cells are made safe here. A row costs microseconds, so that a
hundred thousand of them can be printed.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from controller.cli.text import visible

GAP: Final = "   "
NOTHING: Final = "-"
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
    middle: frozenset[str] = frozenset()
    """Columns whose cells differ at their ends: what is cut is cut in the middle."""
    least: Mapping[str, int] = field(default_factory=dict)
    """How wide columns are at least, where that is possible."""

    def says(self) -> set[str]:
        """The columns that have something in some cell."""
        return {column for row in self.rows for column, cell in zip(self.columns, row, strict=True) if cell != NOTHING}


def without(table: Table, columns: Collection[str]) -> Table:
    """The table without some of its columns."""
    kept = [index for index, column in enumerate(table.columns) if column not in columns]
    if len(kept) == len(table.columns):
        return table
    rows = [[row[index] for index in kept] for row in table.rows]
    return replace(table, columns=[table.columns[index] for index in kept], rows=rows)


def spared(table: Table, width: int | None) -> list[str]:
    """The columns to leave out so that the others fit uncut, as far as that helps; what says nothing goes first."""
    return _spared(table, width, says=table.says(), gone=())


def _spared(table: Table, width: int | None, *, says: Collection[str], gone: Collection[str]) -> list[str]:
    if width is None:
        return []
    needed = {
        column: max(cells(column), table.least.get(column, 0), *(cells(visible(row[index])) for row in table.rows))
        for index, column in enumerate(table.columns)
        if table.rows and column not in gone
    }
    left = [column for column in table.columns if column in gone]
    for column in sorted(table.spare, key=lambda column: column in says):
        if sum(needed.values()) + len(GAP) * (len(needed) - 1) <= width:
            break
        if needed.pop(column, None) is not None:
            left.append(column)
    return left


class Fitting:
    """A table that is drawn again and again: its columns neither come and go, nor does what they say.

    Invariant: a column that had to give way stays away, and one that has said something is not taken for empty again,
    as long as the terminal is as wide as it was.
    """

    def __init__(self) -> None:
        self._width: int | None = None
        self._gone: frozenset[str] = frozenset()
        self._says: set[str] = set()

    def fitted(self, table: Table, width: int | None) -> tuple[Table, list[str]]:
        """What there is room for, and the columns that have something to say and are left out."""
        if width != self._width:
            self._width, self._gone = width, frozenset()
        self._says |= table.says()
        left = _spared(table, width, says=self._says, gone=self._gone)
        missed = [column for column in left if column in self._says]
        self._gone = frozenset(missed)
        return without(table, left), missed


def render(table: Table, *, width: int | None, coloured: bool, header: bool = True) -> str:
    """The table as text that ends with a line feed; `width` in columns of the terminal, None: as wide as it is."""
    rows = [[visible(cell) for cell in row] for row in table.rows]
    lines = [list(table.columns), *rows]
    needed = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    least = [table.least.get(column, 0) for column in table.columns]
    widths = _fitted([max(pair) for pair in zip(needed, least, strict=True)], width)
    shapes = [
        _Shape(wide, right=column in table.right, middle=column in table.middle)
        for column, wide in zip(table.columns, widths, strict=True)
    ]
    text = [] if not header else [_line(list(table.columns), shapes, {})]
    colours = COLOURS if coloured else {}
    text += [_line(row, shapes, colours) for row in rows]
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


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the cells of one column are written."""

    width: int
    right: bool
    middle: bool


def _line(row: Sequence[str], shapes: Sequence[_Shape], colours: Mapping[str, str]) -> str:
    parts = []
    for index, (cell, shape) in enumerate(zip(row, shapes, strict=True)):
        text = cut_in_middle(cell, shape.width) if shape.middle else shortened(cell, shape.width)
        padding = " " * (shape.width - cells(text))
        last = index == len(shapes) - 1
        plain = padding + text if shape.right else text if last else text + padding
        colour = colours.get(cell)
        parts.append(plain if colour is None else plain.replace(text, f"{colour}{text}{_RESET}", 1))
    return GAP.join(parts).rstrip()


def shortened(text: str, width: int) -> str:
    """The text in at most so many columns, the loss marked."""
    return text if cells(text) <= width else _beginning(text, width - 1) + "…"


def cut_in_middle(text: str, width: int) -> str:
    """The same with both ends kept: names that are counted differ in their last characters."""
    if cells(text) <= width:
        return text
    end = _beginning(text[::-1], width // 2)[::-1]
    return f"{_beginning(text, width - 1 - cells(end))}…{end}"


def _beginning(text: str, width: int) -> str:
    """As much of the text as fits into so many columns."""
    kept, used = [], 0
    for character in text:
        used += _cells_of(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept)
