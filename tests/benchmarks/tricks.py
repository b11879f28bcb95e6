"""What each trick of the create path and the page path saves, beside the plain way: processor time, in this process.

A trick that shows no worth here goes.
"""

import json
import time
import timeit
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio
from botocore.parsers import create_parser

from controller.documents import Policy, read_document
from controller.kinds import KINDS
from controller.kinds.aws import parse_timestamp
from controller.kinds.models import operation_model
from controller.model import Document, Job, Phase
from controller.seams import SystemClock
from controller.transitions.step import Context, Step
from controller.transitions.wanting import apply_document
from controller.views import rfc3339
from tests.benchmarks.endpoint import summary
from tests.documents import BATCH, document

TIMES = 5000
REPEATS = 5
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds of processor time of the plain way and of ours, for one create or one listed job."""

    name: str
    plain_us: float
    ours_us: float


def spent_us(action: Callable[[], Any], times: int = TIMES) -> float:
    return min(timeit.repeat(action, number=times, repeat=REPEATS, timer=time.process_time)) / times * 1e6


async def spent_async_us(action: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(TIMES):
            await action()
        taken.append((time.process_time() - began) / TIMES * 1e6)
    return min(taken)


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
    items = b",".join(summary(f"arn-{n}", "InProgress", datetime.now(UTC), {"jobName": f"n-{n}"}) for n in range(PAGE))
    answer = {"status_code": 200, "headers": {}, "body": b'{"invocationJobSummaries": [%b]}' % items}
    shape = operation_model("bedrock", "ListModelInvocationJobs").output_shape
    plain = create_parser("rest-json")
    ours = type(plain)(timestamp_parser=parse_timestamp)
    return Row(
        "a timestamp parser of our own, a listed job",
        spent_us(lambda: plain.parse(answer, shape), times=2) / PAGE,
        spent_us(lambda: ours.parse(answer, shape), times=2) / PAGE,
    )


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


async def clocks() -> Row:
    clock = SystemClock()
    return Row("a clock read four times", 4 * spent_us(anyio.current_time), 4 * spent_us(clock.monotonic))


async def main() -> None:
    rows = [moves(a_job()), times(), pages(), await places(), await streams(), await clocks()]
    print(json.dumps([[row.name, row.plain_us, row.ours_us] for row in rows]))  # noqa: T201 - the figures


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
