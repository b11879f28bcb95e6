"""Events by HTTP POST, signed as Standard Webhooks 1.0 says.

Invariant: only the configured URL is ever called. Redirects are not followed; the name is resolved here, addresses that
are not public are refused unless `allow_private` is set, and the connection goes to the very address that was judged,
while Host and TLS keep the name. Proxies of the environment are not used: they would resolve the name again. Cookies
are not kept. A 410 answer says that the receiver wants nothing more.

An event goes in a request of its own; those of different jobs go at the same time.
"""

import hashlib
import logging
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import anyio
import httpx
import structlog
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from controller.errors import SettingsError
from controller.seams import Clock
from controller.settings import Sink
from controller.sinks import Delivered, Gone, Later, Outcome, Refused
from controller.sinks.addresses import Resolver, is_public, resolve
from controller.store import OutboxEvent

WEBHOOK_PREFIX: Final = "webhook:"
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
EVENT_BYTES_MAX: Final = 1024 * 1024
ANSWER_BYTES_MAX: Final = 64 * 1024
"""Read of an answer so that its connection can be used again; its content means nothing."""
ANSWER_S: Final = 1.0
ADDRESSES_MAX: Final = 3
"""Addresses of a name that are tried, where one takes no connection."""
_RETRY_AFTER_LENGTH_MAX: Final = 64
_GONE: Final = Gone("the receiver answered 410 Gone")

_log = structlog.get_logger(__name__)


class WebhookSink:
    """Open it with `open_webhook_sink`."""

    batch_max = 16
    bytes_max = 4 * 1024 * 1024
    whole = False

    def __init__(
        self,
        url: httpx.URL,
        client: httpx.AsyncClient,
        signer: Webhook | None,
        *,
        allow_private: bool,
        timeout_s: float,
        clock: Clock,
        resolver: Resolver,
    ) -> None:
        self.name = _name(url)
        self._url = url
        self._host = url.raw_host.decode("ascii")
        self._client = client
        self._signer = signer
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._clock = clock
        self._resolver = resolver

    async def deliver(self, events: Sequence[OutboxEvent]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = [Later(f"no answer in {self._timeout_s:g} s")] * len(events)
        with anyio.move_on_after(self._timeout_s):
            addresses = await self._addresses()
            if isinstance(addresses, Later):
                return [addresses] * len(events)
            async with anyio.create_task_group() as sends:
                for index, event in enumerate(events):
                    sends.start_soon(self._send, event, addresses, outcomes, index)
        return outcomes

    async def _addresses(self) -> Sequence[str] | Later:
        """Those that may be called; resolved anew for each batch."""
        try:
            found = await self._resolver(self._host, self._url.port or _default_port(self._url))
        except (OSError, UnicodeError):
            return Later("the receiver's name cannot be resolved")
        allowed = [address for address in found if self._allow_private or is_public(address)]
        if not allowed:
            return Later("the receiver's name leads to a private address: set allow_private if that is meant")
        return allowed[:ADDRESSES_MAX]

    async def _send(self, event: OutboxEvent, addresses: Sequence[str], outcomes: list[Outcome], index: int) -> None:
        if len(event.body) > EVENT_BYTES_MAX:
            outcomes[index] = Refused(f"the event is larger than {EVENT_BYTES_MAX} bytes")
            return
        for address in addresses:
            try:
                outcomes[index] = await self._post(event, address)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                outcomes[index] = Later(f"no connection: {type(error).__name__}")
            except (httpx.HTTPError, httpx.StreamError) as error:
                outcomes[index] = Later(f"no answer: {type(error).__name__}")
                return
            else:
                return

    async def _post(self, event: OutboxEvent, address: str) -> Outcome:
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=address, userinfo=b""),
            content=event.body,
            headers=self._headers(event),
            extensions={"sni_hostname": self._host},
        )
        response = await self._client.send(request, stream=True, auth=_auth(self._url))
        try:
            outcome = self._judge(response)
            with anyio.move_on_after(ANSWER_S):
                await _read_some(response)
        finally:
            with anyio.move_on_after(ANSWER_S, shield=True):
                await response.aclose()
        return outcome

    def _headers(self, event: OutboxEvent) -> dict[str, str]:
        now = int(self._clock.now())
        headers = {
            "host": self._url.netloc.decode("ascii"),
            "content-type": CONTENT_TYPE,
            "webhook-id": event.id,
            "webhook-timestamp": str(now),
        }
        if self._signer is not None:
            at = datetime.fromtimestamp(now, UTC)
            headers["webhook-signature"] = self._signer.sign(event.id, at, event.body.decode("utf-8"))
        return headers

    def _judge(self, response: httpx.Response) -> Outcome:
        status = response.status_code
        if response.is_success:
            return Delivered()
        if status == HTTPStatus.GONE:
            return _GONE
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Refused("the receiver answered 413: the event is too large for it")
        if response.is_redirect:
            return Later(f"the receiver answered {status}, a redirect: redirects are not followed")
        retry_after = response.headers.get("retry-after", "")
        return Later(f"the receiver answered {status}", retry_after_s(retry_after, self._clock.now()))


