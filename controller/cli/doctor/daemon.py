"""The daemon that runs for these settings, if one does: what it says of itself.

Invariant: it is only asked, within a few seconds; that none runs is nothing wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.cli.client import Client
from controller.cli.doctor.finding import Finding, counted, failed, ok, warning
from controller.cli.text import number, shown
from controller.errors import FerrymanError, NoDaemonError

SUBJECT: Final = "daemon"
PATIENCE_S: Final = 3.0

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a daemon says of itself, or why it does not."""

    findings: Sequence[Finding]
    simulated: bool = False
    """Whether one runs, and its AWS is the built-in simulator."""


def ask_daemon(server: str, token: str) -> Asked:
    """Ask the daemon at `server`."""
    try:
        with Client(server, token, patience_s=PATIENCE_S) as client:
            summary = client.summary()
            findings = list(_judge(server, summary, client.lanes()))
            return Asked(findings, summary.get("simulated") is True)
    except NoDaemonError as error:
        if "no daemon answers" in str(error):
            return Asked([ok(SUBJECT, f"none runs at {server}")])
        return Asked([failed(SUBJECT, str(error))])
    except FerrymanError as error:
        return Asked([failed(SUBJECT, str(error))])


def _judge(server: str, summary: Object, lanes: list[Object]) -> Iterator[Finding]:
    phases = summary.get("phases")
    counts = [f"{count} {phase}" for phase, count in phases.items() if count] if isinstance(phases, Mapping) else []
    jobs = ", ".join(counts) or "no jobs"
    if summary.get("ready") is True:
        world = " (simulated AWS)" if summary.get("simulated") is True else ""
        yield ok(SUBJECT, f"runs at {server} as {shown(summary.get('instance'))}{world}: {jobs}")
    else:
        yield warning(SUBJECT, f"runs at {server}, and is not ready", "its log says what it waits for")
    for lane in lanes:
        yield from _judge_lane(f"lane {shown(lane.get('lane'))}", shown(lane.get("lane")), lane)
    sinks = summary.get("sinks")
    for sink in sinks if isinstance(sinks, list) else []:
        if isinstance(sink, Mapping) and sink.get("problem"):
            yield _judge_sink(sink)
    letters = number(summary.get("deadLetters"))
    if letters:
        kept = counted(letters, "dead letter is kept", "dead letters are kept")
        yield warning(SUBJECT, kept, "`ferryman deadletters` shows why")
    uncertain = number(phases.get("Uncertain")) if isinstance(phases, Mapping) else 0
    if uncertain:
        yield warning(
            SUBJECT,
            counted(uncertain, "job is held as Uncertain", "jobs are held as Uncertain"),
            "`ferryman get --phase Uncertain` lists them, `ferryman describe KIND/NAME` says what to do",
        )


def _judge_sink(sink: Object) -> Finding:
    subject = f"sink {shown(sink.get('name'))}"
    waiting = counted(number(sink.get("depth")), "event waits", "events wait")
    if sink.get("disabled") is True:
        remedy = f"mend or replace the receiver, then `ferryman resume '{shown(sink.get('name'))}'` sends what waits"
        return failed(subject, f"disabled, {waiting}: {shown(sink['problem'])}", remedy)
    if number(sink.get("failures")):
        return failed(subject, f"takes nothing, {waiting}: {shown(sink['problem'])}", "mend it: the events come again")
    return warning(subject, f"has failed lately, {waiting}: {shown(sink['problem'])}")


def _judge_lane(subject: str, lane: str, view: Object) -> Iterator[Finding]:
    if view.get("unavailable"):
        yield failed(subject, f"unavailable: {shown(view['unavailable'])}", "mend its scope's credentials")
    if view.get("paused") is True:
        why = f": {shown(view['pauseReason'])}" if view.get("pauseReason") else ""
        yield warning(subject, f"paused{why}", f"`ferryman resume {lane}` lets it go on")
    reasons = view.get("reasons")
    denied = number(reasons.get("AccessDenied")) if isinstance(reasons, Mapping) else 0
    if denied:
        yield warning(
            subject,
            f"AWS denies {denied} of its jobs",
            "`ferryman get --reason AccessDenied` lists them, `ferryman describe KIND/NAME` says what to allow",
        )
