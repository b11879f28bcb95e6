"""`kinds` and `explain`: what documents may say, without any daemon.

Invariant: everything printed comes from the table of kinds and the installed service models.
"""

from textwrap import wrap
from typing import Final

from controller.cli.output import Format, json_text, yaml_text
from controller.cli.selection import full_kind
from controller.cli.table import Table
from controller.cli.terminal import Terminal
from controller.documents import Explanation, explain, json_schema, json_schema_of_all, split_kind_and_path
from controller.errors import ExitCode, SettingsError
from controller.kinds import KINDS, Kind

_WIDTH_MIN: Final = 20
_WIDTH_MAX: Final = 100


def show_kinds(terminal: Terminal, form: Format) -> ExitCode:
    if form is Format.TABLE:
        rows = [(kind.name, kind.short, kind.create, *map(_word, _abilities(kind).values())) for kind in KINDS.values()]
        columns = (
            "KIND",
            "SHORT NAME",
            "CREATED BY",
            *(ability.upper() for ability in _abilities(next(iter(KINDS.values())))),
        )
        terminal.table(Table(columns, rows))
        return ExitCode.DONE
    items = [
        {"kind": kind.name, "shortName": kind.short, "service": kind.service, "create": kind.create, **_abilities(kind)}
        for kind in KINDS.values()
    ]
    if form is Format.JSON:
        terminal.write(json_text({"items": items, "next": None}) + "\n")
    elif form is Format.YAML:
        terminal.write(yaml_text({"items": items, "next": None}))
    else:
        terminal.write("".join(f"{name}\n" for name in KINDS))
    return ExitCode.DONE


def _abilities(kind: Kind) -> dict[str, bool]:
    return {"list": kind.can_list, "stop": kind.can_stop, "delete": kind.can_delete, "repeatable": kind.repeatable}


def _word(value: bool) -> str:
    return "yes" if value else "no"


def show_explanation(terminal: Terminal, text: str) -> ExitCode:
    """Say what may stand at `KIND[.path]`.

    Raises:
        NotFoundError: there is no such kind or member.
    """
    kind, path = split_kind_and_path(_with_full_kind(text), KINDS)
    explanation = explain(kind, path)
    _head(terminal, explanation)
    _members(terminal, explanation)
    return ExitCode.DONE


def show_schema(terminal: Terminal, kind: str | None) -> ExitCode:
    """Print the JSON Schema of a document of any kind, or of one.

    Raises:
        SettingsError: there is no such kind.
    """
    schema = json_schema_of_all(KINDS) if kind is None else json_schema(KINDS[full_kind(kind)])
    terminal.write(json_text(schema) + "\n")
    return ExitCode.DONE


def _with_full_kind(text: str) -> str:
    """The kind's upper and lower case do not matter, as in every other command."""
    parts = text.split(".")
    for length in range(min(len(parts), 2), 0, -1):
        try:
            return ".".join([full_kind(".".join(parts[:length])), *parts[length:]])
        except SettingsError:
            continue
    return text


def _head(terminal: Terminal, explanation: Explanation) -> None:
    terminal.line(f"KIND:      {explanation.kind}")
    if explanation.path:
        needed = "required" if explanation.required else "optional"
        terminal.line(f"MEMBER:    {explanation.path} <{explanation.type}> ({needed})")
    for constraint in explanation.constraints:
        terminal.line(f"RULE:      {constraint}")
    width = max(_WIDTH_MIN, min(_WIDTH_MAX, terminal.size[0]))
    terminal.write("\n")
    for paragraph in explanation.documentation.splitlines():
        for line in wrap(paragraph, width - 2) or [""]:
            terminal.line(f"  {line}" if line else "")


def _members(terminal: Terminal, explanation: Explanation) -> None:
    if not explanation.members:
        return
    terminal.write("\nMEMBERS:\n")
    rows = [
        (f"  {member.name}", f"<{member.type}>", "required" if member.required else "", member.summary)
        for member in explanation.members
    ]
    lines = terminal.rendered(Table(("", "", "", ""), rows), header=False)
    terminal.write(lines)
