"""The one table of AWS's errors: what to do next, and whether the request surely had no effect."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from controller.errors import (
    AlreadyKnownError,
    AwsError,
    BusyError,
    DeniedError,
    MissingError,
    NoAnswerError,
    PassExpiredError,
    QuotaFullError,
    RefusedError,
    ScopeUnavailableError,
    ThrottledError,
)
from controller.kinds.aws import classify, parse_timestamp
from controller.kinds.batch_inference import normalise_model

CREATE = "CreateModelInvocationJob"
LIST = "ListModelInvocationJobs"


def error(code: str, status: int, message: str = "") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, CREATE)


@pytest.mark.parametrize(
    ("code", "status", "message", "operation", "meaning", "definite"),
    [
        pytest.param("ThrottlingException", 429, "", CREATE, ThrottledError, True, id="throttled"),
        pytest.param("ThrottlingException", 400, "", LIST, ThrottledError, True, id="throttled with 400"),
        pytest.param("ServiceQuotaExceededException", 400, "", CREATE, QuotaFullError, True, id="quota"),
        pytest.param("ServiceQuotaExceededException", 402, "", "InvokeX", QuotaFullError, True, id="quota with 402"),
        pytest.param("LimitExceededException", 400, "", CREATE, QuotaFullError, True, id="limit on create"),
        pytest.param("LimitExceededException", 400, "", LIST, ThrottledError, True, id="limit on list"),
        pytest.param("ConflictException", 400, "", CREATE, AlreadyKnownError, True, id="conflict with 400"),
        pytest.param("ConflictException", 409, "", CREATE, AlreadyKnownError, True, id="conflict with 409"),
        pytest.param(
            "ValidationException",
            400,
            "The provided job name is currently in use.",
            CREATE,
            AlreadyKnownError,
            True,
            id="name in use",
        ),
        pytest.param("ResourceAlreadyExistsException", 400, "", CREATE, AlreadyKnownError, True, id="already exists"),
        pytest.param("ResourceInUseException", 400, "", CREATE, BusyError, True, id="in use"),
        pytest.param("ResourceNotFoundException", 404, "", CREATE, MissingError, True, id="missing"),
        pytest.param("ValidationException", 400, "bad role", CREATE, RefusedError, True, id="refused"),
        pytest.param("TooManyTagsException", 400, "", CREATE, RefusedError, True, id="too many tags"),
        pytest.param("InvalidNextTokenException", 400, "", LIST, PassExpiredError, True, id="next token"),
        pytest.param("ValidationException", 400, "nextToken expired", LIST, PassExpiredError, True, id="token expired"),
        pytest.param("AccessDeniedException", 403, "", CREATE, DeniedError, True, id="denied"),
        pytest.param("ExpiredTokenException", 403, "", CREATE, ScopeUnavailableError, True, id="expired credentials"),
        pytest.param("InvalidSignatureException", 403, "", CREATE, ScopeUnavailableError, True, id="signature"),
        pytest.param("InternalServerException", 500, "", CREATE, NoAnswerError, False, id="500"),
        pytest.param("503", 503, "", CREATE, NoAnswerError, False, id="503 without code"),
        pytest.param("RequestTimeout", 408, "", CREATE, NoAnswerError, False, id="408"),
        pytest.param("403", 403, "", CREATE, NoAnswerError, False, id="a proxy's 403 proves nothing"),
        pytest.param("TemporaryRedirect", 307, "", CREATE, NoAnswerError, False, id="a redirect refuses nothing"),
        pytest.param("ThrottlingException", 503, "", CREATE, NoAnswerError, False, id="throttled with 503"),
        pytest.param("ValidationException", 200, "", CREATE, NoAnswerError, False, id="an error with 200"),
        pytest.param("ValidationException", 0, "", CREATE, NoAnswerError, False, id="an error without status"),
        pytest.param("ValidationException", 499, "", CREATE, RefusedError, True, id="the last status that refuses"),
        pytest.param("BrandNewException", 400, "", CREATE, RefusedError, True, id="new code"),
    ],
)
def test_meaning(code: str, status: int, message: str, operation: str, meaning: type[AwsError], definite: bool) -> None:
    found = classify(error(code, status, message), operation)
    assert (type(found), found.definite) == (meaning, definite)


def test_a_refused_signature_tells_no_secret() -> None:
    found = classify(error("InvalidSignatureException", 403, "canonical string: secret-canary"), CREATE)
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("model_id", "key"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1:123456789012:custom-model/a.b/abcdefghijkl", "custom-model"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x1",
            "application-inference-profile/x1",
        ),
    ],
)
def test_the_quota_key_of_a_model(model_id: str, key: str) -> None:
    assert normalise_model(model_id) == key


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-21T03:40:00Z", datetime(2026, 11, 21, 3, 40, tzinfo=UTC)),
        ("2026-11-21T03:40:00.123456+00:00", datetime(2026, 11, 21, 3, 40, 0, 123456, tzinfo=UTC)),
        (1_795_232_400.5, datetime(2026, 11, 21, 3, 40, 0, 500_000, tzinfo=UTC)),
        ("yesterday", None),
        (1e300, None),
        (None, None),
    ],
)
def test_timestamps(value: object, moment: datetime | None) -> None:
    assert parse_timestamp(value) == moment
