"""The credentials that requests are signed with: where they come from, and what it means when they cannot be had.

Invariant: getting them is no part of the call that needs them. Programs, files and services of anybody's give them;
whatever goes wrong there, the call was not made and the scope is unavailable, which is the fault of no job. What such a
program wrote is repeated nowhere, since it may hold what it should keep.
"""

import logging
from typing import Any, Final, cast

import aiohttp
import anyio
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore import exceptions as sdk

from controller.errors import ScopeUnavailableError, SettingsError
from controller.kinds.signature import Credentials
from controller.settings import Scope
from controller.untrusted import fit_message, fit_text

LENGTH_MAX: Final = 500
"""Of what is told about a failure."""
_WRONG_SETTINGS: Final = (sdk.ProfileNotFound, sdk.ConfigParseError, sdk.ConfigNotFound, sdk.InvalidConfigError)
_FOR_NOW: Final = (sdk.ConnectionError, sdk.HTTPClientError, aiohttp.ClientError)
OF_CREDENTIALS: Final = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.TokenRetrievalError,
    sdk.SSOError,
    sdk.LoginError,
    sdk.ProfileNotFound,
    sdk.ConfigNotFound,
    sdk.NoAuthTokenError,
    sdk.MetadataRetrievalError,
    sdk.RefreshWithMFAUnsupportedError,
)
"""What the SDK raises for want of credentials and at no other time: before the first byte of a request is written."""


class CredentialSource:
    """The credentials of one session, found once and renewed as they expire."""

    def __init__(self, session: AioSession, scope: str) -> None:
        self._session = session
        self._scope = scope
        self._found: Any = None

    async def find(self, within_s: float) -> Any:
        """Ask the SDK's chain where credentials come from, unless that is known; None where there are none.

        Raises:
            SettingsError: the SDK's own configuration is wrong.
            ScopeUnavailableError: what should give them does not.
        """
        if self._found is None:
            try:
                with anyio.fail_after(within_s):
                    self._found = await self._session.get_credentials()
            except _WRONG_SETTINGS as error:
                raise SettingsError(f"scope {self._scope!r}: {_fit(str(error))}") from error
            except Exception as error:  # noqa: BLE001 - the chain runs what is not ours, and nothing names what it raises
                raise ScopeUnavailableError(unavailable(error).message) from None
        return self._found

    async def fetch(self) -> Credentials | None:
        """The credentials of this moment, renewed where they are about to expire; None where `find` found none.

        Raises:
            ScopeUnavailableError: they cannot be renewed.
        """
        if self._found is None:
            return None
        try:
            return cast("Credentials", await self._found.get_frozen_credentials())
        except Exception as error:  # noqa: BLE001 - as above
            raise unavailable(error) from None


def unavailable(error: Exception) -> ScopeUnavailableError:
    """What a failure to get credentials means.

    Its code is that of whoever refused them, or names an error of the network; it is empty where the configuration
    has to change before there can be any. To be raised `from None`: a chained error may repeat a program's text.
    """
    code = ""
    if isinstance(error, sdk.ClientError):
        code = _code(error)
    elif isinstance(error, _FOR_NOW):
        code = type(error).__name__
    return ScopeUnavailableError(f"no usable AWS credentials: {_fit(_reason(error))}", code=code)


def _reason(error: Exception) -> str:
    if isinstance(error, sdk.ClientError):
        code = _code(error)
        # What is said about a signature holds what was signed.
        said = "" if "Signature" in code else fit_text(error.response.get("Error", {}).get("Message"), LENGTH_MAX)
        return f"{error.operation_name} is refused ({': '.join(filter(None, (code, said)))})"
    if isinstance(error, sdk.CredentialRetrievalError | sdk.TokenRetrievalError):
        return f"{error.kwargs.get('provider')} gives none; run it by hand to see why"
    if isinstance(error, sdk.MetadataRetrievalError):
        return "the metadata service gives none"
    if isinstance(error, TimeoutError):
        return "what should give them takes too long"
    if isinstance(error, RuntimeError):
        return "those that are given have expired"
    if isinstance(error, sdk.BotoCoreError | OSError | aiohttp.ClientError):
        return str(error) or type(error).__name__
    return f"what should give them gives something else ({type(error).__name__})"


def _code(error: sdk.ClientError) -> str:
    return fit_text(error.response.get("Error", {}).get("Code")) or "no code"


def _fit(text: str) -> str:
    return (fit_message(text) or "")[:LENGTH_MAX]


async def assume(session: AioSession, scope: Scope, name: str, within_s: float) -> None:
    """Let the session act as the scope's role, renewed before it expires.

    Raises:
        SettingsError: there are no credentials with which to assume it.
    """
    try:
        source = await CredentialSource(session, name).find(within_s)
    except ScopeUnavailableError as error:
        raise SettingsError(f"scope {name!r}: {error.message}") from None
    if source is None:
        raise SettingsError(f"scope {name!r}: no AWS credentials with which to assume its role")

    def sts(service: str, **credentials: Any) -> Any:
        return session.create_client(service, endpoint_url=scope.endpoint_url or None, **credentials)

    extra = {"RoleSessionName": "ferryman"} | ({"ExternalId": scope.external_id} if scope.external_id else {})
    fetcher = AioAssumeRoleCredentialFetcher(
        client_creator=sts, source_credentials=source, role_arn=scope.role_arn, extra_args=extra
    )
    session._credentials = AioDeferredRefreshableCredentials(  # noqa: SLF001 - the SDK has no setter for refreshable ones
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )


class _WithoutTrace(logging.Filter):
    """Takes the traceback from a line: its last line is the error's text, which may be a program's."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


_WITHOUT_TRACE: Final = _WithoutTrace()


def hush() -> None:
    """Let the SDK log that credentials were not renewed, without what the program said that should have done it."""
    for name in ("aiobotocore.credentials", "aiobotocore.tokens"):
        logging.getLogger(name).addFilter(_WITHOUT_TRACE)
