"""AWS's wire protocols, driven by botocore's service models: which operation a request is for, and its parameters.

Invariant: all work on models is done once, in `load_operations`; serving a request touches compiled operations only.
Answers are put on the wire in `answers`; what an operation means belongs in the module of its service.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import botocore.session
import orjson
from botocore.model import OperationModel, Shape

from controller.simulator.answers import json_encoder
from controller.simulator.errors import DIALECTS, AwsError
from controller.simulator.inspection import Inspector
from controller.simulator.operation import Match, Operation, Request

SIMULATED: Final[Mapping[str, tuple[str, ...]]] = {
    "bedrock": (
        "CreateModelInvocationJob",
        "GetModelInvocationJob",
        "ListModelInvocationJobs",
        "StopModelInvocationJob",
        "CreateAdvancedPromptOptimizationJob",
        "GetAdvancedPromptOptimizationJob",
        "ListAdvancedPromptOptimizationJobs",
        "StopAdvancedPromptOptimizationJob",
        "BatchDeleteAdvancedPromptOptimizationJob",
    ),
    "bedrock-data-automation": ("InvokeBlueprintOptimizationAsync", "GetBlueprintOptimizationStatus"),
    "personalize": ("CreateBatchInferenceJob", "DescribeBatchInferenceJob", "ListBatchInferenceJobs"),
    "resourcegroupstaggingapi": ("GetResources",),
    "service-quotas": ("ListServiceQuotas",),
    "sts": ("GetCallerIdentity", "AssumeRole"),
}
_MAGNITUDE_MAX: Final = 2**63


class Operations:
    """Finds the operation of a request: by X-Amz-Target, by Action, or by method and path."""

    def __init__(self, operations: Mapping[str, Operation], routes: Mapping[str, tuple[str, str]]) -> None:
        self.by_name = operations
        self._targets = {target: operations[name] for name, (kind, target) in routes.items() if kind == "target"}
        self._actions = {target: operations[name] for name, (kind, target) in routes.items() if kind == "action"}
        paths = {name: target.split(" ", 1) for name, (kind, target) in routes.items() if kind == "path"}
        self._exact = {(m, p): operations[name] for name, (m, p) in paths.items() if "{" not in p}
        # The longest template first: `.../{id}/stop` before `.../{id}`, whose label may hold slashes (an ARN).
        labelled = sorted(((len(p), name, m, p) for name, (m, p) in paths.items() if "{" in p), reverse=True)
        self._labelled = [(m, _path_pattern(p), operations[name]) for _, name, m, p in labelled]

    def find(self, request: Request) -> Match:
        """The operation of a request.

        Raises:
            AwsError: no simulated operation has this route; the answer AWS gives for unknown operations.
        """
        target = request.headers.get("x-amz-target")
        if target is not None:
            operation = self._targets.get(target)
            if operation is None:
                raise AwsError("UnknownOperationException", f"{target} is not simulated.", status=400)
            return Match(operation, {})
        operation = self._exact.get((request.method, request.path))
        if operation is not None:
            return Match(operation, {})
        if request.path == "/":
            return self._by_action(request)
        for method, pattern, candidate in self._labelled:
            found = pattern.fullmatch(request.path) if method == request.method else None
            if found:
                return Match(candidate, found.groupdict())
        message = f"{request.method} {request.path} is not simulated."
        raise AwsError("UnknownOperationException", message, status=404)

    def _by_action(self, request: Request) -> Match:
        fields = form_fields(request)
        operation = self._actions.get(f"{fields.get('Version')}.{fields.get('Action')}")
        if operation is None:
            message = f"Could not find operation {fields.get('Action')} for version {fields.get('Version')}"
            raise AwsError("InvalidAction", message, status=400)
        return Match(operation, {})


def form_fields(request: Request) -> dict[str, str]:
    """The fields of a query-protocol request, from the query string and the body."""
    try:
        body = request.body.decode("utf-8")
        return dict(parse_qsl(f"{request.query}&{body}", keep_blank_values=True, max_num_fields=1000))
    except ValueError as error:
        raise AwsError("MalformedQueryString", "The query string is malformed", status=400) from error


@cache
def load_operations() -> Operations:
    """Compiles every simulated operation from botocore's installed models (about 0.2 s, once in a process)."""
    session = botocore.session.Session()
    operations: dict[str, Operation] = {}
    routes: dict[str, tuple[str, str]] = {}
    for service, names in SIMULATED.items():
        model = session.get_service_model(service)
        for name in names:
            operation = model.operation_model(name)
            operations[name] = _compile(service, operation)
            routes[name] = _route(operation)
    return Operations(operations, routes)


def _route(operation: OperationModel) -> tuple[str, str]:
    protocol = operation.service_model.resolved_protocol
    if protocol == "json":
        return "target", f"{operation.metadata['targetPrefix']}.{operation.name}"
    if protocol == "query":
        return "action", f"{operation.metadata['apiVersion']}.{operation.name}"
    return "path", f"{operation.http['method']} {operation.http['requestUri']}"


