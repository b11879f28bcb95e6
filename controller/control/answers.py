"""How the service answers: the JSON of verdicts on documents and commands.

Invariant: `pending` means durable in the inbox and not judged yet; it is never an error.
"""

from collections.abc import Mapping
from typing import Any, Final

from controller.documents import Rejection
from controller.model import Document, Identity
from controller.verdicts import VerdictView

View = dict[str, Any]
PENDING: Final = "pending"
REJECTED: Final = "rejected"
WAITS: Final = "durable in the inbox; not applied yet"


def identity_view(identity: Identity) -> View:
    return {"scope": identity.scope, "kind": identity.kind, "name": identity.name}


def claimed_view(item: Document | Rejection) -> View:
    """Which job a document names, as far as that can be read."""
    claimed = item.identity
    return {"scope": claimed.scope, "kind": claimed.kind, "name": claimed.name}


def verdict_members(verdict: VerdictView | None) -> View:
    if verdict is None:
        return {"answer": PENDING, "message": WAITS, "uid": None}
    return {"answer": verdict.answer, "message": verdict.message, "uid": verdict.job_uid}


def document_view(index: int, job: View, members: View, problems: tuple[str, ...], inbox_id: int | None) -> View:
    return {
        "index": index,
        "answer": members["answer"],
        "message": members["message"],
        "problems": list(problems),
        "inboxId": inbox_id,
        "uid": members.get("uid"),
        "job": job,
    }


def command_view(identity: Identity, entry_id: int | None, members: View) -> View:
    return {"job": identity_view(identity), "inboxId": entry_id, **members}


def tally(views: list[View]) -> Mapping[str, int]:
    """How many of each answer."""
    counts = dict.fromkeys(("accepted", "unchanged", "ignored", REJECTED, PENDING), 0)
    for view in views:
        counts[view["answer"]] += 1
    return counts
