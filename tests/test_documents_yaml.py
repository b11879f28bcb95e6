"""YAML files: YAML 1.2 in meaning, bounded in cost, one document at a time."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.documents import Bounds, Rejection, parse_file


def outcomes(text: str | bytes, **bounds: int) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    limits = Bounds(**({"size_max": 2**20, "documents_max": 1000, "nodes_max": 1000} | bounds))
    raws = parse_file(data, ".yaml", limits)
    return [list(raw.problems) if isinstance(raw, Rejection) else raw for raw in raws]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *(
            pytest.param(word, word, id=f"text-{word}")
            for word in ("on", "off", "yes", "no", "y", "n", "On", "NO", "nULL", "tRue")
        ),
        pytest.param("2026-11-21", "2026-11-21", id="date"),
        pytest.param("2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z", id="time"),
        pytest.param("12:30:45", "12:30:45", id="sexagesimal"),
        pytest.param("0010", "0010", id="leading-zero"),
        pytest.param("00.5", "00.5", id="leading-zeros-of-a-fraction"),
        pytest.param("012345678901", "012345678901", id="account"),
        pytest.param("1_000", "1_000", id="underscore"),
        pytest.param("0b1", "0b1", id="binary"),
        pytest.param("1.2.3", "1.2.3", id="version"),
        pytest.param("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", id="model"),
        pytest.param("-", ["a"], id="list"),
        pytest.param("=", "=", id="equals-sign"),
        pytest.param("", None, id="nothing"),
        *(pytest.param(word, None, id=f"null-{word}") for word in ("~", "null", "Null", "NULL")),
        *(pytest.param(word, True, id=f"true-{word}") for word in ("true", "True", "TRUE")),
        *(pytest.param(word, False, id=f"false-{word}") for word in ("false", "False", "FALSE")),
        pytest.param("0", 0, id="zero"),
        pytest.param("-12", -12, id="negative"),
        pytest.param("+12", 12, id="plus"),
        pytest.param("0o17", 15, id="octal"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("1.5", 1.5, id="float"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param(".5", 0.5, id="bare-fraction"),
        pytest.param("'1'", "1", id="quoted-number"),
        pytest.param('"true"', "true", id="quoted-boolean"),
        pytest.param('"\\u00e9"', "é", id="escape"),
    ],
)
def test_scalar(scalar: str, value: Any) -> None:
    if scalar == "-":
        assert outcomes("x:\n- a\n") == [{"x": value}]
        return
    (document,) = outcomes(f"x: {scalar}\n")
    assert document == {"x": value}
    assert type(document["x"]) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: .inf", 'line 1: ".inf" is not a finite number', id="infinity"),
        pytest.param("a: .nan", 'line 1: ".nan" is not a finite number', id="nan"),
        pytest.param("a: 1e400", 'line 1: "1e400" is too large a number', id="float-overflow"),
        pytest.param("a: 9223372036854775808", 'line 1: "9223372036854775808" does not fit 64 bits', id="overflow"),
        pytest.param("a: 0xFFFFFFFFFFFFFFFF", 'line 1: "0xFFFFFFFFFFFFFFFF" does not fit 64 bits', id="hex-overflow"),
        pytest.param(f"a: {'1' * 99}", f'line 1: "{"1" * 57}..." does not fit 64 bits', id="many-digits"),
        pytest.param("a: 1\nb: 2\na: 3", 'line 3: the member "a" stands twice in this object', id="twice"),
        pytest.param("a: 1\n'a': 3", 'line 2: the member "a" stands twice in this object', id="twice-quoted"),
        pytest.param("a: !!str 1", "line 1: tags (!...) are refused", id="tag"),
        pytest.param("a: ! 1", "line 1: tags (!...) are refused", id="tag-non-specific"),
        pytest.param("a: !!python/object:os.system {}", "line 1: tags (!...) are refused", id="tag-python"),
        pytest.param("!!map {a: 1}", "line 1: tags (!...) are refused", id="tag-map"),
        pytest.param(
            "b: &b {a: 1}\nc:\n  <<: *b",
            "line 3: merge keys (<<) are not YAML 1.2; write the members out, or use an alias",
            id="merge",
        ),
        pytest.param("? [a]\n: 1", "line 1: the name of a member must be a scalar", id="list-as-name"),
        pytest.param("? {a: 1}\n: 1", "line 1: the name of a member must be a scalar", id="object-as-name"),
        pytest.param("&a b: 1", "line 1: the name of a member must not be an anchor", id="anchored-name"),
        pytest.param(
            "a: *b", 'line 1: the alias "b" names nothing that stands complete before it', id="alias-of-nothing"
        ),
        pytest.param(
            "a: &x 1\nb: &x [*x]",
            'line 2: the alias "x" names nothing that stands complete before it',
            id="alias-of-itself-by-an-older-name",
        ),
        pytest.param(
            "a: &a [*a]", 'line 1: the alias "a" names nothing that stands complete before it', id="alias-of-itself"
        ),
        pytest.param(
            'a: "\\ud800"', 'line 1: "\\ud800" holds a lone surrogate, which is not a character', id="surrogate"
        ),
        pytest.param('"\\udc00": 1', 'line 1: "\\udc00" holds a lone surrogate, which is not a character', id="name"),
        pytest.param('a: "\\U00110000"', "line 1: not YAML: chr() arg not in range(0x110000)", id="beyond-unicode"),
        pytest.param("a: \x07", "line 1: not YAML: special characters are not allowed", id="control"),
        pytest.param("a:\n  b: c: d", "line 2: not YAML: mapping values are not allowed here", id="syntax"),
        pytest.param("a: [1", "line 1: not YAML: expected ',' or ']', but got '<stream end>'", id="cut-off"),
        pytest.param("%YAML 1.1\n---\na: on", "line 1: directives other than %YAML 1.2 are refused", id="version"),
        pytest.param("%TAG ! x\n---\na: 1", "line 1: directives other than %YAML 1.2 are refused", id="tag-directive"),
        pytest.param("just text", "line 1: a document is an object; this is a string", id="text"),
        pytest.param("[" * 5000, "line 1: is nested deeper than 64 levels", id="deep"),
        pytest.param("- " * 5000, "line 1: is nested deeper than 64 levels", id="deep-blocks"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    refusals = outcomes(text)
    assert [problem] in refusals
    assert all(isinstance(refusal, list) or refusal in ({"a": "on"}, {"a": 1}) for refusal in refusals)


def test_names_are_text_as_written() -> None:
    assert outcomes("on: 1\n1: 2\nnull: 3\n0010: 4\n'<<': 5") == [{"on": 1, "1": 2, "null": 3, "0010": 4, "<<": 5}]


def test_aliases_repeat_what_they_name() -> None:
    assert outcomes("a: &a {b: [1, 2]}\nc: *a\nd: &d x\ne: *d") == [
        {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": "x", "e": "x"}
    ]


def test_aliases_count_as_often_as_they_stand() -> None:
    laughs = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"b{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
    )
    assert outcomes(laughs) == [["line 4: holds more than 1000 values, those of aliases included"]]
    long_text = "a: &a " + "x" * 1600 + "\nb: [" + ", ".join(["*a"] * 10) + "]\n"
    assert outcomes(long_text) == [["line 2: holds more than 1000 values, those of aliases included"]]
    deep = "a0: &a0 {x: 1}\n" + "".join(f"a{level}: &a{level} {{x: *a{level - 1}}}\n" for level in range(1, 64))
    assert outcomes(deep, nodes_max=10_000) == [["line 64: is nested deeper than 64 levels"]]


def test_a_bad_document_hurts_no_other() -> None:
    text = """# a file
