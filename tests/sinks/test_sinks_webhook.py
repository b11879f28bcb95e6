"""The webhook against a real receiver that fails in every way."""

import datetime as dt
import ipaddress
import json
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from controller.errors import SettingsError
from controller.seams import SystemClock
from controller.settings import Sink as SinkSettings
from controller.sinks import Delivered, Gone, Later, Outcome, Refused
from controller.sinks.addresses import Resolver, is_public
from controller.sinks.webhook import WebhookSink, open_webhook_sink, retry_after_s
from tests.outbox_events import outbox_event
from tests.sinks.webhook_receiver import CLOSE, DRIP, HANG, RESET, answer, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def resolving(*addresses: str) -> Resolver:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        await anyio.lowlevel.checkpoint()
        return addresses

    return resolve


@asynccontextmanager
async def webhook(
    url: str,
    *,
    secret: str | None = SECRET,
    private: bool = True,
    timeout_s: float = 5.0,
    resolver: Resolver | None = None,
) -> AsyncIterator[WebhookSink]:
    settings = SinkSettings(url=f"webhook:{url}", secret=SecretStr(secret) if secret else None, allow_private=private)
    arguments = {} if resolver is None else {"resolver": resolver}
    async with open_webhook_sink(settings, timeout_s=timeout_s, clock=SystemClock(), **arguments) as sink:
        yield sink


async def deliver_one(sink: WebhookSink) -> Outcome:
    with anyio.fail_after(20):
        return (await sink.deliver([outbox_event(1)]))[0]


async def test_a_delivery_is_signed_and_carries_the_event_as_it_is() -> None:
    event = outbox_event(7)
    async with receiving(answer(204)) as receiver, webhook(receiver.url()) as sink:
        assert await sink.deliver([event]) == [Delivered()]
    request = receiver.requests[0]
    assert request.line == "POST /hook HTTP/1.1"
    assert request.body == event.body
    assert request.headers["webhook-id"] == event.id
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert Webhook(SECRET).verify(request.body, dict(request.headers)) == json.loads(event.body)


async def test_without_a_secret_nothing_is_signed() -> None:
    async with receiving(answer(200)) as receiver, webhook(receiver.url(), secret=None) as sink:
        assert await deliver_one(sink) == Delivered()
    assert "webhook-signature" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(answer(200, body=b"ok"), Delivered(), id="200"),
        pytest.param(answer(202), Delivered(), id="202"),
        pytest.param(answer(500), Later("the receiver answered 500"), id="500"),
        pytest.param(answer(404), Later("the receiver answered 404"), id="404"),
        pytest.param(answer(503, "retry-after: 120"), Later("the receiver answered 503", 120.0), id="503 and when"),
        pytest.param(answer(429, "retry-after: 7"), Later("the receiver answered 429", 7.0), id="429 and when"),
        pytest.param(answer(429, "retry-after: soon"), Later("the receiver answered 429"), id="429 and nonsense"),
        pytest.param(answer(413), Refused("the receiver answered 413: the event is too large for it"), id="413"),
        pytest.param(answer(200, body=b"x" * 3_000_000), Delivered(), id="a huge body"),
        pytest.param(DRIP, Delivered(), id="a slow body"),
        pytest.param(RESET, Later("no answer: ReadError"), id="reset"),
        pytest.param(CLOSE, Later("no answer: RemoteProtocolError"), id="closed"),
        pytest.param(b"nonsense\r\n\r\n", Later("no answer: RemoteProtocolError"), id="not http"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, Later("no answer: RemoteProtocolError"), id="huge header"
        ),
    ],
)
async def test_answers(reply: bytes, expected: Outcome) -> None:
    async with receiving(reply) as receiver, webhook(receiver.url()) as sink:
        assert await deliver_one(sink) == expected
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_is_left_at_the_deadline() -> None:
    async with receiving(HANG) as receiver, webhook(receiver.url(), timeout_s=0.3) as sink:
        assert await deliver_one(sink) == Later("no answer in 0.3 s")
    assert len(receiver.requests) == 1


