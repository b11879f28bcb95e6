"""The SDK's HTTP session, as Ferryman wants it: one call sends one request.

Invariant: nothing is followed or sent again. A session that samples never sends at all.
"""

import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import anyio
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.httpsession import AIOHTTPSession
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError, SSLError
from botocore.httpsession import MAX_POOL_CONNECTIONS, get_cert_path

from controller.kinds.connections import BrokenAnswerError, Connections, NotConnectedError

CONNECT_S: Final = 60.0
"""Where the SDK gives no time for making a connection."""


class OneRequestSession(AIOHTTPSession):  # type: ignore[misc]
    """Sends over connections of our own, which cost a third of the SDK's; through a proxy, over the SDK's.

    The SDK's own would follow redirects, and so send a create twice; here it does not.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._settings = settings
        self._direct = not settings.get("proxies")
        self._connections: Connections | None = None
        self._connecting = anyio.Lock()

    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
        """Send a request; the whole answer.

        Raises:
            EndpointConnectionError, SSLError: there was no connection; the cause is a `NotConnectedError`.
            ConnectTimeoutError: neither was there within the time for it.
            ConnectionClosedError: there was one, and no whole answer.
            others of the SDK's: through a proxy.
        """
        body = request.body or b""
        url = request.url
        try:
            # Through a proxy, too: what is wrong with the certificates must be found before anything is sent.
            connections = self._connections or await self._open()
        except NotConnectedError as error:
            raise _no_connection(url, error) from error
        if not self._direct or request.stream_output or not isinstance(body, bytes):
            return await super().send(request)
        headers = {name: _text(value) for name, value in request.headers.items()}
        try:
            answer = await connections.exchange(request.method, url, headers, body)
        except NotConnectedError as error:
            raise _no_connection(url, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=url, error=error) from error
        except BrokenAnswerError as error:
            raise ConnectionClosedError(endpoint_url=url, request=request, error=error) from error
        return AioAWSResponse(url, answer.status, answer.headers, _Read(answer.body))

    async def _open(self) -> Connections:
        async with self._connecting:
            if self._connections is None:
                timeout = self._settings.get("timeout")
                verify, client_cert = self._settings.get("verify", True), self._settings.get("client_cert")
                try:
                    tls = await anyio.to_thread.run_sync(_tls, verify, client_cert)
                except OSError as error:  # of its files: they cannot be opened, or are no certificates
                    files = [verify, *([client_cert] if isinstance(client_cert, str) else client_cert or ())]
                    named = " or ".join(file for file in files if isinstance(file, str)) or "the SDK's own bundle"
                    raise NotConnectedError(
                        f"the certificates for TLS cannot be loaded from {named}: {error}"
                    ) from error
                self._connections = Connections(
                    tls,
                    connect_timeout_s=float(timeout[0] if isinstance(timeout, list | tuple) else timeout or CONNECT_S),
                    idle_max=self._settings.get("max_pool_connections", MAX_POOL_CONNECTIONS),
                    socket_options=self._settings.get("socket_options") or (),
                )
            return self._connections

    async def _get_session(self, proxy_url: str | None) -> "_NoRedirects":
        return _NoRedirects(await super()._get_session(proxy_url))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connections is not None:
            self._connections.close()
        await super().__aexit__(kind, error, trace)


def _no_connection(url: str, error: NotConnectedError) -> EndpointConnectionError | SSLError:
    of_tls = isinstance(error.__cause__, ssl.SSLError)
    return (SSLError if of_tls else EndpointConnectionError)(endpoint_url=url, error=error)


class _NoRedirects:
    __slots__ = ("_session",)

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **arguments: Any) -> aiohttp.ClientResponse:
        return await self._session.request(method, arguments.pop("url"), allow_redirects=False, **arguments)


def _tls(verify: bool | str, client_cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    """TLS as the SDK's configuration wants it: a bundle of its own, a client's certificate, or no verification."""
    bundle = get_cert_path(verify) if verify else None
    context = ssl.create_default_context(cafile=bundle)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert:
        context.load_cert_chain(*([client_cert] if isinstance(client_cert, str) else client_cert))
    return context


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def kept(transport: type[Any], keep: Callable[[Any], None]) -> type[Any]:
    """The same transport, each session of which is handed to `keep` when the SDK makes it."""

    class Kept(transport):  # type: ignore[misc]
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            keep(self)

    return Kept


def sampling(samples: list[AWSPreparedRequest]) -> type[Any]:
    """A transport that keeps requests in `samples` instead of sending them; each is answered with an empty object."""

    class Sampling:
        def __init__(self, **_: Any) -> None:
            """Takes the SDK's settings, and needs none of them."""

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            await self.close()

        async def close(self) -> None:
            """Nothing is held open."""

        async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
            samples.append(request)
            return AioAWSResponse(request.url, 200, {}, _Read(b"{}"))

    return Sampling


class _Read:
    """A body that is there already, as the SDK reads it."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body
