"""What each trick of the create path and the page path saves, beside the plain way: processor time, in this process.

A trick that shows no worth here goes.
"""

import asyncio
import gc
import json
import tempfile
import time
import timeit
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiosqlite
import anyio
import orjson
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.parsers import AioResponseParserFactory
from aiobotocore.session import AioSession
from anyio.lowlevel import checkpoint
from botocore.awsrequest import AWSPreparedRequest
from botocore.parsers import create_parser
from sqlalchemy import Executable

from controller.desk import AT_ONCE
from controller.documents import Policy, canonical_json, read_document
from controller.documents.canonical import _normal
from controller.events import of_job
from controller.kinds import KINDS
from controller.kinds.answers import ParserFactory
from controller.kinds.aws import parse_timestamp
from controller.kinds.models import operation_model
from controller.kinds.prepared import Sample, prepare
from controller.kinds.transport import OneRequestSession, sampling
from controller.model import Document, Job, Observation, Phase, Standing, Todo
from controller.pieces import PIECE, InPieces
from controller.seams import SystemClock, no_failpoint
from controller.store import sqlite
from controller.store.opening import open_store
from controller.store.readers import Readers
from controller.store.sqlite_driver import Connection as SqliteConnection
from controller.transitions.running import observe
from controller.transitions.step import Context, Step
from controller.transitions.wanting import apply_document
from controller.views import rfc3339
from tests.benchmarks.daemon import LANE
from tests.benchmarks.endpoint import Connection, Server, summary
from tests.documents import BATCH, document, spec_of

TIMES = 5000
REPEATS = 5
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds of processor time of the plain way and of ours, for one create or one listed job.

    Where the name says so, for the longest piece of something that takes turns with the rest of the event loop.
    """

    name: str
    plain_us: float
    ours_us: float


def spent_us(action: Callable[[], Any], times: int = TIMES) -> float:
    return min(timeit.repeat(action, number=times, repeat=REPEATS, timer=time.process_time)) / times * 1e6


async def spent_async_us(action: Callable[[], Awaitable[Any]], times: int = TIMES) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(times):
            await action()
        taken.append((time.process_time() - began) / times * 1e6)
    return min(taken)


async def longest_us(action: Callable[[], Awaitable[Any]]) -> float:
    """What an action takes between two turns of the event loop, at the most."""
    return min([await _longest_us(action) for _ in range(REPEATS)])


async def _longest_us(action: Callable[[], Awaitable[Any]]) -> float:
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            began = time.thread_time()
            await checkpoint()
            longest_s = max(longest_s, time.thread_time() - began)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await checkpoint()
        await action()
        await checkpoint()
        tasks.cancel_scope.cancel()
    return longest_s * 1e6


def a_job() -> Job:
    read = read_document(document(BATCH, "job-1"), KINDS, Policy(scopes={"default": frozenset()}))
    assert isinstance(read, Document)
    step = apply_document(None, read, Context(KINDS[BATCH], time.time(), "benchmark")).step
    assert step is not None
    return step.job


def moves(job: Job) -> Row:
    def plain() -> Step:
        moved = replace(Step(job), job=replace(job, attempts=job.attempts))
        moved = replace(moved, job=replace(moved.job, phase=Phase.RUNNING, reason=None))
        return moved.say("created")

    return Row("a transition copies its job once", spent_us(plain), spent_us(lambda: Step(job).move(*RUNS)))


RUNS = (Phase.RUNNING, "created")


def times() -> Row:
    def plain(seconds: float) -> str:
        moment = datetime.fromtimestamp(seconds, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    now = time.time()
    assert plain(now) == rfc3339(now)
    return Row("the three times of an event", 3 * spent_us(lambda: plain(now)), 3 * spent_us(lambda: rfc3339(now)))


def pages() -> Row:
    """The SDK's own timestamp parser against ours, on a page of List: of one job."""
    answer, shape = a_page()
    plain = create_parser("rest-json")
    ours = type(plain)(timestamp_parser=parse_timestamp)
    return Row(
        "a timestamp parser of our own, a listed job",
        spent_us(lambda: plain.parse(answer, shape), times=2) / PAGE,
        spent_us(lambda: ours.parse(answer, shape), times=2) / PAGE,
    )


def a_page() -> tuple[dict[str, Any], Any]:
    items = b",".join(summary(f"arn-{n}", "InProgress", datetime.now(UTC), {"jobName": f"n-{n}"}) for n in range(PAGE))
    answer = {"status_code": 200, "headers": {}, "body": b'{"invocationJobSummaries": [%b]}' % items}
    return answer, operation_model("bedrock", "ListModelInvocationJobs").output_shape


async def page_pieces() -> Row:
    answer, shape = a_page()
    plain, ours = AioResponseParserFactory(), ParserFactory()
    for factory in (plain, ours):
        factory.set_parser_defaults(timestamp_parser=parse_timestamp)
    assert await plain.create_parser("rest-json").parse(answer, shape) == await _parsed(ours, answer, shape)
    return Row(
        "the longest piece of a page of List, parsed in pieces",
        await longest_us(lambda: _parsed(plain, answer, shape)),
        await longest_us(lambda: _parsed(ours, answer, shape)),
    )


async def _parsed(factory: AioResponseParserFactory, answer: Any, shape: Any) -> Any:
    return await factory.create_parser("rest-json").parse(answer, shape)


async def decisions() -> Row:
    """What a page says of so many jobs that they are decided in one commit: each runs now."""
    job = Step(a_job()).move(*RUNS).job
    context = Context(KINDS[BATCH], time.time(), "benchmark")
    seen = Observation(remote_id="arn", status="InProgress", standing=Standing.WORKING)

    async def decided(piece: int) -> None:
        async for jobs in InPieces([job] * AT_ONCE, piece):
            for each in jobs:
                for happening in observe(each, seen, context).happenings:
                    of_job(happening, context.now)

    return Row(
        "the longest piece of the decisions of a commit",
        await longest_us(lambda: decided(AT_ONCE)),
        await longest_us(lambda: decided(PIECE)),
    )