async def test_only_the_receiver_that_hangs_is_in_doubt() -> None:
    events = [outbox_event(1), outbox_event(2), outbox_event(3)]
    async with receiving(HANG, answer(200)) as receiver, webhook(receiver.url(), timeout_s=1) as sink:
        outcomes = await sink.deliver(events)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Delivered", "Delivered", "Later"]
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving(answer(200)) as other:
        redirect = answer(status, f"location: {other.url()}")
        async with receiving(redirect) as receiver, webhook(receiver.url()) as sink:
            outcome = await deliver_one(sink)
    assert isinstance(outcome, Later)
    assert "redirect" in outcome.reason
    assert other.connections == 0


async def test_gone_is_said_of_the_receiver_and_not_of_the_event() -> None:
    async with receiving(answer(410)) as receiver, webhook(receiver.url()) as sink:
        assert await deliver_one(sink) == Gone("the receiver answered 410 Gone")


async def test_nobody_listens() -> None:
    async with receiving(answer(200)) as receiver:
        url = receiver.url()
    async with webhook(url) as sink:
        assert await deliver_one(sink) == Later("no connection: ConnectError")


async def test_connections_are_used_again() -> None:
    async with receiving(answer(200, body=b"fine")) as receiver, webhook(receiver.url()) as sink:
        for _ in range(5):
            assert await deliver_one(sink) == Delivered()
    assert (len(receiver.requests), receiver.connections) == (5, 1)


async def test_the_connection_goes_to_the_address_that_was_judged_and_host_keeps_the_name() -> None:
    async with receiving(answer(200)) as receiver:
        url = receiver.url(host="hooks.example.com", path="/a?token=canary")
        async with webhook(url, resolver=resolving("127.0.0.1")) as sink:
            assert await deliver_one(sink) == Delivered()
    assert receiver.requests[0].headers["host"] == f"hooks.example.com:{receiver.port}"
    assert receiver.requests[0].line == "POST /a?token=canary HTTP/1.1"


async def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    async with receiving(answer(200)) as receiver:
        url = receiver.url(host="hooks.example.com")
        async with webhook(url, resolver=resolving("127.0.0.2", "127.0.0.1")) as sink:
            assert await deliver_one(sink) == Delivered()


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "::1", "10.1.2.3", "fd00:ec2::254"])
async def test_a_name_that_leads_to_a_private_address_is_not_called(address: str) -> None:
    async with receiving(answer(200)) as receiver:
        url = receiver.url(host="hooks.example.com")
        async with webhook(url, private=False, resolver=resolving(address)) as sink:
            outcome = await deliver_one(sink)
    assert isinstance(outcome, Later)
    assert "private address" in outcome.reason
    assert receiver.connections == 0


async def test_a_name_that_this_host_resolves_to_itself_is_not_called() -> None:
    async with receiving(answer(200)) as receiver, webhook(receiver.url(host="localhost"), private=False) as sink:
        assert isinstance(await deliver_one(sink), Later)
    assert receiver.connections == 0


async def test_a_name_without_an_address() -> None:
    async with webhook("http://nowhere.invalid/") as sink:
        assert await deliver_one(sink) == Later("the receiver's name cannot be resolved")


@pytest.mark.parametrize(
    ("url", "part"),
    [
        pytest.param("http://169.254.169.254/latest", "private address", id="metadata"),
        pytest.param("http://127.0.0.1/", "private address", id="loopback"),
        pytest.param("http://[::1]/", "private address", id="loopback v6"),
        pytest.param("http://2130706433/", "private address", id="loopback as a number"),
        pytest.param("ftp://example.com/", "https:", id="scheme"),
        pytest.param("https:///x", "https:", id="no host"),
        pytest.param("//[", "https:", id="nonsense"),
    ],
)
async def test_urls_that_are_refused_at_start(url: str, part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        async with webhook(url, private=False):
            pass


@pytest.mark.parametrize("secret", ["whsec_", "whsec_a"])
async def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError) as refused:
        async with webhook("https://example.com/", secret=secret):
            pass
    assert secret not in str(refused.value).replace("whsec_ and", "")


