"""What a request is, and what the model of an operation is compiled into.

Invariant: facts only; how bytes become them is said in `protocol`, how they become bytes again in `answers`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import StructureShape

from controller.simulator.errors import Dialect
from controller.simulator.inspection import Inspector

Encoder = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names in lower case, `path` percent-decoded, `query` without the question mark."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, compiled from its model."""

    service: str
    name: str
    protocol: str
    version: str
    namespace: str
    success_status: int
    dialect: Dialect
    error_statuses: Mapping[str, int]
    message_members: Mapping[str, str]
    parse: Callable[[Request, Mapping[str, str]], dict[str, Any]]
    inspect: Inspector
    encode: Encoder
    output_shape: StructureShape | None


@dataclass(frozen=True, slots=True)
class Match:
    operation: Operation
    labels: Mapping[str, str]
