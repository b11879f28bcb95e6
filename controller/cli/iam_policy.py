"""`iam-policy`: the least that IAM must allow to the identity Ferryman runs as.

Invariant: nothing is asked of AWS. What is not known offline stands as a word in capitals, which IAM refuses, and is
remarked upon. The order of statements, actions and resources depends on nothing but the settings.

Not in it: `sts:GetCallerIdentity`, which every identity may call, and what `doctor` reads besides.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from controller.cli.output import PolicyFormat
from controller.cli.terminal import Terminal
from controller.errors import ExitCode, SettingsError
from controller.kinds import KINDS, Kind, find_kind
from controller.queue_urls import SQS_PREFIX, parse_queue_url
from controller.settings import Scope, Settings, load_settings
from controller.sinks.arns import region_of

ACCOUNT: Final = "ACCOUNT-ID"
REGION: Final = "REGION"
BUCKET: Final = "BUCKET"
JOB_ROLE: Final = "JOB-ROLE"
ACCOUNT_LENGTH: Final = 12
POLICY_LENGTH_MAX: Final = 6144
"""Characters of a managed policy, white space aside."""
_HINTS: Final = {
    ACCOUNT: "say --account, or put the account's number there",
    REGION: "set AWS_REGION or scopes.NAME.region, or put the Region there",
    BUCKET: "set queue.buckets, or put the buckets of your documents there",
    JOB_ROLE: "set queue.role_arns, or put the roles there that your documents hand to AWS",
}
_RECEIVE: Final = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage")
_RECEIVE_BRIEFLY: Final = ("sqs:DeleteMessage", "sqs:ReceiveMessage")
"""Of messages that are never held for long."""
_SEND: Final = ("sqs:SendMessage",)
_EVENTBRIDGE: Final = "eventbridge:"
_SNS: Final = "sns:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """For whom a policy is, and what it covers."""

    kinds: Sequence[Kind]
    scope: str | None = None
    """The scope whose own role or profile it is for; None: the daemon's own identity."""
    account: str = ""
    tags: bool = False
    """Whether documents of every kind carry AWS tags."""


@dataclass(frozen=True, slots=True)
class Policy:
    statements: Sequence["Statement"]
    remarks: Sequence[str]

    def document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [statement.view() for statement in self.statements]}


@dataclass(slots=True)
class Statement:
    """One purpose; several parts of the settings may add to it."""

    sid: str
    condition: Mapping[str, Any] = field(default_factory=dict)
    actions: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)

    def view(self) -> dict[str, Any]:
        view: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": sorted(self.resources),
        }
        return view | ({"Condition": dict(self.condition)} if self.condition else {})


@dataclass(frozen=True, slots=True)
class _Place:
    partition: str
    region: str
    account: str

    def filled(self, pattern: str, **more: str) -> str:
        return pattern.format(partition=self.partition, region=self.region, account=self.account, **more)


def partition(region: str) -> str:
    """The partition of ARNs in a Region."""
    for prefix, name in (
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-iso-", "aws-iso"),
    ):
        if region.startswith(prefix):
            return name
    return "aws"


def chosen_kinds(settings: Settings, names: Sequence[str]) -> list[Kind]:
    """The kinds named, else those that the settings allow, else all; in the order of the table.

    Raises:
        SettingsError: a name is no kind's.
    """
    wanted = names or settings.queue.kinds
    for name in wanted:
        if find_kind(name) is None:
            raise SettingsError(f"{name!r} is no kind; `ferryman kinds` lists them")
    found = {kind.name for name in wanted if (kind := find_kind(name)) is not None}
    return [kind for kind in KINDS.values() if not wanted or kind.name in found]


def policy_of(settings: Settings, wanted: Wanted, environment: Mapping[str, str]) -> Policy:
    """What must be allowed.

    Raises:
        SettingsError: there is no such scope, or a queue's or sink's setting cannot be read.
    """
    if wanted.scope is not None and wanted.scope not in settings.scopes:
        raise SettingsError(f"{wanted.scope!r} is not among scopes: {', '.join(settings.scopes)}")
    builder = _Builder(settings, wanted, environment)
    builder.add_kinds()
    if wanted.scope is None or not _is_other(settings.scopes[wanted.scope]):
        builder.add_roles_of_scopes()
        builder.add_queues()
        builder.add_sinks()
    return builder.policy()


