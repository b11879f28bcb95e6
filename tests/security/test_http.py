"""What a hostile client of the API may send, and what every answer carries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx

from controller.http.dashboard import FILES
from controller.http.events import STREAMS_MAX
from tests.http.rig import TIMEOUT_S, asking, batch, serving
from tests.http.sockets import all_of, client_of, listening, raw

JSON = {"content-type": "application/json"}
BODIES = {
    "an unknown member with a lone surrogate": b'{"\\ud800": 1}',
    "a value with a lone surrogate": b'{"reason": "\\ud800", "remoteId": "\\ud800"}',
    "deep": b"[" * 100_000,
    "deep within": b'{"reason":' + b"[" * 100_000,
    "overflow": b'{"ids": [1e999], "limit": 1e999}',
    "digits": b'{"ids": [' + b"9" * 10_000 + b"]}",
    "not a number": b'{"limit": NaN, "reason": Infinity}',
    "a long name": b'{"' + b"k" * 100_000 + b'": 1}',
    "not UTF-8": b"\xff\xfe",
    "UTF-16": '{"reason": "x"}'.encode("utf-16"),
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 100,
    "escapes": b'{"reason": "\\u001b[2J\\u202e\\u0000"}',
}
COMMANDS = (
    "/v1/lanes:pause",
    "/v1/lanes/default/bedrock.ModelInvocationJob:pause",
    "/v1/jobs:stop",
    "/v1/jobs:resolve",
    "/v1/jobs/default/bedrock.ModelInvocationJob/one:resolve",
    "/v1/deadletters:requeue",
    "/v1/documents",
)
QUERIES = (
    *(
        "text=%00",
        "text=%ed%a0%80",
        "text=%25_%5c",
        "search=%27%3b--",
        "label=%ff%3d1",
        "label=a%3d%00",
        "scope=%1b%5b2J",
    ),
    *("after=999999999999999999", "after=-1", "after=1e3", "limit=0", "limit=1001", "limit=1e3", "phase=%00"),
    *("name=%27+OR+1%3d1", "group=%F0%9F%98%80", "text=" + "%c3%a9" * 256, "text=" + "a" * 257),
)
CURSORS = ("AAAA", "eyJhIjp7fX0", "eyJhIjotMX0", "eyJhIjoxZTk5fQ", "W10", "bnVsbA", "%00", "a" * 20_000, "..%2f..")
ORIGINS = (
    "http://[::1",
    "http://[",
    "null",
    "",
    "//",
    "http://127.0.0.1:8470@evil",
    "http://127.0.0.1:8470 http://evil",
)

HOSTS = ("127.0.0.1#", "127.0.0.1/", "a@127.0.0.1", "[::1", "localhost:x", "127.0.0.1 evil", "\xe9")


def answers_well(answer: httpx.Response) -> None:
    """A success, or a problem in a few words: never a defect of the daemon's."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    if answer.status_code >= 400:
        assert len(answer.content) < 32 * 1024
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"].isprintable()


