"""`lanes`, `pause`, `resume`, `deadletters`: what an operator looks at and turns.

Invariant: an answer that lacks a member still gives a line.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from controller.cli.client import Client
from controller.cli.job_table import short_kind
from controller.cli.output import Format, json_text, yaml_text
from controller.cli.selection import full_kind
from controller.cli.table import NOTHING, Table, spared
from controller.cli.terminal import Terminal
from controller.cli.text import age, duration, number, shown
from controller.errors import ExitCode, NotFoundError, SettingsError
from controller.kinds.kind import ALL_JOBS

Object = Mapping[str, Any]

_PHASES: Final = ("Pending", "Creating", "Running", "Stopping", "Uncertain", "Succeeded", "Failed")
_LANE_COLUMNS: Final = ("LANE", "STATE", "SLOTS", "CREATE/S", "THROTTLES", "ETA", *(phase.upper() for phase in _PHASES))
_SPARE: Final = ("STOPPING", "CREATING", "THROTTLES", "CREATE/S", "ETA", "SLOTS", "SUCCEEDED", "UNCERTAIN", "FAILED")
"""What a narrow terminal shows last; of these, what says nothing goes first."""
REQUEUED_AT_ONCE: Final = 100
_REASON_LENGTH_MAX: Final = 400


def show_lanes(client: Client, terminal: Terminal, form: Format) -> ExitCode:
    lanes = client.lanes()
    if form is Format.JSON:
        terminal.write(json_text({"items": lanes, "next": None}) + "\n")
    elif form is Format.YAML:
        terminal.write(yaml_text({"items": lanes, "next": None}))
    elif form is Format.NAME:
        terminal.write("".join(f"{shown(lane.get('lane'))}\n" for lane in lanes))
    else:
        table = lane_table(lanes)
        terminal.table(lane_table(lanes, short=True) if spared(table, terminal.width) else table)
        for lane in lanes:
            _explain_stop(terminal, lane)
    return ExitCode.DONE


def lane_table(lanes: Sequence[Object], *, short: bool = False, scopes: bool = True) -> Table:
    """One line a lane; `short` names its kind in short, without `scopes` by that alone."""
    rows = [
        (
            _lane_words(lane, short=short, scopes=scopes),
            lane_state(lane),
            lane_slots(lane),
            _create_rate(lane),
            str(_sum(lane.get("rates"), "throttles") or NOTHING),
            _eta(lane),
            *(_count(lane, phase) for phase in _PHASES),
        )
        for lane in lanes
    ]
    return Table(_LANE_COLUMNS, rows, right=frozenset(_LANE_COLUMNS[2:]), spare=_SPARE)


def _lane_words(lane: Object, *, short: bool, scopes: bool) -> str:
    if not short:
        return shown(lane.get("lane"))
    kind = short_kind(lane.get("kind"))
    return f"{shown(lane.get('scope'))}/{kind}" if scopes else kind


def lane_state(lane: Object) -> str:
    if lane.get("paused") is True:
        return "paused"
    return "unavailable" if lane.get("unavailable") else "open"


def lane_slots(lane: Object) -> str:
    """Places taken of those there are; where one key counts every job of the lane, of that key alone."""
    keys = lane.get("slots")
    everything = keys.get(ALL_JOBS) if isinstance(keys, Mapping) else None
    slots = [everything] if isinstance(everything, Mapping) else _objects(keys)
    if not slots:
        return "-"
    return f"{sum(number(slot.get('used')) for slot in slots)}/{sum(number(slot.get('ceiling')) for slot in slots)}"


def _create_rate(lane: Object) -> str:
    rates = lane.get("rates")
    create = rates.get("create") if isinstance(rates, Mapping) else None
    rate = create.get("rate") if isinstance(create, Mapping) else None
    return f"{rate:.3g}" if isinstance(rate, int | float) else "-"


def _eta(lane: Object) -> str:
    eta = lane.get("etaSeconds")
    return duration(eta) if isinstance(eta, int | float) and eta > 0 else "-"


def _count(lane: Object, phase: str) -> str:
    phases = lane.get("phases")
    count = number(phases.get(phase)) if isinstance(phases, Mapping) else 0
    return str(count) if count else "-"


def _sum(values: Any, member: str) -> int:
    return sum(number(value.get(member)) for value in _objects(values))


def _objects(values: Any) -> list[Object]:
    return [value for value in values.values() if isinstance(value, Mapping)] if isinstance(values, Mapping) else []


def _explain_stop(terminal: Terminal, lane: Object) -> None:
    if lane.get("paused") is True:
        terminal.remark(f"{shown(lane.get('lane'))} is paused: {shown(lane.get('pauseReason'))}")
    if lane.get("unavailable"):
        terminal.remark(f"{shown(lane.get('lane'))} is unavailable: {shown(lane.get('unavailable'))}")


def command_lanes(client: Client, terminal: Terminal, verb: str, lane: str | None, reason: str) -> ExitCode:
    """`pause` or `resume` one lane, or all.

    Raises:
        NotFoundError: there is no such lane, or it refuses.
    """
    answers = client.command_lanes(verb, None if lane is None else _lane_name(lane), reason[:_REASON_LENGTH_MAX])
    refused = 0
    for answer in answers:
        verdict = shown(answer.get("answer"))
        refused += verdict == "rejected"
        terminal.line(f"{shown(answer.get('lane'))} {answer.get('message') or verdict}")
    if refused:
        raise NotFoundError(f"{refused} of {len(answers)} lanes refused to {verb}")
    return ExitCode.DONE


def resume_sink(client: Client, terminal: Terminal, sink: str) -> ExitCode:
    """Send a disabled sink its events again.

    Raises:
        NotFoundError: there is no such sink.
    """
    answer = client.resume_sink(sink)
    terminal.line(f"{sink} {answer.get('message') or shown(answer.get('answer'))}")
    return ExitCode.DONE


def _lane_name(lane: str) -> str:
    scope, slash, kind = lane.partition("/")
    if not slash or not scope or not kind:
        raise SettingsError(f"{lane!r} is not a lane: use SCOPE/KIND as `ferryman lanes` shows it")
    return f"{scope}/{full_kind(kind)}"


def show_dead_letters(client: Client, terminal: Terminal, form: Format, now: datetime) -> ExitCode:
    letters = list(client.dead_letters())
    if form is Format.JSON:
        terminal.write(json_text({"items": letters, "next": None}) + "\n")
    elif form is Format.YAML:
        terminal.write(yaml_text({"items": letters, "next": None}))
    elif form is Format.NAME:
        terminal.write("".join(f"{shown(letter.get('id'))}\n" for letter in letters))
    elif letters:
        terminal.table(_letter_table(letters, now))
    else:
        terminal.remark("no dead letters")
    return ExitCode.DONE


def _letter_table(letters: Sequence[Object], now: datetime) -> Table:
    members = ("id", "what", "subject", "source")
    rows = [
        (*(shown(letter.get(member)) for member in members), age(letter.get("at"), now), shown(letter.get("reason")))
        for letter in letters
    ]
    return Table(("ID", "WHAT", "SUBJECT", "SOURCE", "AGE", "REASON"), rows)


def command_letters(client: Client, terminal: Terminal, verb: str, ids: Sequence[int]) -> ExitCode:
    """`requeue` dead letters, those named or all, or `discard` those named; the answer is whether all were taken.

    Raises:
        NotFoundError: there are none.
        SettingsError: none is named of those to discard.
    """
    if verb == "discard" and not ids:
        raise SettingsError("name the dead letters to discard, by their ids")
    wanted = list(ids) or [letter["id"] for letter in client.dead_letters() if letter.get("what") == "document"]
    if not wanted:
        raise NotFoundError("there are no dead letters to requeue")
    rejected = 0
    for start in range(0, len(wanted), REQUEUED_AT_ONCE):
        for answer in client.command_letters(verb, wanted[start : start + REQUEUED_AT_ONCE]):
            rejected += answer.get("answer") == "rejected"
            message = f": {answer['message']}" if answer.get("message") else ""
            terminal.line(f"{shown(answer.get('id'))} {shown(answer.get('answer'))}{message}")
    return ExitCode.REJECTED if rejected else ExitCode.DONE
