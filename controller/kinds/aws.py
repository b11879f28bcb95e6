"""AWS on the wire: sessions, calls, and the one table that says what an AWS error means.

Invariant: one call sends one request (the SDK's retries are off, redirects are not followed), has a deadline that
includes the wait for a connection, and ends in a `Reply` or in one `AwsError`. `definite` on that error is true only
where the request surely had no effect.

Pacing, retries and what an answer means for a job do not belong here.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import urlsplit

import aiohttp
import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import exceptions as sdk
from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest
from botocore.parsers import ResponseParserError

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
    SettingsError,
    ThrottledError,
)
from controller.kinds.answers import ParserFactory
from controller.kinds.aws_clock import AwsClock
from controller.kinds.connections import NotConnectedError
from controller.kinds.credentials import OF_CREDENTIALS, CredentialSource, assume, hush, unavailable
from controller.kinds.models import loader
from controller.kinds.prepared import PreparedOperation, Sample, can_be_prepared, prepare
from controller.kinds.signature import Credentials
from controller.kinds.transport import OneRequestSession, kept, sampling
from controller.seams import Clock, Failpoint
from controller.settings import AwsSettings, Scope
from controller.untrusted import fit_message, fit_text

MESSAGE_LENGTH_MAX: Final = 500
_NO_SENSE: Final = (ResponseParserError, AttributeError, KeyError, TypeError, ValueError, RuntimeError)
"""The SDK's parser trusts the types in an answer; one that it stumbles over may still have had its effect."""
_SLOW_DOWN: Final = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "BandwidthLimitExceeded",
    }
)
_NO_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "AuthFailure",
        "OptInRequired",
    }
)
_NOT_ANSWERED: Final = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "InternalServerException", "InternalFailure", "ServiceUnavailable"}
)
_BY_CODE: Final[Mapping[str, type[AwsError]]] = {
    "ServiceQuotaExceededException": QuotaFullError,
    "ConflictException": AlreadyKnownError,
    "ResourceAlreadyExistsException": AlreadyKnownError,
    "ResourceInUseException": BusyError,
    "ResourceNotFoundException": MissingError,
    "InvalidNextTokenException": PassExpiredError,
    "AccessDeniedException": DeniedError,
    "AccessDenied": DeniedError,
    "UnauthorizedOperation": DeniedError,
}
_NAME_IN_USE: Final = ("currently in use", "already in use", "already exists")
"""What a ValidationException says where a sibling API would answer with a Conflict."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer, parsed; members that the model does not know are gone, those it knows may be missing."""

    body: Mapping[str, Any]


def classify(error: sdk.ClientError, operation: str) -> AwsError:
    """The meaning of an error answer, by its code, its HTTP status, and the operation where that decides."""
    described = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = fit_text(described.get("Code")) or ""
    message = _one_line(str(described.get("Message") or code))
    if (
        not code
        or code.isdigit()
        or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        or status == HTTPStatus.REQUEST_TIMEOUT
        or code in _NOT_ANSWERED
    ):
        return NoAnswerError(message or f"HTTP {status}", code=code, definite=False)
    kind = _meaning(code, status, message, operation)
    text = f"{code}: {message}" if kind is not RefusedError else message
    if kind is ScopeUnavailableError:
        text = f"AWS does not accept the credentials ({code})"
    return kind(text, code=code)


def _meaning(code: str, status: int, message: str, operation: str) -> type[AwsError]:
    creates = operation.startswith(("Create", "Invoke"))
    if code in _SLOW_DOWN or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledError
    if code == "LimitExceededException":
        # Personalize documents it as too many requests, and has no other code for its job quota.
        return QuotaFullError if creates else ThrottledError
    if code in _NO_CREDENTIALS:
        return ScopeUnavailableError
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code == "ValidationException" and operation.startswith("List") and "token" in message.lower():
        return PassExpiredError
    if creates and code == "ValidationException" and any(words in message for words in _NAME_IN_USE):
        return AlreadyKnownError
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return QuotaFullError
    return DeniedError if status == HTTPStatus.FORBIDDEN else RefusedError


def _one_line(text: str) -> str:
    return (fit_message(text) or "")[:MESSAGE_LENGTH_MAX]


