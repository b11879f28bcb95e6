"""What the documents of a queue may ask for: scopes, kinds, role ARNs, buckets.

Invariant: a restriction that cannot be judged counts as broken. Roles and buckets are found by walking the modelled
shape beside the value, so a member that a newer model adds is restricted too.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from botocore.model import Shape

from controller.validation import child_path, quoted
from controller.validation.quoting import listed

_S3: Final = "s3://"
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True, slots=True)
class Policy:
    """Empty `role_arns` and `buckets` allow all; patterns are those of a shell (`*`, `?`, `[...]`), case counts."""

    scopes: Mapping[str, frozenset[str]]
    """The scopes that documents may name, each with the full names of the kinds it takes; an empty set takes all."""
    role_arns: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()

    def problems(self, spec: Any, shape: Shape, path: str = "spec") -> Iterator[str]:
        """What in a spec is not allowed, whether or not the spec is valid otherwise."""
        if not self.role_arns and not self.buckets:
            return
        for text in _texts(spec, shape, path):
            if self.role_arns and text.is_role and not _allowed(text.value, self.role_arns):
                yield f"{text.path}: the role {_not_allowed(text.value, self.role_arns)}"
            if self.buckets and text.is_location and not _allowed(bucket_of(text.value), self.buckets):
                yield f"{text.path}: the bucket of {_not_allowed(text.value, self.buckets)}"


def bucket_of(uri: str) -> str:
    """The bucket of an S3 URI; empty, which only `*` allows, where it is none or cannot be a bucket's name.

    What another reader could take apart differently (percent signs, `@`, `?`, spaces, ARNs) is no name.
    """
    name = uri[len(_S3) :].partition("/")[0] if uri.startswith(_S3) else ""
    return name if _BUCKET.fullmatch(name) else ""


def _not_allowed(text: str, patterns: tuple[str, ...]) -> str:
    return f"{quoted(text)} is not allowed; allowed are {listed(patterns)}"


def _allowed(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class _Text:
    """A string somewhere in a spec."""

    path: str
    value: str
    member: str
    shape: Shape | None
    """None within members that take any JSON."""

    @property
    def is_role(self) -> bool:
        return self.member.lower().endswith("rolearn")

    @property
    def is_location(self) -> bool:
        """Whether it names a place in S3, or may: Personalize's locations can be `https:` URLs as well."""
        modelled = self.shape.metadata.get("pattern", "") if self.shape is not None else ""
        return "s3" in modelled or self.value[: len(_S3)].lower() == _S3


def _texts(value: Any, shape: Shape | None, path: str) -> Iterator[_Text]:
    """Every string in a value, each with the member it stands in; in no order."""
    waiting: list[tuple[Any, Shape | None, str, str]] = [(value, shape, path, "")]
    while waiting:
        value, shape, path, member = waiting.pop()
        if isinstance(value, str):
            yield _Text(path, value, member, shape)
        elif isinstance(value, list):
            below = shape.member if shape is not None and shape.type_name == "list" else None
            waiting.extend((item, below, f"{path}[{index}]", member) for index, item in enumerate(value))
        elif isinstance(value, dict):
            waiting.extend((item, _below(shape, key), child_path(path, key), str(key)) for key, item in value.items())


def _below(shape: Shape | None, key: Any) -> Shape | None:
    if shape is None:
        return None
    if shape.type_name == "structure":
        return shape.members.get(key)
    return shape.value if shape.type_name == "map" else None
