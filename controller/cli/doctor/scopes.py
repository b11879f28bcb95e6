"""Credentials, clock and permissions of a scope, each by a call that cannot do anything.

Invariant: every call reads, or names a remote job that cannot exist; only AccessDenied says that a permission is
missing, every other answer of AWS says that it is there.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from controller.cli.doctor.finding import Finding, failed, ok, warning
from controller.errors import (
    AwsError,
    DeniedError,
    NoAnswerError,
    ScopeUnavailableError,
    SettingsError,
    ThrottledError,
)
from controller.kinds import KINDS, Kind
from controller.kinds.aws import AwsClients, open_clients
from controller.seams import Clock, no_failpoint
from controller.settings import AwsSettings, Settings

SKEW_WARNING_S: Final = 30.0
SKEW_MAX_S: Final = 240.0
"""AWS refuses signatures that are five minutes off."""
_ANSWER_S: Final = 10.0
TAGGING: Final = "resourcegroupstaggingapi"
_NOBODY: Final = "000000000000"


async def check_scope(name: str, settings: Settings, clock: Clock) -> list[Finding]:
    """Everything about one scope."""
    limits = AwsSettings(timeout_s=min(_ANSWER_S, settings.aws.timeout_s), connect_timeout_s=5, pool=4)
    subject = f"scope {name}"
    try:
        async with open_clients(name, settings.scopes[name], limits, clock=clock, failpoint=no_failpoint) as clients:
            return [finding async for finding in _check(clients, subject, settings, clock)]
    except SettingsError as error:
        return [failed(subject, str(error), "configure the SDK as for every AWS program: AWS_PROFILE, AWS_REGION")]


async def _check(clients: AwsClients, subject: str, settings: Settings, clock: Clock) -> AsyncIterator[Finding]:
    try:
        reply = await clients.call("sts", "GetCallerIdentity", {})
    except AwsError as error:
        yield _no_identity(subject, error)
        return
    account = str(reply.body.get("Account") or _NOBODY)
    yield ok(subject, f"account {account}, Region {clients.region}, as {reply.body.get('Arn') or 'nobody knows whom'}")
    yield _clock(f"{subject} clock", clients, clock)
    kinds = [kind for kind in KINDS.values() if not settings.queue.kinds or _named(kind, settings.queue.kinds)]
    for kind in kinds:
        yield await _check_kind(clients, subject, kind, account, str(reply.body.get("Arn") or ""))


def _named(kind: Kind, names: tuple[str, ...]) -> bool:
    return kind.name in names or kind.short in names


def _no_identity(subject: str, error: AwsError) -> Finding:
    if isinstance(error, ScopeUnavailableError):
        return failed(
            subject, error.message, "configure credentials as for every AWS SDK: AWS_PROFILE, a role, or keys"
        )
    if isinstance(error, NoAnswerError):
        return failed(
            subject,
            f"AWS cannot be reached: {error.message}",
            "check the network, proxies, AWS_ENDPOINT_URL and AWS_CA_BUNDLE",
        )
    return failed(subject, f"the account cannot be learned: {error.message}")


def _clock(subject: str, clients: AwsClients, clock: Clock) -> Finding:
    theirs = clients.aws_heard()
    if theirs is None:
        return warning(subject, "AWS's answer had no Date, so the clock was not compared")
    skew = clock.now() - theirs
    if abs(skew) >= SKEW_MAX_S:
        return failed(
            subject, f"this host's clock is {skew:+.0f} s off", "set it by NTP: AWS refuses signatures 5 minutes off"
        )
    if abs(skew) >= SKEW_WARNING_S:
        return warning(subject, f"this host's clock is {skew:+.0f} s off", "set it by NTP")
    return ok(subject, "agrees with AWS")


async def _check_kind(clients: AwsClients, scope: str, kind: Kind, account: str, caller: str) -> Finding:
    """One line for a kind: which of its permissions are there."""
    subject = f"{scope} {kind.short}"
    denied: list[str] = []
    allowed: list[str] = []
    for service, operation, parameters in _calls(kind, clients.region or "", account, caller):
        prefix = kind.permissions.prefix if service == kind.service else "tag"
        action = f"{prefix}:{operation}"
        problem = await _try(clients, service, operation, parameters)
        if isinstance(problem, DeniedError):
            denied.append(action)
        elif isinstance(problem, NoAnswerError | ScopeUnavailableError | ThrottledError):
            return warning(subject, f"{action} could not be checked: {problem.message}", "try again")
        else:
            allowed.append(action)
    if denied:
        actions = ", ".join(denied)
        return failed(
            subject,
            f"not allowed: {actions}",
            f"allow {actions} to the identity shown above; `ferryman iam-policy` prints all it needs",
        )
    return ok(subject, f"allowed: {', '.join(allowed)}")


def _calls(kind: Kind, region: str, account: str, caller: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Harmless calls: a list of one item, and reads, stops and deletes of a job that cannot exist."""
    nothing = nowhere(kind, region, account, caller)
    calls: list[tuple[str, str, dict[str, Any]]] = []
    if kind.listing is not None:
        calls.append((kind.service, kind.listing.operation, {"maxResults": 1}))
    calls.append((kind.service, kind.get, {kind.get_parameter: nothing}))
    if kind.stop is not None:
        calls.append((kind.service, kind.stop, {kind.stop_parameter: nothing}))
    if kind.delete is not None:
        calls.append((kind.service, kind.delete, {kind.delete_parameter: [nothing]}))
    if kind.marks_with_tag:
        calls.append((TAGGING, "GetResources", {"ResourcesPerPage": 1}))
    return calls


def nowhere(kind: Kind, region: str, account: str, caller: str) -> str:
    """An ARN of the kind that no job has, in the partition of whoever calls."""
    partition = caller.split(":")[1] if caller.startswith("arn:") else "aws"
    return kind.permissions.nobody(partition, region, account)


async def _try(clients: AwsClients, service: str, operation: str, parameters: Mapping[str, Any]) -> AwsError | None:
    try:
        await clients.call(service, operation, parameters)
    except AwsError as error:
        return error
    except SettingsError as error:
        return NoAnswerError(str(error))
    return None
