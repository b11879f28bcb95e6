"""A real port: limits, slow and long requests, binding, stopping."""

from pathlib import Path

import anyio
import httpx
import pytest

from controller.errors import SettingsError
from controller.http import Application, create_probe_app, guard, serve_api, server
from tests.http.rig import TIMEOUT_S, Service, batch, serving
from tests.http.sockets import all_of, client_of, free_port, listening, raw

REQUEST = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
LIMIT = 2048


async def test_it_serves_on_a_free_port_and_says_nothing_of_itself(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, listening(service.app) as port, client_of(port) as client:
        answer = await client.get("/livez")
        assert (answer.status_code, answer.text) == (200, "ok\n")
        assert "server" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        refused = await raw(port, b"GET /livez HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 421 ")
        assert (await raw(port, b"GET /livez HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 421 ")
        nonsense = await raw(port, b"nonsense\r\n\r\n")
        assert nonsense.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in nonsense


async def test_an_address_in_use_is_one_clear_sentence(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, listening(service.app) as port:
        with pytest.raises(SettingsError, match=f"port {port}: another program uses it") as caught:
            await serve_api(service.app, "127.0.0.1", port)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "a" * 300])
async def test_an_address_that_is_not_ours_is_one_clear_sentence(tmp_path: Path, host: str) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(SettingsError, match="cannot listen on http"):
            await serve_api(service.app, host, free_port())


async def test_a_long_body_is_refused_by_its_announced_length(tmp_path: Path) -> None:
    async with serving(tmp_path, queue={"message_bytes_max": LIMIT}) as service, listening(service.app) as port:
        head = f"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode())
            with anyio.fail_after(TIMEOUT_S):
                assert (await stream.receive()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 40])
async def test_a_length_that_is_none_is_refused(tmp_path: Path, length: str) -> None:
    async with serving(tmp_path) as service, listening(service.app) as port:
        head = (
            f"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
        assert (await raw(port, head.encode()))[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 413"}


async def test_a_long_body_without_a_length_is_refused_while_it_comes(tmp_path: Path) -> None:
    async with serving(tmp_path, queue={"message_bytes_max": LIMIT}) as service, listening(service.app) as port:
        head = b"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"400\r\n" + b" " * 0x400 + b"\r\n"
        answer = await raw(port, head + chunk * 3)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in answer
        assert not (await raw(port, head, *[chunk] * 2000)).startswith(b"HTTP/1.1 2")


async def test_a_body_that_trickles_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        app = Application(token_needed=False)
        app.router.routes.extend(service.app.router.routes)
        app.add_middleware(guard.BodyLimit, bytes_max=LIMIT, within_s=0.2)
        async with listening(app) as port:
            head = b"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
            answer = await raw(port, head)
            assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.2)
    async with serving(tmp_path) as service, listening(service.app) as port:
        assert await raw(port) == b""
        assert await raw(port, b"GET /livez HTTP/1.1\r\nHost: loc") == b""
        after_another = REQUEST.replace(b"Connection: close\r\n", b"") + b"GET /livez HT"
        assert (await raw(port, after_another)).startswith(b"HTTP/1.1 200 ")


async def test_a_request_that_takes_longer_than_its_head_may_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.2)
    async with serving(tmp_path, orders=False) as service, listening(service.app) as port, client_of(port) as client:
        answer = await client.post("/v1/documents?wait=0.6", json=batch("one"))
        assert answer.json()["items"][0]["answer"] == "pending"


async def test_an_endless_head_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, listening(service.app) as port:
        lines = [b"X-Filler: " + b"x" * 8000 + b"\r\n"] * 100
        answer = await raw(port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", *lines, b"\r\n")
        assert not answer.startswith(b"HTTP/1.1 200 ")


async def test_it_stops_when_cancelled_and_finishes_what_has_begun(tmp_path: Path) -> None:
    async with serving(tmp_path, orders=False) as service:
        answers: list[httpx.Response] = []

        async def ask(port: int) -> None:
            async with client_of(port) as client:
                answers.append(await client.post("/v1/documents?wait=1", json=batch("one")))

        with anyio.fail_after(TIMEOUT_S):
            async with anyio.create_task_group() as asking, listening(service.app) as port:
                asking.start_soon(ask, port)
                await _received(service)
        assert [answer.status_code for answer in answers] == [202]
        with pytest.raises(OSError, match="All connection attempts failed"):
            await anyio.connect_tcp("127.0.0.1", port)


async def _received(service: Service) -> None:
    while not await service.store.inbox_size():
        await anyio.sleep(0.01)


async def test_idle_connections_and_open_streams_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        began = anyio.current_time()
        async with listening(service.app) as port:
            idle = await anyio.connect_tcp("127.0.0.1", port)
            stream = await anyio.connect_tcp("127.0.0.1", port)
            await stream.send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")
            began = anyio.current_time()
        assert anyio.current_time() - began < server.STOP_WITHIN_S + 1
        async with idle, stream:
            assert (await all_of(stream)).endswith(b"0\r\n\r\n")
            assert await all_of(idle) == b""
        assert service.app.streams.open == 0


async def test_the_probe_port_asks_for_no_token_and_no_host(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, http={"token": "secret"}) as service,
        listening(create_probe_app(service.control, service.health)) as port,
        client_of(port) as client,
    ):
        for path in ("/livez", "/readyz", "/startupz", "/metrics"):
            answer = await client.get(path, headers={"host": "10.1.2.3:9000"})
            assert answer.status_code == 200
        for path in ("/v1/jobs", "/", "/openapi.json"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/livez", content=b"x" * 5000)).status_code == 413
