"""The create operation of a kind, as a document's spec meets it.

Invariant: a validator is made once per kind and process. Members that Ferryman fills in itself are settled here: the
token is refused, the job name may be left out, and a list of tags keeps room for Ferryman's own.
"""

from functools import cache
from typing import Final, Protocol

from botocore.model import StructureShape

from controller.kinds.models import operation_model
from controller.validation import ShapeValidator

OWN_TAGS: Final = 1
"""Tags that Ferryman adds where a kind's jobs are marked."""


class CreateKind(Protocol):
    """What has to be known of a kind to judge its documents."""

    @property
    def name(self) -> str: ...
    @property
    def short(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def create(self) -> str: ...
    @property
    def token_member(self) -> str | None: ...
    @property
    def name_member(self) -> str | None: ...
    @property
    def tags_member(self) -> str | None: ...
    @property
    def tag_key(self) -> str: ...
    @property
    def marks_with_tag(self) -> bool: ...


def create_shape(kind: CreateKind) -> StructureShape:
    """The modelled input of the kind's create operation."""
    return operation_model(kind.service, kind.create).input_shape


def spec_validator(kind: CreateKind) -> ShapeValidator:
    """The validator of the kind's spec; takes some milliseconds on the first call for a kind."""
    own_list = kind.tags_member if kind.marks_with_tag else None
    return _spec_validator(kind.service, kind.create, kind.token_member, kind.name_member, own_list)


@cache
def _spec_validator(
    service: str, operation: str, token: str | None, name: str | None, own_list: str | None
) -> ShapeValidator:
    return ShapeValidator(
        operation_model(service, operation).input_shape,
        forbidden={token: "Ferryman sets the idempotency token; leave this member out"} if token else {},
        optional=[name] if name else [],
        reserved={own_list: OWN_TAGS} if own_list else {},
    )
