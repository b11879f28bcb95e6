"""Answers of AWS, parsed in pieces: a page of a thousand jobs must not hold the event loop.

Invariant: what comes out is what the SDK's own parser makes of the same answer, and it does all of the parsing; only
the members of an answer that are long lists are handed to it a piece at a time, with a turn of the loop after each.
"""

from collections.abc import Mapping
from inspect import isawaitable
from typing import Any, Final

from aiobotocore.parsers import AioJSONParser, AioResponseParserFactory, AioRestJSONParser

from controller.pieces import PIECE, InPieces

SHORT_BYTES: Final = 32 * 1024
"""An answer up to this size is parsed at once, whatever it holds."""


class _InPieces:
    """What comes between a parser of the SDK and its protocol."""

    async def _do_parse(self, response: Mapping[str, Any], shape: Any) -> Any:
        lists: dict[str, list[Any]] = {}
        if len(response["body"]) > SHORT_BYTES and _is_plain(shape):
            body = self._parse_body_as_json(response["body"])
            lists = _long_lists(shape, body)
            if lists:
                taken = {_key(shape, name) for name in lists}
                response = {**response, "body": {key: value for key, value in body.items() if key not in taken}}
        parsed: Any = super()._do_parse(response, shape)  # type: ignore[misc]
        if isawaitable(parsed):  # in one protocol of the two
            parsed = await parsed
        for name, items in lists.items():
            parsed[name] = await self._parse_list(shape.members[name], items)
        return parsed

    async def _parse_list(self, shape: Any, items: list[Any]) -> list[Any]:
        parsed: list[Any] = []
        async for piece in InPieces(items):
            parsed += self._parse_shape(shape, piece)  # type: ignore[attr-defined]
        return parsed

    def _parse_body_as_json(self, body: Any) -> Any:
        """Of bytes; what is parsed already stays as it is."""
        return body if isinstance(body, dict) else super()._parse_body_as_json(body)  # type: ignore[misc]


class _RestJson(_InPieces, AioRestJSONParser):  # type: ignore[misc]
    pass


class _Json(_InPieces, AioJSONParser):  # type: ignore[misc]
    pass


_OF_PROTOCOL: Final = {"rest-json": _RestJson, "json": _Json}


class ParserFactory(AioResponseParserFactory):  # type: ignore[misc]
    """What a session takes its parsers from: the SDK's, but for those of JSON."""

    def create_parser(self, protocol_name: str) -> Any:
        parser = _OF_PROTOCOL.get(protocol_name)
        return super().create_parser(protocol_name) if parser is None else parser(**self._defaults)


def _is_plain(shape: Any) -> bool:
    """Whether the body of an answer is an object with the members of its shape, and nothing else."""
    return shape is not None and not (
        "payload" in shape.serialization or shape.event_stream_name or shape.is_tagged_union or shape.is_document_type
    )


def _long_lists(shape: Any, body: Any) -> dict[str, list[Any]]:
    """By the members' names; none where the body is not what it should be, which is for the SDK to say."""
    if not isinstance(body, dict):
        return {}
    return {
        name: items
        for name, member in shape.members.items()
        if member.type_name == "list"
        and "location" not in member.serialization
        and isinstance(items := body.get(_key(shape, name)), list)
        and len(items) > PIECE
    }


def _key(shape: Any, name: str) -> str:
    """A member's name on the wire."""
    return str(shape.members[name].serialization.get("name", name))
