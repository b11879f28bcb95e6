"""`events`: those that are kept, and those that come.

Invariant: following misses nothing while the daemon is away for a while: it comes back with the id of the last event.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from controller.cli.client import Client, Object
from controller.cli.describing import event_row
from controller.cli.job_table import short_kind
from controller.cli.output import Format, json_line, yaml_text
from controller.cli.table import Table, cells
from controller.cli.terminal import Terminal
from controller.cli.text import moment, shown, visible
from controller.errors import ExitCode, NoDaemonError, SettingsError
from controller.model import DEFAULT_SCOPE

AWAY_S: Final = 300.0
"""How long a daemon that restarts is waited for."""
AGAIN_S: Final = 1.0
_COLUMNS: Final = ("TIME", "SUBJECT", "TYPE", "PHASE", "REASON", "MESSAGE")
_MIDDLE: Final = frozenset({"SUBJECT"})
_SPARE: Final = ("PHASE", "REASON")
"""The type tells the phase, and most messages the reason."""
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DAYS_MAX: Final = 36_500


def read_since(text: str, now: datetime) -> datetime:
    """Read `30s`, `10m`, `2h`, `7d`, or a time as events show it.

    Raises:
        SettingsError: it is neither.
    """
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdigit() and unit in _UNITS_S:
        seconds = int(number[:12]) * _UNITS_S[unit]
        return now - timedelta(seconds=min(seconds, _DAYS_MAX * _UNITS_S["d"]))
    found = moment(text)
    if found is None:
        raise SettingsError(f"--since {text!r}: use 30s, 10m, 2h, 7d, or a time like {now.astimezone(UTC):%FT%TZ}")
    return found


class Events:
    """One `events`."""

    def __init__(self, client: Client, terminal: Terminal, form: Format, subject: str | None, now: datetime) -> None:
        self._client = client
        self._terminal = terminal
        self._form = form
        self._subject = subject
        self._now = now
        self._header = True
        self._widths: dict[str, int] = {}
        """Of each column so far, so that single events stand below each other."""

    def show(self, *, since: datetime | None, follow: bool) -> ExitCode:
        """Those that are kept, oldest first; following without `since`, only those that come."""
        cursor = None if follow and since is None else self._kept(since)
        if follow:
            self._follow(cursor)
        elif self._header:
            self._terminal.remark("no events" if since is None else "no events since then")
        return ExitCode.DONE

    def _kept(self, since: datetime | None) -> str | None:
        """Print what is kept; returns the cursor behind it."""
        cursor: str | None = None
        for events, following in self._client.event_pages(self._subject):
            self._print([event for event in events if since is None or _is_since(event, since)])
            cursor = following or cursor
            if not events or self._terminal.reader_gone:
                break
        return cursor

    def _follow(self, cursor: str | None) -> None:
        heard_at, told = self._client.monotonic(), False
        while not self._is_over():
            try:
                for found, event in self._client.stream_events(after=cursor, subject=self._subject):
                    cursor, heard_at, told = found, self._client.monotonic(), False
                    self._print([event] if event is not None else [])
                    if self._is_over():
                        return
            except NoDaemonError as error:
                if self._client.monotonic() - heard_at > AWAY_S:
                    raise
                if not told:
                    self._terminal.remark(f"ferryman: {error}; it is asked again for {AWAY_S:g} s")
                told = True
            self._client.sleep(AGAIN_S)

    def _is_over(self) -> bool:
        """Nobody reads any more."""
        return self._terminal.reader_gone

    def _print(self, events: Sequence[Object]) -> None:
        if not events:
            return
        if self._form is Format.TABLE:
            self._print_rows([self._row(event) for event in events])
        elif self._form is Format.JSON:
            self._terminal.write("".join(json_line(event) + "\n" for event in events))
        elif self._form is Format.YAML:
            self._terminal.write("".join(f"---\n{yaml_text(event)}" for event in events))
        else:
            self._terminal.write("".join(f"{shown(event.get('id'))}\n" for event in events))
        self._header = False

    def _print_rows(self, rows: Sequence[Sequence[str]]) -> None:
        for line in [_COLUMNS, *rows]:
            for column, cell in zip(_COLUMNS, line, strict=True):
                self._widths[column] = max(self._widths.get(column, 0), cells(visible(cell)))
        table = Table(_COLUMNS, rows, middle=_MIDDLE, spare=_SPARE, least=dict(self._widths))
        self._terminal.table(table, header=self._header)

    def _row(self, event: Object) -> tuple[str, ...]:
        """As it is, and at a terminal in short."""
        time, subject = shown(event.get("time")), shown(event.get("subject"))
        if self._terminal.width is not None:
            time, subject = self._time_of_day(event), _short_subject(subject)
        return (time, subject, *event_row(event, self._now)[1:])

    def _time_of_day(self, event: Object) -> str:
        at = moment(event.get("time"))
        if at is None:
            return shown(event.get("time"))
        at, now = at.astimezone(UTC), self._now.astimezone(UTC)
        return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%m-%d %H:%M:%S}"


def _short_subject(subject: str) -> str:
    """A job or lane with its kind in short, and its scope only where that is not the usual one."""
    scope, slash, rest = subject.partition("/")
    if not slash:
        return subject
    kind, slash, name = rest.partition("/")
    return ("" if scope == DEFAULT_SCOPE else f"{scope}/") + short_kind(kind) + slash + name


def _is_since(event: Object, since: datetime) -> bool:
    at = moment(event.get("time"))
    return at is None or at >= since
