"""`wait`: until all selected jobs have ended.

Invariant: a question costs the daemon one row, however many jobs are waited for; questions come less and less often.
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
from controller.model import Phase

_FIRST_S: Final = 0.25
_LONGEST_S: Final = 10.0
_AWAY_S: Final = 300.0
_GROWTH: Final = 1.5
_NAMED_MAX: Final = 10
_UNSUCCESSFUL: Final = (Phase.FAILED, Phase.STOPPED, Phase.DELETED)


def wait_for(client: Client, terminal: Terminal, selected: Selected, timeout_s: float | None) -> ExitCode:
    """Wait; the answer is whether all of them Succeeded.

    Raises:
        NotFoundError: nothing is selected.
    """
    deadline = None if timeout_s is None else client.monotonic() + timeout_s
    if not _exists(client, selected):
        raise NotFoundError(f"there is nothing to wait for: no jobs match {selected}")
    pause_s = _FIRST_S
    asking = _Asking(client, selected)
    while asking.goes_on():
        left_s = pause_s if deadline is None else deadline - client.monotonic()
        if left_s <= 0:
            return _timed_out(client, terminal, selected, timeout_s or 0)
        client.sleep(min(pause_s, left_s))
        pause_s = min(_LONGEST_S, pause_s * _GROWTH)
    return _judge(client, terminal, selected)


def _exists(client: Client, selected: Selected) -> bool:
    if selected.is_one:
        client.job(selected.scope or "default", selected.kind or "", selected.name or "")
        return True
    return client.any(selected)


class _Asking:
    """Asks whether some job goes on; a daemon that restarts meanwhile is given time to come back."""

    def __init__(self, client: Client, selected: Selected) -> None:
        self._client = client
        self._within = selected.within(NOT_TERMINAL)
        self._answered_at = client.monotonic()

    def goes_on(self) -> bool:
        if self._within is None:
            return False
        try:
            goes_on = self._client.any(self._within)
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
