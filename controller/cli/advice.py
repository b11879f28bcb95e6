"""What to do next about a job: one or two sentences for a person.

Invariant: pure; says only what the job and its lane show.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from controller.cli.text import number, shown
from controller.kinds import KINDS
from controller.kinds.kind import ALL_JOBS

Object = Mapping[str, Any]

_SLOT: Final = ("used", "ours", "ceiling", "configured")
_ROLE_HINT: Final = (
    "most often the identity that Ferryman runs as lacks iam:PassRole on the job's role {role}; test it with:"
    " aws iam simulate-principal-policy --policy-source-arn <your role's ARN> --action-names iam:PassRole"
    " --resource-arns {role} --context-entries"
    " ContextKeyName=iam:PassedToService,ContextKeyType=string,ContextKeyValues={service}"
)
_CALLER_HINT: Final = (
    "AWS runs such a job with the permissions of whoever creates it: most often the identity that Ferryman runs as"
    " lacks {actions} on what the spec names; `ferryman iam-policy --kind {kind}` prints what is needed"
)


def role_of(spec: Any) -> str:
    role = spec.get("roleArn") if isinstance(spec, Mapping) else None
    return role if isinstance(role, str) and role else "<role ARN>"


def denied_hint(kind: str, role: str) -> str:
    """The permission that new users of a kind miss first, and how to test for it."""
    known = KINDS.get(kind)
    if known is not None and known.permissions.as_caller:
        actions = ", ".join(action for part in known.permissions.as_caller for action in part.actions)
        return _CALLER_HINT.format(actions=actions, kind=known.short)
    service = known.permissions.passes_role_to if known is not None else ""
    return _ROLE_HINT.format(role=role, service=service or "bedrock.amazonaws.com")


def advice(job: Object, lane: Object | None) -> Sequence[str]:
    """Sentences, most important first; none where there is nothing to do."""
    return list(_advice(job, lane or {}))


def _advice(job: Object, lane: Object) -> Iterator[str]:
    target = f"{shown(job.get('kind'))}/{shown(job.get('name'))}"
    phase, reason = job.get("phase"), job.get("reason")
    if phase == "Pending":
        yield from _waiting(job, lane, str(reason))
    elif phase == "Uncertain":
        yield (
            "AWS never said whether this job was created. Look for it in the AWS console, then say"
            f" `ferryman resolve {target} --remote-id ARN` if it exists, `--retry` to create it again (a second job"
            " is then possible), or `--fail`"
        )
    elif phase == "Failed":
        yield from _failed(job, target, str(reason))
    elif phase == "Succeeded" and job.get("partial") is True:
        yield "some records failed, the manifest says which; `partial: failure` counts such a job as failed"
    if job.get("deadlineExceeded") is True and phase not in {"Failed", "Stopped", "Deleted", "Succeeded"}:
        yield "its deadline has passed; it ends as soon as its API allows"


def _waiting(job: Object, lane: Object, reason: str) -> Iterator[str]:
    name = f"{shown(job.get('scope'))}/{shown(job.get('kind'))}"
    match reason:
        case "AccessDenied":
            kind = str(job.get("kind"))
            yield f"AWS denied the create; {denied_hint(kind, role_of(job.get('spec')))}"
            yield "it is tried again by itself; `ferryman doctor` tests the other permissions"
        case "Paused":
            why = f" ({shown(lane['pauseReason'])})" if lane.get("pauseReason") else ""
            yield f"its lane is paused{why}: `ferryman resume {name}` lets it go on"
        case "QuotaFull":
            yield "all slots of its quota are taken; it goes on by itself when one frees: `ferryman lanes` shows them"
            yield from _slots(str(job.get("kind")), lane)
        case "ScopeUnavailable":
            why = f" ({shown(lane['unavailable'])})" if lane.get("unavailable") else ""
            yield f"AWS does not accept the credentials of its scope{why}: `ferryman doctor` says what is wrong"
            yield "it goes on by itself within a minute once they are accepted"
        case "RateLimited":
            yield "nothing is wrong: creates are paced so that AWS does not throttle them"
            yield from _pace(str(job.get("kind")), lane)
        case "Queued":
            yield f"nothing is wrong: {_turn(job)}; a higher `priority` in its document lets it go earlier"
        case "Backoff":
            yield "its last try failed, as the message says; it is tried again by itself within minutes"


def _turn(job: Object) -> str:
    queue = job.get("queue")
    position = queue.get("position") if isinstance(queue, Mapping) else None
    if not isinstance(position, int) or position <= 1:
        return "it is the next of its lane"
    return f"{position - 1} jobs of its lane go before it"


def _slots(kind: str, lane: Object) -> Iterator[str]:
    """Who holds the slots, and what would give more of them."""
    keys = lane.get("slots")
    fixed: set[str] = set()
    for key, slot in keys.items() if isinstance(keys, Mapping) else ():
        if not isinstance(slot, Mapping):
            continue
        used, ours, ceiling, configured = (number(slot.get(member)) for member in _SLOT)
        if used < ceiling and slot.get("parked") is not True:
            continue
        if prefix := _fixed_prefix(kind, key):
            fixed.add(prefix)
            continue
        which = "" if key == ALL_JOBS else f" of {shown(key)}"
        others = f", {used - ours} of them by jobs that are not Ferryman's" if used > ours else ""
        yield f"{used} of {ceiling} slots{which} are taken{others}"
        if ceiling < configured:
            yield (
                f"AWS has refused more than {ceiling}{which} although the settings allow {configured}: look up the"
                " account's quota in Service Quotas"
            )
        else:
            yield f"after AWS has raised the account's quota, say so in the settings: {_setting(kind, 'jobs')}"
    for prefix in sorted(fixed):
        yield (
            f"of each {prefix.rstrip(':')} one job runs at a time; that is fixed, and no quota or setting changes it:"
            " where that is what it waits for, it is created when the one before it has ended"
        )
    phases = lane.get("phases")
    uncertain = number(phases.get("Uncertain")) if isinstance(phases, Mapping) else 0
    if uncertain:
        yield (
            f"{uncertain} of its lane are Uncertain and hold their slots until somebody resolves them:"
            " `ferryman get --phase Uncertain`"
        )


def _fixed_prefix(kind: str, key: object) -> str:
    """How a key begins whose slots nobody can change; empty: they can be changed."""
    known = KINDS.get(kind)
    prefixes = known.fixed_slots if known is not None else {}
    return next((prefix for prefix in prefixes if str(key).startswith(prefix)), "")


def _setting(kind: str, name: str) -> str:
    """A limit of a kind as a settings file names it."""
    return f'limits."{kind}".{name}'


def _pace(kind: str, lane: Object) -> Iterator[str]:
    rates = lane.get("rates")
    create = rates.get("create") if isinstance(rates, Mapping) else None
    if not isinstance(create, Mapping):
        return
    rate, ceiling, throttles = create.get("rate"), create.get("ceiling"), number(create.get("throttles"))
    if isinstance(rate, int | float) and isinstance(ceiling, int | float) and rate < ceiling and throttles:
        yield f"AWS has throttled {throttles} creates: the pace is {rate:.3g}/s now, up to {ceiling:g}/s by itself"
    elif isinstance(ceiling, int | float):
        yield f"the pace is {ceiling:g}/s, by {_setting(kind, 'create')} in the settings"


def _failed(job: Object, target: str, reason: str) -> Iterator[str]:
    match reason:
        case "AccessDenied":
            yield f"AWS denied it; {denied_hint(str(job.get('kind')), role_of(job.get('spec')))}"
            yield f"then `ferryman retry {target}`"
        case "CreateRefused":
            yield "AWS refused the spec: mend the document and apply it with `onSpecChange: replace`"
        case "NameTaken":
            yield "the name belongs to a job that is not Ferryman's: choose another name"
        case "Lost":
            yield f"AWS does not show the job any more: look in the console, then `ferryman retry {target}`"
        case "Partial":
            yield "some records failed, and the document counts that as a failure: the manifest says which"
        case _:
            yield f"`ferryman retry {target}` runs it again"
