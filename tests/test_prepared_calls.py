"""Prepared operations send what the SDK would send, and leave to the SDK what they cannot repeat."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import xform_name
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest

from controller.kinds import KINDS
from controller.kinds.aws import parse_timestamp
from controller.kinds.models import operation_model
from controller.kinds.prepared import PreparedOperation, Sample, can_be_prepared, prepare
from controller.kinds.signature import Signer
from controller.kinds.transport import sampling
from tests.documents import spec_of

REGION = "eu-central-1"
TAGGING = "resourcegroupstaggingapi"


class Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None


LASTING = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
PASSING = Keys("ASIDEXAMPLE", "secret", "token/of+a=session")
OTHER = Keys("AKIDOTHER", "another", None)


async def as_the_sdk_sends(
    service: str, operation: str, parameters: Mapping[str, Any], keys: Keys, endpoint_url: str | None = None
) -> Sample:
    samples: list[AWSPreparedRequest] = []
    config = AioConfig(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        http_session_cls=sampling(samples),
        user_agent_extra="ferryman",
    )
    session = AioSession()
    async with session.create_client(
        service,
        region_name=REGION,
        endpoint_url=endpoint_url,
        config=config,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.token,
    ) as client:
        await getattr(client, xform_name(operation))(**parameters)
    return Sample.of(samples[0])


async def prepared(
    service: str, operation: str, parameters: Mapping[str, Any], keys: Keys, endpoint_url: str | None = None
) -> PreparedOperation | None:
    sample = await as_the_sdk_sends(service, operation, parameters, keys, endpoint_url)
    return prepare(operation_model(service, operation), sample, parameters, keys, parse_timestamp)


def seconds_of(moment: str) -> float:
    return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def creates() -> list[Any]:
    cases = []
    for name, kind in KINDS.items():
        first, second = (kind.parameters(spec_of(name, number), f"uid-{number}", f"job-{number}") for number in (1, 2))
        cases.append(pytest.param(kind.service, kind.create, first, second, id=kind.create))
    return cases


OTHERS = [
    pytest.param(
        TAGGING,
        "GetResources",
        {"TagFilters": [{"Key": "a", "Values": ["b"]}]},
        {"TagFilters": [{"Key": "ä", "Values": ["\U0001f6a2 and 'more'"]}]},
        id="characters beyond ASCII",
    ),
    pytest.param("personalize", "ListBatchInferenceJobs", {}, {"maxResults": 100, "nextToken": "x"}, id="a list"),
]


@pytest.mark.parametrize("endpoint_url", [None, "http://127.0.0.1:4566", "https://proxy.example.org/aws"])
@pytest.mark.parametrize("keys", [LASTING, PASSING])
@pytest.mark.parametrize(("service", "operation", "first", "second"), [*creates(), *OTHERS])
async def test_a_later_request_is_the_one_that_the_sdk_would_send(
    service: str,
    operation: str,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    keys: Keys,
    endpoint_url: str | None,
) -> None:
    made = await prepared(service, operation, first, LASTING, endpoint_url)
    assert made is not None
    theirs = await as_the_sdk_sends(service, operation, second, keys, endpoint_url)
    ours = Sample.of(made.request(second, keys, seconds_of(theirs.headers["X-Amz-Date"])))
    number = "amz-sdk-invocation-id"
    assert ours.headers[number] != theirs.headers[number]
    assert (ours.method, ours.url, ours.body) == (theirs.method, theirs.url, theirs.body)
    assert {**ours.headers, number: ""} == {**theirs.headers, number: ""}
    assert list(ours.headers) == list(theirs.headers)


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        pytest.param("bedrock", "GetModelInvocationJob", id="a parameter in the path"),
        pytest.param("bedrock", "ListModelInvocationJobs", id="parameters in the query"),
        pytest.param("events", "PutEvents", id="an endpoint that depends on a parameter"),
        pytest.param("sns", "Publish", id="another protocol"),
        pytest.param("s3", "PutObject", id="a checksum of the body"),
    ],
)
def test_what_differs_in_more_than_its_body_is_left_to_the_sdk(service: str, operation: str) -> None:
    assert not can_be_prepared(operation_model(service, operation))


BATCH = KINDS["bedrock.ModelInvocationJob"]
REQUEST = BATCH.parameters(spec_of(BATCH.name), "uid-1", "job-1")


async def test_another_way_to_authenticate_is_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bearer")
    samples: list[AWSPreparedRequest] = []
    config = AioConfig(http_session_cls=sampling(samples), retries={"total_max_attempts": 1})
    async with AioSession().create_client("bedrock", region_name=REGION, config=config) as client:
        await client.create_model_invocation_job(**REQUEST)
    sample = Sample.of(samples[0])
    assert sample.headers["Authorization"] == "Bearer bearer"
    assert prepare(operation_model("bedrock", BATCH.create), sample, REQUEST, LASTING, parse_timestamp) is None


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"X-Amz-Content-SHA256": "0" * 64}, id="a header that depends on the body"),
        pytest.param({"Authorization": ""}, id="unsigned"),
        pytest.param({"Content-Type": "text/plain"}, id="a header that was signed otherwise"),
    ],
)
async def test_a_request_that_cannot_be_repeated_is_not_prepared(changed: Mapping[str, str]) -> None:
    sample = await as_the_sdk_sends("bedrock", BATCH.create, REQUEST, LASTING)
    other = Sample(sample.method, sample.url, {**sample.headers, **changed}, sample.body)
    assert prepare(operation_model("bedrock", BATCH.create), other, REQUEST, LASTING, parse_timestamp) is None


async def test_a_call_without_its_token_is_left_to_the_sdk_which_would_make_one_up() -> None:
    made = await prepared("bedrock", BATCH.create, REQUEST, LASTING)
    assert made is not None
    assert made.takes(REQUEST)
    assert not made.takes({name: value for name, value in REQUEST.items() if name != "clientRequestToken"})


def test_a_new_day_and_new_credentials_get_a_key_of_their_own() -> None:
    signer = Signer("POST", "/path", REGION, "bedrock")
    for keys, moment in [
        (LASTING, "20261121T235959Z"),
        (LASTING, "20261122T000000Z"),
        (OTHER, "20261122T000000Z"),
        (LASTING, "20261121T235959Z"),
    ]:
        request = AWSRequest("POST", "https://host.example.org/path", {"Content-Type": "a/b"}, b"{}")
        request.context["timestamp"] = moment
        request.headers["X-Amz-Date"] = moment
        theirs = SigV4Auth(keys, "bedrock", REGION)
        text = theirs.string_to_sign(request, theirs.canonical_request(request))
        theirs._inject_signature_to_request(request, theirs.signature(text, request))
        headers = {"content-type": "a/b", "host": "host.example.org", "x-amz-date": moment}
        assert signer.authorization(headers, b"{}", keys, moment) == request.headers["Authorization"]
