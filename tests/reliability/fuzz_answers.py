"""Answers of AWS with wrong shapes: members gone, of other types, or much too large.

Invariant: an answer is made worse, never made to say something else: no status, id or token is replaced by another one
that could be true.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

Spoil = Callable[[random.Random, Any], Any]
WRONG: Sequence[Any] = (
    None,
    True,
    0,
    -1,
    1e308,
    10**30,
    "",
    "\x00",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [None],
    [[]],
    [{}],
    {"": ""},
    {"jobArn": 5},
)


def spoil(body: bytes, chance: random.Random) -> bytes:
    """The same answer, made worse."""
    if chance.random() < 0.2:
        return spoil_bytes(body, chance)
    try:
        answer = json.loads(body)
    except ValueError:
        return spoil_bytes(body, chance)
    return json.dumps(_spoiled(answer, chance)).encode("utf-8")


def spoil_bytes(body: bytes, chance: random.Random) -> bytes:
    return chance.choice(
        (
            b"",
            b"{",
            b"null",
            b"[]",
            b'"text"',
            b"<html></html>",
            b"\xff\xfe\x00",
            body[: len(body) // 2],
            body + b"}",
            b"[" * 3000,
        )
    )


def _spoiled(value: Any, chance: random.Random) -> Any:
    """One place of a value, drawn by chance, made wrong."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(sorted(value))
        roll = chance.random()
        if roll < 0.15:
            return {other: kept for other, kept in value.items() if other != name}
        return {**value, name: chance.choice(WRONG) if roll < 0.5 else _spoiled(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [*value[:place], _spoiled(value[place], chance), *value[place + 1 :]]
    return chance.choice(WRONG)
