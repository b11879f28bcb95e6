"""Every rule of the model on small shapes; botocore's own validator as the peer on the shapes of the four kinds."""

import time
from typing import Any

import pytest
from botocore.model import Shape, ShapeResolver
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.documents.create_shape import create_shape, spec_validator
from controller.kinds import KINDS
from controller.validation import ShapeValidator, described, did_you_mean, quoted
from controller.validation.patterns import compile_pattern

SHAPES: dict[str, Any] = {
    "Text": {"type": "string"},
    "Short": {"type": "string", "min": 2, "max": 4},
    "One": {"type": "string", "min": 1},
    "Code": {"type": "string", "pattern": "[0-9]{3}|x"},
    "Anchored": {"type": "string", "pattern": "^[a-z]+$"},
    "HalfAnchored": {"type": "string", "pattern": "^[a-z]+"},
    "InnerAnchored": {"type": "string", "pattern": "(a$)|^b"},
    "Digits": {"type": "string", "pattern": "\\d+"},
    "Words": {"type": "string", "pattern": "[\\w-]+"},
    "Dotted": {"type": "string", "pattern": ".+"},
    "Broken": {"type": "string", "pattern": "(?=x)["},
    "Color": {"type": "string", "enum": ["Red", "DarkBlue"]},
    "Count": {"type": "integer", "min": 24, "max": 168},
    "Integer": {"type": "integer"},
    "Long": {"type": "long"},
    "Share": {"type": "float", "min": 0, "max": 1},
    "Float": {"type": "float"},
    "Double": {"type": "double"},
    "Flag": {"type": "boolean"},
    "When": {"type": "timestamp"},
    "Bytes": {"type": "blob", "max": 3},
    "List": {"type": "list", "member": {"shape": "Count"}, "min": 1, "max": 2},
    "Map": {"type": "map", "key": {"shape": "Short"}, "value": {"shape": "Flag"}, "max": 1},
    "Any": {"type": "structure", "members": {}, "document": True},
    "Choice": {"type": "structure", "members": {"a": {"shape": "Flag"}, "b": {"shape": "Flag"}}, "union": True},
    "Pair": {
        "type": "structure",
        "members": {"key": {"shape": "Text"}, "theValue": {"shape": "Text"}},
        "required": ["key"],
    },
    "Tree": {"type": "structure", "members": {"below": {"shape": "Trees"}, "flag": {"shape": "Flag"}}},
    "Trees": {"type": "list", "member": {"shape": "Tree"}},
    "Flags": {"type": "list", "member": {"shape": "Flag"}},
    "Request": {
        "type": "structure",
        "members": {"name": {"shape": "Code"}, "token": {"shape": "Text"}, "tags": {"shape": "List"}},
        "required": ["name", "token"],
    },
}


def shape(name: str) -> Shape:
    return ShapeResolver(SHAPES).get_shape_by_name(name)


