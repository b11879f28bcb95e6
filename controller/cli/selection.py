"""Which jobs a command speaks of: KIND, KIND/NAME, labels, phases, reasons.

Invariant: pure. What is selected is decided by the daemon; here words become a request, and a wrong word is refused
before anything is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.errors import SettingsError
from controller.model import DEFAULT_SCOPE, TERMINAL, FailReason, Phase, WaitReason

REASONS = (*(reason.value for reason in WaitReason), *(reason.value for reason in FailReason))


@dataclass(frozen=True, slots=True)
class Selected:
    """Empty and None mean: any."""

    scope: str | None = None
    kind: str | None = None
    """By its full name."""
    name: str | None = None
    labels: tuple[str, ...] = ()
    """Each `key=value`."""
    phases: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    group: str | None = None
    text: str | None = None
    """Part of a name."""

    @property
    def is_one(self) -> bool:
        return self.name is not None

    @property
    def is_all(self) -> bool:
        return not (self.kind or self.name or self.labels or self.phases or self.reasons or self.group or self.text)

    def within(self, phases: Sequence[Phase]) -> "Selected | None":
        """Those of the selected jobs that are in one of these phases; None where none can be."""
        wanted = [phase.value for phase in phases if not self.phases or phase.value in self.phases]
        return replace(self, phases=tuple(wanted)) if wanted else None

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else f"jobs{self.which}"

    @property
    def which(self) -> str:
        """What is said behind the word `jobs`, with the space before it; empty: all of them."""
        said = [f"of kind {self.kind}"] if self.kind else []
        said += [f"in scope {self.scope}"] if self.scope else []
        said += [f"of group {self.group}"] if self.group else []
        said += [f"with {self.text!r} in the name"] if self.text else []
        said += [f"with the label{_s(self.labels)} {' and '.join(self.labels)}"] if self.labels else []
        said += [f"in phase {' or '.join(self.phases)}"] if self.phases else []
        said += [f"for the reason {' or '.join(self.reasons)}"] if self.reasons else []
        return "".join(f" {words}" for words in said)


def _s(many: Sequence[str]) -> str:
    return "s" if len(many) > 1 else ""


NOT_TERMINAL = tuple(phase for phase in Phase if phase not in TERMINAL)


def select(
    target: str | None,
    *,
    scope: str | None = None,
    labels: Sequence[str] = (),
    phases: Sequence[str] = (),
    reasons: Sequence[str] = (),
    group: str | None = None,
    text: str | None = None,
) -> Selected:
    """Read the words of a command.

    Raises:
        SettingsError: a word is not understood.
    """
    kind, name = (None, None) if target is None else split_target(target)
    if name is not None and scope is None:
        scope = DEFAULT_SCOPE
    return Selected(
        scope=scope,
        kind=kind,
        name=name,
        labels=tuple(_label(label) for label in _split(labels)),
        phases=tuple(_one_of("phase", phase, [known.value for known in Phase]) for phase in _split(phases)),
        reasons=tuple(_one_of("reason", reason, REASONS) for reason in _split(reasons)),
        group=group,
        text=text,
    )


def one(target: str, scope: str | None) -> Selected:
    """Read KIND/NAME.

    Raises:
        SettingsError: it names no single job.
    """
    selected = select(target, scope=scope)
    if not selected.is_one:
        raise SettingsError(f"name one job: KIND/NAME, for example {selected.kind}/NAME")
    return selected


def split_target(target: str) -> tuple[str, str | None]:
    """The full kind and the name of KIND or KIND/NAME."""
    kind, slash, name = target.partition("/")
    if slash and (not name or "/" in name):
        raise SettingsError(f"{target!r} is not KIND/NAME")
    return full_kind(kind), name or None


def full_kind(word: str) -> str:
    """The full name of a kind, given so or in short, in upper or lower case.

    Raises:
        SettingsError: no kind, or more than one, is called so.
    """
    from controller.kinds import KINDS  # noqa: PLC0415 - the words of a command are read before anything is loaded

    folded = word.lower()
    found = [kind.name for kind in KINDS.values() if folded in {kind.name.lower(), kind.short.lower()}]
    found = found or [
        kind.name for kind in KINDS.values() if folded in {f"{kind.name.lower()}s", f"{kind.short.lower()}s"}
    ]
    if len(found) == 1:
        return found[0]
    raise SettingsError(f"{word!r} is not a kind; known are {', '.join(kind.short for kind in KINDS.values())}")


def _split(words: Sequence[str]) -> list[str]:
    """Repeated options and comma lists mean the same."""
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def _label(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"{word!r} is not a label: use -l key=value")
    return f"{key.strip()}={value.removeprefix('=').strip()}"


def _one_of(what: str, word: str, known: Sequence[str]) -> str:
    for candidate in known:
        if word.lower() == candidate.lower():
            return candidate
    raise SettingsError(f"{word!r} is not a {what}; known are {', '.join(known)}")
