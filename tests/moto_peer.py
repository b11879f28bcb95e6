"""moto's server as a wire peer, and a proxy before it that changes requests and answers."""

import atexit
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp
import boto3
import httpx
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from tests.web_peer import listening

REGION = "eu-west-1"
ACCOUNT = "123456789012"


@cache
def _server() -> str:
    """One server for all tests of a process; it needs half a second to stop."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    atexit.register(server.stop)
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@contextmanager
def running_moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty server; the SDK's own configuration leads to it. Gives its URL."""
    url = _server()
    httpx.post(f"{url}/moto-api/reset", timeout=5).raise_for_status()
    use_endpoint(monkeypatch, url)
    yield url


def use_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "canaryaccess",
        "AWS_SECRET_ACCESS_KEY": "canarysecret",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def boto(service: str, url: str) -> Any:
    """A client of another make than the one under test."""
    return boto3.client(service, endpoint_url=url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y")


Forward = Callable[[bytes], Awaitable[tuple[int, bytes]]]
Change = Callable[[str, bytes, Forward], Awaitable[tuple[int, bytes]]]
"""Given an operation, a request body and the way to the real server: the status and body to answer with."""


@dataclass
class Proxy:
    url: str
    calls: list[tuple[str, bytes]] = field(default_factory=list)


@asynccontextmanager
async def proxying(to: str, change: Change, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy for the JSON protocols, to which the SDK's own configuration leads."""
    async with aiohttp.ClientSession() as session:
        proxy = Proxy("")

        async def handle(request: web.Request) -> web.Response:
            operation = request.headers["x-amz-target"].partition(".")[2]
            body = await request.read()
            proxy.calls.append((operation, body))
            headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}

            async def forward(changed: bytes) -> tuple[int, bytes]:
                async with session.post(f"{to}/", data=changed, headers=headers) as answer:
                    return answer.status, await answer.read()

            status, content = await change(operation, body, forward)
            return web.Response(status=status, body=content, content_type="application/x-amz-json-1.0")

        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{path:.*}", handle)
        async with listening(app) as proxy.url:
            use_endpoint(monkeypatch, proxy.url)
            yield proxy


def failing_entries(
    operation: str, which: Callable[[int], bool], failure: dict[str, Any], times: int = 10**9
) -> Change:
    """Let entries of a batch fail under HTTP 200: the server never sees those that `which` names by their place."""
    left = times

    async def change(called: str, body: bytes, forward: Forward) -> tuple[int, bytes]:
        nonlocal left
        if called != operation or left == 0:
            return await forward(body)
        left -= 1
        request = json.loads(body)
        entries = request["Entries"]
        request["Entries"] = [entry for place, entry in enumerate(entries) if not which(place)]
        failed = [{"Id": entry["Id"]} | failure for place, entry in enumerate(entries) if which(place)]
        answer: dict[str, Any] = {"Successful": []}
        if request["Entries"]:
            _status, content = await forward(json.dumps(request).encode())
            answer = json.loads(content)
        return 200, json.dumps(answer | {"Failed": failed}).encode()

    return change
