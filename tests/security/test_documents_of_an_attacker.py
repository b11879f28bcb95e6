"""Documents that are made to cost, to hide or to confuse, from every way in."""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from controller.documents import Bounds, Policy, Rejection, canonical_json, read_file, read_message, to_json
from controller.kinds import KINDS
from controller.masking import mask_text
from controller.model import Document
from controller.queues import Settled
from controller.queues.opening import open_source
from controller.queues.spool import REJECTED
from controller.seams import SystemClock
from controller.settings import QueueSettings
from tests.documents import BATCH, document

POLICY = Policy(scopes={"default": frozenset()})
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)
)


def message(*items: Any) -> list[Document | Rejection]:
    return read_message(json.dumps(items).encode(), KINDS, POLICY)


def problems(found: list[Document | Rejection]) -> str:
    return "\n".join(problem for item in found if isinstance(item, Rejection) for problem in item.problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(LAUGHS, "values, those of aliases included", id="billion laughs"),
        pytest.param("&a [*a]", "names nothing that stands complete", id="an alias of itself"),
        pytest.param("x: !!python/object/apply:os.system [id]", "tags", id="a tag that calls"),
        pytest.param("!<tag:yaml.org,2002:python/none> x", "tags", id="a verbatim tag"),
        pytest.param("%TAG ! tag:evil,2000:\n---\na: !x 1", "directives", id="a directive"),
        pytest.param("<<: {a: 1}", "merge keys", id="a merge key"),
        pytest.param("a: 1\na: 2", "stands twice", id="a member twice"),
        pytest.param("? [a]\n: 1", "must be a scalar", id="a list as a name"),
        pytest.param("[" * 20_000, "nested deeper", id="deep flow"),
        pytest.param("\n".join(" " * n + "a:" for n in range(200)), "nested deeper", id="deep blocks"),
        pytest.param("a: " + "9" * 100_000, "64 bits", id="many digits"),
        pytest.param("a: 0x" + "f" * 100_000, "64 bits", id="many hexadecimal digits"),
        pytest.param("a: 1e999", "too large", id="overflow"),
        pytest.param('a: "\\ud800"', "", id="a lone surrogate"),
        pytest.param("a: \x00", "", id="NUL"),
        pytest.param("a: \x1b[2J", "", id="an escape"),
    ],
)
def test_yaml(text: str, problem: str) -> None:
    found = read_file(text.encode(), ".yaml", KINDS, POLICY)
    assert found
    assert all(isinstance(item, Rejection) for item in found)
    assert problem in problems(found)
    assert problems(found).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "a/b", "a\\b", "..", ".", "", "a\n", "a\x00b", "\x1b[2J", "a b", "a'--", "a%2fb", "-a"),
        *("n\u0430me", "na\u0301me", "\uff4eame", "name\u200b", "\u202eeman", "n" * 64, "\ud800", "e\u0301"),
    ],
    ids=ascii,
)
def test_names_that_are_none(name: str) -> None:
    (found,) = message(document(BATCH, name))
    assert isinstance(found, Rejection)
    assert str(found.identity).isprintable()
    assert all(problem.isprintable() for problem in found.problems)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("labels", {"a": "\x1b[2J"}),
        ("labels", {"a": "\u202egnp.exe"}),
        ("labels", {"a": "\u2066x"}),
        ("labels", {"a": "line\nline"}),
        ("labels", {"a": "\ud800"}),
        ("labels", {"n\u0430me": "x"}),
        ("labels", {"a\n": "x"}),
        ("labels", {"": "x"}),
        ("labels", {f"k{n}": "x" for n in range(65)}),
        ("labels", {"a": "x" * 257}),
        ("group", "\x1b]0;owned\x07"),
        ("group", "\u200f"),
        ("group", "x" * 129),
        ("generation", 2**63),
        ("generation", True),
        ("priority", 1e3),
        ("priority", "0"),
        ("deadlineSeconds", 1e308),
        ("retry", {"attempts": 10**9}),
        ("retry", {"reasons": ["JobFailed"] * 100_000 + ["x"]}),
        ("spec", {"roleArn": "arn:aws:iam::123456789012:role/" + "-" * 100_000 + "!"}),
        ("spec", {"jobName": "-" * 60 + "!"}),
    ],
    ids=lambda value: ascii(value)[:30] if not isinstance(value, str) else value[:12].encode("unicode-escape").decode(),
)
def test_members_that_are_none(member: str, value: Any) -> None:
    (found,) = message({**document(BATCH, "one"), member: value})
    assert isinstance(found, Rejection)
    assert found.problems
    assert all(problem.isprintable() and len(problem) <= 600 for problem in found.problems)


