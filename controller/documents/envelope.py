"""A raw object to a validated document, or to everything that is wrong with it.

Invariant: `read_document` raises nothing, and a document that it returns can be sent to AWS as it is: its spec
satisfies the whole model of the kind's create operation, its kind and scope exist, and the policy allows it. The spec
is kept verbatim.

What text becomes an object is decided in `parsing`.
"""

from collections.abc import Mapping
from typing import Any

from controller.documents import fields
from controller.documents.canonical import canonical_json, complete
from controller.documents.create_shape import CreateKind, create_shape, spec_validator
from controller.documents.policy import Policy
from controller.documents.rejection import Rejection, reject
from controller.documents.section import Section, is_printable
from controller.kinds.kind import MARKER_TAG
from controller.model import (
    DEFAULT_SCOPE,
    NEVER_RETRIED,
    Desired,
    Document,
    FailReason,
    Identity,
    OnSpecChange,
    OnUncertain,
    Partial,
    Retry,
    Wishes,
)
from controller.validation import Findings, child_path, described, did_you_mean, quoted
from controller.validation.findings import INTEGER_MAX, INTEGER_MIN
from controller.validation.quoting import listed
from controller.validation.scalars import not_one_of

_TEXT_LENGTH_MAX = 256


def read_document(raw: object, kinds: Mapping[str, CreateKind], policy: Policy) -> Document | Rejection:
    """The document that a parsed object is, or all that is wrong with it at once.

    `raw` is what `parsing` returned; a `Rejection` comes back as it is. `kinds` goes by full name; a document may name
    a kind by its short name where only one has it. Costs tens of microseconds for a usual document.
    """
    if isinstance(raw, Rejection):
        return raw
    if not isinstance(raw, dict):
        return reject(raw, f"a document is an object; this is {described(raw)}")
    findings = Findings()
    document = _Reader(raw, kinds, policy, findings).read()
    return reject(raw, *findings.problems()) if document is None else document


def find_kind(name: str, kinds: Mapping[str, CreateKind]) -> CreateKind | None:
    """The kind of a full name, or of a short name that only one kind has."""
    if name in kinds:
        return kinds[name]
    matches = [kind for kind in kinds.values() if kind.short == name]
    return matches[0] if len(matches) == 1 else None