async def reads() -> Row:
    """A read that finds nothing, from the call to its rows; the database's thread counts."""
    with patch.object(sqlite, "connect", _connect_plainly):
        plain_us = await _read_us()
    return Row("a read of SQLite in one change of threads", plain_us, await _read_us())


async def kept_connections() -> Row:
    """The same read, over a connection of the library's pool and over one that is kept."""
    with patch.object(Readers, "rows", _through_the_pool):
        plain_us = await _read_us()
    return Row("a read over a connection that is kept", plain_us, await _read_us())


async def _through_the_pool(readers: Readers, statement: Executable, parameters: Any) -> Any:
    async with readers._engine.connect() as connection:
        return (await connection.execute(statement, parameters)).all()


async def _connect_plainly(
    path: Path, timeout_s: float, cached_statements: int, _kind: type[SqliteConnection]
) -> aiosqlite.Connection:
    connection = aiosqlite.connect(path, timeout=timeout_s, cached_statements=cached_statements)
    connection._thread.daemon = True
    return await connection


async def _read_us() -> float:
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-") as folder:
        url = f"sqlite:///{folder}/ferryman.db"
        async with open_store(url, clock=SystemClock(), failpoint=no_failpoint, lock_wait_s=1) as store:
            return await spent_async_us(lambda: store.next_due(LANE, Todo.GET), times=500)


async def places() -> Row:
    limiter, semaphore = anyio.CapacityLimiter(64), anyio.Semaphore(64, fast_acquire=True)

    async def take(lock: Any) -> None:
        async with lock:
            pass

    plain = await spent_async_us(lambda: take(limiter))
    return Row("a place in the pool without a turn of the loop", plain, await spent_async_us(lambda: take(semaphore)))


async def streams() -> Row:
    send, receive = anyio.create_memory_object_stream[int](8)

    async def plain() -> None:
        await send.send(1)
        await receive.receive()

    async def ours() -> None:
        send.send_nowait(1)
        receive.receive_nowait()

    with send, receive:
        return Row(
            "an intent and an outcome handed over at once", await spent_async_us(plain), await spent_async_us(ours)
        )


async def requests() -> Row:
    """A call whole, but for the network, which answers at once."""
    samples: list[AWSPreparedRequest] = []
    transport = sampling(samples)
    request = KINDS[BATCH].parameters(spec_of(BATCH), "uid-1", "job-1")
    config = AioConfig(parameter_validation=False, retries={"total_max_attempts": 1}, http_session_cls=transport)
    session = AioSession()
    async with session.create_client("bedrock", region_name="us-east-1", config=config) as client:
        await client.create_model_invocation_job(**request)
        credentials = await (await session.get_credentials()).get_frozen_credentials()
        model = operation_model("bedrock", "CreateModelInvocationJob")
        prepared = prepare(model, Sample.of(samples[0]), request, credentials, parse_timestamp)
        assert prepared is not None
        wire = transport()

        async def ours() -> None:
            await prepared.send(prepared.request(request, credentials, time.time()), wire)
            samples.clear()

        async def plain() -> None:
            await client.create_model_invocation_job(**request)
            samples.clear()

        return Row("a request made after one of the SDK's", await spent_async_us(plain), await spent_async_us(ours))


async def exchanges() -> Row:
    """A request and its answer on a kept connection; the endpoint's part, in this process too, is in both."""
    listening = await asyncio.get_running_loop().create_server(lambda: Connection(Server()), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/model-invocation-job/1"
    request = AWSPreparedRequest("POST", url, {"Content-Length": "2"}, b"{}", stream_output=False)
    settings: dict[str, Any] = {"verify": False, "timeout": (5, 5), "max_pool_connections": 1, "proxies": {}}
    async with AIOHTTPSession(**settings) as theirs, OneRequestSession(**settings) as ours:
        plain_us = await spent_async_us(lambda: theirs.send(request))
        ours_us = await spent_async_us(lambda: ours.send(request))
    listening.close()
    return Row("an exchange over a connection of our own", plain_us, ours_us)


def digests() -> Row:
    body = document(BATCH, "job-1")

    def plain() -> bytes:
        return orjson.dumps(_normal(body), option=orjson.OPT_SORT_KEYS)

    assert plain() == canonical_json(body)
    return Row("the canonical form of a document", spent_us(plain), spent_us(lambda: canonical_json(body)))


def collections() -> Row:
    """One collection of the oldest generation, which stops the event loop; the jobs are new in both."""
    jobs = [a_job() for _ in range(1000)]
    plain_us = spent_us(gc.collect, times=1)
    gc.freeze()
    jobs = [a_job() for _ in range(len(jobs))]
    ours_us = spent_us(gc.collect, times=1)
    gc.unfreeze()
    return Row("a whole garbage collection, modules and models spared", plain_us, ours_us)


async def clocks() -> Row:
    clock = SystemClock()
    return Row("a clock read four times", 4 * spent_us(anyio.current_time), 4 * spent_us(clock.monotonic))


async def main() -> None:
    page = pages()
    rows = [await requests(), await exchanges(), digests(), moves(a_job()), times(), page]
    rows += [await places(), await streams(), await clocks(), await reads(), await kept_connections()]
    rows += [await page_pieces(), await decisions(), collections()]
    taken = {"rows": [[row.name, row.plain_us, row.ours_us] for row in rows], "page_item_ms": page.ours_us / 1000}
    print(json.dumps(taken))  # noqa: T201 - the figures


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
