"""An operation, prepared: what the SDK works out anew for each call, worked out once.

For each call the SDK builds its user agent, resolves the endpoint, derives a signing key and asks some thirty handlers,
most of them for other services. Here the SDK builds one request of an operation, which is not sent, and later ones are
made after it. Parameters are still serialized, requests sent and answers parsed by the SDK's own parts.

Invariant: a request is what the SDK would send, byte for byte, but for the number that tells calls apart. The one that
the SDK built is built again here to prove it. Where that fails (another way to authenticate, an SDK that has changed),
and for operations whose requests differ in more than their body, nothing is prepared and the SDK makes each call.
"""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError
from botocore.model import OperationModel, Shape
from botocore.parsers import ResponseParserFactory
from botocore.serialize import create_serializer

from controller.kinds.signature import Credentials, Signer

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/[0-9]{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_PROTOCOLS: Final = frozenset({"json", "rest-json"})
_ID: Final = "amz-sdk-invocation-id"
_DATE: Final = "X-Amz-Date"
_TOKEN: Final = "X-Amz-Security-Token"  # noqa: S105 - the name of a header
_OF_EACH_CALL: Final = frozenset({_DATE, _TOKEN, "Authorization", _ID, "Content-Length"})
_OF_EVERY_CALL: Final = frozenset(
    {"Content-Type", "User-Agent", "X-Amz-Target", "x-amzn-query-mode", "amz-sdk-request"}
)
"""Headers which do not depend on a call's parameters; with one that is not known to be so, nothing is prepared."""
_PLAIN: Final = frozenset({"string", "boolean", "integer", "long", "float", "double"})
_PORTS: Final = {"http": 80, "https": 443}


class Transport(Protocol):
    """The SDK's HTTP session."""

    async def send(self, request: AWSPreparedRequest) -> Any: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """A request of an operation, as the SDK built it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, request: AWSPreparedRequest) -> Self:
        headers = {name: _text(value) for name, value in request.headers.items()}
        return cls(request.method, request.url, headers, request.body if isinstance(request.body, bytes) else b"")


def can_be_prepared(model: OperationModel) -> bool:
    """Whether requests of an operation differ in their body alone, and in nothing that is derived from it."""
    shape = model.input_shape
    return (
        model.service_model.resolved_protocol in _PROTOCOLS
        and shape is not None
        and not any("location" in member.serialization for member in shape.members.values())
        and "payload" not in shape.serialization
        and not (model.context_parameters or model.operation_context_parameters)  # of which the endpoint may depend
        and not (model.http_checksum or model.http_checksum_required or model.request_compression or model.endpoint)
        and not (model.has_streaming_input or model.has_streaming_output or model.has_event_stream_output)
    )


class PreparedOperation:
    """Calls of one operation. Made by `prepare`.

    Args:
        timestamps: parses the timestamps of an answer.
    """

    def __init__(self, model: OperationModel, sample: Sample, signed: re.Match[str], timestamps: Any) -> None:
        protocol = model.service_model.resolved_protocol
        factory = ResponseParserFactory()
        factory.set_parser_defaults(timestamp_parser=timestamps)
        self._parser = factory.create_parser(protocol)
        self._serializer = create_serializer(protocol, include_validation=False)
        self._model = model
        self._method = sample.method
        self._url = sample.url
        self._headers = _in_order(sample.headers)
        url = urlsplit(sample.url)
        self._signer = Signer(sample.method, url.path or "/", signed[1], signed[2])
        port = "" if url.port in {None, _PORTS.get(url.scheme)} else f":{url.port}"
        self._constant = {name.lower(): value for name, value in sample.headers.items() if name not in _OF_EACH_CALL}
        self._constant["host"] = f"{url.hostname}{port}"
        known = self._constant.keys() | {"x-amz-date"}
        self._names = tuple(name for name in signed[3].split(";") if name in known)
        self._names_with_token = tuple(sorted((*self._names, _TOKEN.lower())))
        self._plain = _is_plain(model.input_shape)
        self._filled_in = frozenset(model.idempotent_members)
        self._moment = (0, "")

    def takes(self, parameters: Mapping[str, Any]) -> bool:
        """Whether a call with these parameters is one that the SDK would add nothing to."""
        return self._filled_in <= parameters.keys()

    def request(self, parameters: Mapping[str, Any], credentials: Credentials, now: float) -> AWSPreparedRequest:
        """The signed request of one call, as of `now`, in seconds since the epoch."""
        return self._build(self._body(parameters), credentials, self._moment_of(now), str(uuid.uuid4()))

    def _body(self, parameters: Mapping[str, Any]) -> bytes:
        if self._plain and None not in parameters.values():
            return json.dumps(parameters).encode()  # what the serializer would do, without asking the model
        body: bytes = self._serializer.serialize_to_request(parameters, self._model)["body"]
        return body

    def _build(self, body: bytes, credentials: Credentials, moment: str, id_: str) -> AWSPreparedRequest:
        headers = self._headers.copy()
        signed = {**self._constant, "x-amz-date": moment}
        names = self._names
        headers[_DATE] = moment
        if credentials.token:
            headers[_TOKEN] = signed[_TOKEN.lower()] = credentials.token
            names = self._names_with_token
        else:
            del headers[_TOKEN]
        headers["Authorization"] = self._signer.authorization(
            {name: signed[name] for name in names}, body, credentials, moment
        )
        headers[_ID] = id_
        headers["Content-Length"] = str(len(body))
        return AWSPreparedRequest(self._method, self._url, headers, body, stream_output=False)

    def _moment_of(self, now: float) -> str:
        second, moment = self._moment
        if int(now) != second:
            moment = datetime.fromtimestamp(int(now), UTC).strftime("%Y%m%dT%H%M%SZ")
            self._moment = (int(now), moment)
        return moment

    def repeats(self, sample: Sample, parameters: Mapping[str, Any], credentials: Credentials) -> bool:
        """Whether the request of `sample`, built here for the same call, is the same."""
        serialized = self._serializer.serialize_to_request(parameters, self._model)
        ours = self._build(
            self._body(parameters), credentials, sample.headers.get(_DATE, ""), sample.headers.get(_ID, "")
        )
        return self.takes(parameters) and "host_prefix" not in serialized and Sample.of(ours) == sample

    async def send(self, request: AWSPreparedRequest, transport: Transport) -> Mapping[str, Any]:
        """Send a request; the parsed answer.

        Raises:
            ClientError: AWS answered with an error.
            the transport's own errors, and those of the SDK's parser.
        """
        response = await transport.send(request)
        answer = {"headers": response.headers, "status_code": response.status_code, "body": await response.content}
        parsed: dict[str, Any] = self._parser.parse(answer, self._model.output_shape)
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            raise ClientError(parsed, self._model.name)
        return parsed


def prepare(
    model: OperationModel, sample: Sample, parameters: Mapping[str, Any], credentials: Credentials, timestamps: Any
) -> PreparedOperation | None:
    """Prepare an operation after a request that the SDK built for `parameters`; None where that cannot be repeated."""
    signed = _AUTHORIZATION.fullmatch(sample.headers.get("Authorization", ""))
    if signed is None or not can_be_prepared(model) or urlsplit(sample.url).query:
        return None
    if not sample.headers.keys() <= _OF_EVERY_CALL | _OF_EACH_CALL:
        return None
    prepared = PreparedOperation(model, sample, signed, timestamps)
    return prepared if prepared.repeats(sample, parameters, credentials) else None


def _is_plain(shape: Shape, within: tuple[str, ...] = ()) -> bool:
    """Whether parameters of a shape go on the wire as they are: no times, no bytes, no names of the wire's own."""
    if shape.name in within or getattr(shape, "is_document_type", False):
        return True
    within = (*within, shape.name)
    if shape.type_name == "structure":
        renamed = any(member.serialization.get("name", name) != name for name, member in shape.members.items())
        return not renamed and all(_is_plain(member, within) for member in shape.members.values())
    if shape.type_name == "list":
        return _is_plain(shape.member, within)
    if shape.type_name == "map":
        return _is_plain(shape.value, within)
    return shape.type_name in _PLAIN


def _in_order(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers in the SDK's order, with a place for a session token, which comes and goes with the credentials."""
    ordered: dict[str, str] = {}
    for name, value in headers.items():
        ordered[name] = value
        if name == _DATE:
            ordered[_TOKEN] = ""
    return ordered


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
