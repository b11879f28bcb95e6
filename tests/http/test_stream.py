"""Server-sent events: nothing missed, nothing twice, few streams."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import orjson
import pytest

from controller.http import events
from controller.http.events import STREAMS_MAX
from controller.seams import Broadcast
from controller.store import EntryType
from tests.documents import BATCH
from tests.http.rig import TIMEOUT_S, Service, batch, serving
from tests.http.sockets import client_of, listening

STREAM = {"accept": "text/event-stream"}


@asynccontextmanager
async def streaming(path: Path) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    async with serving(path) as service, listening(service.app) as port, client_of(port) as client:
        yield service, client


async def read(lines: AsyncIterator[str], count: int) -> tuple[list[dict[str, object]], str]:
    """So many events of a stream, and the last id."""
    found: list[dict[str, object]] = []
    last = ""
    with anyio.fail_after(TIMEOUT_S):
        async for line in lines:
            if line.startswith("id: "):
                last = line.removeprefix("id: ")
            elif line.startswith("data: "):
                found.append(orjson.loads(line.removeprefix("data: ")))
            elif not line and len(found) == count:
                return found, last
    raise AssertionError(f"the stream ended after {len(found)} events")


async def test_a_stream_begins_with_what_happens_from_now_on(tmp_path: Path) -> None:
    async with streaming(tmp_path) as (service, client):
        await service.send(batch("before"))
        async with client.stream("GET", "/v1/events", headers=STREAM) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            await read(lines, 0)
            await service.send(batch("after"))
            (event,), _ = await read(lines, 1)
        assert event["subject"] == f"default/{BATCH}/after"


async def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(tmp_path: Path) -> None:
    async with streaming(tmp_path) as (service, client):
        await service.send(*(batch(f"job-{number}") for number in range(5)))
        seen: list[object] = []
        last = "start"
        for _ in range(5):
            async with client.stream("GET", "/v1/events", headers={**STREAM, "last-event-id": last}) as answer:
                found, last = await read(answer.aiter_lines(), 1)
                seen += [event["id"] for event in found]
        assert len(set(seen)) == 5
        await service.control.command(
            EntryType.STOP, service.control.identity("default", BATCH, "job-0"), wait_s=TIMEOUT_S
        )
        async with client.stream("GET", "/v1/events", headers={**STREAM, "last-event-id": last}) as answer:
            found, _ = await read(answer.aiter_lines(), 2)
        assert [event["type"] for event in found] == ["ferryman.job.updated", "ferryman.job.stopped"]


async def test_a_stream_is_woken_by_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_S", 1000.0)
    async with streaming(tmp_path) as (service, client), client.stream("GET", "/v1/events", headers=STREAM) as answer:
        lines = answer.aiter_lines()
        await read(lines, 0)
        for number in range(3):
            await service.send(batch(f"job-{number}"))
            (event,), _ = await read(lines, 1)
            assert event["subject"] == f"default/{BATCH}/job-{number}"


async def test_a_stream_looks_by_itself_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may have written."""
    monkeypatch.setattr(events, "LOOK_S", 0.01)
    async with streaming(tmp_path) as (service, client), client.stream("GET", "/v1/events", headers=STREAM) as answer:
        monkeypatch.setattr(service.control.committed, "announce", lambda: None)
        lines = answer.aiter_lines()
        await read(lines, 0)
        await service.send(batch("job"))
        await read(lines, 1)


async def test_a_stream_of_one_subject(tmp_path: Path) -> None:
    async with streaming(tmp_path) as (service, client):
        await service.send(batch("one"), batch("two"))
        path = f"/v1/events?after=start&subject=default/{BATCH}/two"
        async with client.stream("GET", path, headers=STREAM) as answer:
            (event,), _ = await read(answer.aiter_lines(), 1)
        assert event["subject"] == f"default/{BATCH}/two"


async def test_a_wrong_cursor_is_answered_before_the_stream_begins(tmp_path: Path) -> None:
    async with streaming(tmp_path) as (_, client):
        answer = await client.get("/v1/events", headers={**STREAM, "last-event-id": "nonsense!"})
        assert answer.status_code == 422


async def test_streams_are_few_and_given_back(tmp_path: Path) -> None:
    async with streaming(tmp_path) as (service, client):
        service.app.streams.open = STREAMS_MAX
        refused = await client.get("/v1/events", headers=STREAM)
        assert refused.status_code == 503
        service.app.streams.open = 0
        async with client.stream("GET", "/v1/events", headers=STREAM) as answer:
            await read(answer.aiter_lines(), 0)
            assert service.app.streams.open == 1
        with anyio.fail_after(TIMEOUT_S):
            while service.app.streams.open:
                await anyio.sleep(0.01)


async def test_a_quiet_stream_says_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.1)
    async with streaming(tmp_path) as (_, client), client.stream("GET", "/v1/events", headers=STREAM) as answer:
        with anyio.fail_after(TIMEOUT_S):
            async for line in answer.aiter_lines():
                if line.startswith(":"):
                    return
    raise AssertionError("the stream ended")


async def test_everyone_who_listens_hears_of_what_they_have_not_seen() -> None:
    news = Broadcast()
    heard: list[int] = []

    async def listen(seen: int) -> None:
        await news.beyond(seen, TIMEOUT_S)
        heard.append(news.count)

    with anyio.fail_after(TIMEOUT_S / 2):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(listen, 0)
            await anyio.wait_all_tasks_blocked()
            assert not heard
            news.announce()
        assert heard == [1, 1, 1]
        await listen(0)  # it was busy meanwhile, and need not wait
    await news.beyond(1, 0.01)