kind: a
---
kind: b
name: "unfinished
---
- kind: c
- 3
--- {kind: d}
...
---

--- # nothing
%not a directive within a document
---
kind: e
kind: f
---
kind: g
"""
    assert outcomes(text) == [
        {"kind": "a"},
        ["line 6: not YAML: found unexpected end of stream"],
        {"kind": "c"},
        ["line 6: a document is an object; this is a number"],
        {"kind": "d"},
        ["line 15: not YAML: expected '<document start>', but found ('<stream end>',)"],
        ['line 17: the member "kind" stands twice in this object'],
        {"kind": "g"},
    ]
    rejection = parse_file(text.encode(), ".yaml")[1]
    assert isinstance(rejection, Rejection)
    assert rejection.identity.kind == "b"
    assert rejection.body == '---\nkind: b\nname: "unfinished\n'


def test_a_marker_ends_a_block_of_text_as_yaml_says() -> None:
    assert outcomes("a: |\n  ---\n  text\n---\nb: 1\n") == [{"a": "---\ntext\n"}, {"b": 1}]
    assert outcomes("a: ---b\n---c: 1\n") == [{"a": "---b", "---c": 1}]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends(line_end: str) -> None:
    assert outcomes(line_end.join(["a: 1", "---", "b: 2", ""])) == [{"a": 1}, {"b": 2}]


def test_a_byte_order_mark_is_left_out() -> None:
    assert outcomes(b"\xef\xbb\xbfa: 1") == [{"a": 1}]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n---\n", "---\n# nothing\n...\n", "%YAML 1.2\n---\n"])
def test_a_file_without_documents_is_empty(text: str) -> None:
    assert outcomes(text) == [["is empty: it holds no document"]]


def test_the_harmless_directive() -> None:
    assert outcomes("%YAML 1.2 # the only one\n---\na: on\n") == [{"a": "on"}]


TOKENS = st.sampled_from(
    [
        *("a", "b: ", "- ", "? ", "[", "]", "{", "}", ", ", "'", '"', "|", ">-", "# c", "&a ", "*a ", "!t ", "!!str "),
        *(
            "%YAML 1.1",
            "%TAG ! t",
            "---",
            "...",
            "\n---\n",
            "\n...\n",
            "\n",
            "\n  ",
            "\t",
            "\r",
            "\x85",
            "\u2028",
            "\ufeff",
        ),
        *("0010", "1e999", "0x", "~", "<<: ", "`", "!<", '"\\x', '"\\U00110000"', "é", "\x00"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(TOKENS, max_size=25).map("".join))
def test_any_text_has_an_outcome(text: str) -> None:
    for raw in parse_file(text.encode(), ".yaml"):
        if isinstance(raw, Rejection):
            raw.body.encode()
            assert raw.problems
            assert raw.message.isprintable()
        else:
            json.dumps(raw, allow_nan=False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="ascii", min_codepoint=32)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), JSON, min_size=1))
def test_json_is_yaml(document: dict[str, Any]) -> None:
    assert outcomes(json.dumps(document)) == [document]
