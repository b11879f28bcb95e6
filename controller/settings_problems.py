"""What is wrong with the settings, in a user's words.

Invariant: no value of a setting is in a sentence, for it may be a secret; each problem names its setting, and what to
write instead. What a setting may be is said in `settings`, and read from there.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from controller.validation import did_you_mean

_REFERENCE: Final = "see config/ferryman.toml for all of them"
_FORMS: Final[Mapping[str, str]] = {
    "queue.sources": '["dir:spool"]',
    "events.sinks": '["log:", "file:events.jsonl"]',
    "scopes": '{"default": {"region": "us-east-1"}}',
    "limits": '{"bedrock.ModelInvocationJob": {"jobs": 20}}',
}
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be a text, in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "dict_type": "must be a table",
    "greater_than": "must be above {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than": "must be below {lt:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
    "literal_error": "must be {expected}",
}
"""By the type of pydantic's error; what is not here is said as pydantic or a validator says it."""

Path = tuple[str | int, ...]


def problems_of(error: ValidationError, root: type[BaseModel]) -> str:
    """Every problem with its path, in one sentence."""
    listed = error.errors(include_url=False, include_input=False)
    return "wrong settings: " + "; ".join(
        _problem(root, item["loc"], item["type"], item["msg"], item.get("ctx", {})) for item in listed
    )


def unknown_variable(variable: str, prefix: str, known: Iterable[str]) -> str:
    """A variable whose first part is no setting."""
    near = did_you_mean(variable.removeprefix(prefix).split("__")[0], known)
    return f"{variable} is not a setting; " + (f"did you mean {prefix}{near}?" if near else _REFERENCE)


def not_json(root: type[BaseModel], prefix: str, environment: Mapping[str, str]) -> str | None:
    """The variable that should be JSON and is not, and how it is written; None: there is none."""
    for variable, text in environment.items():
        if not variable.startswith(prefix):
            continue
        path: Path = tuple(variable.removeprefix(prefix).lower().split("__"))
        annotation = _at(root, path)
        if _holds_more(annotation) and not _is_json(text):
            return f"{variable} is not JSON: write {_example(annotation, path)}"
    return None


def _problem(root: type[BaseModel], path: Path, kind: str, message: str, context: Mapping[str, Any]) -> str:
    name = ".".join(map(str, path)) or "settings"
    if kind == "extra_forbidden":
        return f"{name}: is not a setting; {_instead(root, path)}"
    if kind == "tuple_type":
        return f"{name}: must be a list of texts: {_FORMS.get(name, _LIST)}"
    if kind == "model_type":
        return f"{name}: must be a table with {_enumerated(_fields(root, path))}"
    words = _WORDS.get(kind)
    return f"{name}: " + (words.format(**context) if words else message.removeprefix("Value error, "))


def _instead(root: type[BaseModel], path: Path) -> str:
    """What was meant by a setting that there is not."""
    match path:
        case ("limits", str() as service, str() as family, *_) if "." not in service and family[:1].isupper():
            return f'put the kind in quotes: [limits."{service}.{family}"]'
    *above, last = path
    near = did_you_mean(last, _fields(root, tuple(above)))
    return f"did you mean {'.'.join(map(str, (*above, near)))}?" if near else _REFERENCE


def _enumerated(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _fields(root: type[BaseModel], path: Path) -> list[str]:
    found = _at(root, path)
    return list(found.model_fields) if isinstance(found, type) and issubclass(found, BaseModel) else []


def _at(annotation: Any, path: Path) -> Any:
    """The type of what stands at a path; None: nothing does."""
    for step in path:
        plain = _plain(annotation)
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            field = plain.model_fields.get(str(step))
            annotation = field.annotation if field is not None else None
        elif get_origin(plain) in {tuple, Mapping}:
            annotation = get_args(plain)[0 if get_origin(plain) is tuple else 1]
        else:
            return None
    return _plain(annotation)


def _plain(annotation: Any) -> Any:
    """Without what it is annotated with, and without None where that is the other choice."""
    while get_origin(annotation) in {Annotated, Union, UnionType}:
        annotation = next(choice for choice in get_args(annotation) if choice is not type(None))
    return annotation


def _holds_more(annotation: Any) -> bool:
    return get_origin(annotation) in {tuple, Mapping} or (
        isinstance(annotation, type) and issubclass(annotation, BaseModel)
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


_LIST: Final = '["...", "..."]'


def _example(annotation: Any, path: Path) -> str:
    usual = _LIST if get_origin(annotation) is tuple else '{"NAME": ...}'
    return f"'{_FORMS.get('.'.join(map(str, path)), usual)}'"
