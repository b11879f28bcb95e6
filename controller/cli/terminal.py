"""Where a command writes: results to stdout, remarks to stderr.

Invariant: nothing is coloured unless stdout is a terminal and `NO_COLOR` is not set; nothing is cut where the output
goes into a file or a pipe.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Final, TextIO

from controller.cli.table import Fitting, Table, cells, render, spared, without
from controller.cli.text import visible
from controller.errors import SettingsError

_HOME: Final = "\x1b[H"
_CLEAR: Final = f"{_HOME}\x1b[2J"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"
_WIDTH_UNKNOWN: Final = 120


class Terminal:
    """The streams of one command."""

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        stdin: TextIO | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.stdout = stdout or sys.stdout or _nowhere()
        self.stderr = stderr or sys.stderr or _nowhere()
        self._stdin = stdin or sys.stdin
        self.shows_live = self.stdout.isatty() and environment.get("TERM") != "dumb"
        self.shows_status = self.stderr.isatty() and environment.get("TERM") != "dumb"
        self.reader_gone = False
        """Whether stdout was closed by who read it: a command that only shows may end then."""
        self.coloured = self.shows_live and not environment.get("NO_COLOR")
        self._left_out: Sequence[str] = ()
        self._told: set[str] = set()
        self._drawn = False
        self._fitting = Fitting()

    @property
    def asks(self) -> bool:
        """Whether a person can be asked."""
        return self._stdin is not None and self._stdin.isatty() and self.stderr.isatty()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        found = shutil.get_terminal_size((_WIDTH_UNKNOWN, 40))
        return found.columns, found.lines

    def write(self, text: str) -> None:
        """Text that is safe already, as it is; once its reader has left, nothing more.

        Raises:
            SettingsError: it cannot be written.
        """
        if self.reader_gone:
            return
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except BrokenPipeError:
            self.reader_gone = True
        except OSError as error:
            raise SettingsError(f"the output cannot be written: {error.strerror}") from error

    def line(self, text: str) -> None:
        """One line of the result, made safe."""
        self.write(f"{visible(text)}\n")

    def remark(self, text: str) -> None:
        """One line beside the result, made safe."""
        with contextlib.suppress(BrokenPipeError):
            self.stderr.write(f"{visible(text)}\n")
            self.stderr.flush()

    def status(self, text: str) -> None:
        """One line of a person's terminal that stands for a moment, in place of the one before it; empty: none."""
        with contextlib.suppress(BrokenPipeError):
            self.stderr.write(f"\r{visible(text)}{_REST_OF_LINE}")
            self.stderr.flush()

    @property
    def width(self) -> int | None:
        """Columns of a table; None: as many as it needs."""
        return self.size[0] if self.shows_live else None

    def table(self, table: Table, *, header: bool = True) -> None:
        """A table, or what follows of one whose header was written before."""
        if header:
            self._left_out = spared(table, self.width)
            self._told.clear()
        self.write(render(without(table, self._left_out), width=self.width, coloured=self.coloured, header=header))
        self._tell(table)

    def _tell(self, table: Table) -> None:
        """Name what is left out as soon as it has something to say."""
        if not self._left_out:
            return
        says = table.says()
        if missed := [column for column in self._left_out if column in says and column not in self._told]:
            self._told.update(missed)
            self.remark(f"{left_out(missed)}, or use -o json")

    def rendered(self, table: Table, *, header: bool = True) -> str:
        """A table as text, to be shown in place of the one before it; above it what there is no room for."""
        fitted, missed = self._fitting.fitted(table, self.width)
        text = render(fitted, width=self.width, coloured=self.coloured, header=header)
        return f"{left_out(missed, self.width)}\n{text}" if missed else text

    def redraw(self, text: str, *, beyond: int | None = 0) -> None:
        """Show text in place of what stands in the terminal, as much of it as fits, without a flicker.

        `beyond` is how many lines there are that are not in the text; None: some, nobody knows how many.
        """
        lines = text.splitlines()
        rows = self.size[1] - 1
        if len(lines) > rows or beyond != 0:
            shown = lines[: rows - 1]
            more = None if beyond is None else beyond + len(lines) - len(shown)
            lines = [*shown, "... and more" if more is None else f"... {more} more"]
        begin = _HOME if self._drawn else _CLEAR
        self._drawn = True
        self.write(begin + "".join(f"{line}{_REST_OF_LINE}\n" for line in lines) + _REST_OF_SCREEN)

    def confirm(self, question: str) -> bool:
        """Ask a person; everything but yes is no."""
        self.stderr.write(f"{visible(question)} [y/N] ")
        self.stderr.flush()
        return self._stdin.readline().strip().lower() in {"y", "yes"}


def left_out(columns: Sequence[str], width: int | None = None) -> str:
    """Says which columns there was no room for, in so many columns; None: in as many as that takes."""
    text = f"no room for {', '.join(columns)}: widen the terminal"
    if width is None or cells(text) <= width:
        return text
    return f"no room for {len(columns)} columns: widen the terminal"


def _nowhere() -> TextIO:
    """For a stream that the process was started without."""
    return StringIO()
