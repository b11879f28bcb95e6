r"""Modelled patterns, matched in linear time.

How AWS means its patterns: the whole value has to match. In their sources (Smithy) patterns are unanchored and carry
`^...$` where they mean the whole; the exporter that writes the service models strips these anchors, and older services
(Personalize) were written for an engine that matches whole values in any case, with anchors on both sides, on one side
(`^[a-zA-Z0-9][a-zA-Z0-9\-_]*`, documented as admitting no dot) or on none. Both readings agree on one rule: wrap the
pattern in a group and anchor both ends; anchors that are there already, also within an alternative, then change
nothing. Read unanchored, `[0-9]{12}` would admit every text that holds twelve digits.

Python's `re` backtracks: 28 characters take Bedrock's jobName pattern 12 s. The Rust engine inside pydantic-core is
linear, and knows `\p{L}`. Its `\d` and `\w` are Unicode's, those of AWS's engines ASCII's, so these are spelt out;
`\s` stays Unicode's, where the engines of AWS differ.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

JUDGED_LENGTH_MAX: Final = 16_384
"""Longer text is refused where a pattern but no maximum is modelled."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ASCII_CLASSES: Final = {"d": "[0-9]", "D": "[^0-9]", "w": "[0-9A-Za-z_]", "W": "[^0-9A-Za-z_]"}


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Callable[[str], bool] | None:
    """Whether a text matches the whole pattern; None where the engine cannot compile it."""
    portable = _ESCAPE.sub(lambda found: _ASCII_CLASSES.get(found[1], found[0]), pattern)
    # (?R): a dot matches no carriage return either, as in the engines of AWS.
    schema = core_schema.str_schema(pattern=rf"(?R)\A(?:{portable})\z", regex_engine="rust-regex", strict=True)
    try:
        return SchemaValidator(schema).isinstance_python
    except SchemaError:
        return None
