"""What is on the wire, byte by byte: protocols, error forms, signatures, headers."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from botocore.exceptions import ClientError

from controller.simulator import Refuse
from tests.simulator.simulated import ACCOUNT, BATCH, NOON, RECOMMENDATIONS, Rig, refusal, served

XML = {"sts": "https://sts.amazonaws.com/doc/2011-06-15/"}


def signature(service: str = "bedrock", key: str = "AKIDEXAMPLE", region: str = "us-west-2") -> str:
    scope = f"{key}/20270115/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=0"


def ask(rig: Rig, method: str, path: str, *, headers: dict[str, str] | None = None, **rest: Any) -> httpx.Response:
    return httpx.request(method, rig.url + path, headers={"authorization": signature(), **(headers or {})}, **rest)


def ask_personalize(rig: Rig, operation: str, body: Any) -> httpx.Response:
    headers = {
        "x-amz-target": f"AmazonPersonalize.{operation}",
        "content-type": "application/x-amz-json-1.1",
        "authorization": signature("personalize"),
    }
    return ask(rig, "POST", "/", headers=headers, json=body)


def ask_sts(rig: Rig, body: str) -> httpx.Response:
    headers = {"content-type": "application/x-www-form-urlencoded", "authorization": signature("sts")}
    return ask(rig, "POST", "/", headers=headers, content=body)


def xml_of(answer: httpx.Response) -> ET.Element:
    return ET.fromstring(answer.text)  # noqa: S314 -- the answer of the simulator under test


def test_rest_json_answers() -> None:
    with served() as rig:
        rig.clock.at += 0.5
        answer = ask(rig, "POST", "/model-invocation-job", json={**BATCH, "jobName": "a"})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.headers["x-amzn-requestid"])
        arn = answer.json()["jobArn"]
        for path in (arn, arn.replace(":", "%3A").replace("/", "%2F"), arn.rsplit("/", 1)[-1]):
            shown = ask(rig, "GET", f"/model-invocation-job/{path}").json()
            assert shown["submitTime"] == "2027-01-15T08:00:00.500000Z"
        assert ask(rig, "POST", f"/model-invocation-job/{arn}/stop").json() == {}


def test_rest_json_errors_name_their_type_in_a_header() -> None:
    with served() as rig:
        answer = ask(rig, "GET", "/model-invocation-job/abcdefghijkl")
        assert answer.status_code == 404
        assert answer.headers["x-amzn-errortype"] == "ResourceNotFoundException"
        assert set(answer.json()) == {"message"}


def test_json_answers_and_errors() -> None:
    with served() as rig:
        made = ask_personalize(rig, "CreateBatchInferenceJob", {"jobName": "m", **RECOMMENDATIONS})
        assert made.headers["content-type"] == "application/x-amz-json-1.1"
        shown = ask_personalize(rig, "DescribeBatchInferenceJob", made.json()).json()["batchInferenceJob"]
        assert shown["creationDateTime"] == NOON
        again = ask_personalize(rig, "CreateBatchInferenceJob", {"jobName": "m", **RECOMMENDATIONS})
        assert again.status_code == 400
        assert again.json()["__type"] == "ResourceAlreadyExistsException"
        assert "message" in again.json()
        unknown = ask_personalize(rig, "Nothing", {})
        assert (unknown.status_code, unknown.json()["__type"]) == (400, "UnknownOperationException")


def test_query_answers_and_errors_are_xml() -> None:
    with served() as rig:
        root = xml_of(ask_sts(rig, "Action=GetCallerIdentity&Version=2011-06-15"))
        assert root.findtext("sts:GetCallerIdentityResult/sts:Account", namespaces=XML) == ACCOUNT
        assert root.findtext("sts:ResponseMetadata/sts:RequestId", namespaces=XML)
        asked = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=me&RoleArn=arn:aws:iam::210987654321:role/a%26b"
        root = xml_of(ask_sts(rig, asked + "&Tags.member.1.Key=k&Tags.member.1.Value=v"))
        expiry = root.findtext("sts:AssumeRoleResult/sts:Credentials/sts:Expiration", namespaces=XML)
        assert expiry == "2027-01-15T09:00:00Z"
        arn = root.findtext("sts:AssumeRoleResult/sts:AssumedRoleUser/sts:Arn", namespaces=XML)
        assert arn == "arn:aws:sts::210987654321:assumed-role/a&b/me"
        wrong = ask_sts(rig, "Action=AssumeRole&Version=2011-06-15&RoleSessionName=me")
        root = xml_of(wrong)
        assert wrong.status_code == 400
        assert root.findtext("sts:Error/sts:Code", namespaces=XML) == "ValidationError"
        assert root.findtext("sts:Error/sts:Type", namespaces=XML) == "Sender"
        unknown = ask_sts(rig, "Action=Nothing&Version=2011-06-15")
        assert xml_of(unknown).findtext("sts:Error/sts:Code", namespaces=XML) == "InvalidAction"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{", "SerializationException", id="no-json"),
        pytest.param(b"[]", "SerializationException", id="no-object"),
        pytest.param(b"\xff\xfe", "SerializationException", id="no-text"),
        pytest.param(b"[" * 100_000, "SerializationException", id="deep"),
        pytest.param(b"", "ValidationException", id="nothing"),
        pytest.param(b'{"jobName": 7}', "ValidationException", id="types"),
        pytest.param(b'{"jobName": "' + b"-" * 40 + b'!"}', "ValidationException", id="explosive-pattern"),
        pytest.param(b"x" * 5_000_000, "RequestEntityTooLarge", id="too-large"),
    ],
)
def test_bodies_that_no_service_accepts(body: bytes, code: str) -> None:
    with served() as rig:
        answer = ask(rig, "POST", "/model-invocation-job", content=body)
        assert answer.headers["x-amzn-errortype"] == code
        assert 400 <= answer.status_code < 500
        assert not rig.simulator.ledger.entries


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("maxResults=two", 400),
        ("maxResults=" + "9" * 5000, 400),
        ("submitTimeAfter=yesterday", 400),
        ("submitTimeAfter=nan", 400),
        ("submitTimeAfter=2027-01-15T08:00:00Z&unknown=1", 200),
        ("statusEquals=Nothing", 400),
    ],
)
def test_query_strings_are_checked(query: str, status: int) -> None:
    with served() as rig:
        assert ask(rig, "GET", f"/model-invocation-jobs?{query}").status_code == status


def test_members_that_are_null_are_not_there() -> None:
    with served() as rig:
        body = {**BATCH, "jobName": "a", "tags": None, "vpcConfig": None}
        assert ask(rig, "POST", "/model-invocation-job", json=body).status_code == 200
        assert "tags" not in rig.simulator.ledger.jobs()[0].parameters


@pytest.mark.parametrize(
    ("headers", "code", "status"),
    [
        ({"authorization": ""}, "MissingAuthenticationTokenException", 403),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=only"}, "IncompleteSignatureException", 403),
        ({"x-amz-date": "yesterday"}, "IncompleteSignatureException", 403),
        ({"x-amz-date": "20270115T075459Z"}, "InvalidSignatureException", 403),
        ({"x-amz-date": "20270115T080501Z"}, "InvalidSignatureException", 403),
        ({"authorization": signature(key="ASIA123456789012ABCD")}, "UnrecognizedClientException", 403),
    ],
)
def test_requests_that_are_not_signed_well(headers: dict[str, str], code: str, status: int) -> None:
    with served(check_signature_date=True) as rig:
        given = {"x-amz-date": "20270115T080000Z", **headers}
        answer = ask(rig, "GET", "/model-invocation-jobs", headers=given)
        assert (answer.headers["x-amzn-errortype"], answer.status_code) == (code, status)


@pytest.mark.parametrize("date", ["20270115T075500Z", "20270115T080500Z"])
def test_a_signature_is_good_for_five_minutes(date: str) -> None:
    with served(check_signature_date=True) as rig:
        assert ask(rig, "GET", "/model-invocation-jobs", headers={"x-amz-date": date}).status_code == 200


def test_an_expired_signature_says_so_in_every_protocol() -> None:
    with served(check_signature_date=True) as rig:
        expected = {
            "bedrock": ("list_model_invocation_jobs", "InvalidSignatureException", 403),
            "personalize": ("list_batch_inference_jobs", "InvalidSignatureException", 400),
            "sts": ("get_caller_identity", "SignatureDoesNotMatch", 403),
        }
        for service, (operation, code, status) in expected.items():
            with pytest.raises(ClientError, match=r"Signature (expired|not yet current)") as raised:
                getattr(rig.client(service), operation)()
            assert refusal(raised.value) == (code, status)


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "ExpiredTokenException"])
def test_revoked_keys_are_refused(code: str) -> None:
    with served(revoked_keys={"AKIDGONE": code}) as rig:
        with pytest.raises(ClientError) as raised:
            rig.client("bedrock", key="AKIDGONE").list_model_invocation_jobs()
        assert refusal(raised.value) == (code, 403)
        with pytest.raises(ClientError) as raised:
            rig.client("personalize", key="AKIDGONE").list_batch_inference_jobs()
        assert refusal(raised.value) == (code, 400)
        rig.create()


def test_bearer_and_presigned_and_regionless_signatures() -> None:
    with served(bearer_region="eu-central-1") as rig:
        body = {**BATCH, "jobName": "a"}
        bearer = {"authorization": "Bearer bedrock-api-key-x"}
        assert ask(rig, "POST", "/model-invocation-job", json=body, headers=bearer).status_code == 200
        presigned = "X-Amz-Credential=AK%2F20270115%2Fus-east-2%2Fbedrock%2Faws4_request"
        query = f"/model-invocation-job?{presigned}"
        assert ask(rig, "POST", query, json=body, headers={"authorization": ""}).status_code == 200
        everywhere = {
            "authorization": "AWS4-ECDSA-P256-SHA256 Credential=AK/20270115/bedrock/aws4_request, Signature=0",
            "x-amz-region-set": "ap-southeast-2",
        }
        assert ask(rig, "POST", "/model-invocation-job", json=body, headers=everywhere).status_code == 200
        regions = [entry.region for entry in rig.simulator.ledger.jobs()]
        assert regions == ["eu-central-1", "us-east-2", "ap-southeast-2"]


def test_partitions_follow_the_region() -> None:
    with served() as rig:
        for region, partition in (("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-west-1", "aws")):
            headers = {"authorization": signature(region=region)}
            answer = ask(rig, "POST", "/model-invocation-job", json={**BATCH, "jobName": "a"}, headers=headers)
            assert answer.json()["jobArn"].startswith(f"arn:{partition}:bedrock:{region}:")


def test_error_messages_are_escaped_in_xml() -> None:
    with served() as rig:
        rig.fault(Refuse(code="AccessDenied", message="<no> & no"), operation="GetCallerIdentity")
        answer = ask_sts(rig, "Action=GetCallerIdentity&Version=2011-06-15")
        assert answer.status_code == 403
        assert xml_of(answer).findtext("sts:Error/sts:Message", namespaces=XML) == "<no> & no"


def test_several_problems_are_one_validation_error() -> None:
    with served() as rig:
        answer = ask(rig, "POST", "/model-invocation-job", json={**BATCH, "jobName": "", "modelId": "", "tags": 1})
        message = answer.json()["message"]
        assert message.startswith("3 validation errors detected: ")
        assert all(member in message for member in ("jobName", "modelId", "tags"))
