"""What is fuzzed with: documents grown from the models of the create operations, texts that are none, and anything.

Invariant: strategies only; what must hold of their values is in `fuzz_checks`.
"""

import json
from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import strategies as st

from controller.documents import INLINE_BYTES_MAX
from controller.documents.create_shape import create_shape
from controller.kinds import KINDS as KINDS_KNOWN
from tests.documents import KINDS, spec_of

DEPTH_MAX = 6
TEXT = st.text(max_size=40) | st.sampled_from(
    ("", " ", "\x00", "\x1b[2J", "\ud800", "é" * 20, "-" * 60 + "!", "a" * 300, "../../etc", "'; DROP TABLE jobs; --")
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from((2**63, -(2**63) - 1, 10**400, "2026-11-21", "NaN"))
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,20}", fullmatch=True)
MEMBERS: Mapping[str, st.SearchStrategy[Any]] = {
    "desired": st.sampled_from(("Completed", "Stopped", "Absent", "completed", "Deleted")),
    "scope": st.sampled_from(("default", "other", "")),
    "generation": st.integers(-5, 2**63),
    "priority": st.integers(-1100, 1100),
    "group": TEXT | st.sampled_from(("red", "blue")),
    "labels": st.dictionaries(TEXT, TEXT, max_size=3),
    "retry": st.fixed_dictionaries(
        {"attempts": st.integers(0, 20)},
        optional={
            "reasons": st.lists(st.sampled_from(("JobFailed", "Expired", "ServiceError", "Lost", "x")), max_size=3),
            "backoffSeconds": st.integers(-1, 60) | st.floats(0, 60),
        },
    ),
    "partial": st.sampled_from(("success", "failure", "maybe")),
    "deadlineSeconds": st.integers(-1, 10**9) | st.floats(),
    "onUncertain": st.sampled_from(("hold", "retry", "forget")),
    "onSpecChange": st.sampled_from(("reject", "replace", "ignore")),
}


def of_shape(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a modelled shape: of its type, mostly within its bounds."""
    if depth > DEPTH_MAX:
        return SCALARS
    if isinstance(shape, StructureShape):
        required = set(shape.required_members)
        members = {name: of_shape(member, depth + 1) for name, member in shape.members.items()}
        return st.fixed_dictionaries(
            {name: value for name, value in members.items() if name in required},
            optional={name: value for name, value in members.items() if name not in required},
        )
    if isinstance(shape, ListShape):
        return st.lists(of_shape(shape.member, depth + 1), max_size=3)
    if isinstance(shape, MapShape):
        return st.dictionaries(of_shape(shape.key, depth + 1), of_shape(shape.value, depth + 1), max_size=3)
    if shape.type_name == "string":
        texts = st.sampled_from(
            ("s3://bucket/key", "arn:aws:iam::123456789012:role/batch", "amazon.nova-lite-v1:0", "us-east-1", "job-1")
        )
        return st.sampled_from(shape.enum) if getattr(shape, "enum", None) else texts | TEXT
    if shape.type_name in {"integer", "long"}:
        return st.integers(0, 200) | st.integers()
    if shape.type_name == "boolean":
        return st.booleans()
    return st.floats(0, 1) | SCALARS


SPECS = {kind: of_shape(create_shape(KINDS_KNOWN[kind])) for kind in KINDS}
WHOLE = {kind: [spec_of(kind, number) for number in range(3)] for kind in KINDS}


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """One document as a parsed value: good, almost good, or hardly one."""
    kind = draw(st.sampled_from(KINDS))
    manner = draw(st.integers(0, 9))
    if manner == 0:
        return draw(JSON)
    spec = draw(SPECS[kind]) if manner < 4 else draw(st.sampled_from(WHOLE[kind]))
    made: dict[str, Any] = {"kind": kind, "name": draw(NAMES), "spec": spec}
    chosen = draw(st.sets(st.sampled_from(tuple(MEMBERS)), max_size=4))
    made |= {member: draw(MEMBERS[member]) for member in sorted(chosen)}
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2)))):
        made = _changed(draw, made)
    return made


def _changed(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """One member, here or further down, replaced, removed or added."""
    names = sorted(value)
    name = draw(st.sampled_from(names)) if names else "name"
    inner = value.get(name)
    if isinstance(inner, dict) and inner and draw(st.booleans()):
        return {**value, name: _changed(draw, inner)}
    match draw(st.integers(0, 2)):
        case 0:
            return {other: kept for other, kept in value.items() if other != name}
        case 1:
            return {**value, draw(TEXT): draw(JSON)}
        case _:
            return {**value, name: draw(JSON)}


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """The body of a queue message: one document, a list, or bytes that are neither."""
    if draw(st.integers(0, 4)):
        value = draw(documents()) if draw(st.booleans()) else draw(st.lists(documents(), min_size=1, max_size=5))
        return json.dumps(value, default=str).encode("utf-8", "surrogatepass")
    return draw(st.binary(max_size=200) | st.text(max_size=200).map(_encoded) | _repeated())


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def _repeated(draw: st.DrawFn) -> bytes:
    """As long as what is read on the event loop, of one part over and over, within something that looks good."""
    part = draw(st.binary(min_size=1, max_size=6) | st.sampled_from((b"[", b'{"a":', b'"\\u0000",', b"-", b"9", b"\\")))
    before = draw(
        st.sampled_from((b"", b"[", b'{"kind": "', b'{"name": "', b'{"spec": {"jobName": "', b'{"priority": '))
    )
    count = draw(st.integers(1, INLINE_BYTES_MAX // len(part)))
    return before + part * min(count, (INLINE_BYTES_MAX - len(before)) // len(part))


def settings_values() -> st.SearchStrategy[dict[str, Any]]:
    """Settings as a file could hold them: groups that there are, with values that may not fit."""
    groups = ("store", "queue", "events", "http", "reconcile", "aws", "scopes", "limits", "simulator", "log", "other")
    members = st.sampled_from(
        ("url", "sources", "sinks", "port", "interval", "pool", "default", "rate", "jobs", *KINDS, "token", "speed")
    )
    plain = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXT.filter(_is_written)
    inner = st.dictionaries(members, plain | st.lists(plain, max_size=3) | st.dictionaries(members, plain, max_size=2))
    return st.dictionaries(st.sampled_from((*groups, "instance", "grace_s")), plain | inner, max_size=4)


def _is_written(text: str) -> bool:
    return text.isprintable() and "\ud800" not in text