def problems(name: str, value: Any) -> list[str]:
    return ShapeValidator(shape(name)).problems(value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param("Text", 1, ["spec: 1 is not a string"], id="string-type"),
        pytest.param("Text", None, ["spec: null is not a string"], id="string-null"),
        pytest.param("Text", ["a"], ["spec: a list is not a string"], id="string-list"),
        pytest.param(
            "Text", "a\ud800", ['spec: "a\\ud800" holds a lone surrogate, which is not a character'], id="surrogate"
        ),
        pytest.param("Short", "abcde", ["spec: has 5 characters, the maximum is 4"], id="string-long"),
        pytest.param("One", "", ["spec: has 0 characters, the minimum is 1"], id="string-empty"),
        pytest.param("Short", "a", ["spec: has 1 character, the minimum is 2"], id="string-short"),
        pytest.param("Short", "é😀", [], id="length-counts-characters"),
        pytest.param("Code", "123", [], id="pattern"),
        pytest.param("Code", "x", [], id="pattern-alternative"),
        pytest.param("Code", "1234", ['spec: "1234" does not match the pattern [0-9]{3}|x'], id="pattern-whole"),
        pytest.param("Code", "xy", ['spec: "xy" does not match the pattern [0-9]{3}|x'], id="alternative-whole"),
        pytest.param("Code", "x\n", ['spec: "x\\n" does not match the pattern [0-9]{3}|x'], id="trailing-newline"),
        pytest.param("Anchored", "abc", [], id="pattern-anchored"),
        pytest.param("Anchored", "abc1", ['spec: "abc1" does not match the pattern ^[a-z]+$'], id="anchored-whole"),
        pytest.param(
            "HalfAnchored", "a.b", ['spec: "a.b" does not match the pattern ^[a-z]+'], id="half-anchored-whole"
        ),
        pytest.param("InnerAnchored", "a", [], id="anchor-in-first-alternative"),
        pytest.param("InnerAnchored", "b", [], id="anchor-in-second-alternative"),
        pytest.param(
            "InnerAnchored", "bc", ['spec: "bc" does not match the pattern (a$)|^b'], id="inner-anchored-whole"
        ),
        pytest.param("Digits", "42", [], id="digits"),
        pytest.param("Digits", "٤٢", ['spec: "٤٢" does not match the pattern \\d+'], id="digits-are-ascii"),
        pytest.param("Words", "a_1-", [], id="words-in-class"),
        pytest.param("Words", "é", ['spec: "é" does not match the pattern [\\w-]+'], id="words-are-ascii"),
        pytest.param("Dotted", "a\rb", ['spec: "a\\rb" does not match the pattern .+'], id="dot-is-one-line"),
        pytest.param("Dotted", "a" * 16_385, ["spec: has 16385 characters, the maximum is 16384"], id="judged-length"),
        pytest.param("Broken", "anything", [], id="pattern-skipped"),
        pytest.param("Color", "Red", [], id="enum"),
        pytest.param("Color", "red", ['spec: "red" is not one of Red, DarkBlue, did you mean Red?'], id="enum-near"),
        pytest.param("Color", "x", ['spec: "x" is not one of Red, DarkBlue'], id="enum-far"),
        pytest.param("Count", 12, ["spec: 12 is below the minimum 24"], id="integer-minimum"),
        pytest.param("Count", 169, ["spec: 169 is above the maximum 168"], id="integer-maximum"),
        pytest.param("Count", True, ["spec: true is not an integer"], id="boolean-is-no-integer"),
        pytest.param("Count", 24.0, ["spec: 24.0 is not an integer"], id="float-is-no-integer"),
        pytest.param("Count", "24", ['spec: "24" is not an integer'], id="text-is-no-integer"),
        pytest.param("Integer", 2**31, ["spec: 2147483648 does not fit 32 bits"], id="integer-overflow"),
        pytest.param("Long", 2**31, [], id="long"),
        pytest.param("Long", 2**63, ["spec: 9223372036854775808 does not fit 64 bits"], id="long-overflow"),
        pytest.param("Long", 10**5000, ["spec: a huge number does not fit 64 bits"], id="long-huge"),
        pytest.param("Share", 1, [], id="float-whole"),
        pytest.param("Share", -0.5, ["spec: -0.5 is below the minimum 0"], id="float-minimum"),
        pytest.param("Share", 1.5, ["spec: 1.5 is above the maximum 1"], id="float-maximum"),
        pytest.param("Share", False, ["spec: false is not a number"], id="boolean-is-no-number"),
        pytest.param("Float", 1e39, ["spec: 1e+39 is too large"], id="float-overflow"),
        pytest.param("Double", float("nan"), ["spec: nan is not a finite number"], id="nan"),
        pytest.param("Double", float("-inf"), ["spec: -inf is not a finite number"], id="infinity"),
        pytest.param("Double", 10**400, ["spec: a huge number is too large"], id="double-huge"),
        pytest.param("Flag", 1, ["spec: 1 is not a boolean"], id="boolean"),
        pytest.param("When", "2026-11-21T03:00:00Z", [], id="time"),
        pytest.param("When", 1_790_000_000.5, [], id="time-epoch"),
        pytest.param(
            "When", "2026-13-21", ['spec: "2026-13-21" is not a time such as 2026-11-21T03:00:00Z'], id="month-13"
        ),
        pytest.param("When", True, ["spec: true is not a time such as 2026-11-21T03:00:00Z"], id="time-boolean"),
        pytest.param(
            "When", 10**20, ["spec: 100000000000000000000 is not a time such as 2026-11-21T03:00:00Z"], id="time-far"
        ),
        pytest.param("Bytes", "éé", ["spec: has 4 bytes, the maximum is 3"], id="blob-counts-bytes"),
        pytest.param("Bytes", 1, ["spec: 1 is not a string"], id="blob-type"),
        pytest.param("List", {}, ["spec: an object is not a list"], id="list-type"),
        pytest.param("List", [], ["spec: has 0 items, the minimum is 1"], id="list-minimum"),
        pytest.param(
            "List",
            [24, 1, None],
            [
                "spec: has 3 items, the maximum is 2",
                "spec[1]: 1 is below the minimum 24",
                "spec[2]: null is not an integer",
            ],
            id="list-items",
        ),
        pytest.param("Map", [], ["spec: a list is not an object"], id="map-type"),
        pytest.param(
            "Map",
            {"a": True, "bc": 1},
            [
                "spec: has 2 entries, the maximum is 1",
                "spec.a (key): has 1 character, the minimum is 2",
                "spec.bc: 1 is not a boolean",
            ],
            id="map-entries",
        ),
        pytest.param("Any", {"a": [1, None, {"b": 1.5}], "": "x"}, [], id="document"),
        pytest.param("Any", None, [], id="document-null"),
        pytest.param("Any", {"a": [float("inf")]}, ["spec.a[0]: inf is not a finite number"], id="document-infinity"),
        pytest.param(
            "Any", {"a b": 2**63}, ['spec["a b"]: 9223372036854775808 does not fit 64 bits'], id="document-long"
        ),
        pytest.param("Any", {"a": {1}}, ["spec.a: is not a JSON value"], id="document-not-json"),
        pytest.param(
            "Any", {"a\ud800": 1}, ['spec["a\\ud800"]: this key is not a string of characters'], id="document-key"
        ),
        pytest.param("Choice", {"a": True}, [], id="union"),
        pytest.param("Choice", {}, ["spec: needs exactly one of a, b, has 0"], id="union-none"),
        pytest.param("Choice", {"a": True, "b": True}, ["spec: needs exactly one of a, b, has 2"], id="union-two"),
        pytest.param("Pair", {}, ["spec.key: is required"], id="required"),
        pytest.param("Pair", {"key": None}, ["spec.key: null is not a string"], id="required-null"),
        pytest.param("Pair", "x", ['spec: "x" is not an object'], id="structure-type"),
        pytest.param(
            "Pair", {"key": "k", "thevalue": "v"}, ["spec.thevalue: unknown member, did you mean theValue?"], id="near"
        ),
        pytest.param(
            "Pair", {"key": "k", "zzz": 1}, ["spec.zzz: unknown member, known are key, theValue"], id="unknown"
        ),
        pytest.param(
            "Pair",
            {"key": "k", "\x1b[31m": 1},
            ['spec["\\u001b[31m"]: unknown member, known are key, theValue'],
            id="escape",
        ),
        pytest.param("Tree", {"below": [{"flag": 1}]}, ["spec.below[0].flag: 1 is not a boolean"], id="recursive"),
    ],
)
def test_rule(name: str, value: Any, expected: list[str]) -> None:
    assert problems(name, value) == expected


