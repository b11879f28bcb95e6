"""`wait`: until all selected jobs have ended.

Invariant: a question costs the daemon one row, at a terminal one page, however many jobs are waited for; questions come
less and less often.
What is selected is fixed by its words, so a retry that begins meanwhile is waited for too.
"""

from collections import Counter
from typing import Final

from controller.cli.client import Client
from controller.cli.output import name_of
from controller.cli.selection import NOT_TERMINAL, Selected
from controller.cli.terminal import Terminal
from controller.cli.text import shown
from controller.errors import ExitCode, NoDaemonError, NotFoundError
from controller.model import DEFAULT_SCOPE, Phase

_FIRST_S: Final = 0.25
_LONGEST_S: Final = 10.0
_AWAY_S: Final = 300.0
_GROWTH: Final = 1.5
_NAMED_MAX: Final = 10
_COUNTED_MAX: Final = 5000
_UNSUCCESSFUL: Final = (Phase.FAILED, Phase.STOPPED, Phase.DELETED)


def wait_for(client: Client, terminal: Terminal, selected: Selected, timeout_s: float | None) -> ExitCode:
    """Wait; the answer is whether all of them Succeeded.

    Raises:
        NotFoundError: nothing is selected.
    """
    deadline = None if timeout_s is None else client.monotonic() + timeout_s
    if not _exists(client, selected):
        raise NotFoundError(f"there is nothing to wait for: there are no {selected}")
    pause_s = _FIRST_S
    progress = _Progress(client, terminal, selected)
    asking = _Asking(client, selected, progress)
    while asking.goes_on():
        left_s = pause_s if deadline is None else deadline - client.monotonic()
        if left_s <= 0:
            progress.end()
            return _timed_out(client, terminal, selected, timeout_s or 0)
        client.sleep(min(pause_s, left_s))
        pause_s = min(_LONGEST_S, pause_s * _GROWTH)
    progress.end()
    return _judge(client, terminal, selected)


def _exists(client: Client, selected: Selected) -> bool:
    if selected.is_one:
        client.job(selected.scope or DEFAULT_SCOPE, selected.kind or "", selected.name or "")
        return True
    return client.any(selected)


class _Progress:
    """How many have ended, on one line of a terminal: there a question costs a page instead of a row."""

    def __init__(self, client: Client, terminal: Terminal, selected: Selected) -> None:
        self._client = client
        self._terminal = terminal
        self._selected = selected
        self._total: int | None = None
        self._shows = terminal.shows_status and not selected.is_one

    def goes_on(self, within: Selected) -> bool:
        """Whether some job goes on; those that do are `within`."""
        if not self._shows:
            return self._client.any(within)
        jobs, more = self._client.page(within)
        if jobs:
            self._terminal.status(self._words(len(jobs), more=more is not None))
        return bool(jobs) or more is not None

    def _words(self, going_on: int, *, more: bool) -> str:
        if more:
            return f"more than {going_on} have not ended"
        if self._total is None or 0 < self._total < going_on:
            self._total = self._count()
        if not self._total:
            return f"{going_on} have not ended"
        return f"{max(0, self._total - going_on)} of {self._total} have ended"

    def _count(self) -> int:
        """All that are selected, once; 0 for more than are worth the pages."""
        count = 0
        for page in self._client.pages(self._selected):
            count += len(page)
            if count > _COUNTED_MAX:
                return 0
        return count

    def end(self) -> None:
        if self._shows:
            self._terminal.status("")


class _Asking:
    """Asks whether some job goes on; a daemon that restarts meanwhile is given time to come back."""

    def __init__(self, client: Client, selected: Selected, progress: _Progress) -> None:
        self._client = client
        self._progress = progress
        self._within = selected.within(NOT_TERMINAL)
        self._answered_at = client.monotonic()

    def goes_on(self) -> bool:
        if self._within is None:
            return False
        try:
            goes_on = self._progress.goes_on(self._within)
        except NoDaemonError:
            if self._client.monotonic() - self._answered_at > _AWAY_S:
                raise
            return True
        self._answered_at = self._client.monotonic()
        return goes_on


def _timed_out(client: Client, terminal: Terminal, selected: Selected, timeout_s: float) -> ExitCode:
    within = selected.within(NOT_TERMINAL)
    jobs, more = client.page(within) if within else ([], None)
    phases = Counter(shown(job.get("phase")) for job in jobs)
    left = ", ".join(f"{count} {phase}" for phase, count in phases.most_common()) + (" and more" if more else "")
    terminal.remark(f"ferryman: not all have ended within {timeout_s:g} s ({left or 'none left'}); the jobs go on")
    return ExitCode.TIMED_OUT


def _judge(client: Client, terminal: Terminal, selected: Selected) -> ExitCode:
    within = selected.within(_UNSUCCESSFUL)
    found = 0
    for job in client.jobs(within) if within is not None else ():
        found += 1
        if found <= _NAMED_MAX:
            reason = f": {job['reason']}" if job.get("reason") else ""
            message = f": {job['message']}" if job.get("message") else ""
            terminal.line(f"{name_of(job)} {shown(job.get('phase'))}{reason}{message}")
    if found > _NAMED_MAX:
        terminal.line(f"and {found - _NAMED_MAX} more")
    terminal.line("all have ended" + (f"; {found} did not succeed" if found else "; all succeeded"))
    return ExitCode.NEGATIVE if found else ExitCode.DONE
