"""`stop`, `delete`, `retry`, `resolve`: one job, or all that a selection means.

Invariant: more than one job, or every job however many they are, is never touched without a yes, said at the terminal
or as `--yes`; every job is never meant by accident.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from controller.cli.client import Client
from controller.cli.output import name_of
from controller.cli.selection import Selected
from controller.cli.terminal import Terminal
from controller.cli.text import shown
from controller.errors import ExitCode, NotFoundError, SettingsError
from controller.model import DEFAULT_SCOPE

DESTRUCTIVE: Final = frozenset({"stop", "delete"})
_COUNTED_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, and how sure the user is."""

    verb: str
    selected: Selected
    every: bool = False
    """`--all`."""
    yes: bool = False
    dry_run: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


def carry_out(client: Client, terminal: Terminal, order: Order) -> ExitCode:
    """Command the jobs and print each answer.

    Raises:
        NotFoundError: nothing is selected, or the one job is in a state that forbids it.
        SettingsError: the user was not sure enough.
    """
    _check(order)
    if order.selected.is_one:
        return _one(client, terminal, order)
    if not order.dry_run:
        count = _count(client, order)
        if not count:
            raise _nothing(order)
        if not _sure(terminal, order, count):
            terminal.remark("nothing was done")
            return ExitCode.NEGATIVE
    return _many(client, terminal, order)


def _nothing(order: Order) -> NotFoundError:
    return NotFoundError(f"there are no {order.selected}")


def _check(order: Order) -> None:
    if order.selected.is_all and not order.every:
        raise SettingsError(f"say what to {order.verb}: KIND/NAME, -l key=value, --phase, --reason, KIND or --all")
    if not order.selected.is_all and order.every and not order.selected.kind:
        raise SettingsError("--all means every job: leave the other selectors out")
    if not order.selected.is_one and "remoteId" in order.arguments:
        raise SettingsError("--remote-id is of one job: name it, KIND/NAME")


def _one(client: Client, terminal: Terminal, order: Order) -> ExitCode:
    selected = order.selected
    scope, kind, name = selected.scope or DEFAULT_SCOPE, selected.kind or "", selected.name or ""
    if order.dry_run:
        job = client.job(scope, kind, name)
        terminal.line(f"would {order.verb} {name_of(job)}, which is {shown(job.get('phase'))}; nothing was done")
        return ExitCode.DONE
    answer = client.command({"scope": scope, "kind": kind, "name": name}, order.verb, order.arguments)
    if answer.get("answer") == "rejected":
        raise NotFoundError(f"{kind}/{name}: {answer.get('message') or 'refused'}")
    terminal.line(_sentence(f"{kind}/{name}", order.verb, answer))
    return ExitCode.DONE


def _count(client: Client, order: Order) -> int:
    """How many jobs are meant: what that is for this command, the daemon alone knows."""
    answers = client.command_many(order.selected, order.verb, order.arguments, dry_run=True)
    return sum(1 for _ in islice(answers, _COUNTED_MAX))


def _sure(terminal: Terminal, order: Order, count: int) -> bool:
    if order.yes or (count == 1 and not order.every and order.verb not in DESTRUCTIVE):
        return True
    many = f"{count}{' or more' if count >= _COUNTED_MAX else ''} job{'s' if count > 1 else ''}"
    if terminal.asks:
        every = "all " if order.selected.is_all else ""
        return terminal.confirm(f"{order.verb} {every}{many}{order.selected.which}?")
    if count == 1 and not order.every:
        return True
    raise SettingsError(f"this would {order.verb} {many}: look with --dry-run, then say --yes")


def _many(client: Client, terminal: Terminal, order: Order) -> ExitCode:
    counts: Counter[str] = Counter()
    for answer in client.command_many(order.selected, order.verb, order.arguments, dry_run=order.dry_run):
        job = answer.get("job")
        name = name_of(job) if isinstance(job, Mapping) else "?"
        counts[shown(answer.get("answer"))] += 1
        terminal.line(_foreseen(name, order.verb, answer) if order.dry_run else _sentence(name, order.verb, answer))
    if not counts and order.dry_run:
        raise _nothing(order)
    summary = ", ".join(f"{count} {answer}" for answer, count in counts.most_common())
    terminal.remark(f"would be {summary}; nothing was done" if order.dry_run else summary)
    return ExitCode.NEGATIVE if counts["rejected"] else ExitCode.DONE


def _sentence(name: str, verb: str, answer: Mapping[str, Any]) -> str:
    return f"{name} {verb} {shown(answer.get('answer'))}{_message(answer)}"


def _foreseen(name: str, verb: str, answer: Mapping[str, Any]) -> str:
    """What a dry run says of one job: nothing of it has happened."""
    if answer.get("answer") == "accepted":
        return f"{name} would {verb}"
    return f"{name} {verb} would be {shown(answer.get('answer'))}{_message(answer)}"


def _message(answer: Mapping[str, Any]) -> str:
    return f": {answer['message']}" if answer.get("message") else ""
