"""The table of kinds: what Ferryman knows of each API, as data.

A kind is one file that describes its API: operations, id, name, token, statuses, quota keys, list filters. Adding a
kind is adding a file and naming it here; no other module knows one kind from another.

What a call does on the wire, and what its errors mean, is in `aws`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from controller.kinds import batch_inference, blueprint_optimization, personalize, prompt_optimization
from controller.kinds.kind import Kind

__all__ = ["KINDS", "Kind", "find_kind"]

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            batch_inference.KIND,
            prompt_optimization.KIND,
            blueprint_optimization.KIND,
            personalize.KIND,
        )
    }
)


def find_kind(name: str) -> Kind | None:
    """The kind of a full name, or of a short name that only one kind has; upper and lower case count."""
    if name in KINDS:
        return KINDS[name]
    matches = [kind for kind in KINDS.values() if kind.short == name]
    return matches[0] if len(matches) == 1 else None
