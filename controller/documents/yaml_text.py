"""YAML 1.2 text to values that JSON could hold too.

Invariant: tags, merge keys, keys that are not scalars, members given twice and directives other than `%YAML 1.2` are
refused; an alias counts as often as it stands; nothing here recurses. Keys are text as they are written.

ruamel.yaml's parser gives the events. Building values from them is done here: its constructors know YAML 1.1, and the
bounds have to hold while values are built. It reads about half a megabyte a second: never on the event loop.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from controller.documents.bounds import Bounds
from controller.documents.yaml_scalars import resolve
from controller.validation.findings import is_text
from controller.validation.quoting import quoted

_MARKER: Final = re.compile(r"^(?:---|\.\.\.)(?=[ \t\n]|\Z)", re.MULTILINE)
_DIRECTIVE: Final = re.compile(r"^%.*\n?", re.MULTILINE)
_HARMLESS_DIRECTIVE: Final = re.compile(r"%YAML[ \t]+1\.2[ \t]*(?:#.*)?\n?\Z")
_CHARACTERS_A_NODE: Final = 16
"""Text that an alias repeats costs a node for so many characters."""


class YamlTextError(ValueError):
    """A document is not what Ferryman reads.

    The message says where and why in words; `partial` is what was read of the document until then.
    """

    def __init__(self, message: str, partial: Any) -> None:
        super().__init__(message)
        self.partial = partial


@dataclass(frozen=True, slots=True)
class YamlPart:
    """The text of one document of a stream, and the number of lines before it."""

    text: str
    lines_before: int


def split_stream(text: str) -> Iterator[YamlPart]:
    """The documents of a stream, each by itself, so that a bad one hurts no other; those without content left out.

    A line that begins with `---` or `...` ends a document wherever it stands: YAML forbids it within a scalar.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    starts = [0, *(found.start() for found in _MARKER.finditer(text)), len(text)]
    lines_before = 0
    for number, (start, end) in enumerate(pairwise(starts)):
        part = text[start:end]
        lines = part.count("\n")
        if number and part.startswith("..."):
            part = part[3:]
        if not _is_blank(part, marked=number > 0):
            yield YamlPart(part, lines_before)
        lines_before += lines


def _is_blank(part: str, *, marked: bool) -> bool:
    """Whether a part holds neither content nor a directive that could change the meaning of what follows."""
    if marked and part.startswith("---"):
        part = part[3:]
    else:
        part = _DIRECTIVE.sub(lambda found: "" if _HARMLESS_DIRECTIVE.match(found[0]) else found[0], part)
    return all(not line or line.startswith("#") for line in map(str.strip, part.split("\n")))


def parse_part(part: YamlPart, bounds: Bounds) -> Any:
    """The value of one document.

    Raises:
        YamlTextError: not YAML, or something that is refused.
    """
    builder = _Builder(bounds)
    if part.text.startswith("%"):
        raise YamlTextError(f"line {part.lines_before + 1}: directives other than %YAML 1.2 are refused", None)
    try:
        with closing(YAML(typ="safe", pure=True).parse(part.text)) as events:
            for event in events:
                builder.take(event)
    except _RefusedError as error:
        raise YamlTextError(f"{_place(error.line, part)}: {error}", builder.root) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "not YAML"
        raise YamlTextError(f"{_place(mark.line if mark else 0, part)}: not YAML: {problem}", builder.root) from None
    except ReaderError as error:
        raise YamlTextError(f"{_place(0, part)}: not YAML: {error.reason}", builder.root) from None
    except (YAMLError, ValueError) as error:
        # The scanner lets a ValueError pass where an escape names no character.
        raise YamlTextError(f"{_place(0, part)}: not YAML: {error}", builder.root) from None
    return builder.root


def _place(line: int, part: YamlPart) -> str:
    return f"line {part.lines_before + line + 1}"


class _RefusedError(Exception):
    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(slots=True)
class _Open:
    """A container that is being read."""

    container: dict[str, Any] | list[Any]
    anchor: str | None
    nodes_before: int
    characters_before: int
    height: int = 0
    """Levels below it so far."""
    key: str | None = None
    """The member whose value comes next."""


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    nodes: int
    characters: int
    height: int


