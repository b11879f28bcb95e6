"""JSON Schema (2020-12) of documents, for editors and other programs.

Invariant: what validation accepts is valid by the schema. The reverse holds but for what a schema cannot say: the
settings' scopes and policy, numbers such as `24.0`, which a schema takes for an integer, and characters beyond ASCII in
the few patterns that name Unicode's properties.
"""

from collections.abc import Mapping
from typing import Any, Final

from botocore.model import Shape, StructureShape

from controller.documents.create_shape import OWN_TAGS, CreateKind, create_shape
from controller.documents.fields import FIELDS
from controller.documents.plain_text import plain_text
from controller.documents.schema_patterns import portable
from controller.model import Desired

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_WITHOUT_SPEC: Final = [Desired.STOPPED.value, Desired.ABSENT.value]
_BOUNDS: Final = {
    "string": ("minLength", "maxLength"),
    "blob": ("minLength", "maxLength"),
    "list": ("minItems", "maxItems"),
    "map": ("minProperties", "maxProperties"),
    "integer": ("minimum", "maximum"),
    "long": ("minimum", "maximum"),
    "float": ("minimum", "maximum"),
    "double": ("minimum", "maximum"),
}
_TYPES: Final = {"long": "integer", "float": "number", "double": "number", "blob": "string", "timestamp": "string"}


def json_schema(kind: CreateKind) -> dict[str, Any]:
    """The schema of one document of a kind."""
    definitions = _Definitions(kind)
    return {"$schema": DIALECT, **definitions.document(), "$defs": definitions.shapes}


def json_schema_of_all(kinds: Mapping[str, CreateKind]) -> dict[str, Any]:
    """The schema of one document of any kind."""
    shapes: dict[str, Any] = {}
    branches = []
    for kind in kinds.values():
        definitions = _Definitions(kind)
        shapes[kind.name] = definitions.document()
        shapes |= definitions.shapes
        branches.append({"if": {"properties": {"kind": {"enum": _names(kind)}}}, "then": _reference(kind.name)})
    known = [name for kind in kinds.values() for name in _names(kind)]
    return {
        "$schema": DIALECT,
        "title": "Ferryman document",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": known, "description": FIELDS["kind"].documentation}},
        "allOf": branches,
        "$defs": shapes,
    }


def _names(kind: CreateKind) -> list[str]:
    return [kind.name, kind.short]


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


class _Definitions:
    """Collects the schemas of the shapes below one kind's spec, each structure once."""

    def __init__(self, kind: CreateKind) -> None:
        self._kind = kind
        self.shapes: dict[str, Any] = {}

    def document(self) -> dict[str, Any]:
        properties = {name: {**field.schema, "description": field.documentation} for name, field in FIELDS.items()}
        properties["kind"] = {"enum": _names(self._kind), "description": FIELDS["kind"].documentation}
        properties["spec"] = self._spec()
        return {
            "title": self._kind.name,
            "type": "object",
            "required": [name for name, field in FIELDS.items() if field.required],
            "properties": properties,
            "additionalProperties": False,
            "if": {"properties": {"desired": {"enum": _WITHOUT_SPEC}}, "required": ["desired"]},
            "else": {"required": ["spec"]},
        }

    def _spec(self) -> dict[str, Any]:
        kind, shape = self._kind, create_shape(self._kind)
        schema = self._structure_body(shape)
        schema["properties"].pop(kind.token_member, None)
        schema["required"] = [name for name in schema["required"] if name not in {kind.name_member, kind.token_member}]
        if kind.marks_with_tag and kind.tags_member in schema["properties"]:
            tags = schema["properties"][kind.tags_member]
            tags["maxItems"] -= OWN_TAGS
        return {**schema, "description": FIELDS["spec"].documentation}

    def _schema(self, shape: Shape) -> dict[str, Any]:
        description = plain_text(shape.documentation)
        return {**self._bare(shape), **({"description": description} if description else {})}

    def _bare(self, shape: Shape) -> dict[str, Any]:
        if getattr(shape, "is_document_type", False) or shape.serialization.get("jsonvalue"):
            return {}
        if shape.type_name == "structure":
            return self._structure(shape)
        if shape.type_name == "list":
            return {"type": "array", "items": self._schema(shape.member), **_bounds(shape)}
        if shape.type_name == "map":
            names, values = self._schema(shape.key), self._schema(shape.value)
            return {"type": "object", "propertyNames": names, "additionalProperties": values, **_bounds(shape)}
        return _scalar(shape)

    def _structure(self, shape: StructureShape) -> dict[str, Any]:
        name = f"{self._kind.name}.{shape.name}"
        if name not in self.shapes:
            self.shapes[name] = {}  # a shape that holds itself refers to what is being made
            self.shapes[name] = self._structure_body(shape)
        return _reference(name)

    def _structure_body(self, shape: StructureShape) -> dict[str, Any]:
        body = {
            "type": "object",
            "properties": {name: self._schema(member) for name, member in shape.members.items()},
            "required": list(shape.metadata.get("required", ())),
            "additionalProperties": False,
        }
        return body | ({"minProperties": 1, "maxProperties": 1} if shape.is_tagged_union else {})


def _bounds(shape: Shape) -> dict[str, Any]:
    names = _BOUNDS.get(shape.type_name, ())
    return {
        name: shape.metadata[key] for name, key in zip(names, ("min", "max"), strict=False) if key in shape.metadata
    }


def _scalar(shape: Shape) -> dict[str, Any]:
    """A scalar's schema."""
    if "enum" in shape.metadata:
        return {"enum": list(shape.metadata["enum"])}
    schema = {"type": _TYPES.get(shape.type_name, shape.type_name), **_bounds(shape)}
    pattern = portable(shape.metadata["pattern"]) if "pattern" in shape.metadata else None
    return schema if pattern is None else {**schema, "pattern": pattern}
