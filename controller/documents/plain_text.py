"""The HTML of modelled documentation as plain text."""

import re
from html.parser import HTMLParser
from typing import Final

_BLOCKS: Final = frozenset({"p", "ul", "ol", "li", "note", "important", "br", "div", "dl", "dt", "dd", "pre"})
_SPACE: Final = re.compile(r"[ \t\n]+")


class _TextOnly(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._bullet = ""

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag in _BLOCKS:
            self._parts.append("\n")
            self._bullet = "- " if tag == "li" else self._bullet

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self._parts.append(self._bullet)
            self._bullet = ""
        self._parts.append(_SPACE.sub(" ", data))

    def text(self) -> str:
        lines = (line.strip() for line in "".join(self._parts).split("\n"))
        return "\n".join(line for line in lines if line)


def plain_text(html: str) -> str:
    """Paragraphs and list items as lines of their own, everything else as running text."""
    parser = _TextOnly()
    parser.feed(html)
    parser.close()
    return parser.text()


def first_sentence(text: str) -> str:
    """The first sentence of the first line."""
    line = text.partition("\n")[0]
    end = line.find(". ")
    return line if end < 0 else line[: end + 1]
