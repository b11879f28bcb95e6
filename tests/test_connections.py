"""Connections to AWS: one request is written once, and an answer is whole or it is none."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSStream
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError, SSLError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.kinds import connections
from controller.kinds.aws import _not_answered
from controller.kinds.connections import Answer, BrokenAnswerError, Connections, NotConnectedError
from controller.kinds.transport import OneRequestSession

WAIT_S = 30.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Reads requests, and answers each connection as its script says."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/path?query=1"
        self.requests: list[bytes] = []
        self.connected = 0


def port_of(listener: MultiListener[SocketStream]) -> int:
    return int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - a socket's attribute


Script = Callable[[SocketStream, Server], Awaitable[None]]


async def read_request(stream: SocketStream, server: Server) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    while len(body) < length:
        body += await stream.receive()
    server.requests.append(head + b"\r\n\r\n" + body)


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        server = Server(port_of(listener))

        async def serve(stream: Any) -> None:
            server.connected += 1
            try:
                if tls is not None:
                    stream = await TLSStream.wrap(stream, server_side=True, ssl_context=tls)
                await script(stream, server)
            except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                pass
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.aclose_forcefully(stream)

        tasks.start_soon(listener.serve, serve)
        yield server
        tasks.cancel_scope.cancel()


def answering(*pieces: bytes, then_close: bool = False) -> Script:
    """Every request with the same pieces, each in a packet of its own."""

    async def script(stream: SocketStream, server: Server) -> None:
        while True:
            await read_request(stream, server)
            for piece in pieces:
                await stream.send(piece)
                await anyio.wait_all_tasks_blocked()
            if then_close:
                return

    return script


@asynccontextmanager
async def opened(tls: ssl.SSLContext | None = None, connect_timeout_s: float = WAIT_S) -> AsyncIterator[Connections]:
    made = Connections(tls or ssl.create_default_context(), connect_timeout_s=connect_timeout_s, idle_max=4)
    try:
        with anyio.fail_after(WAIT_S):
            yield made
    finally:
        made.close()


async def post(through: Connections, url: str, body: bytes = b"{}") -> Answer:
    return await through.exchange("POST", url, {"X-One": "1", "Content-Length": str(len(body))}, body)


async def until(fact: Callable[[], bool]) -> None:
    with anyio.fail_after(WAIT_S):
        while not fact():
            await anyio.sleep(0.01)


async def test_what_is_written() -> None:
    async with serving(answering(OK)) as server, opened() as through:
        await post(through, server.url, b'{"a": 1}')
        await through.exchange("GET", f"http://127.0.0.1:{server.port}", {}, b"")
        await through.exchange("POST", f"http://127.0.0.1:{server.port}/a%2Fb", {}, b"")
    host = f"Host: 127.0.0.1:{server.port}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n".encode()
    assert server.requests == [
        b"POST /path?query=1 HTTP/1.1\r\n" + host + b'X-One: 1\r\nContent-Length: 8\r\n\r\n{"a": 1}',
        b"GET / HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /a%2Fb HTTP/1.1\r\n" + host + b"Content-Length: 0\r\n\r\n",
    ]
    assert server.connected == 1


@pytest.mark.parametrize(
    ("pieces", "then_close", "expected"),
    [
        pytest.param([OK], False, (200, b"{}"), id="with its length"),
        pytest.param([OK[n : n + 1] for n in range(len(OK))], False, (200, b"{}"), id="byte by byte"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"],
            False,
            (200, b"abcde"),
            id="in chunks",
        ),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\nab", b"c"], True, (200, b"abc"), id="until the end of the connection"),
        pytest.param([b"HTTP/1.0 503 No\r\ncontent-length: 1\r\n\r\nx"], True, (503, b"x"), id="of an older version"),
        pytest.param([b"HTTP/1.1 204 No Content\r\n\r\n"], False, (204, b""), id="without a body"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", OK], False, (200, b"{}"), id="after a hint to go on"),
        pytest.param(
            [b"HTTP/1.1 307 Elsewhere\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"],
            False,
            (307, b""),
            id="a redirect, which is not followed",
        ),
    ],
)
async def test_an_answer(pieces: Sequence[bytes], then_close: bool, expected: tuple[int, bytes]) -> None:
    async with serving(answering(*pieces, then_close=then_close)) as server, opened() as through:
        answer = await post(through, server.url)
    assert (answer.status, answer.body) == expected
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="none"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-le"], id="half its headers"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}"], id="half its body"),
        pytest.param([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"], id="no last chunk"),
        pytest.param([b"SSH-2.0-OpenSSH_9.2\r\n"], id="another protocol"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n{}"], id="a length that is no number"),
        pytest.param([b"HTTP/1.1 101 Up\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], id="an upgrade"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nx: ", b"y" * connections.HEADER_BYTES_MAX, b"\r\n\r\n"], id="endless header"
        ),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n"], id="a hint alone"),
    ],
)
async def test_no_whole_answer(pieces: Sequence[bytes]) -> None:
    async with serving(answering(*pieces, then_close=True)) as server, opened() as through:
        with pytest.raises(BrokenAnswerError):
            await post(through, server.url)
    assert (len(server.requests), server.connected) == (1, 1)


async def test_a_body_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_BYTES_MAX", 10)
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"8\r\n12345678\r\n" * 2
    async with serving(answering(endless)) as server, opened() as through:
        with pytest.raises(BrokenAnswerError, match="too large"):
            await post(through, server.url)


async def closes_after_each(stream: SocketStream, server: Server) -> None:
    await read_request(stream, server)
    await stream.send(OK)


async def says_more_than_asked(stream: SocketStream, server: Server) -> None:
    await read_request(stream, server)
    await stream.send(OK + OK)
    await stream.receive()


@pytest.mark.parametrize(
    ("script", "connected"),
    [
        pytest.param(answering(OK), 1, id="kept"),
        pytest.param(answering(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")), 3, id="asked to close"),
        pytest.param(closes_after_each, 3, id="closed while idle"),
        pytest.param(says_more_than_asked, 3, id="more than one answer"),
    ],
)
async def test_a_connection_is_used_again_only_if_it_is_good(script: Script, connected: int) -> None:
    async with serving(script) as server, opened() as through:
        for _ in range(3):
            answer = await post(through, server.url)
            assert answer.body == b"{}"
            if connected > 1:
                await until(lambda: not any(kept.usable for idle in through._idle.values() for kept in idle))
    assert (server.connected, len(server.requests)) == (connected, 3)


async def test_a_connection_that_was_idle_for_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S", -1.0)
    async with serving(answering(OK)) as server, opened() as through:
        for _ in range(3):
            await post(through, server.url)
    assert server.connected == 3


async def test_connections_that_a_burst_left_behind_are_closed() -> None:
    async with serving(answering(OK)) as server, opened() as through:
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(post, through, server.url)
        (idle,) = through._idle.values()
        *left, last = idle
        assert left
        for connection in left:
            connection._used_at -= 2 * connections.IDLE_S
        await post(through, server.url)
        assert idle == [last]
        assert not any(connection.usable for connection in left)


async def test_who_goes_away_takes_the_connection_along() -> None:
    async def silent_at_first(stream: SocketStream, server: Server) -> None:
        await read_request(stream, server)
        if server.connected == 1:
            await stream.receive()  # until the client closes
        await stream.send(OK)

    async with serving(silent_at_first) as server, opened() as through:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post, through, server.url)
            await until(lambda: bool(server.requests))
            tasks.cancel_scope.cancel()
        assert (await post(through, server.url)).body == b"{}"
    assert (server.connected, len(server.requests)) == (2, 2)


async def test_many_at_once_have_a_connection_each() -> None:
    async with serving(answering(OK)) as server, opened() as through, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(post, through, server.url)
        await anyio.wait_all_tasks_blocked()
    assert len(server.requests) == 8
    assert server.connected <= 8


async def test_a_line_break_in_a_header_is_refused_unsent() -> None:
    async with serving(answering(OK)) as server, opened() as through:
        for value in ("a\r\nX-Evil: 1", "a\nb", "a\rb"):
            with pytest.raises(ValueError, match="line break"):
                await through.exchange("POST", server.url, {"X-One": value}, b"")
    assert server.requests == []


# As the SDK sees it


def request(url: str) -> AWSPreparedRequest:
    return AWSPreparedRequest("POST", url, {"X-One": b"1", "Content-Length": "2"}, b"{}", stream_output=False)


@asynccontextmanager
async def session(**settings: Any) -> AsyncIterator[OneRequestSession]:
    defaults = {"verify": True, "timeout": (WAIT_S, WAIT_S), "max_pool_connections": 4, "proxies": {}}
    async with OneRequestSession(**{**defaults, **settings}) as made:
        with anyio.fail_after(WAIT_S):
            yield made


async def refused_port() -> int:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        return port_of(listener)


async def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    async with session() as made:
        with pytest.raises(EndpointConnectionError) as caught:
            await made.send(request(f"http://127.0.0.1:{await refused_port()}/"))
    assert isinstance(caught.value.kwargs["error"], NotConnectedError)
    assert _not_answered(caught.value).definite


async def test_a_handshake_that_takes_too_long_proves_it_too() -> None:
    async with serving(answering(OK)) as server, session(timeout=(0.2, WAIT_S)) as made:
        with pytest.raises(ConnectTimeoutError) as caught:
            await made.send(request(f"https://127.0.0.1:{server.port}/"))
    assert _not_answered(caught.value).definite
    assert server.requests == []


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "through a proxy"])
@pytest.mark.parametrize("held", [None, "no certificate"], ids=["missing", "damaged"])
async def test_certificates_that_cannot_be_loaded_prove_it_too(tmp_path: Path, held: str | None, proxied: bool) -> None:
    bundle = tmp_path / "bundle.pem"
    if held is not None:
        bundle.write_text(held)
    async with serving(answering(OK)) as server:
        proxies = {"http": server.url} if proxied else {}
        async with session(verify=str(bundle), proxies=proxies) as made:
            with pytest.raises((EndpointConnectionError, SSLError)) as caught:
                await made.send(request(server.url))
    error = _not_answered(caught.value)
    assert error.definite
    assert f"certificates for TLS cannot be loaded from {bundle}" in str(error)
    assert server.requests == []


async def test_a_lost_answer_proves_nothing() -> None:
    async with serving(answering(then_close=True)) as server, session() as made:
        with pytest.raises(ConnectionClosedError) as caught:
            await made.send(request(server.url))
    assert not _not_answered(caught.value).definite
    assert len(server.requests) == 1


def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


async def test_tls_with_a_bundle_of_ones_own(tmp_path: Path) -> None:
    path = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    async with serving(answering(OK), context) as server:
        url = f"https://127.0.0.1:{server.port}/"
        async with session(verify=str(path)) as made:
            answer = await made.send(request(url))
            assert (answer.status_code, await answer.content) == (200, b"{}")
        async with session(verify=False) as made:
            assert (await made.send(request(url))).status_code == 200
        async with session(verify=True) as made:
            with pytest.raises(SSLError) as caught:
                await made.send(request(url))
    assert _not_answered(caught.value).definite
    assert len(server.requests) == 2
