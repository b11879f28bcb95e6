"""The live table of `run` at a terminal: lanes, and the jobs that run.

Invariant: it only reads, about once a second and more rarely where reading takes long; whatever it cannot read just now
stays as it was. Log lines appear above it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from controller.cli.job_table import job_table, needs_scopes
from controller.cli.operating import lane_table
from controller.cli.table import Table, render, spared, without
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
_RUNNING: Final = Selection(phases=frozenset({Phase.RUNNING, Phase.STOPPING}))

View = Mapping[str, Any]


async def watch(terminal: Terminal, control: Control) -> None:
    """Redraw until cancelled; the last line that stays is a summary."""
    console = Console(file=terminal.stdout, no_color=not terminal.coloured, highlight=False, soft_wrap=False)
    try:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop", transient=True) as live:
            while True:
                began = anyio.current_time()
                await _redraw(live, terminal, control)
                await anyio.sleep(max(INTERVAL_S, _REST * (anyio.current_time() - began)))
    finally:
        with anyio.move_on_after(_LAST_LOOK_S, shield=True):
            terminal.line(await _last_line(control))


async def _redraw(live: Live, terminal: Terminal, control: Control) -> None:
    try:
        summary = await control.summary()
        lanes = await control.lanes()
        jobs = (await control.jobs(_RUNNING, None, _JOBS_MAX))["items"]
    except StoreUnavailableError:
        return
    text = screen(summary, lanes, jobs, width=terminal.size[0], coloured=terminal.coloured)
    live.update(Text.from_ansi(text, no_wrap=True), refresh=True)


async def _last_line(control: Control) -> str:
    try:
        return summary_line(await control.summary(fresh=True))
    except StoreUnavailableError as error:
        return f"the store cannot be read: {error}"


def screen(summary: View, lanes: Sequence[View], jobs: Sequence[View], *, width: int, coloured: bool) -> str:
    """All that is shown at a moment."""
    busy = [lane for lane in lanes if _is_busy(lane)]
    lines = [summary_line(summary)]
    if busy:
        lines += ["", _drawn(lane_table(busy, short=True), width, coloured)]
    if jobs:
        now = datetime.now(UTC)
        lines += [_drawn(job_table(jobs, now, scopes=needs_scopes(jobs), bars=True), width, coloured)]
    return "\n".join(lines)


def _drawn(table: Table, width: int, coloured: bool) -> str:
    gone = spared(table, width)
    text = render(without(table, gone), width=width, coloured=coloured)
    return text + (f"{left_out(gone)}\n" if gone else "")


def _is_busy(lane: View) -> bool:
    phases = lane.get("phases")
    some = isinstance(phases, Mapping) and any(number(count) for count in phases.values())
    return some or lane.get("paused") is True or bool(lane.get("unavailable"))


def summary_line(summary: View) -> str:
    """Jobs by phase, and what else is worth a look."""
    phases = summary.get("phases")
    counts = [f"{count} {phase}" for phase, count in phases.items() if count] if isinstance(phases, Mapping) else []
    words = [", ".join(counts) or "no jobs yet"]
    for member, name in (("inbox", "in the inbox"), ("deadLetters", "dead letters")):
        if number(summary.get(member)):
            words.append(f"{summary[member]} {name}")
    eta = summary.get("etaSeconds")
    if isinstance(eta, int | float) and eta > 0:
        words.append(f"the last is created in about {duration(eta)}")
    return f"ferryman {shown(summary.get('instance'))}: " + "; ".join(words)
