"""`get`: jobs as a table, JSON, YAML or names, once or for as long as someone watches.

Invariant: a list of any length is printed page by page; a watch asks at most every two seconds, and more rarely where
an answer takes long.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any, Final

from controller.cli.advice import advice
from controller.cli.client import PAGE, Client
from controller.cli.job_table import job_table, needs_scopes
from controller.cli.output import Format, json_line, name_of, write_list, write_one, yaml_text
from controller.cli.selection import Selected
from controller.cli.terminal import Terminal
from controller.cli.text import number
from controller.errors import ExitCode
from controller.model import DEFAULT_SCOPE
from controller.untrusted import objects_in

INTERVAL_S: Final = 2.0
_REST: Final = 10
"""A watch rests so many times as long as its question took."""
_WATCHED_MAX: Final = 20_000
_SHOWN: Final = ("uid", "phase", "reason", "message", "remoteStatus", "records", "attempt", "generation")

Job = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Get:
    """One `get`."""

    client: Client
    terminal: Terminal
    selected: Selected
    form: Format
    now: Callable[[], datetime]

    def once(self) -> ExitCode:
        """Print the jobs; a single one that does not exist is an error, an empty list is not."""
        if self.selected.is_one:
            job = self._one()
            if self.form is Format.TABLE:
                self._table([job])
                for sentence in advice(job, None):
                    self.terminal.remark(sentence)
            else:
                write_one(job, self.form, self.terminal.write)
        elif self.form is Format.TABLE:
            self._pages()
        else:
            write_list(self.client.jobs(self.selected), self.form, self.terminal.write)
        return ExitCode.DONE

    def _one(self) -> Job:
        selected = self.selected
        return self.client.job(selected.scope or DEFAULT_SCOPE, selected.kind or "", selected.name or "")

    def _pages(self) -> None:
        first = True
        scopes = False
        for page in self.client.pages(self.selected):
            if self.terminal.reader_gone:
                return
            if not page:
                continue
            scopes = needs_scopes(page) if first else scopes
            self.terminal.table(job_table(page, self.now(), scopes=scopes), header=first)
            first = False
        if first:
            self.terminal.remark("no jobs" if self.selected.is_all else f"there are no {self.selected}")

    def _table(self, jobs: list[Job]) -> None:
        self.terminal.table(job_table(jobs, self.now(), scopes=needs_scopes(jobs)))

    def watch(self) -> ExitCode:
        """Until interrupted, or until nobody reads any more."""
        live = self.form is Format.TABLE and self.terminal.shows_live
        seen: dict[str, str] = {}
        while not self.terminal.reader_gone:
            began = self.client.monotonic()
            if live:
                self._redraw()
            else:
                self._changes(seen)
            took = self.client.monotonic() - began
            self.client.sleep(max(INTERVAL_S, _REST * took))
        return ExitCode.DONE

    def _current(self, limit: int) -> Iterator[Job]:
        if self.selected.is_one:
            return iter([self._one()])
        return islice(self.client.jobs(self.selected), limit)

    def _redraw(self) -> None:
        jobs, more = self._first(min(PAGE, self.terminal.size[1]))
        if not jobs:
            self.terminal.redraw("no jobs yet")
            return
        beyond = self._beyond(len(jobs)) if more else 0
        table = job_table(jobs, self.now(), scopes=needs_scopes(jobs), bars=True)
        self.terminal.redraw(self.terminal.rendered(table), beyond=beyond)

    def _first(self, limit: int) -> tuple[list[Job], bool]:
        """The newest of them, and whether there are more."""
        jobs = list(self._current(limit + 1))
        return jobs[:limit], len(jobs) > limit

    def _beyond(self, shown: int) -> int | None:
        """How many more than those that are shown there are, where the daemon counts such jobs; else None."""
        if self.selected.labels or self.selected.reasons or self.selected.group or self.selected.text:
            return None
        total = sum(_count(lane, self.selected) for lane in objects_in(self.client.summary().get("lanes")))
        return total - shown if total > shown else None

    def _changes(self, seen: dict[str, str]) -> None:
        """Print the jobs that are not as they were when last printed."""
        changed = []
        present = {}
        for job in self._current(_WATCHED_MAX):
            key = f"{job.get('scope')}/{name_of(job)}"
            present[key] = json_line([job.get(member) for member in _SHOWN])
            if seen.get(key) != present[key]:
                changed.append(job)
        header = not seen
        seen.clear()
        seen.update(present)
        if changed:
            self._print_changed(changed, header=header)

    def _print_changed(self, jobs: list[Job], *, header: bool) -> None:
        oldest_first = jobs[::-1]
        if self.form is Format.TABLE:
            self.terminal.table(job_table(oldest_first, self.now(), scopes=needs_scopes(jobs)), header=header)
        elif self.form is Format.JSON:
            self.terminal.write("".join(json_line(job) + "\n" for job in oldest_first))
        elif self.form is Format.YAML:
            self.terminal.write("".join(f"---\n{yaml_text(job)}" for job in oldest_first))
        else:
            self.terminal.write("".join(chain.from_iterable((name_of(job), "\n") for job in oldest_first)))


def _count(lane: Job, selected: Selected) -> int:
    """How many of a lane's jobs are meant, of a selection by scope, kind and phase."""
    scope, _, kind = str(lane.get("lane")).partition("/")
    phases = lane.get("phases")
    if scope != (selected.scope or scope) or kind != (selected.kind or kind) or not isinstance(phases, Mapping):
        return 0
    return sum(number(jobs) for phase, jobs in phases.items() if phase in (selected.phases or phases))
