"""Error answers as AWS gives them, before they are put on the wire.

Invariant: a handler that refuses a request raises `AwsError` and has changed nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class AwsError(Exception):
    """A refusal: the code as AWS names it, a message, and the HTTP status if it is not the modelled one."""

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one service names the errors that every service has."""

    invalid: str
    throttled: str
    access_denied: str = "AccessDeniedException"
    bad_page_token: str | None = None
    unknown_key: str = "UnrecognizedClientException"
    expired_key: str = "ExpiredTokenException"
    bad_signature: str = "InvalidSignatureException"
    no_signature: str = "MissingAuthenticationTokenException"
    internal: str = "InternalServerException"


DIALECTS: Final[Mapping[str, Dialect]] = {
    "bedrock": Dialect(invalid="ValidationException", throttled="ThrottlingException"),
    "bedrock-data-automation": Dialect(invalid="ValidationException", throttled="ThrottlingException"),
    "personalize": Dialect(
        invalid="InvalidInputException",
        throttled="ThrottlingException",
        bad_page_token="InvalidNextTokenException",  # noqa: S106 -- an error code, not a secret
        internal="InternalFailure",
    ),
    "resourcegroupstaggingapi": Dialect(
        invalid="InvalidParameterException",
        throttled="ThrottledException",
        bad_page_token="PaginationTokenExpiredException",  # noqa: S106 -- an error code, not a secret
        internal="InternalServiceException",
    ),
    "service-quotas": Dialect(
        invalid="IllegalArgumentException",
        throttled="TooManyRequestsException",
        bad_page_token="InvalidPaginationTokenException",  # noqa: S106 -- an error code, not a secret
        internal="ServiceException",
    ),
    "sts": Dialect(
        invalid="ValidationError",
        throttled="Throttling",
        access_denied="AccessDenied",
        unknown_key="InvalidClientTokenId",
        expired_key="ExpiredToken",
        bad_signature="SignatureDoesNotMatch",
        no_signature="MissingAuthenticationToken",
        internal="InternalFailure",
    ),
}

_FORBIDDEN: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "IncompleteSignatureException",
    }
)
_SERVER_SIDE: Final[Mapping[str, int]] = {
    "InternalFailure": 500,
    "InternalServerException": 500,
    "InternalServiceException": 500,
    "ServiceException": 500,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
}


def unmodelled_status(protocol: str, code: str) -> int:
    """The HTTP status of an error that the operation's model does not give one for.

    The json protocol answers every client error with 400, refused credentials included; rest-json and query use 403.
    """
    if code in _SERVER_SIDE:
        return _SERVER_SIDE[code]
    if protocol == "json":
        return 400
    if code in _FORBIDDEN:
        return 403
    if code == "UnknownOperationException":
        return 404
    return 429 if code == "ThrottlingException" else 400