class _Reader:
    def __init__(
        self, raw: dict[Any, Any], kinds: Mapping[str, CreateKind], policy: Policy, findings: Findings
    ) -> None:
        self._section = Section(raw, "", fields.FIELDS, findings)
        self._kinds = kinds
        self._policy = policy
        self._findings = findings

    def read(self) -> Document | None:
        """The document; None where something is wrong, which the findings then hold."""
        kind, name, scope = self._kind(), self._name(), self._scope()
        if kind is not None and scope is not None:
            self._check_allowed(kind, scope)
        desired = self._section.choice("desired", Desired, Desired.COMPLETED)
        spec = self._spec(kind, desired)
        wishes, generation = self._wishes(), self._generation()
        on_spec_change = self._section.choice("onSpecChange", OnSpecChange, OnSpecChange.REJECT)
        if kind is None or name is None or scope is None or self._findings.any:
            return None
        return complete(
            identity=Identity(scope=scope, kind=kind.name, name=name),
            desired=desired,
            spec=spec,
            wishes=wishes,
            generation=generation,
            on_spec_change=on_spec_change,
        )

    def _kind(self) -> CreateKind | None:
        name = self._section.text("kind", _TEXT_LENGTH_MAX, None)
        if name is None:
            return None
        kind = find_kind(name, self._kinds)
        if kind is None:
            known = list(self._kinds)
            near = did_you_mean(name, [*known, *(kind.short for kind in self._kinds.values())])
            hint = f"did you mean {near}?" if near else f"known are {listed(known)}"
            self._section.note("kind", f"{quoted(name)} is not a known kind, {hint}")
        return kind

    def _name(self) -> str | None:
        if not self._section.has("name"):
            self._section.note("name", "is required")
            return None
        name = self._section.get("name")
        if not isinstance(name, str) or not fields.NAME.match(name):
            self._section.note("name", f"{quoted(name)} {fields.NAME_RULE}")
            return None
        return name

    def _scope(self) -> str | None:
        scope = self._section.text("scope", _TEXT_LENGTH_MAX, DEFAULT_SCOPE)
        if scope is None or scope in self._policy.scopes:
            return scope
        self._section.note("scope", f"{quoted(scope)} is not a scope here; known are {listed(self._policy.scopes)}")
        return None

    def _check_allowed(self, kind: CreateKind, scope: str) -> None:
        allowed = self._policy.scopes[scope]
        if allowed and kind.name not in allowed:
            only = listed(sorted(allowed))
            self._section.note("kind", f"{kind.name} is not allowed in the scope {quoted(scope)}; allowed are {only}")

    def _spec(self, kind: CreateKind | None, desired: Desired) -> dict[str, Any] | None:
        if not self._section.has("spec"):
            if desired is Desired.COMPLETED:
                self._section.note("spec", "is required")
            return None
        spec = self._section.object("spec")
        if kind is not None and spec is self._section.get("spec"):
            self._check_spec(spec, kind)
        return spec

    def _check_spec(self, spec: dict[str, Any], kind: CreateKind) -> None:
        problems = spec_validator(kind).problems(spec)
        self._findings.extend(problems)
        self._findings.extend(list(self._policy.problems(spec, create_shape(kind))))
        self._findings.extend(list(_marker_problems(spec, kind)))
        if not problems and (size := len(canonical_json(spec))) > fields.SPEC_BYTES_MAX:
            self._section.note("spec", f"has {size} bytes as JSON, the maximum is {fields.SPEC_BYTES_MAX}")

    def _generation(self) -> int | None:
        if not self._section.has("generation"):
            return None
        return self._section.integer("generation", INTEGER_MIN, INTEGER_MAX, 0)

    def _wishes(self) -> Wishes:
        section = self._section
        deadline_s = section.number("deadlineSeconds", 1, fields.DEADLINE_S_MAX, fields.DEADLINE_S_MAX)
        return Wishes(
            priority=section.integer("priority", fields.PRIORITY_MIN, fields.PRIORITY_MAX, 0),
            group=section.text("group", fields.GROUP_LENGTH_MAX, "") or "",
            labels=self._labels(),
            retry=self._retry(),
            partial=section.choice("partial", Partial, Partial.SUCCESS),
            deadline_s=deadline_s if section.has("deadlineSeconds") else None,
            on_uncertain=section.choice("onUncertain", OnUncertain, OnUncertain.HOLD),
        )

    def _labels(self) -> dict[str, str]:
        labels = self._section.object("labels")
        if len(labels) > fields.LABELS_MAX:
            self._section.note("labels", f"has {len(labels)} entries, the maximum is {fields.LABELS_MAX}")
            return {}
        for key, value in labels.items():
            if problem := _label_problem(key, value):
                self._findings.add(child_path("labels", key), problem)
        return labels

    def _retry(self) -> Retry:
        section = Section(self._section.object("retry"), "retry", fields.RETRY_FIELDS, self._findings)
        default = Retry()
        backoff_s = section.number("backoffSeconds", 0, fields.RETRY_BACKOFF_S_MAX, default.backoff_s)
        return Retry(
            attempts=section.integer("attempts", 1, fields.RETRY_ATTEMPTS_MAX, default.attempts),
            reasons=self._reasons(section) if section.has("reasons") else default.reasons,
            backoff_s=backoff_s,
        )

    def _reasons(self, section: Section) -> tuple[FailReason, ...]:
        """The reasons without repetition, in the order of the closed list, so that equal sets have equal digests."""
        retriable = [reason.value for reason in fields.RETRIABLE]
        given = section.list("reasons")
        for index, value in enumerate(given):
            if value not in retriable:
                never = value in {reason.value for reason in NEVER_RETRIED} if isinstance(value, str) else False
                text = f"{quoted(value)} is never retried" if never else not_one_of(value, retriable)
                self._findings.add(f"{section.path('reasons')}[{index}]", text)
        return tuple(reason for reason in fields.RETRIABLE if reason.value in given)


def _label_problem(key: Any, value: Any) -> str | None:
    if not isinstance(key, str) or not fields.LABEL_KEY.match(key):
        return fields.LABEL_KEY_RULE
    if not isinstance(value, str):
        hint = ": write it in quotes" if isinstance(value, int | float) else ""
        return f"{quoted(value)} is not a string{hint}"
    if len(value) > fields.LABEL_VALUE_LENGTH_MAX:
        return f"has {len(value)} characters, the maximum is {fields.LABEL_VALUE_LENGTH_MAX}"
    return None if is_printable(value) else f"{quoted(value)} holds characters that cannot be printed"


def _marker_problems(spec: dict[str, Any], kind: CreateKind) -> list[str]:
    """A document must not wear the tag by which Ferryman knows its own jobs."""
    tags = spec.get(kind.tags_member) if kind.marks_with_tag and kind.tags_member else None
    if not isinstance(tags, list):
        return []
    return [
        f"spec.{kind.tags_member}[{index}].{kind.tag_key}: {quoted(MARKER_TAG)} is Ferryman's own tag"
        for index, tag in enumerate(tags)
        if isinstance(tag, dict) and tag.get(kind.tag_key) == MARKER_TAG
    ]