def test_two_forms_of_one_letter_stay_two_labels() -> None:
    """Nothing is normalised behind a sender's back: what was written is what is stored, found and told."""
    composed, decomposed = message(
        *(document(BATCH, f"n{n}", labels={"a": text}) for n, text in enumerate(("\u00e9", "e\u0301")))
    )
    assert isinstance(composed, Document)
    assert isinstance(decomposed, Document)
    assert composed.wishes.labels != decomposed.wishes.labels
    assert json.loads(canonical_json(to_json(decomposed)))["labels"] == {"a": "e\u0301"}


def test_very_many_documents_in_one_message_are_one_rejection() -> None:
    (found,) = read_message(b"[" + b",".join([b"{}"] * 100_000) + b"]", KINDS, POLICY)
    assert isinstance(found, Rejection)
    assert len(found.body.encode()) <= 64 * 1024
    lines = read_file(b"{}\n" * 20_000, ".jsonl", KINDS, POLICY, Bounds.of_size(100_000))
    assert len(lines) == 1


def test_masking_costs_little() -> None:
    """Texts that are full of beginnings of URLs: no more than a moment, or this test never ends."""
    size = 200_000
    for part in (
        "http://",
        "https:\\/\\/a",
        "https://a?",
        "a://",
        ":/",
        "a:",
        "a",
        "https://" + "a" * 60 + "<",
        "a://u@",
    ):
        mask_text(part * (size // len(part)))
        mask_text(f"https://{part * (size // len(part))}")


def hostile_spool(folder: Path) -> Path:
    """Odd names, links, a pipe and a sparse giant; outside of it a file that nobody may read."""
    spool, secret = folder / "spool", folder / "secret"
    spool.mkdir()
    secret.write_text("kind: secret", encoding="utf-8")
    odd = [b"a\nb.json", b"\x1b[2J.yaml", b"\xff\xfe.json", "\u202egnp.yaml".encode(), b"x" * 250 + b".json"]
    for name in odd:
        Path(os.fsdecode(bytes(spool) + b"/" + name)).write_bytes(b"{}")
    (spool / "link.yaml").symlink_to(secret)
    (spool / "loop.yaml").symlink_to(spool / "loop.yaml")
    (spool / "folder.yaml").symlink_to(folder)
    os.mkfifo(spool / "pipe.yaml")
    with (spool / "sparse.json").open("wb") as sparse:
        sparse.truncate(1 << 40)
    return spool


async def test_a_spool_of_an_attacker(tmp_path: Path) -> None:
    """Refused, named in words, moved away; nothing is followed, and nothing stays in the way."""
    spool = hostile_spool(tmp_path)
    async with open_source(f"dir:{spool}", QueueSettings(poll_s=0.01), clock=SystemClock(), chance=Random(1)) as source:
        found = list(await source.receive())
        assert all(delivery.origin.isascii() or delivery.origin.encode() for delivery in found)
        assert not [delivery for delivery in found if b"secret" in delivery.body]
        assert sum(bool(delivery.problem) for delivery in found) == 5
        await source.acknowledge([Settled(delivery, 0, ("no\x1b[2J",)) for delivery in found])
        assert await source.receive() == []
    assert sorted(path.name for path in spool.iterdir()) == ["done", REJECTED]
    assert (spool / REJECTED / "link.yaml").is_symlink()
