"""`describe`: everything about one job, in the manner of `kubectl describe`.

Invariant: reads, and changes nothing; whatever is missing in an answer is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from controller.cli.advice import advice
from controller.cli.client import Client
from controller.cli.output import yaml_text
from controller.cli.selection import Selected
from controller.cli.table import Table, render
from controller.cli.terminal import Terminal
from controller.cli.text import age, duration, number, shown, visible
from controller.errors import ExitCode, NoDaemonError, NotFoundError
from controller.model import DEFAULT_SCOPE

EVENTS: Final = 10
"""As many are shown, of runs of progress only the last."""
READ: Final = 200
_PROGRESS: Final = "ferryman.job.progress"
_LABEL: Final = 14

Object = Mapping[str, Any]


def describe(client: Client, terminal: Terminal, selected: Selected, now: datetime) -> ExitCode:
    """Print one job.

    Raises:
        NotFoundError: there is none.
    """
    job = client.job(selected.scope or DEFAULT_SCOPE, selected.kind or "", selected.name or "")
    lane = _lane(client, f"{job.get('scope')}/{job.get('kind')}")
    events = client.last_events(job, READ)
    for line in lines(job, lane, events, now):
        terminal.write(line + "\n")
    return ExitCode.DONE


def _lane(client: Client, name: str) -> Object | None:
    try:
        return next((lane for lane in client.lanes() if lane.get("lane") == name), None)
    except (NotFoundError, NoDaemonError):
        return None


def lines(job: Object, lane: Object | None, events: Sequence[Object], now: datetime) -> Iterator[str]:
    """The description; `events` oldest first."""
    yield from _fields(job, now)
    yield from _attempts(job, now)
    spec = job.get("spec")
    if isinstance(spec, Mapping):
        yield "Spec:"
        yield from (f"  {visible(line)}" for line in yaml_text(dict(spec)).splitlines())
    yield from _events(events, now)
    sentences = advice(job, lane)
    if sentences:
        yield "Next:"
        yield from (f"  {visible(sentence)}" for sentence in sentences)


def _fields(job: Object, now: datetime) -> Iterator[str]:
    fields = {
        "Name": shown(job.get("name")),
        "Kind": shown(job.get("kind")),
        "Scope": shown(job.get("scope")),
        "UID": shown(job.get("uid")),
        "Labels": _labels(job.get("labels")),
        "Group": job.get("group"),
        "Priority": job.get("priority") or None,
        "Generation": job.get("generation"),
        "Incarnation": job.get("incarnation"),
        "Desired": job.get("desired"),
        "Phase": job.get("phase"),
        "Reason": job.get("reason"),
        "Message": job.get("message"),
        "Queue": _queue(job.get("queue")),
        "Remote status": job.get("remoteStatus"),
        "Remote name": job.get("remoteName"),
        "Remote ID": job.get("remoteId"),
        "Records": _records(job.get("records")),
        "Partial": "yes" if job.get("partial") is True else None,
        "Deadline": "exceeded" if job.get("deadlineExceeded") is True else None,
        "Accepted": _time(job.get("acceptedAt"), now),
        "Started": _time(job.get("startedAt"), now),
        "Ended": _time(job.get("endedAt"), now),
        **_output(job.get("output")),
    }
    for label, value in fields.items():
        if value not in (None, ""):
            yield f"{label + ':':<{_LABEL}} {visible(str(value))}"


def _labels(labels: Any) -> str | None:
    if not isinstance(labels, Mapping) or not labels:
        return None
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _queue(queue: Any) -> str | None:
    if not isinstance(queue, Mapping) or queue.get("position") is None:
        return None
    eta = queue.get("etaSeconds")
    when = f", about {duration(eta)} to go" if isinstance(eta, int | float) else ", no estimate yet"
    return f"number {shown(queue['position'])} in its lane{when}"


def _records(records: Any) -> str | None:
    if not isinstance(records, Mapping) or not number(records.get("total")):
        return None
    total, processed, succeeded, failed = (
        number(records.get(member)) for member in ("total", "processed", "succeeded", "failed")
    )
    return f"{processed} of {total} processed, {succeeded} succeeded, {failed} failed"


def _output(output: Any) -> dict[str, Any]:
    if not isinstance(output, Mapping):
        return {}
    return {"Output": output.get("uri"), "Manifest": output.get("manifest")}


def _time(value: Any, now: datetime) -> str | None:
    return None if value is None else f"{shown(value)} ({age(value, now)} ago)"


def _attempts(job: Object, now: datetime) -> Iterator[str]:
    attempts = job.get("attempts")
    if not isinstance(attempts, list) or not attempts:
        return
    rows = [
        (
            shown(attempt.get("number")),
            shown(attempt.get("phase")),
            shown(attempt.get("reason")),
            age(attempt.get("createdAt"), now),
            age(attempt.get("endedAt"), now),
            shown(attempt.get("remoteId")),
        )
        for attempt in attempts
        if isinstance(attempt, Mapping)
    ]
    yield "Attempts:"
    yield from _indented(Table(("NUMBER", "PHASE", "REASON", "AGE", "ENDED", "REMOTE ID"), rows))


def _events(events: Sequence[Object], now: datetime) -> Iterator[str]:
    if not events:
        return
    yield "Events:"
    rows = [event_row(event, now) for event in folded(events)[-EVENTS:]]
    yield from _indented(Table(("AGE", "TYPE", "PHASE", "REASON", "MESSAGE"), rows))


def folded(events: Sequence[Object]) -> list[Object]:
    """The events, of progress that follows progress only the last."""
    following = [event.get("type") for event in events[1:]]
    return [
        event
        for event, after in zip(events, [*following, None], strict=True)
        if not event.get("type") == after == _PROGRESS
    ]


def event_row(event: Object, now: datetime) -> tuple[str, ...]:
    data = event.get("data")
    about: Object = data if isinstance(data, Mapping) else {}
    return (
        age(event.get("time"), now),
        shown(str(event.get("type")).removeprefix("ferryman.")),
        shown(about.get("phase")),
        shown(about.get("reason")),
        shown(about.get("message") or _remote_words(about)),
    )


def _remote_words(about: Object) -> str:
    """What AWS says of a job that exists there."""
    words = []
    if about.get("phase") in {"Running", "Stopping"} and about.get("remoteStatus"):
        words.append(f"AWS says {about['remoteStatus']}")
    records = about.get("records")
    if isinstance(records, Mapping) and number(records.get("total")):
        words.append(f"{number(records.get('processed'))} of {number(records.get('total'))} records")
    return ", ".join(words)


def _indented(table: Table) -> Iterator[str]:
    return (f"  {line}" for line in render(table, width=None, coloured=False).splitlines())
