"""What a document of a kind may hold, in words: the answer to `explain`.

Invariant: everything said comes from the list of members (`fields`) or from the installed service model, so it cannot
differ from what validation does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.model import Shape

from controller.documents.create_shape import OWN_TAGS, CreateKind, create_shape
from controller.documents.envelope import find_kind
from controller.documents.fields import FIELDS, RETRY_FIELDS, Field
from controller.documents.plain_text import first_sentence, plain_text
from controller.errors import NotFoundError
from controller.validation import did_you_mean
from controller.validation.quoting import listed, quoted

_INDEX: Final = re.compile(r"\[[^\]]*\]")
_NAMES_OF_TYPES: Final = {
    "structure": "object",
    "float": "number",
    "double": "number",
    "long": "integer",
    "array": "list",
}
_UNITS: Final = {"string": " characters", "list": " items", "map": " entries", "blob": " bytes"}


@dataclass(frozen=True, slots=True)
class Member:
    """One line about what stands below a path."""

    name: str
    type: str
    required: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What may stand at a path of a document."""

    kind: str
    path: str
    type: str
    required: bool
    constraints: tuple[str, ...]
    documentation: str
    members: tuple[Member, ...]


def split_kind_and_path(text: str, kinds: Mapping[str, CreateKind]) -> tuple[CreateKind, str]:
    """The kind and the path of `KIND[.path]`; a kind's own name may hold a dot.

    Raises:
        NotFoundError: no kind is called so.
    """
    parts = text.split(".")
    for length in range(len(parts), 0, -1):
        kind = find_kind(".".join(parts[:length]), kinds)
        if kind is not None:
            return kind, ".".join(parts[length:])
    raise NotFoundError(f"{quoted(text)} names no kind; known are {listed(kinds)}")


def explain(kind: CreateKind, path: str = "") -> Explanation:
    """What may stand at `path`, such as `spec.inputDataConfig`; empty for the whole document.

    The items of a list and the values of a map are reached without a step of their own: `spec.tags.key`.

    Raises:
        NotFoundError: no document of this kind has such a member.
    """
    steps = [step for step in _INDEX.sub("", path).split(".") if step]
    if not steps:
        return _explain_document(kind)
    if steps[0] == "spec":
        return _explain_spec(kind, steps)
    return _explain_field(kind, steps)


def _explain_document(kind: CreateKind) -> Explanation:
    members = tuple(_field_line(name, field) for name, field in FIELDS.items())
    return Explanation(kind.name, "", "object", True, (), f"What is wanted of one {kind.short}.", members)


def _explain_field(kind: CreateKind, steps: list[str]) -> Explanation:
    fields, path = FIELDS, ""
    for depth, step in enumerate(steps, start=1):
        field = fields.get(step)
        path = f"{path}.{step}" if path else step
        if field is None:
            raise _unknown(kind, path, step, fields)
        fields = RETRY_FIELDS if path == "retry" else {}
        if depth == len(steps):
            below = tuple(_field_line(name, member) for name, member in fields.items())
            constraints = tuple(_schema_constraints(field.schema))
            return Explanation(
                kind.name, path, _schema_type(field), field.required, constraints, field.documentation, below
            )
    raise AssertionError("a path has at least one step")


def _explain_spec(kind: CreateKind, steps: list[str]) -> Explanation:
    shape: Shape = create_shape(kind)
    required, path, documentation = True, "spec", FIELDS["spec"].documentation
    for step in steps[1:]:
        holder = _innermost(shape)
        members = _members(kind, holder)
        shape_below = holder.value if holder.type_name == "map" else members.get(step)
        path = f"{path}.{step}"
        if shape_below is None:
            raise _unknown(kind, path, step, members)
        required = _is_required(kind, holder, step)
        shape = shape_below
        documentation = plain_text(shape.documentation) or plain_text(_innermost(shape).documentation)
    holder = _innermost(shape)
    below = tuple(
        Member(
            name, type_of(member), _is_required(kind, holder, name), first_sentence(plain_text(member.documentation))
        )
        for name, member in _members(kind, holder).items()
    )
    constraints = (*constraints_of(shape), *_own_constraints(kind, path))
    return Explanation(kind.name, path, type_of(shape), required, constraints, documentation, below)