async def test_neither_name_nor_outcome_nor_log_shows_what_is_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving(answer(500)) as receiver:
        url = receiver.url(path="/canary-path?token=canary-query").replace("http://", "http://me:canary-password@")
        async with webhook(url) as sink:
            outcome = await deliver_one(sink)
    assert receiver.requests[0].headers["authorization"].startswith("Basic ")
    assert "canary" not in f"{sink.name} {outcome} {caplog.text}"
    assert SECRET not in caplog.text


async def test_names_tell_urls_of_one_host_apart() -> None:
    async with webhook("https://h.example/a") as first, webhook("https://h.example/b") as second:
        assert first.name != second.name


@pytest.mark.parametrize(
    ("address", "public"),
    [
        pytest.param("8.8.8.8", True, id="public"),
        pytest.param("2001:4860:4860::8888", True, id="public v6"),
        pytest.param("::ffff:8.8.8.8", True, id="public, mapped"),
        pytest.param("127.0.0.1", False, id="loopback"),
        pytest.param("::ffff:127.0.0.1", False, id="loopback, mapped"),
        pytest.param("2002:7f00:1::", False, id="loopback in 6to4"),
        pytest.param("64:ff9b::a9fe:a9fe", False, id="metadata in NAT64"),
        pytest.param("64:ff9b::808:808", True, id="public in NAT64"),
        pytest.param("2001:0:a9fe:a9fe::1", False, id="teredo"),
        pytest.param("169.254.169.254", False, id="metadata"),
        pytest.param("fd00:ec2::254", False, id="metadata v6"),
        pytest.param("169.254.170.2", False, id="container credentials"),
        pytest.param("fe80::1%eth0", False, id="link-local with a zone"),
        pytest.param("192.168.1.1", False, id="private"),
        pytest.param("100.64.0.1", False, id="carrier grade NAT"),
        pytest.param("0.0.0.0", False, id="unspecified"),
        pytest.param("::", False, id="unspecified v6"),
        pytest.param("224.0.0.1", False, id="multicast"),
        pytest.param("255.255.255.255", False, id="broadcast"),
        pytest.param("2130706433", False, id="a number"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("120", 120.0, id="seconds"),
        pytest.param(" 5 ", 5.0, id="spaces"),
        pytest.param(format_datetime(NOW + dt.timedelta(seconds=90), usegmt=True), 90.0, id="date"),
        pytest.param(format_datetime(NOW - dt.timedelta(days=9), usegmt=True), 0.0, id="past"),
        pytest.param("", None, id="none"),
        pytest.param("-3", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("٣", None, id="other digits"),
        pytest.param("9" * 5000, float("9" * 64), id="huge"),
        pytest.param("Thu, 99 Foo 2026", None, id="no date"),
    ],
)
def test_retry_after(value: str, expected: float | None) -> None:
    assert retry_after_s(value, NOW.timestamp()) == expected


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A certificate for a host name that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("hooks.example.com", Delivered(), id="the name of the certificate"),
        pytest.param("other.example.com", Later("no connection: ConnectError"), id="another name"),
    ],
)
async def test_tls_is_checked_against_the_name_not_the_address(
    host: str, expected: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, path = certificate(tmp_path, "hooks.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with receiving(answer(200), tls=context) as receiver:
        url = receiver.url(host=host).replace("http:", "https:")
        async with webhook(url, resolver=resolving("127.0.0.1")) as sink:
            assert await deliver_one(sink) == expected


def test_the_documented_private_ranges_are_all_refused() -> None:
    ranges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "fc00::/7", "fe80::/10"]
    for text in ranges:
        network = ipaddress.ip_network(text)
        assert not is_public(str(network[1]))
        assert not is_public(str(network[-2]))
