"""Answers as JSON, YAML or names.

Invariant: what comes out is valid in its format and safe to show in a terminal: whatever cannot be printed is escaped
as the format escapes it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from io import StringIO
from typing import Any, Final

from controller.cli.text import shown

Write = Callable[[str], None]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class PolicyFormat(StrEnum):
    JSON = "json"
    TERRAFORM = "terraform"


_ESCAPED: Final = re.compile(r"[^\n -~]")


def json_text(value: Any) -> str:
    """Indented JSON, without a line feed at its end."""
    return _printable_json(json.dumps(value, indent=2, ensure_ascii=False))


def json_line(value: Any) -> str:
    """JSON on one line, without a line feed at its end."""
    return _printable_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _printable_json(text: str) -> str:
    return _ESCAPED.sub(lambda match: _json_character(match[0]), text)


def _json_character(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def yaml_text(value: Any) -> str:
    """YAML 1.2 of a value of JSON, with a line feed at its end."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only this format needs it

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment] # a setting which the library types as None
    yaml.width = 4096
    yaml.allow_unicode = _all_printable(value)
    stream = StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _all_printable(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and not item.replace("\n", "").isprintable():
            return False
        if isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item
    return True


def name_of(job: Mapping[str, Any]) -> str:
    return f"{shown(job.get('kind'))}/{shown(job.get('name'))}"


def write_one(job: Mapping[str, Any], form: Format, write: Write) -> None:
    if form is Format.JSON:
        write(json_text(job) + "\n")
    elif form is Format.YAML:
        write(yaml_text(job))
    else:
        write(name_of(job) + "\n")


def write_list(jobs: Iterable[Mapping[str, Any]], form: Format, write: Write) -> None:
    """A list of any length, a piece at a time: `{items, next}`, where nothing is left to come next."""
    if form is Format.NAME:
        for job in jobs:
            write(name_of(job) + "\n")
    elif form is Format.JSON:
        _write_json_list(jobs, write)
    else:
        _write_yaml_list(jobs, write)


def _write_json_list(jobs: Iterable[Mapping[str, Any]], write: Write) -> None:
    separator = ""
    write('{\n  "items": [')
    for job in jobs:
        write(f"{separator}\n    " + json_text(job).replace("\n", "\n    "))
        separator = ","
    write(("\n  " if separator else "") + '],\n  "next": null\n}\n')


def _write_yaml_list(jobs: Iterable[Mapping[str, Any]], write: Write) -> None:
    empty = True
    for job in jobs:
        write("items:\n" if empty else "")
        write(yaml_text([job]))
        empty = False
    write("items: []\n" if empty else "")
    write("next: null\n")
