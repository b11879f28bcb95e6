"""The canonical form of a document, its digests, and how it is written and stored.

Invariant: two documents that mean the same have the same digest. The order of members, white space, a default that is
written out and one that is left out make no difference; neither do `1`, `1.0` and `-0.0` against `0`: JSON has one kind
of number, senders in other languages write 1.0 as 1, and a redelivered document that seemed changed could run a paid
job again. Defaults are left out of the stored form, so they can never change their meaning.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from controller.model import (
    Desired,
    Document,
    FailReason,
    Identity,
    OnSpecChange,
    OnUncertain,
    Parameters,
    Partial,
    Retry,
    Wishes,
)

_EXACT_INTEGERS: Final = 2**53
_FRACTION: Final = b".0"
"""How a float that is a whole number, and not beyond exact ones, ends in JSON; a text may hold the same."""
_DEFAULT_WISHES: Final = Wishes()
_DEFAULT_RETRY: Final = Retry()


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON of a validated value: members sorted, no white space, whole numbers without a fraction."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if _FRACTION not in text:  # so almost always; to look at each value takes ten times as long
        return text
    return orjson.dumps(_normal(value), option=orjson.OPT_SORT_KEYS)


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, float) and value.is_integer() and -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS:
        return int(value)
    return value


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical form, hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def spec_digest(spec: Parameters | None) -> str:
    """What tells whether a spec has changed; a spec that is left out differs from an empty one."""
    return digest_of(spec)


def to_json(document: Document) -> dict[str, Any]:
    """The document as a user would write it, defaults left out: for storage and display; `from_json` reads it back.

    It shares the spec and the labels with the document.
    """
    return _body(
        identity=document.identity,
        desired=document.desired,
        spec=document.spec,
        wishes=document.wishes,
        generation=document.generation,
        on_spec_change=document.on_spec_change,
    )


def _body(
    *,
    identity: Identity,
    desired: Desired,
    spec: Parameters | None,
    wishes: Wishes,
    generation: int | None,
    on_spec_change: OnSpecChange,
) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": identity.kind, "name": identity.name, "scope": identity.scope}
    if spec is not None:
        body["spec"] = spec
    if desired is not Desired.COMPLETED:
        body["desired"] = desired.value
    if generation is not None:
        body["generation"] = generation
    if on_spec_change is not OnSpecChange.REJECT:
        body["onSpecChange"] = on_spec_change.value
    if wishes != _DEFAULT_WISHES:
        body |= _wishes_to_json(wishes)
    return body


def _wishes_to_json(wishes: Wishes) -> dict[str, Any]:
    default = _DEFAULT_WISHES
    members = (
        ("priority", wishes.priority, default.priority),
        ("group", wishes.group, default.group),
        ("labels", wishes.labels, default.labels),
        ("retry", wishes.retry, default.retry),
        ("partial", wishes.partial.value, default.partial.value),
        ("deadlineSeconds", wishes.deadline_s, default.deadline_s),
        ("onUncertain", wishes.on_uncertain.value, default.on_uncertain.value),
    )
    return {
        name: _retry_to_json(value) if isinstance(value, Retry) else value
        for name, value, default_value in members
        if value != default_value
    }


def _retry_to_json(retry: Retry) -> dict[str, Any]:
    return {
        "attempts": retry.attempts,
        "reasons": [reason.value for reason in retry.reasons],
        "backoffSeconds": retry.backoff_s,
    }


def from_json(body: Mapping[str, Any]) -> Document:
    """A document that `to_json` wrote. It is trusted: nothing is validated.

    Raises:
        KeyError, ValueError: `to_json` did not write it.
    """
    retry = body.get("retry")
    return complete(
        identity=Identity(scope=body["scope"], kind=body["kind"], name=body["name"]),
        desired=Desired(body.get("desired", Desired.COMPLETED)),
        spec=body.get("spec"),
        wishes=Wishes(
            priority=body.get("priority", _DEFAULT_WISHES.priority),
            group=body.get("group", _DEFAULT_WISHES.group),
            labels=body.get("labels", {}),
            retry=_retry_from_json(retry) if retry else _DEFAULT_RETRY,
            partial=Partial(body.get("partial", _DEFAULT_WISHES.partial)),
            deadline_s=body.get("deadlineSeconds"),
            on_uncertain=OnUncertain(body.get("onUncertain", _DEFAULT_WISHES.on_uncertain)),
        ),
        generation=body.get("generation"),
        on_spec_change=OnSpecChange(body.get("onSpecChange", OnSpecChange.REJECT)),
    )


def _retry_from_json(body: Mapping[str, Any]) -> Retry:
    return Retry(
        attempts=body["attempts"],
        reasons=tuple(map(FailReason, body["reasons"])),
        backoff_s=body["backoffSeconds"],
    )


def complete(
    *,
    identity: Identity,
    desired: Desired,
    spec: Parameters | None,
    wishes: Wishes,
    generation: int | None,
    on_spec_change: OnSpecChange,
) -> Document:
    """A document with the digest of its parts."""
    body = _body(
        identity=identity,
        desired=desired,
        spec=spec,
        wishes=wishes,
        generation=generation,
        on_spec_change=on_spec_change,
    )
    return Document(
        identity=identity,
        desired=desired,
        spec=spec,
        wishes=wishes,
        generation=generation,
        on_spec_change=on_spec_change,
        digest=digest_of(body),
    )