def _innermost(shape: Shape) -> Shape:
    """What stands in a list or map, however deep; the shape itself where it is neither."""
    while shape.type_name == "list" or (shape.type_name == "map" and shape.value.type_name in {"structure", "list"}):
        shape = shape.member if shape.type_name == "list" else shape.value
    return shape


def _members(kind: CreateKind, shape: Shape) -> dict[str, Shape]:
    if shape.type_name != "structure":
        return {}
    return {name: member for name, member in shape.members.items() if not _is_own(kind, shape, name)}


def _is_own(kind: CreateKind, shape: Shape, name: str) -> bool:
    return name == kind.token_member and shape.name == create_shape(kind).name


def _is_required(kind: CreateKind, shape: Shape, name: str) -> bool:
    optional = name == kind.name_member and shape.name == create_shape(kind).name
    return not optional and name in shape.metadata.get("required", ())


def type_of(shape: Shape) -> str:
    """A modelled type for a reader who knows JSON."""
    if getattr(shape, "is_document_type", False):
        return "any JSON"
    if shape.type_name == "list":
        return f"list of {type_of(shape.member)}"
    if shape.type_name == "map":
        return f"map of {type_of(shape.value)}"
    return _NAMES_OF_TYPES.get(shape.type_name, str(shape.type_name))


def constraints_of(shape: Shape) -> Iterator[str]:
    """What validation demands of a value besides its type, one phrase each."""
    metadata = shape.metadata
    if "enum" in metadata:
        yield f"one of {', '.join(metadata['enum'])}"
    if "min" in metadata or "max" in metadata:
        unit = _UNITS.get(shape.type_name, "")
        yield f"{_range(metadata.get('min'), metadata.get('max'))}{unit}"
    if "pattern" in metadata:
        yield f"matches {metadata['pattern']}"
    if getattr(shape, "is_tagged_union", False):
        yield "exactly one member"
    if shape.type_name == "map":
        yield from (f"keys: {constraint}" for constraint in constraints_of(shape.key))


def _range(minimum: float | None, maximum: float | None) -> str:
    if maximum is None:
        return f"at least {minimum}"
    return f"at most {maximum}" if minimum is None else f"{minimum}..{maximum}"


def _own_constraints(kind: CreateKind, path: str) -> Iterator[str]:
    """What Ferryman demands beyond the model."""
    if path == f"spec.{kind.name_member}":
        yield "only a prefix: Ferryman adds a suffix that is unique for each attempt"
    if kind.marks_with_tag and path == f"spec.{kind.tags_member}":
        yield f"{OWN_TAGS} item less than that, for a tag that Ferryman adds"


def _field_line(name: str, field: Field) -> Member:
    return Member(name, _schema_type(field), field.required, first_sentence(field.documentation))


def _schema_type(field: Field) -> str:
    modelled = str(field.schema.get("type", "string"))
    return _NAMES_OF_TYPES.get(modelled, modelled)


def _schema_constraints(schema: Mapping[str, Any]) -> Iterator[str]:
    choices = schema.get("enum") or schema.get("items", {}).get("enum")
    if choices:
        yield f"one of {', '.join(choices)}"
    for keyword, phrase in _PHRASES.items():
        if keyword in schema:
            yield phrase.format(schema[keyword])


_PHRASES: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "maxProperties": "at most {} entries",
    "pattern": "matches {}",
    "default": "{!r} by default",
}


def _unknown(kind: CreateKind, path: str, step: str, known: Mapping[str, object]) -> NotFoundError:
    near = did_you_mean(step, known)
    hint = f"did you mean {near}?" if near else f"known are {listed(known)}" if known else "nothing stands below it"
    return NotFoundError(f"{kind.name} has no {quoted(path)}: {hint}")
