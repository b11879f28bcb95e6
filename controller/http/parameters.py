"""Query parameters that several requests share, and what they mean."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path, Query
from pydantic import AwareDatetime, BeforeValidator

from controller.control import Control
from controller.errors import NotFoundError
from controller.http import examples
from controller.http.problems import ProblemError
from controller.http.requests import JOB_CURSOR, KIND_SCHEMA, Bulk, Text
from controller.kinds import find_kind
from controller.model import FailReason, Identity, Phase, WaitReason
from controller.store import Selection

PAGE: Final = 100
PAGE_MAX: Final = 1000
BULK: Final = 1000
BULK_MAX: Final = 10_000
WAIT_S_MAX: Final = 60.0
CURSOR_LENGTH_MAX: Final = 16 * 1024
"""A cursor over events names every lane; the head of a request has room for so much."""
COMMAND_WAIT_S: Final = 10.0
UNPROCESSABLE: Final = 422
_SCOPE: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")

CURSOR_PATTERN: Final = r"^[A-Za-z0-9_-]*$"
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_LENGTH_MAX, pattern=CURSOR_PATTERN, description="The `next` of the page before."),
]
JobCursor = Annotated[str | None, Query(pattern=JOB_CURSOR, description="The `next` of the page before.")]


def _no_number(value: object) -> object:
    if isinstance(value, str) and "T" not in value.upper():
        raise ValueError("a time as RFC 3339 writes it")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number)]
"""A time as RFC 3339 writes it; a bare number is none."""
ScopeName = Annotated[str, Path(description="The job's scope.", examples=["default"])]
KindName = Annotated[str, Path(description="Its kind, by the full or the short name.", examples=[examples.KIND])]
JobName = Annotated[str, Path(description="Its name.", examples=[examples.NAME])]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most items of the page.")]
Wait = Annotated[float, Query(ge=0, le=WAIT_S_MAX, description="Seconds to wait for the verdict.")]
DryRun = Annotated[bool, Query(alias="dryRun", description="Only say what would happen.")]


def read_selection(
    *,
    phase: Annotated[list[Phase] | None, Query(max_length=20, description="In one of these phases.")] = None,
    reason: Annotated[
        list[WaitReason | FailReason] | None, Query(max_length=20, description="For one of these reasons.")
    ] = None,
    label: Annotated[
        list[Annotated[str, Query(max_length=600, pattern=r"^[^\x00=]+=[^\x00]*$")]] | None,
        Query(max_length=20, description="`key=value`; all of them must hold."),
    ] = None,
    kind: Annotated[Text | None, Query(description="Full or short name.", json_schema_extra=KIND_SCHEMA)] = None,
    scope: Annotated[Text | None, Query(description="In this scope.")] = None,
    name: Annotated[Text | None, Query(description="Called just so.")] = None,
    group: Annotated[Text | None, Query(description="In this group.")] = None,
    text: Annotated[Text | None, Query(description="Part of the name.")] = None,
    search: Annotated[
        Text | None,
        Query(description="Part of the name, of the remote id or of a label's value; case does not matter."),
    ] = None,
) -> Selection:
    """The jobs that a query means."""
    pairs = [item.partition("=") for item in label or ()]
    return Selection(
        scope=scope or None,
        kind=full_kind(kind) if kind else None,
        name=name or None,
        phases=frozenset(phase or ()),
        reasons=frozenset(item.value for item in reason or ()),
        labels={key: value for key, _, value in pairs},
        group=group,
        text=text or None,
        search=search or None,
    )


Selected = Annotated[Selection, Depends(read_selection)]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which jobs a bulk command means by its query, and how many in one go."""

    selection: Selection
    after: str | None
    limit: int
    wait_s: float
    dry_run: bool
    everything: bool


def read_bounds(
    *,
    selection: Selected,
    after: JobCursor = None,
    limit: Annotated[int, Query(ge=1, le=BULK_MAX, description="Most jobs commanded in one go.")] = BULK,
    wait: Wait = COMMAND_WAIT_S,
    dry_run: DryRun = False,
    everything: Annotated[bool, Query(alias="all", description="Said on purpose without a filter.")] = False,
) -> Bounds:
    """How much a bulk command may do."""
    return Bounds(selection, after, limit, wait, dry_run, everything)


HowMany = Annotated[Bounds, Depends(read_bounds)]


def full_kind(word: str) -> str:
    """The full name of a kind, given so or in short."""
    found = find_kind(word)
    if found is None:
        raise ProblemError(UNPROCESSABLE, f"kind: {word!r} is no kind; `ferryman kinds` lists them")
    return found.name


def merged(selection: Selection, bulk: Bulk) -> Selection:
    """What query and body say together; a member of the body wins."""
    return Selection(
        scope=bulk.scope or selection.scope,
        kind=full_kind(bulk.kind) if bulk.kind else selection.kind,
        name=selection.name,
        phases=frozenset(bulk.phase) or selection.phases,
        reasons=frozenset(item.value for item in bulk.reason) or selection.reasons,
        labels={**selection.labels, **bulk.label},
        group=bulk.group if bulk.group is not None else selection.group,
        text=bulk.text or selection.text,
        search=selection.search,
    )


def is_any(selection: Selection) -> bool:
    return selection == Selection()


def read_identity(control: Control, scope: str, kind: str, name: str) -> Identity:
    """The identity in a path.

    Raises:
        NotFoundError: no job can be called so.
    """
    if not _SCOPE.fullmatch(scope) or not _NAME.fullmatch(name):
        raise NotFoundError("no job can have this scope or name")
    return control.identity(scope, kind, name)
