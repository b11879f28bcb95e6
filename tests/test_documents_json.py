"""Messages and JSON files: what is read, what is refused, and that neither takes long."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.documents import (
    INLINE_BYTES_MAX,
    MESSAGE_BOUNDS,
    Bounds,
    Policy,
    Rejection,
    parse_file,
    parse_message,
    read_file,
    read_message,
    receive,
)
from controller.kinds import KINDS

POLICY = Policy(scopes={"default": frozenset()})
ABSENT = {"kind": "ModelInvocationJob", "name": "a", "desired": "Absent"}
MIB = 1024 * 1024
NO_NUMBER = "is not a number that JSON and 64 bits can hold"


def outcomes(raws: list[Any]) -> list[Any]:
    """What came out: objects as they are, rejections as their problems."""
    return [list(raw.problems) if isinstance(raw, Rejection) else raw for raw in raws]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"kind": "x"}', [{"kind": "x"}], id="one"),
        pytest.param(b' [{"a": 1}, {"b": 2}]\n', [{"a": 1}, {"b": 2}], id="list"),
        pytest.param(b'\xef\xbb\xbf{"a": "\\u00e9"}', [{"a": "é"}], id="byte-order-mark"),
        pytest.param(b'{"a": "\\ud83d\\ude00"}', [{"a": "😀"}], id="surrogate-pair"),
        pytest.param(b'{"a": [1, -1.5e3, true, null]}', [{"a": [1, -1500.0, True, None]}], id="values"),
        pytest.param(b'{"a": 9223372036854775807}', [{"a": 2**63 - 1}], id="largest-integer"),
        pytest.param(b"", [["is empty: it holds no document"]], id="empty"),
        pytest.param(b" \r\n\t", [["is empty: it holds no document"]], id="blank"),
        pytest.param(b"[]", [["is an empty list: it holds no document"]], id="empty-list"),
        pytest.param(b"null", [["a document is an object; this is null"]], id="null"),
        pytest.param(b'"x"', [["a document is an object; this is a string"]], id="string"),
        pytest.param(
            b"{",
            [["not JSON at column 2: expecting property name enclosed in double quotes"]],
            id="cut-off",
        ),
        pytest.param(b'{"a": 1} x', [["not JSON at column 10: extra data"]], id="trailing"),
        pytest.param(b'{"a": "\x00"}', [["not JSON at column 8: invalid control character at"]], id="control"),
        pytest.param(b"kind: x", [["not JSON at column 1: expecting value"]], id="yaml"),
        pytest.param(b"\xff\xfe{\x00", [["is not UTF-8: byte 0 cannot be read"]], id="utf-16"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', [["is not UTF-8: byte 7 cannot be read"]], id="surrogate-in-utf-8"),
        pytest.param(b'{"a": NaN}', [[f"a: NaN {NO_NUMBER}"]], id="nan"),
        pytest.param(b'{"a": [-Infinity]}', [[f"a[0]: -Infinity {NO_NUMBER}"]], id="infinity"),
        pytest.param(b'{"a": 1e400}', [[f"a: 1e400 {NO_NUMBER}"]], id="float-overflow"),
        pytest.param(b'{"a": 9223372036854775808}', [[f"a: 9223372036854775808 {NO_NUMBER}"]], id="integer-overflow"),
        pytest.param(
            b'{"a": 1' + b"0" * 400 + b"}", [[f"a: 1{'0' * 36}... {NO_NUMBER}"]], id="ten-to-the-four-hundred"
        ),
        pytest.param(
            b'{"a": "\\ud800"}',
            [['a: "\\ud800" holds a lone surrogate, which is not a character']],
            id="lone-surrogate",
        ),
        pytest.param(
            b'{"\\uDC00": 1}',
            [["document: the name of a member holds a lone surrogate, which is not a character"]],
            id="lone-surrogate-in-a-name",
        ),
        pytest.param(
            b'{"a": {"b": 1, "c": 2, "b": 3}}', [['a: the member "b" stands twice in this object']], id="twice"
        ),
        pytest.param(
            b'{"b": NaN, "a": {"c": 1e999, "d": 2, "d": 3}}',
            [[f"b: NaN {NO_NUMBER}", 'a: the member "d" stands twice in this object', f"a.c: 1e999 {NO_NUMBER}"]],
            id="all-flaws-in-order",
        ),
        pytest.param(b"[" * 5000 + b"]" * 5000, [["is nested deeper than 64 levels"]], id="deep"),
        pytest.param(b"[" * 5000, [["is nested deeper than 64 levels"]], id="deep-and-cut-off"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, [["is nested deeper than 64 levels"]], id="deep-objects"),
        pytest.param(b'\\"' + b"[" * 5000, [["is nested deeper than 64 levels"]], id="deep-after-a-stray-backslash"),
        pytest.param(
            b'{"a": "' + b"[" * 5000 + b'\\"' + b"," * 200_000 + b'"}',
            [{"a": "[" * 5000 + '"' + "," * 200_000}],
            id="brackets-and-commas-in-a-string",
        ),
    ],
)
def test_message(data: bytes, expected: list[Any]) -> None:
    assert outcomes(parse_message(data)) == expected


def test_sixty_four_levels_are_read() -> None:
    assert isinstance(parse_message(b'{"a":' * 64 + b"1" + b"}" * 64)[0], dict)
    assert isinstance(parse_message(b'{"a":' * 65 + b"1" + b"}" * 65)[0], Rejection)


def test_a_bad_item_hurts_no_neighbour() -> None:
    items = [
        "null",
        "1",
        '"x"',
        "[]",
        '{"kind": "k", "name": NaN}',
        '{"a": 1, "a": 2}',
        '{"b": "\\ud800"}',
        '{"c": 1e999}',
    ]
    good = json.dumps(ABSENT)
    raws = parse_message(("[" + ",".join(f"{good},{item}" for item in items) + f",{good}]").encode())
    assert raws[::2] == [ABSENT] * 9
    assert outcomes(raws[1::2]) == [
        ["a document is an object; this is null"],
        ["a document is an object; this is a number"],
        ["a document is an object; this is a string"],
        ["a document is an object; this is a list"],
        [f"name: NaN {NO_NUMBER}"],
        ['document: the member "a" stands twice in this object'],
        ['b: "\\ud800" holds a lone surrogate, which is not a character'],
        [f"c: 1e999 {NO_NUMBER}"],
    ]
    flawed = raws[9]
    assert isinstance(flawed, Rejection)
    assert flawed.identity.kind == "k"
    assert flawed.body == '{"kind":"k","name":"NaN"}'


def test_a_message_is_bounded() -> None:
    assert outcomes(parse_message(b" " * (MIB + 1))) == [["has 1048577 bytes, the maximum is 1048576"]]
    assert outcomes(parse_message(b"[" + b"1," * 20_000 + b"1]")) == [["holds more than 10485 documents"]]
    assert outcomes(parse_message(b'{"a":[' + b"1," * 200_000 + b"1]}")) == [["holds more than 149796 values"]]
    assert outcomes(parse_message(b"[1,2]", Bounds(size_max=4, documents_max=9, nodes_max=9))) == [
        ["has 5 bytes, the maximum is 4"]
    ]


def test_a_rejected_message_keeps_its_body() -> None:
    (rejection,) = parse_message(b'{"a": "\xff\x00')
    assert isinstance(rejection, Rejection)
    assert rejection.body == '{"a": "\\xff\\u0000'


def worst_messages(size: int) -> dict[str, bytes]:
    """What costs most to read or refuse, each about so many bytes long."""
    body = {
        "kind": "AdvancedPromptOptimizationJob",
        "name": "a",
        "spec": {"modelConfigurations": [{"modelId": "a", "additionalModelRequestFields": {"a": "?"}}]},
    }
    whole = json.dumps(body)
    return {
        "documents": b"[" + b",".join([json.dumps(ABSENT).encode()] * (size // 70)) + b"]",
        "empty objects": b"[" + b",".join([b'{"a":0}'] * (size // 8)) + b"]",
        "brackets": b"[" * size,
        "members": b"{" + b",".join(b'"%d":1' % number for number in range(size // 13)) + b"}",
        "repeated members": b"{" + b",".join(b'"%d":1' % (number % 9) for number in range(size // 7)) + b"}",
        "labels": b'{"labels":{' + b",".join(b'"%d":1' % number for number in range(size // 13)) + b"}}",
        "not numbers": b'{"a":[' + b",".join([b"NaN"] * (size // 8)) + b"]}",
        "floats": b'{"a":[' + b",".join([b"1.5e9"] * (size // 8)) + b"]}",
        "escaped quotes": b'{"a":"' + b'\\"' * (size // 2) + b'"}',
        "surrogates": b'{"a":["' + b'\\ud800","' * (size // 10) + b'"]}',
        "digits": b'{"a":' + b"1" * size + b"}",
        "any JSON": whole.replace('"?"', "[" + "12345," * (size // 6) + "1]").encode(),
    }


@pytest.mark.parametrize("name", worst_messages(100))
def test_the_worst_short_message_takes_less_than_fifty_milliseconds(name: str) -> None:
    data = worst_messages(INLINE_BYTES_MAX)[name]
    assert INLINE_BYTES_MAX / 2 < len(data) <= INLINE_BYTES_MAX * 1.2
    read_message(b"{}", KINDS, POLICY)
    elapsed_s = []
    for _ in range(3):
        started = time.thread_time()
        assert read_message(data, KINDS, POLICY)
        elapsed_s.append(time.thread_time() - started)
    assert min(elapsed_s) < 0.05


@pytest.mark.parametrize("name", worst_messages(100))
async def test_a_long_message_is_read_in_a_thread_with_the_same_outcome(name: str) -> None:
    data = worst_messages(INLINE_BYTES_MAX * 3)[name]
    assert len(data) > INLINE_BYTES_MAX
    assert await receive(data, KINDS, POLICY) == read_message(data, KINDS, POLICY)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200) | st.text(alphabet='[]{}",:\\u019aENn \n-.', max_size=200).map(str.encode))
def test_any_bytes_have_an_outcome(data: bytes) -> None:
    for raws in (parse_message(data), parse_file(data, ".json"), parse_file(data, ".jsonl"), parse_file(data, "")):
        assert raws
        for raw in raws:
            if isinstance(raw, Rejection):
                raw.body.encode()
                assert raw.problems
                assert raw.message.isprintable()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(items=st.lists(st.dictionaries(st.text(), JSON, max_size=4), min_size=1, max_size=4), ascii_only=st.booleans())
def test_good_json_comes_out_as_it_is(items: list[Any], ascii_only: bool) -> None:
    data = json.dumps(items, ensure_ascii=ascii_only).encode()
    assert parse_message(data) == items
    assert parse_file(data, ".json") == items
    lines = b"\n\r\n".join(json.dumps(item, ensure_ascii=ascii_only).encode() for item in items)
    assert parse_file(lines, ".jsonl") == items


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".JSONL"])
def test_a_bad_line_hurts_no_other(suffix: str) -> None:
    data = b'{"a": 1}\n\n{"a":\n\xff\n[{"b": 2}, 3]\r\n{"c": NaN}\n{"d": 4}'
    assert outcomes(parse_file(data, suffix)) == [
        {"a": 1},
        ["line 3: not JSON at column 6: expecting value"],
        ["line 4: is not UTF-8: byte 0 cannot be read"],
        {"b": 2},
        ["line 5: a document is an object; this is a number"],
        [f"line 6: c: NaN {NO_NUMBER}"],
        {"d": 4},
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"a": 1}', [{"a": 1}], id="json"),
        pytest.param(b'[{"a": 1},\n{"b": 2}]', [{"a": 1}, {"b": 2}], id="json-list"),
        pytest.param(b'{"a": 1}\n{"b": 2}\n', [{"a": 1}, {"b": 2}], id="json-lines"),
        pytest.param(b"{a: 1}", [{"a": 1}], id="yaml-in-braces"),
        pytest.param(b"a: on\n---\nb: 2\n", [{"a": "on"}, {"b": 2}], id="yaml"),
        pytest.param(b"\n# nothing\n", [["is empty: it holds no document"]], id="nothing"),
    ],
)
def test_standard_input_is_recognised(data: bytes, expected: list[Any]) -> None:
    assert outcomes(parse_file(data, "")) == expected


def test_files_are_bounded() -> None:
    small = Bounds(size_max=100, documents_max=2, nodes_max=50)
    assert outcomes(parse_file(b'{"a":1}\n' * 3, ".jsonl", small)) == [["holds more than 2 documents"]]
    assert outcomes(parse_file(b"a: 1\n---\n" * 3, ".yaml", small)) == [["holds more than 2 documents"]]
    for suffix in (".json", ".jsonl", ".yaml"):
        assert outcomes(parse_file(b"#" * 101, suffix, small)) == [["has 101 bytes, the maximum is 100"]]


def test_parsing_and_judging_in_one_step() -> None:
    data = json.dumps([ABSENT, ABSENT | {"priority": 2000}, 3]).encode()
    assert len(data) < MESSAGE_BOUNDS.size_max
    for documents in (read_message(data, KINDS, POLICY), read_file(data, ".json", KINDS, POLICY)):
        assert [isinstance(document, Rejection) for document in documents] == [False, True, True]