async def _read_some(response: httpx.Response) -> None:
    size = 0
    try:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                return
    except httpx.HTTPError:
        # Its status was read, and that is all that counts.
        return


def retry_after_s(value: str, now: float) -> float | None:
    """Seconds to wait by a `Retry-After` header, which holds seconds or a date; None where it holds neither."""
    text = value.strip()[:_RETRY_AFTER_LENGTH_MAX]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def shown_webhook(url: str) -> str:
    """The name of a webhook's sink, which is all that may be shown of its URL.

    Raises:
        SettingsError: it is no URL of a webhook.
    """
    return _name(_parse(url))


def _name(url: httpx.URL) -> str:
    """Tells webhooks apart without showing what in their URL may be secret: path, query, user information."""
    host = url.netloc.decode("ascii")
    digest = hashlib.sha256(str(url.copy_with(userinfo=b"")).encode("utf-8")).hexdigest()[:8]
    return f"{WEBHOOK_PREFIX}{url.scheme}://{host}#{digest}"


def _default_port(url: httpx.URL) -> int:
    return 443 if url.scheme == "https" else 80


def _auth(url: httpx.URL) -> httpx.Auth | None:
    return httpx.BasicAuth(url.username, url.password) if url.username or url.password else None


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url.removeprefix(WEBHOOK_PREFIX))
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingsError("webhook:<URL> needs an https: or http: URL with a host")
    return parsed


def _signer(sink: Sink, name: str) -> Webhook | None:
    if sink.secret is None or not sink.secret.get_secret_value():
        _log.warning("webhook.unsigned", sink=name, hint="set `secret` so that the receiver can tell who calls")
        return None
    try:
        return Webhook(sink.secret.get_secret_value())
    except (ValueError, EmptyWebhookSecretError) as error:
        raise SettingsError(f"the secret of the sink {name} is not whsec_ and base64") from error


def _silence_request_logs() -> None:
    """The HTTP library logs URLs and headers, which here are secrets."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


@asynccontextmanager
async def open_webhook_sink(
    sink: Sink, *, timeout_s: float, clock: Clock, resolver: Resolver = resolve
) -> AsyncIterator[WebhookSink]:
    """Open `webhook:<URL>`.

    Raises:
        SettingsError: the URL or the secret is wrong, or the URL holds an address that is not allowed.
    """
    url = _parse(sink.url)
    name = _name(url)
    if _is_literal(url.host) and not is_public(url.host) and not sink.allow_private:
        raise SettingsError(f"the sink {name} calls a private address: set allow_private if that is meant")
    signer = _signer(sink, name)
    _silence_request_logs()
    headers: Mapping[str, str] = {"user-agent": "ferryman"}
    limits = httpx.Limits(max_connections=WebhookSink.batch_max, keepalive_expiry=30)
    # Certificate authorities come from SSL_CERT_FILE where that is set; nothing else is taken from the environment.
    async with httpx.AsyncClient(
        headers=headers,
        limits=limits,
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        verify=httpx.create_ssl_context(trust_env=True),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    ) as client:
        yield WebhookSink(
            url,
            client,
            signer,
            allow_private=sink.allow_private,
            timeout_s=timeout_s,
            clock=clock,
            resolver=resolver,
        )


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