def parse_timestamp(value: object) -> datetime | None:
    """A timestamp of a JSON answer, 30 times as fast as the SDK's own; None for what is none."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


class AwsClients:
    """The clients of one scope: one a service, made once, for the life of the process.

    Args:
        transport: the SDK's HTTP session class; a test passes one that reaches a simulator without sockets.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        settings: AwsSettings,
        *,
        clock: Clock,
        failpoint: Failpoint,
        stack: AsyncExitStack,
        transport: type[Any] = OneRequestSession,
    ) -> None:
        self.name = name
        self.account = ""
        """The account that calls are made in; empty until it is known."""
        self._scope = scope
        self._settings = settings
        self._clock = clock
        self._failpoint = failpoint
        self._stack = stack
        self._transport = transport
        self._session = _new_session(scope)
        self._credentials = CredentialSource(self._session, name)
        self._clients: dict[str, Any] = {}
        self._transports: dict[str, Any] = {}
        self._methods: dict[tuple[str, str], Callable[..., Any]] = {}
        self._prepared: dict[tuple[str, str], PreparedOperation | None] = {}
        self._places: dict[str, anyio.Semaphore] = {}
        self._making = anyio.Lock()
        self._aws_clock = AwsClock()

    def aws_now(self) -> float | None:
        """Seconds since the epoch by AWS's Date header; None until it is known. Does not jump with the host."""
        return self._aws_clock.now(self._clock.monotonic())

    def aws_heard(self) -> float | None:
        """Seconds since the epoch by the last answer alone, which may lie; None before the first."""
        return self._aws_clock.heard(self._clock.monotonic())

    @property
    def region(self) -> str | None:
        """The Region in effect."""
        return self._session.get_config_variable("region") or None

    async def endpoint(self) -> str:
        """Host and port that calls to Bedrock go to, where that is not AWS's own; else empty."""
        await self.open("bedrock")
        url = urlsplit(self._clients["bedrock"].meta.endpoint_url)
        return "" if (url.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn", ".aws")) else url.netloc

    async def open(self, service: str) -> None:
        """Make the client of a service ahead of its first call.

        Raises:
            SettingsError: there is no Region, or the SDK's own configuration cannot be read.
            ScopeUnavailableError: what should give the credentials does not.
            NoAnswerError: this machine can open no file just now.
        """
        async with self._making:
            if service in self._clients:
                return
            if self.region is None:
                raise SettingsError(f"scope {self.name!r} has no Region: set AWS_REGION, or scopes.{self.name}.region")
            await self._credentials.find(self._settings.timeout_s)
            try:
                await anyio.to_thread.run_sync(self._load_model, service)
                transport = kept(self._transport, partial(self._transports.__setitem__, service))
                client = await self._stack.enter_async_context(
                    self._session.create_client(service, **self._client_arguments(transport))
                )
            except (sdk.ProfileNotFound, sdk.ConfigParseError, sdk.ConfigNotFound, ValueError) as error:
                raise SettingsError(f"scope {self.name!r}: {_one_line(str(error))}") from error
            except OF_CREDENTIALS as error:
                raise unavailable(error) from None
            except OSError as error:  # of this machine's: no file can be read, or none opened
                raise NoAnswerError(_one_line(f"no client of {service}: {error}"), definite=True) from error
            self._places[service] = anyio.Semaphore(self._settings.pool, fast_acquire=True)
            self._clients[service] = client

    def _load_model(self, service: str) -> None:
        models = self._session.get_component("data_loader")
        models.load_service_model(service, "service-2")
        models.load_service_model(service, "endpoint-rule-set-1")

    def _client_arguments(self, transport: type[Any]) -> dict[str, Any]:
        return {
            "endpoint_url": self._scope.endpoint_url or None,
            "config": AioConfig(
                connect_timeout=self._settings.connect_timeout_s,
                read_timeout=self._settings.timeout_s,
                max_pool_connections=self._settings.pool,
                # One call, one request: a repeated create is the business of whoever knows its token.
                retries={"total_max_attempts": 1},
                # A document was validated whole at intake, by the same model.
                parameter_validation=False,
                http_session_cls=transport,
                user_agent_extra="ferryman",
            ),
        }

    async def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Reply:
        """Send one request and wait for its answer, at most `aws.timeout_s` seconds in all.

        Raises:
            AwsError: one of its kinds; see `controller.errors`.
        """
        wanted = "credentials"
        with anyio.move_on_after(self._settings.timeout_s):
            if service not in self._clients:
                await self.open(service)
            wanted = "free connection"
            async with self._places[service]:
                await self._failpoint(f"aws.{operation}:before")
                wanted = "credentials"
                credentials = await self._credentials.fetch()
                try:
                    await self._prepare(service, operation, parameters, credentials)
                except OSError as error:  # of this machine's: no file can be read, or none opened
                    raise NoAnswerError(_one_line(f"nothing was sent: {error}"), definite=True) from error
                wanted = "answer"
                reply = await self._send(service, operation, parameters, credentials)
                await self._failpoint(f"aws.{operation}:after")
                return reply
        if wanted == "credentials":
            raise ScopeUnavailableError(f"no AWS credentials within {self._settings.timeout_s:g} s")
        raise NoAnswerError(
            f"no {wanted} from {service} in {self._settings.timeout_s:g} s", definite=wanted != "answer"
        )

    async def _send(
        self, service: str, operation: str, parameters: Mapping[str, Any], credentials: Credentials | None
    ) -> Reply:
        sent = self._clock.monotonic()
        try:
            answer: Any = await self._answer(service, operation, parameters, credentials)
        except sdk.ClientError as error:
            if error.operation_name != operation:  # of the SDK's own, which signs with what it fetches
                raise unavailable(error) from None
            self._hear_date(error.response, sent)
            raise classify(error, operation) from error
        except OF_CREDENTIALS as error:
            raise unavailable(error) from None
        except sdk.BotoCoreError as error:
            raise _not_answered(error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswerError(_one_line(f"{type(error).__name__}: {error}"), definite=False) from error
        except _NO_SENSE as error:
            raise NoAnswerError(f"the answer makes no sense ({type(error).__name__})", definite=False) from error
        if not isinstance(answer, Mapping):  # a body that is `null`
            raise NoAnswerError("the answer holds nothing", definite=False)
        self._hear_date(answer, sent)
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise NoAnswerError(f"HTTP {status}", definite=False)
        return Reply(answer)

    async def _answer(
        self, service: str, operation: str, parameters: Mapping[str, Any], credentials: Credentials | None
    ) -> Mapping[str, Any]:
        prepared = self._prepared.get((service, operation))
        if prepared is None or credentials is None or not prepared.takes(parameters):
            return cast("Mapping[str, Any]", await self._method(service, operation)(**parameters))
        request = prepared.request(parameters, credentials, self._clock.now())
        return await prepared.send(request, self._transports[service])

    async def _prepare(
        self, service: str, operation: str, parameters: Mapping[str, Any], credentials: Credentials | None
    ) -> None:
        """See to it that an operation is prepared, if it can be. Nothing is sent."""
        key = (service, operation)
        if key in self._prepared or credentials is None:
            return
        async with self._making:
            if key in self._prepared:
                return
            model = self._clients[service].meta.service_model.operation_model(operation)
            if not can_be_prepared(model):
                self._prepared[key] = None
                return
            with suppress(sdk.BotoCoreError, *_NO_SENSE):  # which the SDK will raise again when it makes the call
                sample = await self._sample(service, operation, parameters, credentials)
                self._prepared[key] = prepare(model, sample, parameters, credentials, parse_timestamp)

    async def _sample(
        self, service: str, operation: str, parameters: Mapping[str, Any], credentials: Credentials
    ) -> Sample:
        """Let the SDK build a request that is not sent."""
        samples: list[AWSPreparedRequest] = []
        arguments = self._client_arguments(sampling(samples)) | {
            # The very ones that it will be compared with: the short-lived are others each time that they are fetched.
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "aws_session_token": credentials.token,
        }
        async with self._session.create_client(service, **arguments) as client:
            await getattr(client, xform_name(operation))(**parameters)
        return Sample.of(samples[0])

    def _method(self, service: str, operation: str) -> Callable[..., Any]:
        method = self._methods.get((service, operation))
        if method is None:
            method = getattr(self._clients[service], xform_name(operation))
            self._methods[service, operation] = method
        return method

    def _hear_date(self, answer: Mapping[str, Any], sent: float) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        self._aws_clock.hear(date, sent, self._clock.monotonic(), host=self._clock.now())


def _not_answered(error: sdk.BotoCoreError) -> AwsError:
    """An error of the SDK itself: did it happen before the first byte of the request was written?"""
    message = _one_line(str(error))
    if isinstance(error, sdk.ParamValidationError):
        return RefusedError(message)
    cause = getattr(error, "kwargs", {}).get("error")
    connecting = isinstance(error, sdk.ConnectTimeoutError | sdk.ProxyConnectionError) or isinstance(
        cause, NotConnectedError | aiohttp.ClientConnectorError
    )
    if isinstance(error, sdk.EndpointConnectionError) and isinstance(cause, NotConnectedError):
        message = _one_line(f"{message}: {cause}")  # which the SDK leaves out
    return NoAnswerError(message, definite=connecting)


def _new_session(scope: Scope) -> AioSession:
    hush()
    session = AioSession(profile=scope.profile or None)
    region = scope.region or os.environ.get("AWS_REGION")
    if region:  # this SDK alone reads AWS_DEFAULT_REGION instead
        session.set_config_variable("region", region)
    session.register_component("data_loader", loader(session.get_config_variable("data_path")))
    parsers = ParserFactory()
    parsers.set_parser_defaults(timestamp_parser=parse_timestamp)
    session.register_component("response_parser_factory", parsers)
    return session


@asynccontextmanager
async def open_clients(
    name: str,
    scope: Scope,
    settings: AwsSettings,
    *,
    clock: Clock,
    failpoint: Failpoint,
    transport: type[Any] = OneRequestSession,
) -> AsyncIterator[AwsClients]:
    """The clients of a scope, closed at the end within a few seconds even when cancelled.

    Raises:
        SettingsError: the scope cannot be used as configured.
    """
    stack = AsyncExitStack()
    try:
        clients = AwsClients(name, scope, settings, clock=clock, failpoint=failpoint, stack=stack, transport=transport)
        if scope.role_arn:
            await assume(clients._session, scope, name, settings.timeout_s)  # noqa: SLF001 - same module
        yield clients
    except (sdk.ProfileNotFound, sdk.ConfigParseError) as error:
        raise SettingsError(f"scope {name!r}: {_one_line(str(error))}") from error
    finally:
        with anyio.move_on_after(3, shield=True):
            await stack.aclose()
