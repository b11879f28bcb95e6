"""Role ARNs, buckets, scopes and kinds outside the allowed ones, wherever in a spec they stand and however spelt."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import Shape

from controller.documents import Policy, Rejection, read_message
from controller.documents.create_shape import create_shape
from controller.documents.policy import bucket_of
from controller.kinds import KINDS
from tests.documents import BATCH, PROMPT, RECOMMENDATION, ROLE, document
from tests.documents import KINDS as ALL_KINDS

EVIL_ROLE = "arn:aws:iam::210987654321:role/admin"
ALL_SCOPES = {"default": frozenset[str]()}
POLICY = Policy(scopes=ALL_SCOPES, role_arns=("arn:aws:iam::123456789012:role/batch",), buckets=("bucket", "team-*"))


def strings(shape: Shape, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Shape]]:
    """Every place in a create's parameters where a text may stand."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from strings(member, (*path, name))
    elif shape.type_name == "list":
        yield from strings(shape.member, (*path, 0))
    elif shape.type_name == "map":
        yield from strings(shape.value, (*path, "key"))
    elif shape.type_name == "string":
        yield path, shape


def at(path: tuple[Any, ...], value: str) -> Any:
    """A spec with nothing in it but a text at a path."""
    spec: Any = value
    for step in reversed(path):
        spec = [spec] if step == 0 else {step: spec}
    return spec


def problems(kind: str, path: tuple[Any, ...], value: str) -> list[str]:
    return list(POLICY.problems(at(path, value), create_shape(KINDS[kind])))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_place_of_every_kind(kind: str) -> None:
    """By the models themselves: whatever takes an S3 URI or a role is judged, members of the future as well."""
    locations, roles = 0, 0
    for path, shape in strings(create_shape(KINDS[kind])):
        if "s3:" in shape.metadata.get("pattern", "") or "(s3|" in shape.metadata.get("pattern", ""):
            locations += 1
            assert problems(kind, path, "s3://evil/x"), path
            assert not problems(kind, path, "s3://bucket/x"), path
        if ":role/" in shape.metadata.get("pattern", ""):
            roles += 1
            assert problems(kind, path, EVIL_ROLE), path
            assert not problems(kind, path, ROLE), path
        assert problems(kind, path, "S3://evil/x"), f"{path}: a location wherever it stands"
    assert locations >= 2
    assert roles == (1 if kind in {BATCH, RECOMMENDATION} else 0)


@pytest.mark.parametrize(
    "uri",
    [
        *("s3://evil/x", "s3://evil", "s3:///bucket/x", "s3://", "S3://bucket/x", "s3a://bucket/x", "s3n://bucket/x"),
        *(
            "s3://bucket.evil/x",
            "s3://evil.bucket/x",
            "s3://Bucket/x",
            "s3://bucket%2Fx/y",
            "s3://team-a%2f..%2Fevil/x",
        ),
        *(
            "s3://bucket@evil/x",
            "s3://team-a@evil/x",
            "s3://evil#bucket/x",
            "s3://team-a?x=/evil",
            "s3://team-a\\evil/x",
        ),
        *("s3://team-a evil/x", "s3://team-\u0430/x", "s3://team-a\u200b/x", "s3://team-a\n/x", " s3://bucket/x"),
        "s3://arn:aws:s3:us-east-1:210987654321:accesspoint/evil/x",
        "s3://arn:aws-cn:s3:cn-north-1:210987654321:accesspoint/evil",
        *("https://bucket.s3.amazonaws.com/x", "http://bucket/x", "https://s3.amazonaws.com/bucket/x", "//bucket/x"),
    ],
)
def test_spellings_of_buckets_that_are_not_allowed(uri: str) -> None:
    assert problems(RECOMMENDATION, ("jobInput", "s3DataSource", "path"), uri)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "s3://bucket/../x", "s3://team-a/x", "s3://team-/x"])
def test_spellings_that_are_allowed(uri: str) -> None:
    assert not problems(RECOMMENDATION, ("jobInput", "s3DataSource", "path"), uri)


@pytest.mark.parametrize(
    "arn",
    [
        *(EVIL_ROLE, "arn:aws:iam:::role/batch", "arn:aws-cn:iam::123456789012:role/batch"),
        *("arn:aws-us-gov:iam::123456789012:role/batch", "arn:aws:iam::123456789012:role/Batch", f"{ROLE}/admin"),
        *(f"{ROLE} ", f" {ROLE}", f"{ROLE}\n", ROLE.upper(), ROLE.replace("batch", "b%61tch"), "batch", ""),
        "arn:aws:iam::123456789012:role/path/batch",
    ],
)
@pytest.mark.parametrize("kind", [BATCH, RECOMMENDATION])
def test_spellings_of_roles_that_are_not_allowed(kind: str, arn: str) -> None:
    assert problems(kind, ("roleArn",), arn)


def test_what_cannot_be_a_bucket_is_allowed_by_a_star_alone() -> None:
    assert bucket_of("s3://a@b/x") == bucket_of("https://a/x") == bucket_of("s3://x") == ""
    assert bucket_of("s3://my_Legacy.bucket-1/x") == "my_Legacy.bucket-1"
    anywhere = Policy(scopes=ALL_SCOPES, buckets=("*",))
    assert not list(anywhere.problems({"s3Uri": "s3://a@b/x"}, create_shape(KINDS[BATCH])))


def test_scopes_and_kinds_outside_the_allowed_ones() -> None:
    policy = Policy(scopes={"default": frozenset({BATCH})})
    good = document(BATCH, "one")
    bad = [
        document(PROMPT, "kind"),
        {**document(PROMPT, "short"), "kind": "AdvancedPromptOptimizationJob"},
        *(
            {**document(BATCH, "scope"), "scope": scope}
            for scope in ("prod", "Default", "default ", "", "..", "\u0430")
        ),
        *({**document(BATCH, "kind"), "kind": kind} for kind in (BATCH.upper(), f"{BATCH} ", "../x", f"{BATCH}\x00")),
    ]
    found = read_message(json.dumps([good, *bad]).encode(), KINDS, policy)
    assert [isinstance(item, Rejection) for item in found] == [False, *[True] * len(bad)]


def test_patterns_of_the_settings_cost_little() -> None:
    """A pattern with many stars against a long text: no more than a moment, or this test never ends."""
    policy = Policy(scopes=ALL_SCOPES, role_arns=("*a" * 20 + "b",), buckets=("*a" * 20 + "b",))
    spec = {"roleArn": "a" * 2048, "x": "s3://" + "a" * 255}
    assert len(list(policy.problems(spec, create_shape(KINDS[BATCH])))) == 2