@dataclass(slots=True)
class _Builder:
    """Builds the value of one document from its events."""

    bounds: Bounds
    root: Any = None
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, _Anchored] = field(default_factory=dict)
    _nodes: int = 0
    _characters: int = 0
    _documents: int = 0

    def take(self, event: Any) -> None:
        """Take the next event of the parser.

        Raises:
            _RefusedError: it is something that documents must not hold.
        """
        line = event.start_mark.line if event.start_mark else 0
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _RefusedError(line, "a second document without --- between")
        elif isinstance(event, CollectionEndEvent):
            self._close()
        elif isinstance(event, NodeEvent):
            if getattr(event, "ctag", None) is not None:
                raise _RefusedError(line, "tags (!...) are refused")
            self._node(event, line)

    def _node(self, event: Any, line: int) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.container, dict) and parent.key is None:
            parent.key = _key(event, parent.container, line)
            return
        if isinstance(event, AliasEvent):
            self._alias(event.anchor, line)
        elif isinstance(event, ScalarEvent):
            self._spend(1, len(event.value), line)
            self._add(anchored := _Anchored(_scalar(event, line), 1, len(event.value), 0))
            if event.anchor:
                self._anchors[event.anchor] = anchored
        elif isinstance(event, CollectionStartEvent):
            self._begin(event, line)

    def _begin(self, event: CollectionStartEvent, line: int) -> None:
        self._check_depth(1, line)
        container: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        if not self._open:
            self.root = container
        self._anchors.pop(event.anchor, None)
        self._open.append(_Open(container, event.anchor, self._nodes, self._characters))
        self._spend(1, 0, line)

    def _close(self) -> None:
        done = self._open.pop()
        nodes, characters = self._nodes - done.nodes_before, self._characters - done.characters_before
        anchored = _Anchored(done.container, nodes, characters, done.height + 1)
        if done.anchor:
            self._anchors[done.anchor] = anchored
        self._add(anchored)

    def _alias(self, anchor: str, line: int) -> None:
        anchored = self._anchors.get(anchor)
        if anchored is None:
            raise _RefusedError(line, f"the alias {quoted(anchor)} names nothing that stands complete before it")
        self._spend(anchored.nodes + anchored.characters // _CHARACTERS_A_NODE, anchored.characters, line)
        self._check_depth(anchored.height, line)
        self._add(anchored)

    def _add(self, anchored: _Anchored) -> None:
        """Put a complete value where it belongs."""
        if not self._open:
            self.root = anchored.value
            return
        parent = self._open[-1]
        parent.height = max(parent.height, anchored.height)
        if isinstance(parent.container, list):
            parent.container.append(anchored.value)
        elif parent.key is not None:
            parent.container[parent.key] = anchored.value
            parent.key = None

    def _spend(self, nodes: int, characters: int, line: int) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > self.bounds.nodes_max:
            raise _RefusedError(line, f"holds more than {self.bounds.nodes_max} values, those of aliases included")

    def _check_depth(self, levels: int, line: int) -> None:
        if len(self._open) + levels > self.bounds.depth_max:
            raise _RefusedError(line, f"is nested deeper than {self.bounds.depth_max} levels")


def _key(event: NodeEvent, container: dict[str, Any], line: int) -> str:
    if not isinstance(event, ScalarEvent):
        raise _RefusedError(line, "the name of a member must be a scalar")
    if event.anchor:
        raise _RefusedError(line, "the name of a member must not be an anchor")
    key = str(event.value)
    if key == "<<" and not event.style:
        raise _RefusedError(line, "merge keys (<<) are not YAML 1.2; write the members out, or use an alias")
    if key in container:
        raise _RefusedError(line, f"the member {quoted(key)} stands twice in this object")
    if not is_text(key):
        raise _RefusedError(line, f"{quoted(key)} holds a lone surrogate, which is not a character")
    return key


def _scalar(event: ScalarEvent, line: int) -> Any:
    text = event.value
    if not event.style:
        try:
            return resolve(text)
        except ValueError as error:
            raise _RefusedError(line, str(error)) from None
    if not is_text(text):
        raise _RefusedError(line, f"{quoted(text)} holds a lone surrogate, which is not a character")
    return text
