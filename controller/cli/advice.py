"""What to do next about a job: one or two sentences for a person.

Invariant: pure; says only what the job and its lane show.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from controller.cli.text import shown

Object = Mapping[str, Any]

_HOW_TO_TEST: Final = (
    "most often the identity that Ferryman runs as lacks iam:PassRole on the job's role {role}; test it with:"
    " aws iam simulate-principal-policy --policy-source-arn <your role's ARN> --action-names iam:PassRole"
    " --resource-arns {role} --context-entries"
    " ContextKeyName=iam:PassedToService,ContextKeyType=string,ContextKeyValues={service}"
)
_SERVICES: Final = {"personalize": "personalize.amazonaws.com"}


def role_of(spec: Any) -> str:
    role = spec.get("roleArn") if isinstance(spec, Mapping) else None
    return role if isinstance(role, str) and role else "<role ARN>"


def pass_role_hint(kind: str, role: str) -> str:
    """How to test `iam:PassRole`, the permission that new users miss first."""
    service = _SERVICES.get(kind.partition(".")[0], "bedrock.amazonaws.com")
    return _HOW_TO_TEST.format(role=role, service=service)


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
            yield f"AWS denied the create; {pass_role_hint(kind, role_of(job.get('spec')))}"
            yield "it is tried again by itself; `ferryman doctor` tests the other permissions"
        case "Paused":
            why = f" ({shown(lane['pauseReason'])})" if lane.get("pauseReason") else ""
            yield f"its lane is paused{why}: `ferryman resume {name}` lets it go on"
        case "QuotaFull":
            yield "all slots of its quota are taken; it goes on by itself when one frees: `ferryman lanes` shows them"
        case "ScopeUnavailable":
            yield "AWS does not accept the credentials of its scope: `ferryman doctor` says what is wrong"
        case "RateLimited" | "Queued":
            yield "nothing is wrong: it waits for its turn"
        case "Backoff":
            yield "it is tried again by itself after a pause"


def _failed(job: Object, target: str, reason: str) -> Iterator[str]:
    match reason:
        case "AccessDenied":
            yield f"AWS denied it; {pass_role_hint(str(job.get('kind')), role_of(job.get('spec')))}"
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
