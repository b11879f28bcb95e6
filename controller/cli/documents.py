"""`apply` and `validate`: files to documents, documents to the daemon.

Invariant: every document is parsed and judged here first, by the same code that the daemon uses; one that is bad is
named with all that is wrong with it and does not keep its neighbours from being sent. Order is kept.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controller.cli.client import Client, Object
from controller.cli.terminal import Terminal
from controller.cli.text import shown
from controller.documents import (
    FILE_BOUNDS,
    SUFFIXES,
    Policy,
    Rejection,
    canonical_json,
    files_with_documents,
    parse_file,
    read_document,
    reject,
    spec_digest,
    to_json,
)
from controller.errors import ExitCode, SettingsError
from controller.kinds import KINDS
from controller.model import DEFAULT_SCOPE, Document, Identity, OnSpecChange

BATCH: Final = 500
BATCH_BYTES: Final = 512 * 1024
WAIT_S: Final = 20.0
_PROBLEMS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Found:
    """One item of a file."""

    place: str
    """The file, and which of its items."""
    item: Document | Rejection


def expand(names: Sequence[str]) -> list[Path | None]:
    """The files that are meant, of a directory those that can hold documents, by name; None is standard input.

    Raises:
        SettingsError: a name means nothing that can be read.
    """
    files: list[Path | None] = []
    for name in names:
        path = Path(name)
        if name == "-":
            files.append(None)
        elif path.is_dir():
            files.extend(_inside(path))
        elif path.exists():
            files.append(path)
        else:
            raise SettingsError(f"{name} is not a file or directory")
    return files


def _inside(directory: Path) -> list[Path]:
    inside = files_with_documents(directory, deep=True)
    if not inside:
        raise SettingsError(f"{directory} holds no {', '.join(sorted(SUFFIXES))} file with documents")
    return inside


def find(names: Sequence[str], *, scope: str | None = None, policy: Policy | None = None) -> Iterator[Found]:
    """Every item of the files, judged, and against those before it.

    Args:
        names: files, directories, `-`.
        scope: for documents that name none; one that names another is rejected.
        policy: what the documents may ask for; None: what they name, the daemon judges it.

    Raises:
        SettingsError: a file cannot be read.
    """
    names_taken = _NamesTaken()
    for path in expand(names):
        shown_path = "standard input" if path is None else str(path)
        raws = parse_file(_read(path), path.suffix if path is not None else "")
        for number, raw in enumerate(raws, start=1):
            place = shown_path if len(raws) == 1 else f"{shown_path}[{number}]"
            scoped = _in_scope(raw, scope)
            item = read_document(scoped, KINDS, policy or _policy_of(scoped))
            yield Found(place, names_taken.check(place, item) if isinstance(item, Document) else item)


class _NamesTaken:
    """One hand-over must not want two jobs of one name: the first stays, another spec of it is rejected here.

    Where the later one says how it follows the first, by its generation or `onSpecChange: replace`, the daemon judges.
    """

    def __init__(self) -> None:
        self._first: dict[Identity, tuple[str, int | None, str]] = {}
        """Where it stands, its generation, and the digest of its spec."""

    def check(self, place: str, document: Document) -> Document | Rejection:
        if document.spec is None:
            return document
        digest = spec_digest(document.spec)
        first = self._first.setdefault(document.identity, (place, document.generation, digest))
        allowed = digest == first[2] or document.generation != first[1]
        if allowed or document.on_spec_change is OnSpecChange.REPLACE:
            return document
        problem = f"the same name as {first[0]} with another spec: give it a name of its own"
        return reject(to_json(document), problem)


def _read(path: Path | None) -> bytes:
    """The beginning of a file, as much as is ever taken and a byte more, so that a longer one is refused as such."""
    size = FILE_BOUNDS.size_max + 1
    try:
        if path is None:
            return sys.stdin.buffer.read(size) if sys.stdin is not None else b""
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise SettingsError(f"cannot read {path or 'standard input'}: {error.strerror}") from error


def _in_scope(raw: Any, scope: str | None) -> Any:
    if scope is None or not isinstance(raw, dict):
        return raw
    named = raw.get("scope", scope)
    if named != scope:
        return reject(raw, f"scope: the document names another scope than --scope {scope}")
    return {**raw, "scope": scope}


def _policy_of(raw: Any) -> Policy:
    """A policy that allows the scope which a document names; which scopes there are is known to the daemon."""
    named = raw.get("scope") if isinstance(raw, Mapping) else None
    return Policy(scopes={named if isinstance(named, str) and named else DEFAULT_SCOPE: frozenset()})


def validate(names: Sequence[str], terminal: Terminal, policy: Policy | None = None) -> ExitCode:
    """Judge documents without any daemon; the answer is whether all are valid."""
    valid = invalid = 0
    for found in find(names, policy=policy):
        if isinstance(found.item, Rejection):
            invalid += 1
            _print_rejection(terminal, found.place, str(found.item.identity), found.item.problems)
        else:
            valid += 1
            terminal.line(f"{found.place}: {found.item.identity} is valid")
    terminal.remark(f"{valid} valid, {invalid} rejected")
    return ExitCode.NEGATIVE if invalid else ExitCode.DONE


def apply(
    client: Client, terminal: Terminal, names: Sequence[str], *, scope: str | None, dry_run: bool, wait: bool
) -> ExitCode:
    """Hand documents in, and print what became of each.

    Raises:
        FerrymanError: a file cannot be read, or no daemon takes the documents; what was sent before stays accepted.
    """
    counts: Counter[str] = Counter()
    for batch in _batches(find(names, scope=scope)):
        counts += _send(client, terminal, batch, dry_run=dry_run, wait_s=WAIT_S if wait else 0.0)
    summary = ", ".join(f"{count} {answer}" for answer, count in counts.most_common())
    terminal.remark(f"{summary}; nothing was applied" if dry_run else summary)
    return ExitCode.REJECTED if counts["rejected"] else ExitCode.DONE


def _batches(items: Iterator[Found]) -> Iterator[list[tuple[Found, Object | None]]]:
    """Neighbours that go in one request, each with what is sent of it; a rejection is not sent."""
    batch: list[tuple[Found, Object | None]] = []
    size = 0
    for found in items:
        body = None if isinstance(found.item, Rejection) else to_json(found.item)
        length = len(canonical_json(body)) if body is not None else 0
        if batch and (len(batch) >= BATCH or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((found, body))
        size += length
    if batch:
        yield batch


def _send(
    client: Client,
    terminal: Terminal,
    batch: Sequence[tuple[Found, Object | None]],
    *,
    dry_run: bool,
    wait_s: float,
) -> Counter[str]:
    bodies = [body for _, body in batch if body is not None]
    answers = iter(client.submit(bodies, wait_s, dry_run=dry_run) if bodies else [])
    counts: Counter[str] = Counter()
    for found, _ in batch:
        if isinstance(found.item, Rejection):
            counts["rejected"] += 1
            _print_rejection(terminal, found.place, str(found.item.identity), found.item.problems)
            continue
        answer = next(answers)
        verdict = shown(answer.get("answer"))
        counts[verdict] += 1
        if verdict == "rejected":
            _print_rejection(terminal, found.place, str(found.item.identity), _problems(answer))
        else:
            message = answer.get("message")
            words = f"would be {verdict}" if dry_run else verdict
            more = f": {message}" if message and message != verdict else ""
            terminal.line(f"{found.item.identity} {words}{more}")
    return counts


def _problems(answer: Object) -> tuple[str, ...]:
    problems = answer.get("problems")
    listed = tuple(str(problem) for problem in problems) if isinstance(problems, list) else ()
    return listed or (str(answer.get("message") or "the daemon does not say why"),)


def _print_rejection(terminal: Terminal, place: str, identity: str, problems: Sequence[str]) -> None:
    terminal.line(f"{place}: {identity} rejected")
    for problem in problems[:_PROBLEMS_SHOWN]:
        terminal.line(f"  {problem}")
    if len(problems) > _PROBLEMS_SHOWN:
        terminal.line(f"  and {len(problems) - _PROBLEMS_SHOWN} more problems")
