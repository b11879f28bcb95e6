"""The world of a store: which AWS, which accounts, which Regions its jobs live in.

Invariant: a store that has seen one world is never used in another; a job's remote id means nothing elsewhere, and its
absence there would look like a loss. What cannot be learned (no answer from STS) is not judged.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from controller.errors import AwsError, ScopeUnavailableError, SettingsError
from controller.kinds.aws import AwsClients

REAL: Final = "aws"
SIMULATED: Final = "simulated"
ASK_S: Final = 5.0
_NEXT_DATE_S: Final = 1.0
"""Until an answer has another Date."""
_ACCOUNT: Final = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the jobs of one scope live."""

    scope: str
    account: str
    """Empty: not known."""
    region: str
    endpoint: str
    """Host and port; empty where AWS's own."""

    def fact(self) -> str:
        return f"{self.account}|{self.region}|{self.endpoint}"

    @classmethod
    def parsed(cls, scope: str, fact: str) -> "Place":
        account, region, endpoint = (*fact.split("|"), "", "", "")[:3]
        return cls(scope, account, region, endpoint)


async def find_place(clients: AwsClients) -> Place:
    """Ask STS which account the credentials are of; a few seconds at most.

    Raises:
        SettingsError: there are no credentials, or no Region.
    """
    account = ""
    try:
        await clients.open("sts")
        with anyio.move_on_after(ASK_S):
            reply = await clients.call("sts", "GetCallerIdentity", {})
            clients.account = account = _account(reply.body.get("Account"))
    except ScopeUnavailableError as error:
        if not error.code:
            raise SettingsError(
                f"scope {clients.name!r}: {error.message}; configure credentials as for every AWS SDK, for example"
                " AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or try it with --simulate"
            ) from error
        _log().warning("AWS does not accept the credentials now", scope=clients.name, error=error.message)
    except AwsError as error:
        _log().warning("the account cannot be checked now", scope=clients.name, error=error.message)
    await _settle_clock(clients)
    return Place(clients.name, account, clients.region or "", await clients.endpoint())


async def _settle_clock(clients: AwsClients) -> None:
    """Where AWS's first Date and this host's clock differ, ask until one is confirmed; a few seconds at most.

    What a lane does by the wrong one of them it would have to live with.
    """
    with anyio.move_on_after(ASK_S):
        while clients.aws_now() is None and clients.aws_heard() is not None:
            await anyio.sleep(_NEXT_DATE_S)
            with suppress(AwsError):  # which has a Date as well
                await clients.call("sts", "GetCallerIdentity", {})


def _account(value: object) -> str:
    return value if isinstance(value, str) and _ACCOUNT.fullmatch(value) else ""


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("ferryman")
    return logger


def check_world(facts: Mapping[str, str], world: str, places: Sequence[Place]) -> dict[str, str]:
    """Compare with what the store remembers.

    Returns:
        The facts to remember.

    Raises:
        SettingsError: the store belongs to another world, or two scopes are the same place.
    """
    if facts.get("world", world) != world:
        ours, theirs = ("the simulator", "AWS") if world == SIMULATED else ("AWS", "the simulator")
        raise SettingsError(
            f"the store holds jobs of {theirs} and cannot be used with {ours}: give this run another store"
            " (FERRYMAN_STORE__URL)"
        )
    _refuse_twins(places)
    remembered = {"world": world}
    for place in places:
        known = Place.parsed(place.scope, facts.get(f"scope.{place.scope}", ""))
        if world == REAL:
            _refuse_move(known, place)
        remembered[f"scope.{place.scope}"] = Place(
            place.scope,
            place.account or known.account,
            place.region or known.region,
            place.endpoint or known.endpoint,
        ).fact()
    return remembered


def _refuse_move(known: Place, place: Place) -> None:
    for what, before, now in (
        ("account", known.account, place.account),
        ("Region", known.region, place.region),
        ("endpoint", known.endpoint, place.endpoint),
    ):
        if before and now and before != now:
            raise SettingsError(
                f"the store holds jobs of scope {place.scope!r} in {what} {before}, and the settings now point"
                f" to {now}: go back to {before}, or give this run another store (FERRYMAN_STORE__URL); nothing"
                " was changed"
            )


def _refuse_twins(places: Sequence[Place]) -> None:
    seen: dict[tuple[str, str, str], str] = {}
    for place in places:
        if not place.account:
            continue
        where = (place.account, place.region, place.endpoint)
        if where in seen:
            raise SettingsError(
                f"scopes {seen[where]!r} and {place.scope!r} are the same account, Region and endpoint: keep one of"
                " them, or a job could be created in both"
            )
        seen[where] = place.scope
