"""Who may ask: Host, Origin and token of every request; how much and how long a body may be.

Invariant: nothing of a request is acted on before all of this holds. A web page that a user happens to open cannot
reach a daemon on loopback: a foreign name in Host is refused (DNS rebinding), a foreign Origin too, and no answer
carries a CORS header. Tokens are compared in constant time.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.errors import SettingsError
from controller.http.problems import ProblemError, problem_response
from controller.settings import HttpSettings, Settings

BODY_WITHIN_S: Final = 30.0
"""Within which a whole body must arrive."""
TOKEN_BYTES_MAX: Final = 4096
ANY_HOST: Final = "*"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_AUTHORITY: Final = re.compile(r"[A-Za-z0-9._~:\[\]-]{1,300}")
_LOOPBACK_NAMES: Final = frozenset({"localhost"})
_ALL_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound here
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def read_token(settings: HttpSettings) -> str:
    """The bearer token; empty: none is asked for.

    Raises:
        SettingsError: it cannot be read, is given twice, or is missing where the address needs one.
    """
    token = settings.token.get_secret_value().strip()
    if settings.token_file:
        if token:
            raise SettingsError("http.token and http.token_file are both set: leave one out")
        token = _read_token_file(Path(settings.token_file))
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingsError("http.token must be printable ASCII without spaces")
    if not token and not is_loopback(settings.host):
        raise SettingsError(
            f"http.host is {settings.host}, which others can reach: set http.token or http.token_file, or use 127.0.0.1"
        )
    return token


def _read_token_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(TOKEN_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(f"cannot read http.token_file {path}: {error.strerror}") from error
    token = data.decode("utf-8", "replace").strip()
    if not token or len(data) > TOKEN_BYTES_MAX:
        raise SettingsError(f"http.token_file {path} holds no token")
    return token


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES


class HostRule:
    """Which values of the Host header are answered.

    Loopback names and addresses, the address listened on, and `http.allowed_hosts`; where that address is all of them,
    any plain address as well, for a rebound name is never one.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._names = {settings.host.lower(), *(name.lower() for name in settings.allowed_hosts)}
        self._addresses = settings.host in _ALL_ADDRESSES

    def allows(self, header: str) -> bool:
        if ANY_HOST in self._names:
            return True
        name = _host_name(header)
        if name is None:
            return False
        return name in self._names or is_loopback(name) or (self._addresses and _is_address(name))


def _host_name(authority: str) -> str | None:
    """The name in `name[:port]`, in lower case; None where it is malformed."""
    if not _AUTHORITY.fullmatch(authority):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        malformed = parts.port is not None and parts.port < 0
    except ValueError:
        return None
    return None if malformed else parts.hostname


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Lets a request through to the application, or answers it with a problem.

    Args:
        public: paths that need no token (the dashboard's own files, which hold nothing).
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, token: str, public: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = HostRule(settings.http)
        self._token = _fingerprint(token.encode("utf-8")) if token else None
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, detail = refusal
        headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
        await problem_response(status, detail, headers=headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.allows(hosts[0]):
            return (
                HTTPStatus.MISDIRECTED_REQUEST,
                "the Host header is not one of this daemon's: use its address, or name the host in http.allowed_hosts",
            )
        if scope["method"] not in SAFE_METHODS and _is_foreign(headers, hosts[0]):
            return HTTPStatus.FORBIDDEN, "requests from other web pages are not answered"
        if scope["path"] not in self._public and not self._has_token(headers):
            return HTTPStatus.UNAUTHORIZED, "a bearer token is needed: `Authorization: Bearer ...`"
        return None

    def _has_token(self, headers: Headers) -> bool:
        if self._token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(_fingerprint(given.strip().encode("utf-8")), self._token)
        return same and scheme.lower() == "bearer"


def _fingerprint(token: bytes) -> bytes:
    """Of a fixed length, so that a comparison does not tell how long the token is."""
    return hashlib.sha256(token).digest()


def _is_foreign(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    return any(_authority(origin) != host.lower() for origin in headers.getlist("origin"))


def _authority(origin: str) -> str:
    """The host and port of an Origin header; empty, which is no host, where it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


@dataclass(slots=True)
class _Body:
    complete: bool
    """Whether all of it has arrived."""


class BodyLimit:
    """Ends a request whose body is too long or too slow; adds the headers that every answer carries.

    An answer that does not wait for the rest of a body is the last of its connection: whoever sends that rest for ever,
    a byte at a time, would keep it.
    """

    def __init__(self, app: ASGIApp, *, bytes_max: int, within_s: float = BODY_WITHIN_S) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope)
        length = asked.get("content-length", "0")
        body = _Body(complete="transfer-encoding" not in asked and length == "0")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [header for header in message.get("headers", ()) if body.complete or header[0] != b"connection"]
                present = {name.lower() for name, _ in own}
                added = [header for header in HEADERS if header[0] not in present]
                added += [] if body.complete else [(b"connection", b"close")]
                message = {**message, "headers": [*own, *added]}
            await send(message)

        if not length.isdecimal() or int(length[:20]) > self._bytes_max:
            await problem_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_long())(
                scope, receive, send_with_headers
            )
            return
        await self._app(scope, self._bounded(receive, body), send_with_headers)

    def _bounded(self, receive: Receive, body: "_Body") -> Receive:
        received = 0
        deadline = anyio.current_time() + self._within_s

        async def receive_bounded() -> Message:
            nonlocal received
            if body.complete:
                return await receive()
            try:
                with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
                    message = await receive()
            except TimeoutError as error:
                raise ProblemError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"the body did not arrive within {self._within_s:g} s",
                    headers={"connection": "close"},
                ) from error
            received += len(message.get("body", b""))
            body.complete = not message.get("more_body", False)
            if received > self._bytes_max:
                raise ProblemError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_long(), headers={"connection": "close"}
                )
            return message

        return receive_bounded

    def _too_long(self) -> str:
        return f"the body is longer than {self._bytes_max} bytes (queue.message_bytes_max): send it in parts"