def _path_pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\+?\}", template)
    return re.compile("".join(f"(?P<{p}>.+)" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


def _compile(service: str, operation: OperationModel) -> Operation:
    protocol = operation.service_model.resolved_protocol
    errors = {shape.name: shape for shape in operation.error_shapes}
    output = operation.output_shape
    return Operation(
        service=service,
        name=operation.name,
        protocol=protocol,
        version=operation.metadata["apiVersion"],
        namespace=operation.metadata.get("xmlNamespace", ""),
        success_status=operation.http.get("responseCode", 200),
        dialect=DIALECTS[service],
        error_statuses={
            code: shape.metadata["error"]["httpStatusCode"]
            for code, shape in errors.items()
            if "httpStatusCode" in shape.metadata.get("error", {})
        },
        message_members={
            code: member for code, shape in errors.items() for member in shape.members if member.lower() == "message"
        },
        parse=_PARSERS[protocol](operation),
        inspect=Inspector(operation.input_shape),
        encode=json_encoder(output, "iso8601" if protocol == "rest-json" else "unixTimestamp"),
        output_shape=output,
    )


def _rest_json_parser(operation: OperationModel) -> Callable[[Request, Mapping[str, str]], dict[str, Any]]:
    members = operation.input_shape.members if operation.input_shape else {}
    located = {name: member.serialization.get("location") for name, member in members.items()}
    labels = {member.serialization.get("name", n): (n, member) for n, member in members.items() if located[n] == "uri"}
    queried = {
        member.serialization.get("name", n): (n, member) for n, member in members.items() if located[n] == "querystring"
    }
    has_body = any(location is None for location in located.values())

    def parse(request: Request, found: Mapping[str, str]) -> dict[str, Any]:
        parameters = json_object(request.body) if has_body else {}
        for wire, text in found.items():
            name, member = labels[wire]
            parameters[name] = _scalar(member, unquote(text) if "%" in text else text)
        if queried and request.query:
            for wire, text in parse_qsl(request.query, keep_blank_values=True, max_num_fields=1000):
                if wire in queried:
                    name, member = queried[wire]
                    parameters[name] = _scalar(member, text)
        return parameters

    return parse


def _json_parser(_: OperationModel) -> Callable[[Request, Mapping[str, str]], dict[str, Any]]:
    return lambda request, _labels: json_object(request.body)


def _query_parser(operation: OperationModel) -> Callable[[Request, Mapping[str, str]], dict[str, Any]]:
    shape = operation.input_shape

    def parse(request: Request, _labels: Mapping[str, str]) -> dict[str, Any]:
        fields = form_fields(request)
        return _from_fields(shape, "", fields) or {} if shape is not None else {}

    return parse


_PARSERS: Final = {"rest-json": _rest_json_parser, "json": _json_parser, "query": _query_parser}


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON body as an object; an empty body is an empty object.

    Raises:
        AwsError: SerializationException, as AWS answers what is no JSON object.
    """
    try:
        value = orjson.loads(body) if body else {}
        value = _without_nulls(value) if b"null" in body else value
    except orjson.JSONDecodeError as error:
        raise AwsError("SerializationException", "The request body is not valid JSON", status=400) from error
    if not isinstance(value, dict):
        raise AwsError("SerializationException", "Start of structure or map found where not expected.", status=400)
    return value


def _without_nulls(value: Any) -> Any:
    """A member that is null is a member that is not there."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _scalar(shape: Shape, text: str) -> Any:
    """A value from a path, a query string or a form, by its shape; text that does not fit stays for the inspection."""
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text) if len(text) < 20 else text  # noqa: PLR2004 -- digits of a 64-bit number
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}.get(text, text)
            case "timestamp":
                return parse_time(text)
    except ValueError:
        return text
    return text


def parse_time(text: str) -> float:
    """Seconds since the epoch from ISO 8601 or a number; a time without an offset is UTC.

    Raises:
        ValueError: neither.
    """
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if abs(seconds) > _MAGNITUDE_MAX or seconds != seconds:  # noqa: PLR0124 -- nan is what differs from itself
        raise ValueError(text)
    return seconds


def _from_fields(shape: Shape, prefix: str, fields: Mapping[str, str]) -> Any:
    """A value of the query protocol: `Tags.member.1.Key=...`; None when no field belongs to it."""
    if shape.type_name == "structure":
        found = {
            name: value
            for name, member in shape.members.items()
            if (value := _from_fields(member, f"{prefix}.{name}" if prefix else name, fields)) is not None
        }
        return found or None
    if shape.type_name == "list":
        items: list[Any] = []
        while (item := _from_fields(shape.member, f"{prefix}.member.{len(items) + 1}", fields)) is not None:
            items.append(item)
        return items or None
    return _scalar(shape, fields[prefix]) if prefix in fields else None