def _is_other(scope: Scope) -> bool:
    """Whether a scope's calls are made by another identity than the daemon's own."""
    return bool(scope.role_arn or scope.profile)


class _Builder:
    def __init__(self, settings: Settings, wanted: Wanted, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._wanted = wanted
        self._home = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or REGION
        self._statements: dict[str, Statement] = {}

    def _allow(
        self,
        sid: str,
        actions: Iterable[str],
        resources: Iterable[str],
        condition: Mapping[str, Any] | None = None,
    ) -> None:
        resources = set(resources)
        if resources:
            statement = self._statements.setdefault(sid, Statement(sid, condition or {}))
            statement.actions.update(actions)
            statement.resources |= resources

    # Kinds

    def _places(self) -> list[_Place]:
        """Where the jobs of the wanted identity live."""
        scopes = self._settings.scopes
        if self._wanted.scope is not None:
            chosen = [scopes[self._wanted.scope]]
        else:
            chosen = [scope for scope in scopes.values() if not _is_other(scope)]
        return [self._place(scope) for scope in chosen]

    def _place(self, scope: Scope) -> _Place:
        region = scope.region or self._home
        account = _account_of(scope.role_arn) or self._wanted.account or ACCOUNT
        return _Place(partition(region), region, account)

    def add_kinds(self) -> None:
        for add in (self._add_jobs, self._add_lists, self._add_role, self._add_as_caller):
            for place in self._places():
                for kind in self._wanted.kinds:
                    add(kind, place)

    def _add_jobs(self, kind: Kind, place: _Place) -> None:
        facts = kind.permissions
        jobs = place.filled(facts.job)
        on = [place.filled(pattern) for pattern in facts.create_on]
        self._allow(f"Create{kind.short}", [f"{facts.prefix}:{kind.create}"], [jobs, *on])
        operations = [operation for operation in (kind.get, kind.stop, kind.delete) if operation]
        self._allow(f"Manage{kind.short}", [f"{facts.prefix}:{operation}" for operation in operations], [jobs])
        if kind.marks_with_tag or (self._wanted.tags and kind.tags_member):
            self._allow(f"Tag{kind.short}", [f"{facts.prefix}:TagResource"], [jobs])

    def _add_lists(self, kind: Kind, _place: _Place) -> None:
        """List operations know no resources."""
        if kind.list:
            self._allow("ListJobs", [f"{kind.permissions.prefix}:{kind.list}"], ["*"])
        if kind.marks_with_tag:
            self._allow("FindJobsByTag", ["tag:GetResources"], ["*"])

    def _add_role(self, kind: Kind, place: _Place) -> None:
        service = kind.permissions.passes_role_to
        if not service:
            return
        roles = self._settings.queue.role_arns or (f"arn:{place.partition}:iam::{place.account}:role/{JOB_ROLE}",)
        condition = {"StringEquals": {"iam:PassedToService": service}}
        self._allow(f"PassRoleTo{kind.permissions.prefix.capitalize()}", ["iam:PassRole"], roles, condition)

    def _add_as_caller(self, kind: Kind, place: _Place) -> None:
        buckets = self._settings.queue.buckets or (BUCKET,)
        for part in kind.permissions.as_caller:
            resources = [place.filled(pattern, bucket=bucket) for pattern in part.resources for bucket in buckets]
            self._allow(f"AsCaller{part.purpose}", part.actions, resources)

    # What surrounds them

    def add_roles_of_scopes(self) -> None:
        scopes = self._settings.scopes.values()
        roles = [scope.role_arn for scope in scopes if scope.role_arn and not scope.profile]
        self._allow("AssumeRolesOfScopes", ["sts:AssumeRole"], roles)

    def add_queues(self) -> None:
        queue = self._settings.queue
        sources = [source for source in queue.sources if source.startswith(SQS_PREFIX)]
        self._allow("ReceiveDocuments", _RECEIVE, map(self._queue_arn, sources))
        self._allow("CopyDeadLetters", _SEND, map(self._queue_arn, filter(None, [queue.dead_letter_queue])))
        notifications = self._settings.reconcile.notifications
        self._allow("ReceiveNotifications", _RECEIVE_BRIEFLY, map(self._queue_arn, filter(None, [notifications])))

    def add_sinks(self) -> None:
        urls = [sink.url for sink in self._settings.events.sinks]
        queues = [url for url in urls if url.startswith(SQS_PREFIX)]
        buses = [url.removeprefix(_EVENTBRIDGE) for url in urls if url.startswith(_EVENTBRIDGE)]
        topics = [url.removeprefix(_SNS) for url in urls if url.startswith(_SNS)]
        self._allow("SendEventsToQueues", _SEND, map(self._queue_arn, queues))
        self._allow("PutEvents", ["events:PutEvents"], map(self._bus_arn, buses))
        self._allow("PublishEvents", ["sns:Publish"], topics)

    def _queue_arn(self, setting: str) -> str:
        queue = parse_queue_url(setting)
        region = queue.region or self._home
        *_, account, name = ("", *queue.url.split("/"))
        number = account if account.isdigit() else self._wanted.account or ACCOUNT
        return f"arn:{partition(region)}:sqs:{region}:{number}:{name}"

    def _bus_arn(self, bus: str) -> str:
        if region_of(bus):
            return bus
        region, account = self._home, self._wanted.account or ACCOUNT
        return f"arn:{partition(region)}:events:{region}:{account}:event-bus/{bus or 'default'}"

    # The whole

    def policy(self) -> Policy:
        policy = Policy(list(self._statements.values()), ())
        text = compact(policy)
        return Policy(policy.statements, list(self._remarks(text)))

    def _remarks(self, text: str) -> Iterator[str]:
        for word, hint in _HINTS.items():
            if word in text:
                yield f"{word}: {hint}"
        callers = [kind.short for kind in self._wanted.kinds if kind.permissions.as_caller]
        if callers and self._places():
            yield (
                f"AsCaller...: AWS runs {' and '.join(callers)} with the permissions of whoever creates it; narrow its"
                " models, and add the KMS keys and functions that your documents name"
            )
        if not self._wanted.tags:
            yield "--tags adds what documents with tags in their spec need"
        if ":sqs:" in text or ":sns:" in text:
            yield "a queue or topic encrypted with your own KMS key: allow kms:GenerateDataKey and kms:Decrypt on it"
        if self._wanted.scope is None:
            yield from self._other_identities()
        if len(text) > POLICY_LENGTH_MAX:
            yield f"longer than the {POLICY_LENGTH_MAX} characters of a managed policy: use an inline policy of a role"

    def _other_identities(self) -> Iterator[str]:
        for name, scope in self._settings.scopes.items():
            if _is_other(scope):
                whose = f"the role {scope.role_arn}" if scope.role_arn else f"the profile {scope.profile!r}"
                yield f"scope {name} runs as {whose}: `ferryman iam-policy --scope {name}` prints its policy"
            if scope.role_arn and scope.profile:
                yield f"the profile {scope.profile!r} must be allowed sts:AssumeRole on {scope.role_arn}"


def _account_of(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 and parts[4].isdigit() else ""  # noqa: PLR2004 - where an ARN has its account


def compact(policy: Policy) -> str:
    """As IAM counts its characters."""
    return json.dumps(policy.document(), separators=(",", ":"))


def policy_text(policy: Policy, form: PolicyFormat) -> str:
    """The policy as a file, with a line feed at its end."""
    text = json.dumps(policy.document(), indent=2)
    if form is PolicyFormat.JSON:
        return f"{text}\n"
    # JSON is an expression of Terraform's language but for its templates.
    body = text.replace("${", "$${").replace("%{", "%%{").replace("\n", "\n  ")
    return f'resource "aws_iam_policy" "ferryman" {{\n  name   = "ferryman"\n  policy = jsonencode({body})\n}}\n'


def print_policy(
    terminal: Terminal,
    names: Sequence[str],
    *,
    scope: str | None,
    account: str,
    tags: bool,
    form: PolicyFormat,
    config: Path | None,
) -> ExitCode:
    """Print it, with remarks beside it.

    Raises:
        SettingsError: the settings cannot be read, or a word of the command means nothing.
    """
    if account and not (account.isascii() and account.isdigit() and len(account) == ACCOUNT_LENGTH):
        raise SettingsError(f"--account needs the {ACCOUNT_LENGTH} digits of an account")
    settings = load_settings(config)
    wanted = Wanted(chosen_kinds(settings, names), scope=scope, account=account, tags=tags)
    policy = policy_of(settings, wanted, os.environ)
    terminal.write(policy_text(policy, form))
    for remark in policy.remarks:
        terminal.remark(f"# {remark}")
    return ExitCode.DONE
