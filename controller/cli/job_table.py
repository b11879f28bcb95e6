"""Jobs as lines of a table.

Invariant: pure; whatever an answer holds, there is a line for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from controller.cli.table import Table
from controller.cli.text import age, duration, number, shown
from controller.model import DEFAULT_SCOPE

COLUMNS: Final = ("NAME", "KIND", "PHASE", "REASON", "PROGRESS", "ATTEMPT", "AGE")
_SPARE: Final = ("ATTEMPT", "AGE")
_EMPTY_FIRST: Final = ("PROGRESS", "REASON")
"""Left out where they say nothing, and only then."""
_MIDDLE: Final = frozenset({"NAME"})
_BAR: Final = 10


def job_table(jobs: Sequence[Mapping[str, Any]], now: datetime, *, scopes: bool, bars: bool = False) -> Table:
    """One line a job; `scopes` adds the scope in front, `bars` draws progress."""
    rows = [job_row(job, now, bars=bars) for job in jobs]
    table = Table(COLUMNS, rows, right=frozenset({"ATTEMPT"}), spare=_SPARE, middle=_MIDDLE)
    says = table.says()
    table = replace(table, spare=(*(column for column in _EMPTY_FIRST if column not in says), *_SPARE))
    if not scopes:
        return table
    with_scope = [(shown(job.get("scope")), *row) for job, row in zip(jobs, rows, strict=True)]
    return replace(table, columns=("SCOPE", *COLUMNS), rows=with_scope)


def needs_scopes(items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a table of jobs or lanes says more with the scopes in it."""
    return any(item.get("scope") != DEFAULT_SCOPE for item in items)


def job_row(job: Mapping[str, Any], now: datetime, *, bars: bool = False) -> tuple[str, ...]:
    return (
        shown(job.get("name")),
        short_kind(job.get("kind")),
        shown(job.get("phase")),
        reason_of(job),
        progress_of(job, bars=bars),
        shown(job.get("attempt")),
        age(job.get("acceptedAt"), now),
    )


def short_kind(kind: Any) -> str:
    return shown(str(kind).rpartition(".")[2] if kind else None)


def reason_of(job: Mapping[str, Any]) -> str:
    """Why it is in its phase; for a running job its remote status, for a partial success that it is one."""
    if job.get("reason"):
        return shown(job["reason"])
    if job.get("partial") is True:
        return "Partial"
    return shown(job.get("remoteStatus")) if job.get("phase") in {"Running", "Stopping"} else "-"


def progress_of(job: Mapping[str, Any], *, bars: bool = False) -> str:
    """Records done of all, or its place among those that wait."""
    queue = job.get("queue")
    if job.get("phase") == "Pending" and isinstance(queue, Mapping) and queue.get("position") is not None:
        eta = queue.get("etaSeconds")
        return f"#{shown(queue['position'])}" + (f" ~{duration(eta)}" if isinstance(eta, int | float) else "")
    records = job.get("records")
    if not isinstance(records, Mapping) or not number(records.get("total")):
        return "-"
    total, processed, failed = (number(records.get(member)) for member in ("total", "processed", "failed"))
    share = min(1.0, processed / total)
    words = f"{processed}/{total}" + (f" ({failed} failed)" if failed else "")
    if not bars:
        return words
    full = round(share * _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} {share:4.0%} {words}"
