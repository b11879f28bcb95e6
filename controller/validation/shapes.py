"""Compiles a botocore shape into one function that checks a value.

Invariant: a shape is walked once, when the validator is made; checking a value touches the model no more. Shapes that
hold themselves are compiled once and bounded in depth when they are used.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from controller.validation.findings import Findings, check_json
from controller.validation.quoting import child_path, listed, quoted
from controller.validation.scalars import (
    Check,
    blob_check,
    check_boolean,
    check_timestamp,
    count_problem,
    float_check,
    integer_check,
    length_bounds,
    string_check,
)


class ShapeValidator:
    """Checks values against one shape.

    `forbidden` names members of the outermost structure that a value must not hold, each with the reason; `optional`
    names required ones that it may leave out; `reserved` names lists of it that must stay so many items below their
    modelled maximum. These are how Ferryman's own members are kept apart from the user's.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        forbidden: Mapping[str, str] | None = None,
        optional: Iterable[str] = (),
        reserved: Mapping[str, int] | None = None,
    ) -> None:
        compiler = _Compiler()
        self._check = compiler.outermost(shape, forbidden or {}, frozenset(optional), reserved or {})
        self.skipped_patterns = compiler.skipped_patterns
        """How many modelled patterns the engine could not compile; values are not checked against them."""

    def problems(self, value: Any, path: str = "spec") -> list[str]:
        """All that is wrong, one line each, at most 50 and one line that counts the rest; empty where it is valid.

        `spec.timeoutDurationInHours: 12 is below the minimum 24`
        """
        findings = Findings()
        self._check(value, path, findings)
        return findings.problems()


class _Compiler:
    def __init__(self) -> None:
        self.skipped_patterns = 0
        self._structures: dict[str, Check] = {}
        self._open: set[str] = set()

    def outermost(
        self, shape: Shape, forbidden: Mapping[str, str], optional: frozenset[str], reserved: Mapping[str, int]
    ) -> Check:
        if not (forbidden or optional or reserved):
            return self.compile(shape)
        members = {
            name: self.compile(member) if name not in reserved else self._list(member, reserved[name])
            for name, member in shape.members.items()
            if name not in forbidden
        }
        required = [name for name in shape.metadata.get("required", ()) if name not in optional | forbidden.keys()]
        return _structure_check(members, required, union=False, forbidden=forbidden)

    def compile(self, shape: Shape) -> Check:
        if shape.serialization.get("jsonvalue") or getattr(shape, "is_document_type", False):
            return check_json
        match shape.type_name:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case "integer" | "long":
                return integer_check(shape)
            case "float" | "double":
                return float_check(shape)
            case "boolean":
                return check_boolean
            case "timestamp":
                return check_timestamp
            case "blob":
                return blob_check(shape)
            case _:
                return self._string(shape)

    def _string(self, shape: Shape) -> Check:
        check, skipped = string_check(shape)
        self.skipped_patterns += skipped
        return check

    def _structure(self, shape: StructureShape) -> Check:
        name = shape.name
        if name in self._open:

            def check_itself(value: Any, path: str, findings: Findings) -> None:
                self._structures[name](value, path, findings)

            return check_itself
        if name not in self._structures:
            self._open.add(name)
            members = {key: self.compile(member) for key, member in shape.members.items()}
            required = shape.metadata.get("required", ())
            self._structures[name] = _structure_check(members, required, union=shape.is_tagged_union)
            self._open.remove(name)
        return self._structures[name]

    def _list(self, shape: ListShape, reserved: int = 0) -> Check:
        minimum, maximum = length_bounds(shape)
        item_check = self.compile(shape.member)
        reason = f", since Ferryman adds {reserved} of its own" if reserved else ""

        def check(value: Any, path: str, findings: Findings) -> None:
            if not isinstance(value, list):
                findings.add(path, f"{quoted(value)} is not a list")
                return
            if problem := count_problem(len(value), minimum, maximum - reserved, "item"):
                findings.add(path, problem + reason)
            if findings.spend(path, len(value)) and findings.deepen(path):
                for index, item in enumerate(value):
                    item_check(item, f"{path}[{index}]", findings)
                findings.depth -= 1

        return check

    def _map(self, shape: MapShape) -> Check:
        minimum, maximum = length_bounds(shape)
        key_check, value_check = self.compile(shape.key), self.compile(shape.value)

        def check(value: Any, path: str, findings: Findings) -> None:
            if not isinstance(value, dict):
                findings.add(path, f"{quoted(value)} is not an object")
                return
            if problem := count_problem(len(value), minimum, maximum, "entry"):
                findings.add(path, problem)
            if findings.spend(path, len(value)) and findings.deepen(path):
                for key, item in value.items():
                    item_path = child_path(path, key)
                    key_check(key, f"{item_path} (key)", findings)
                    value_check(item, item_path, findings)
                findings.depth -= 1

        return check


def _structure_check(
    members: Mapping[str, Check], required: Iterable[str], *, union: bool, forbidden: Mapping[str, str] | None = None
) -> Check:
    known, needed, refused = list(members), tuple(required), forbidden or {}

    def check(value: Any, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            findings.add(path, f"{quoted(value)} is not an object")
            return
        if not findings.spend(path, len(value)) or not findings.deepen(path):
            return
        for name in needed:
            if name not in value:
                findings.add(child_path(path, name), "is required")
        if union and len(value) != 1:
            findings.add(path, f"needs exactly one of {listed(known)}, has {len(value)}")
        for name, item in value.items():
            if (member_check := members.get(name)) is not None:
                member_check(item, f"{path}.{name}", findings)
            elif name in refused:
                findings.add(child_path(path, name), refused[name])
            else:
                findings.unknown_member(path, name, known)
        findings.depth -= 1

    return check