def test_members_that_ferryman_fills_in() -> None:
    validator = ShapeValidator(
        shape("Request"), forbidden={"token": "not yours"}, optional=["name"], reserved={"tags": 1}
    )
    assert validator.problems({}) == []
    assert validator.problems({"name": "y", "token": "t", "tags": [24, 24]}) == [
        'spec.name: "y" does not match the pattern [0-9]{3}|x',
        "spec.token: not yours",
        "spec.tags: has 2 items, the maximum is 1, since Ferryman adds 1 of its own",
    ]


def test_problems_are_counted_beyond_fifty() -> None:
    found = problems("Flags", [1] * 80)
    assert len(found) == 51
    assert found[49:] == ["spec[49]: 1 is not a boolean", "and 30 more problems"]


def test_nesting_is_bounded() -> None:
    tree: dict[str, Any] = {}
    document: list[Any] = []
    for _ in range(5000):
        tree, document = {"below": [tree]}, [document]
    assert problems("Tree", tree) == [f"spec{'.below[0]' * 32}: is nested deeper than 64 levels"]
    assert problems("Any", document) == [f"spec{'[0]' * 64}: is nested deeper than 64 levels"]


def test_values_are_bounded() -> None:
    assert problems("Flags", [True] * 100_001) == ["spec: the whole holds more than 100000 values"]


def test_a_pattern_that_does_not_compile_is_counted() -> None:
    assert ShapeValidator(shape("Broken")).skipped_patterns == 1
    assert ShapeValidator(shape("Code")).skipped_patterns == 0


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.short)
def test_every_pattern_of_the_kinds_compiles(kind: Any) -> None:
    assert spec_validator(kind).skipped_patterns == 0
    for pattern in _patterns(create_shape(kind)):
        assert compile_pattern(pattern) is not None
        # These are set operators in the Rust engine and plain characters in those of AWS.
        assert not any(operator in pattern for operator in ("&&", "--", "~~"))