@asynccontextmanager
async def hostile_client(path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(path) as service, asking(service) as client:
        await service.send(batch("one"))
        yield client


async def test_bodies_of_commands(tmp_path: Path) -> None:
    async with hostile_client(tmp_path) as client:
        for path in COMMANDS:
            for what, body in BODIES.items():
                answer = await client.post(path, content=body, headers=JSON)
                answers_well(answer)
                usable = what == "escapes" or (what == "UTF-16" and "documents" not in path)
                assert answer.status_code >= 400 or usable, (path, what)


async def test_queries_cursors_and_paths(tmp_path: Path) -> None:
    async with hostile_client(tmp_path) as client:
        for query in QUERIES:
            answers_well(await client.get(f"/v1/jobs?{query}"))
        for cursor in CURSORS:
            answers_well(refused := await client.get(f"/v1/events?after={cursor}"))
            assert refused.status_code == 422
        for path in ("jobs/%00/x/y", "jobs/default/%ff/y", "jobs/default/a/%2e%2e%2f", "jobs/..%2f..%2fetc/x/y", "%ff"):
            answers_well(missing := await client.get(f"/v1/{path}"))
            assert missing.status_code == 404
        for wait in ("nan", "inf", "-1", "1e9"):
            answers_well(await client.post(f"/v1/documents?wait={wait}", content=b"{}", headers=JSON))


async def test_sql_in_every_filter_finds_nothing_and_harms_nothing(tmp_path: Path) -> None:
    sql = "'; DROP TABLE jobs; --"
    async with hostile_client(tmp_path) as client:
        for member in ("text", "search", "name", "group", "scope"):
            found = await client.get("/v1/jobs", params={member: sql})
            assert (found.status_code, found.json()["items"]) == (200, [])
        assert (await client.get("/v1/jobs", params={"label": f"{sql}={sql}"})).json()["items"] == []
        assert len((await client.get("/v1/jobs")).json()["items"]) == 1


async def test_malformed_origins_and_hosts_are_foreign_ones(tmp_path: Path) -> None:
    async with hostile_client(tmp_path) as client:
        for origin in ORIGINS:
            answers_well(refused := await client.post("/v1/lanes:pause", headers={"origin": origin}))
            assert refused.status_code == 403, origin
        for host in HOSTS:
            answers_well(refused := await client.get("/v1/jobs", headers={b"host": host.encode("latin-1")}))
            assert refused.status_code == 421, host


async def test_pages_cannot_run_what_others_wrote(tmp_path: Path) -> None:
    """The browser's own guards; no text of a document ever comes as anything but JSON."""
    async with hostile_client(tmp_path) as client:
        for path in FILES:
            answer = await client.get(path)
            answers_well(answer)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
        markup = batch("two", labels={"a": "<script>alert(1)</script>"})
        await client.post("/v1/documents?wait=10", json=[markup])
        for path in ("/v1/jobs", "/v1/jobs/default/bedrock.ModelInvocationJob/two", "/v1/events", "/v1/deadletters"):
            answers_well(shown := await client.get(path, headers={"accept": "text/html"}))
            assert shown.headers["content-type"] == "application/json"


# Connections


async def test_a_body_that_nobody_reads_does_not_keep_its_connection(tmp_path: Path) -> None:
    """Refused without a token, on a path without a body, or missing: the answer is the connection's last."""
    token = {"token": "a-token-of-some-length"}
    async with serving(tmp_path, http=token) as service, listening(service.app) as port:
        for line in (b"POST /v1/documents", b"GET /livez", b"POST /nowhere"):
            head = line + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(head)
                answer = await all_of(stream)  # ends only because the daemon closes
            assert b"connection: close" in answer.partition(b"\r\n\r\n")[0].lower(), answer


async def test_connections_without_such_bodies_are_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, listening(service.app) as port, client_of(port) as client:
        for _ in range(3):
            assert "connection" not in (await client.get("/v1/jobs")).headers
            answer = await client.post("/v1/documents", json=[batch("one")])
            assert "connection" not in answer.headers


async def test_many_streams_asked_for_at_once_are_still_few(tmp_path: Path) -> None:
    answers: list[bytes] = []

    async def ask(port: int) -> None:
        head = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head)
            answers.append(await stream.receive())
            await anyio.sleep_forever()

    asked = STREAMS_MAX + 20
    async with serving(tmp_path) as service, listening(service.app) as port:
        async with anyio.create_task_group() as tasks:
            for _ in range(asked):
                tasks.start_soon(ask, port)
            with anyio.fail_after(TIMEOUT_S):
                while len(answers) < asked:
                    await anyio.sleep(0.01)
            assert service.app.streams.open == STREAMS_MAX
            tasks.cancel_scope.cancel()
        assert sum(b" 200 " in answer[:20] for answer in answers) == STREAMS_MAX
        with anyio.fail_after(TIMEOUT_S):
            while service.app.streams.open:
                await anyio.sleep(0.01)


async def test_many_requests_in_one_packet_are_answered_in_turn(tmp_path: Path) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(tmp_path) as service, listening(service.app) as port:
        assert (await raw(port, one * 200 + last)).count(b"HTTP/1.1 200 OK") == 201
