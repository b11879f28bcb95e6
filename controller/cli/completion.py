"""What a shell offers to complete a word with.

Invariant: it never fails and never takes long: a daemon that does not answer within a second offers nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import typer

from controller.errors import FerrymanError

PATIENCE_S: Final = 1.0
NAMES_MAX: Final = 50


def kinds(incomplete: str) -> list[str]:
    """Kinds by their short names, and by their full ones once one is begun."""
    from controller.kinds import KINDS  # noqa: PLC0415 - only this needs it

    names = [kind.short for kind in KINDS.values()]
    return _matching(names, incomplete) or _matching(list(KINDS), incomplete)


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """KIND, and behind its slash the names of jobs."""
    kind, slash, name = incomplete.partition("/")
    if not slash:
        return kinds(incomplete)
    try:
        return [f"{kind}/{found}" for found in _names(ctx, kind, name)]
    except FerrymanError:
        return []


def _names(ctx: typer.Context, kind: str, name: str) -> Iterator[str]:
    from controller.cli.client import Client  # noqa: PLC0415 - only this needs it
    from controller.cli.selection import select  # noqa: PLC0415 - as above

    selected = select(kind, scope=ctx.params.get("scope"), text=name or None)
    with Client.from_environment(ctx.params.get("server"), patience_s=PATIENCE_S) as client:
        for job in client.page(selected, limit=NAMES_MAX)[0]:
            if str(job.get("name")).startswith(name):
                yield str(job.get("name"))


def lanes(ctx: typer.Context, incomplete: str) -> list[str]:
    """The lanes of the daemon."""
    from controller.cli.client import Client  # noqa: PLC0415 - only this needs it

    try:
        with Client.from_environment(ctx.params.get("server"), patience_s=PATIENCE_S) as client:
            return _matching([str(lane.get("lane")) for lane in client.lanes()], incomplete)
    except FerrymanError:
        return []


def phases(incomplete: str) -> list[str]:
    from controller.model import Phase  # noqa: PLC0415 - only this needs it

    return _matching([phase.value for phase in Phase], incomplete)


def reasons(incomplete: str) -> list[str]:
    from controller.cli.selection import REASONS  # noqa: PLC0415 - only this needs it

    return _matching(REASONS, incomplete)


def _matching(words: Sequence[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
