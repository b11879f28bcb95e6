"""The live table of `run` at a terminal: lanes, and the jobs that run.

Invariant: it only reads, about once a second and more rarely where reading takes long; whatever it cannot read just now
stays as it was. Log lines appear above it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any, Final

import anyio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from controller.cli.job_table import job_table, needs_scopes
from controller.cli.operating import lane_table
from controller.cli.table import Fitting, Table, render
from controller.cli.terminal import Terminal, left_out
from controller.cli.text import duration, number, shown
from controller.control import Control
from controller.errors import StoreUnavailableError
from controller.model import Phase
from controller.store import Selection

INTERVAL_S: Final = 1.0
_REST: Final = 10
_JOBS_MAX: Final = 12
_LAST_LOOK_S: Final = 2.0
_REMOTE: Final = (Phase.RUNNING, Phase.STOPPING)
_RUNNING: Final = Selection(phases=frozenset(_REMOTE))

View = Mapping[str, Any]


async def watch(terminal: Terminal, control: Control) -> None:
    """Redraw until cancelled; the last line that stays is a summary."""
    console = Console(file=terminal.stdout, no_color=not terminal.coloured, highlight=False, soft_wrap=False)
    try:
        screen = Screen()
        with Live(console=console, auto_refresh=False, vertical_overflow="crop", transient=True) as live:
            while True:
                began = anyio.current_time()
                await _redraw(live, screen, terminal, control)
                await anyio.sleep(max(INTERVAL_S, _REST * (anyio.current_time() - began)))
    finally:
        with anyio.move_on_after(_LAST_LOOK_S, shield=True):
            terminal.line(await _last_line(control))


async def _redraw(live: Live, screen: "Screen", terminal: Terminal, control: Control) -> None:
    try:
        summary = await control.summary()
        lanes = await control.lanes()
        jobs = (await control.jobs(_RUNNING, None, _JOBS_MAX))["items"]
    except StoreUnavailableError:
        return
    text = screen.drawn(summary, lanes, jobs, width=terminal.size[0], coloured=terminal.coloured)
    live.update(Text.from_ansi(text, no_wrap=True), refresh=True)


async def _last_line(control: Control) -> str:
    try:
        return summary_line(await control.summary(fresh=True), ending=True)
    except StoreUnavailableError as error:
        return f"the store cannot be read: {error}"


class Screen:
    """What stands in the terminal, drawn again and again: columns stay where they are."""

    def __init__(self) -> None:
        self._lanes = Fitting()
        self._jobs = Fitting()

    def drawn(self, summary: View, lanes: Sequence[View], jobs: Sequence[View], *, width: int, coloured: bool) -> str:
        """All that is shown at a moment; `jobs` are the first of those that run."""
        busy = [lane for lane in lanes if _is_busy(lane)]
        lines = wrap(summary_line(summary), width, subsequent_indent="  ", break_on_hyphens=False)
        if busy:
            table = lane_table(busy, short=True, scopes=needs_scopes(busy))
            lines += ["", _drawn(table, self._lanes, width, coloured)]
        if jobs:
            table = job_table(jobs, datetime.now(UTC), scopes=needs_scopes(jobs), bars=True)
            lines += [_drawn(table, self._jobs, width, coloured)]
            more = _remote(summary) - len(jobs)
            lines += [f"and {more} more"] if more > 0 else []
        return "\n".join(lines)


def _drawn(table: Table, fitting: Fitting, width: int, coloured: bool) -> str:
    fitted, missed = fitting.fitted(table, width)
    text = render(fitted, width=width, coloured=coloured)
    return text + (f"{left_out(missed, width)}\n" if missed else "")


def _is_busy(lane: View) -> bool:
    phases = lane.get("phases")
    some = isinstance(phases, Mapping) and any(number(count) for count in phases.values())
    return some or lane.get("paused") is True or bool(lane.get("unavailable"))


def summary_line(summary: View, *, ending: bool = False) -> str:
    """Jobs by phase, and what else is worth a look; of a daemon that is ending, what goes on without it."""
    phases = summary.get("phases")
    counts = [f"{count} {phase}" for phase, count in phases.items() if count] if isinstance(phases, Mapping) else []
    words = [", ".join(counts) or "no jobs yet"]
    for member, name in (("inbox", "in the inbox"), ("deadLetters", "dead letters")):
        if number(summary.get(member)):
            words.append(f"{summary[member]} {name}")
    eta = summary.get("etaSeconds")
    if ending or summary.get("stopping") is True:
        words += _goes_on(summary)
    elif isinstance(eta, int | float) and eta > 0:
        words.append(f"the last is created in about {duration(eta)}")
    return f"ferryman {shown(summary.get('instance'))}: " + "; ".join(words)


def _remote(summary: View) -> int:
    """Jobs that exist at AWS and have not ended, as far as is known."""
    phases = summary.get("phases")
    return sum(number(phases.get(phase)) for phase in _REMOTE) if isinstance(phases, Mapping) else 0


def _goes_on(summary: View) -> list[str]:
    remote = _remote(summary)
    if not remote:
        return []
    jobs = "1 remote job goes on" if remote == 1 else f"{remote} remote jobs go on"
    where = "in the simulated AWS" if summary.get("simulated") is True else "at AWS"
    return [f"{jobs} {where}; start again to follow {'it' if remote == 1 else 'them'}"]
