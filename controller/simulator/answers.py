"""Puts answers on the wire: JSON by output shape, XML for the query protocol, and errors in each protocol's form.

Invariant: what is not in the output shape never leaves, and times leave in the format the shape names. Encoders are
compiled once per shape; values that need no change are passed through untouched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import orjson
from botocore.model import Shape

from controller.simulator.errors import AwsError, unmodelled_status
from controller.simulator.operation import Encoder, Operation


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `outcome` is `ok` or the error's code."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    outcome: str


def json_encoder(shape: Shape | None, time_format: str) -> Encoder:
    """From values with times in epoch seconds to what JSON can hold. Members that are not modelled are left out."""
    if shape is None:
        return lambda _: {}
    return _compiled(shape, time_format) or _same


def _same(value: Any) -> Any:
    return value


def _compiled(shape: Shape, time_format: str) -> Encoder | None:
    """The encoder of a shape, or None where values can be passed through."""
    if shape.type_name == "structure":
        return _structure_encoder(shape, time_format)
    if shape.type_name == "list":
        item = _compiled(shape.member, time_format)
        return None if item is None else lambda values: [item(value) for value in values]
    if shape.type_name == "timestamp":
        return _iso_time if shape.serialization.get("timestampFormat", time_format) == "iso8601" else _unix_time
    return None  # maps, documents and scalars hold nothing to change in these services


def _structure_encoder(shape: Shape, time_format: str) -> Encoder:
    names = {name: member.serialization.get("name", name) for name, member in shape.members.items()}
    nested = {name: encode for name, member in shape.members.items() if (encode := _compiled(member, time_format))}

    def encode_structure(value: Mapping[str, Any]) -> dict[str, Any]:
        return {
            names[name]: nested[name](item) if name in nested else item
            for name, item in value.items()
            if item is not None and name in names
        }

    return encode_structure


def _iso_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)  # orjson writes it as ISO 8601 with a Z


def _unix_time(seconds: float) -> float:
    return seconds


def json_answer(operation: Operation, wire: Any) -> Answer:
    """A successful answer in one of the JSON protocols, from an encoded value."""
    kind = b"application/json" if operation.protocol == "rest-json" else b"application/x-amz-json-1.1"
    body = orjson.dumps(wire, option=orjson.OPT_UTC_Z)
    return Answer(operation.success_status, ((b"content-type", kind),), body, "ok")


def xml_answer(operation: Operation, value: Mapping[str, Any], request_id: str) -> Answer:
    """A successful answer in the query protocol."""
    shape = operation.output_shape
    result = _xml(shape, f"{operation.name}Result", value) if shape is not None else ""
    body = (
        f'<{operation.name}Response xmlns="{operation.namespace}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
    )
    return Answer(operation.success_status, ((b"content-type", b"text/xml"),), body.encode(), "ok")


def _xml(shape: Shape, tag: str, value: Any) -> str:
    if shape.type_name == "structure":
        inside = "".join(
            _xml(member, name, value[name]) for name, member in shape.members.items() if value.get(name) is not None
        )
    elif shape.type_name == "list":
        inside = "".join(_xml(shape.member, "member", item) for item in value)
    elif shape.type_name == "timestamp":
        inside = datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        inside = escape(str(value))
    return f"<{tag}>{inside}</{tag}>"


def error_answer(operation: Operation | None, protocol: str, error: AwsError, request_id: str) -> Answer:
    """An error in the form of the protocol. Without an operation (no route) the protocol alone decides."""
    modelled = operation.error_statuses.get(error.code) if operation else None
    status = error.status or modelled or unmodelled_status(protocol, error.code)
    member = operation.message_members.get(error.code, "message") if operation else "message"
    if protocol == "query":
        side = "Sender" if status < 500 else "Receiver"  # noqa: PLR2004 -- where HTTP's server errors begin
        namespace = operation.namespace if operation else "https://sts.amazonaws.com/doc/2011-06-15/"
        body = (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>{side}</Type><Code>{escape(error.code)}</Code>'
            f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Answer(status, ((b"content-type", b"text/xml"),), body.encode(), error.code)
    if protocol == "json":
        content = {"__type": error.code, member: error.message}
        return Answer(status, ((b"content-type", b"application/x-amz-json-1.1"),), orjson.dumps(content), error.code)
    headers = ((b"content-type", b"application/json"), (b"x-amzn-errortype", error.code.encode("ascii", "replace")))
    return Answer(status, headers, orjson.dumps({member: error.message}), error.code)