def _patterns(held: Shape) -> list[str]:
    if held.type_name == "structure":
        return [pattern for member in held.members.values() for pattern in _patterns(member)]
    if held.type_name == "list":
        return _patterns(held.member)
    if held.type_name == "map":
        return _patterns(held.key) + _patterns(held.value)
    return [held.metadata["pattern"]] if "pattern" in held.metadata else []


@pytest.mark.parametrize("name", ["-" * 60 + "!", "a" + "-" * 60 + "!", "a-" * 31 + "!"])
def test_an_exponential_pattern_is_judged_in_linear_time(name: str) -> None:
    validator = spec_validator(KINDS["bedrock.ModelInvocationJob"])
    started = time.thread_time()
    found = validator.problems({"jobName": name})
    elapsed_s = time.thread_time() - started
    assert any(problem.startswith("spec.jobName: ") and "does not match the pattern" in problem for problem in found)
    assert elapsed_s < 0.01


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("\x1b]0;title\x07", '"\\u001b]0;title\\u0007"', id="terminal-escape"),
        pytest.param('say "hi"\n', '"say \\"hi\\"\\n"', id="quotes"),
        pytest.param("\u202eabc", '"\\u202eabc"', id="reordering"),
        pytest.param("x" * 100, '"' + "x" * 57 + '..."', id="cut"),
        pytest.param("\ud800", '"\\ud800"', id="surrogate"),
        pytest.param("\U000e0001", '"\\U000e0001"', id="beyond-the-plane"),
        pytest.param("日本", '"日本"', id="printable"),
        pytest.param(True, "true", id="true"),
        pytest.param(None, "null", id="null"),
        pytest.param(10**5000, "a huge number", id="huge"),
        pytest.param({}, "an object", id="object"),
        pytest.param(b"x", "not a JSON value", id="bytes"),
    ],
)
def test_quoted(value: Any, expected: str) -> None:
    assert quoted(value) == expected


@given(st.text())
def test_quoted_text_is_short_and_safe(text: str) -> None:
    shown = quoted(text)
    assert shown.isprintable()
    assert len(shown) <= 62


def test_described() -> None:
    values: list[Any] = [None, True, "", 1, 1.5, {}, []]
    assert [described(value) for value in values] == [
        "null",
        "a boolean",
        "a string",
        "a number",
        "a number",
        "an object",
        "a list",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("role_arn", "roleArn", id="snake"),
        pytest.param("RoleARN", "roleArn", id="case"),
        pytest.param("rolArn", "roleArn", id="typing"),
        pytest.param("colour", None, id="far"),
        pytest.param("x" * 100_000, None, id="long"),
        pytest.param(7, None, id="number"),
    ],
)
def test_did_you_mean(name: Any, expected: str | None) -> None:
    assert did_you_mean(name, ["roleArn", "modelId"]) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def botocore_refuses(value: Any, whole: Shape) -> bool:
    try:
        return bool(ParamValidator().validate(value, whole).has_errors())
    except RuntimeError:  # it cannot say no to a time beyond the calendar
        return True


def values_of(held: Shape) -> st.SearchStrategy[Any]:
    """Values that are often valid by botocore's rules, and wrong in every way now and then."""
    if getattr(held, "is_document_type", False):
        return JSON
    match held.type_name:
        case "structure":
            usual: st.SearchStrategy[Any] = st.fixed_dictionaries(
                {}, optional={name: values_of(member) for name, member in held.members.items()}
            )
        case "list":
            usual = st.lists(values_of(held.member), max_size=3)
        case "map":
            usual = st.dictionaries(st.text(max_size=3), values_of(held.value), max_size=3)
        case "string":
            usual = st.text(max_size=5) | st.sampled_from(held.metadata.get("enum", ["a"]))
        case "integer" | "long":
            usual = st.integers(-1, 200)
        case "float" | "double":
            usual = st.floats(-1, 2)
        case _:
            usual = st.booleans()
    return usual | JSON if held.type_name == "structure" else st.one_of(usual, usual, usual, JSON)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.short)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_botocore_refuses_is_refused(kind: Any, data: st.DataObject) -> None:
    whole = create_shape(kind)
    value = data.draw(values_of(whole))
    if botocore_refuses(value, whole):
        assert ShapeValidator(whole).problems(value)


@pytest.mark.parametrize("name", sorted(SHAPES))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_botocore_refuses_of_each_type_is_refused(name: str, data: st.DataObject) -> None:
    whole = shape(name)
    value = data.draw(values_of(whole) if name not in {"Tree", "Trees"} else JSON)
    if botocore_refuses(value, whole):
        assert ShapeValidator(whole).problems(value)
