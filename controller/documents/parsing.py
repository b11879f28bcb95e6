"""Bytes to raw documents.

Invariant: nothing here raises or recurses, whatever the bytes; every item that a text holds comes out, as an object or
as a `Rejection`, in the order in which it stands, and an item that is bad does not touch the others. A text that is not
JSON at all is one rejection, for nobody can tell where its items end; in JSON Lines that is one line, in YAML one
document.

Whether an object is a good document is judged by `envelope`.
"""

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from controller.documents.bounds import FILE_BOUNDS, MESSAGE_BOUNDS, YAML_BYTES_MAX, Bounds
from controller.documents.json_text import JsonParser, JsonTextError
from controller.documents.rejection import Rejection, reject
from controller.documents.yaml_text import YamlPart, YamlTextError, parse_part, split_stream
from controller.validation import described

RawObject = dict[str, Any]
Raw = RawObject | Rejection
"""An object that may be a document, or what cannot be one."""

JSON_SUFFIXES: Final = frozenset({".json"})
JSON_LINES_SUFFIXES: Final = frozenset({".jsonl", ".ndjson"})
YAML_SUFFIXES: Final = frozenset({".yaml", ".yml"})
SUFFIXES: Final = JSON_SUFFIXES | JSON_LINES_SUFFIXES | YAML_SUFFIXES
"""Of the files that a folder of documents is searched for."""
BOM: Final = b"\xef\xbb\xbf"
PART: Final = 500
"""Documents of a long file that are in memory at once, where it is in JSON Lines."""


def parse_message(data: bytes, bounds: Bounds = MESSAGE_BOUNDS) -> list[Raw]:
    """The documents of one queue message or HTTP body: JSON, one document or a list; never empty.

    YAML is refused here: programs write messages, its parser needs seconds for what JSON's does in milliseconds, and a
    text that is cut off is still YAML, where it is not JSON any more.
    """
    text = _text(data, bounds)
    return [text] if isinstance(text, Rejection) else list(_json_items(text, data, bounds))


def parse_file(data: bytes, suffix: str, bounds: Bounds = FILE_BOUNDS) -> list[Raw]:
    """The documents of one file; never empty. To be called in a thread: YAML takes about 2 s a megabyte, at most 8 MiB.

    `suffix` as in `Path.suffix`; one that is not known (standard input has none) is read as JSON or JSON Lines where
    the text is that, else as YAML.
    """
    suffix = suffix.lower()
    if suffix in JSON_LINES_SUFFIXES:
        return _json_lines(data, bounds)
    text = _text(data, bounds)
    if isinstance(text, Rejection):
        return [text]
    if suffix in JSON_SUFFIXES:
        return list(_json_items(text, data, bounds))
    if suffix not in YAML_SUFFIXES and text.lstrip().startswith(("{", "[")):
        if _looks_like_json_lines(text):
            return _json_lines(data, bounds)
        if _is_json(text, bounds):
            return list(_json_items(text, data, bounds))
    if len(data) > YAML_BYTES_MAX:
        return [reject(data, f"{_too_long(data, YAML_BYTES_MAX)} for YAML; write JSON Lines")]
    return _bounded(_yaml_items(text, bounds), data, bounds)


def parse_file_in_parts(data: bytes, suffix: str, bounds: Bounds = FILE_BOUNDS) -> Iterator[list[Raw]]:
    """`parse_file`, its items a part at a time; of JSON Lines with an object a line each part is read by itself."""
    if suffix.lower() not in JSON_LINES_SUFFIXES or not _holds_objects(data, bounds):
        items = iter(parse_file(data, suffix, bounds))
    else:
        items = _lines(data, bounds)
    while part := list(islice(items, PART)):
        yield part


def _holds_objects(data: bytes, bounds: Bounds) -> bool:
    """Whether every line is one item at most, and they are neither none nor too many."""
    if len(data) > bounds.size_max:
        return False
    lines = 0
    for line in io.BytesIO(data.removeprefix(BOM)):
        begin = line.lstrip()[:1]
        if begin == b"[":
            return False
        lines += bool(begin)
    return 0 < lines <= bounds.documents_max


def _too_long(data: bytes, size_max: int) -> str:
    return f"has {len(data)} bytes, the maximum is {size_max}"


def _text(data: bytes, bounds: Bounds) -> str | Rejection:
    if len(data) > bounds.size_max:
        return reject(data, _too_long(data, bounds.size_max))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return reject(data, f"is not UTF-8: byte {error.start} cannot be read")
    return text if text and not text.isspace() else reject(data, "is empty: it holds no document")


def _json_items(text: str, body: bytes | str, bounds: Bounds) -> Iterator[Raw]:
    parser = JsonParser(bounds)
    try:
        value = parser.parse(text)
    except JsonTextError as error:
        yield reject(body, str(error))
        return
    if not isinstance(value, list):
        yield _item(value, parser.flaws(value), body)
    elif not value:
        yield reject(body, "is an empty list: it holds no document")
    elif len(value) > bounds.documents_max:
        yield reject(body, _too_many(bounds))
    else:
        for item in value:
            yield _item(item, parser.flaws(item), item)


def _json_lines(data: bytes, bounds: Bounds) -> list[Raw]:
    if len(data) > bounds.size_max:
        return [reject(data, _too_long(data, bounds.size_max))]
    return _bounded(_lines(data, bounds), data, bounds)


def _lines(data: bytes, bounds: Bounds) -> Iterator[Raw]:
    for number, line in enumerate(io.BytesIO(data.removeprefix(BOM)), start=1):
        if line.strip():
            for item in parse_message(line.rstrip(b"\r\n"), bounds):
                yield _placed(item, f"line {number}")


def _yaml_items(text: str, bounds: Bounds) -> Iterator[Raw]:
    for part in split_stream(text):
        yield from _yaml_part(part, bounds)


def _yaml_part(part: YamlPart, bounds: Bounds) -> Iterator[Raw]:
    try:
        value = parse_part(part, bounds)
    except YamlTextError as error:
        yield reject(part.text, str(error), claimed=error.partial)
        return
    place = f"line {part.lines_before + 1}"
    if isinstance(value, list) and value:
        yield from (_placed(_item(item, [], item), place) for item in value)
    else:
        yield _placed(_item(value, [], part.text), place)


def _item(value: Any, flaws: list[str], body: Any) -> Raw:
    if isinstance(value, dict) and not flaws:
        return value
    claimed = value if isinstance(value, dict) else None
    problems = flaws if isinstance(value, dict) else [f"a document is an object; this is {described(value)}", *flaws]
    return reject(body, *problems, claimed=claimed)


def _placed(item: Raw, place: str) -> Raw:
    return item.at(place) if isinstance(item, Rejection) else item


def _bounded(items: Iterator[Raw], data: bytes, bounds: Bounds) -> list[Raw]:
    """All items, or one rejection of the whole: of too much, and of nothing."""
    found = list(islice(items, bounds.documents_max + 1))
    if len(found) > bounds.documents_max:
        return [reject(data, _too_many(bounds))]
    return found or [reject(data, "is empty: it holds no document")]


def _too_many(bounds: Bounds) -> str:
    return f"holds more than {bounds.documents_max} documents"


def _is_json(text: str, bounds: Bounds) -> bool:
    try:
        JsonParser(bounds).parse(text)
    except JsonTextError:
        return False
    return True


def _looks_like_json_lines(text: str) -> bool:
    """Whether the first line is an object of its own and more text follows it."""
    first, _, rest = text.strip().partition("\n")
    return bool(rest) and first.startswith("{") and _is_json(first, MESSAGE_BOUNDS)
