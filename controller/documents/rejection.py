"""What becomes of a document that cannot be accepted: the reasons, whose it was, and what it looked like.

Invariant: every text in here is valid UTF-8 without NUL, short enough to store, and safe to print; none but the body
holds the credentials of a URL.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.masking import mask_text
from controller.model import DEFAULT_SCOPE
from controller.validation import PROBLEMS_MAX
from controller.validation.quoting import cut, printable

BODY_BYTES_MAX: Final = 64 * 1024
CLAIM_LENGTH_MAX: Final = 128
PROBLEM_LENGTH_MAX: Final = 600
_PROBLEMS_IN_MESSAGE: Final = 5


@dataclass(frozen=True, slots=True)
class ClaimedIdentity:
    """The identity that a refused document claims, as far as it could be read; cut, and never looked up."""

    kind: str | None = None
    name: str | None = None
    scope: str | None = None

    def __str__(self) -> str:
        return "/".join((self.scope or "?", self.kind or "?", self.name or "?"))


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document, or something that should have been one, with all that is wrong with it."""

    problems: tuple[str, ...]
    identity: ClaimedIdentity = ClaimedIdentity()
    body: str = ""
    """The document as text, at most 64 KiB of UTF-8."""
    body_cut: bool = False
    """Whether `body` is only the beginning, and so cannot be sent again."""

    @property
    def message(self) -> str:
        """One line: the first problems, and how many more there are."""
        more = len(self.problems) - _PROBLEMS_IN_MESSAGE
        text = "; ".join(self.problems[:_PROBLEMS_IN_MESSAGE])
        return f"{text}; and {more} more problems" if more > 0 else text

    def at(self, place: str) -> "Rejection":
        """The same, its problems placed within a file."""
        return replace(self, problems=tuple(f"{place}: {problem}" for problem in self.problems))


def reject(raw: Any, *problems: str, claimed: Any = None) -> Rejection:
    """Refuse `raw`: bytes or text as they came, or a value that was parsed already.

    `claimed` is the object in which the identity stands, where that is not `raw` itself.
    """
    body, body_cut = _body(raw)
    shown = tuple(cut(printable(problem), PROBLEM_LENGTH_MAX) for problem in problems[: PROBLEMS_MAX + 1])
    return Rejection(
        problems=shown, identity=claimed_identity(raw if claimed is None else claimed), body=body, body_cut=body_cut
    )


def claimed_identity(raw: Any) -> ClaimedIdentity:
    if not isinstance(raw, dict):
        return ClaimedIdentity()
    kind, name, scope = (_claim(raw.get(member)) for member in ("kind", "name", "scope"))
    if "scope" not in raw:
        scope = DEFAULT_SCOPE
    return ClaimedIdentity(kind=kind, name=name, scope=scope)


def _claim(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return cut(printable(mask_text(value[: 8 * CLAIM_LENGTH_MAX])), CLAIM_LENGTH_MAX)


def _body(raw: Any) -> tuple[str, bool]:
    """The text to keep, and whether it was cut."""
    if isinstance(raw, bytes):
        beginning = raw[: BODY_BYTES_MAX + 1].decode("utf-8", "backslashreplace")
    elif isinstance(raw, str):
        beginning = raw[: BODY_BYTES_MAX + 1]
    else:
        beginning = _as_json(raw)
    beginning = beginning.replace("\x00", "\\u0000")
    encoded = beginning.encode("utf-8", "backslashreplace")
    kept = encoded[:BODY_BYTES_MAX].decode("utf-8", "ignore")
    return kept, len(encoded) > BODY_BYTES_MAX


def _as_json(raw: Any) -> str:
    """JSON of a value that may hold what JSON cannot: such parts by their description."""
    try:
        return json.dumps(raw, ensure_ascii=False, separators=(",", ":"), default=str)
    except (RecursionError, TypeError, ValueError):
        return "(this value cannot be written as JSON)"
