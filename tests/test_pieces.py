"""Long work on the event loop: it turns in between, and what comes out is the same."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from aiobotocore.parsers import AioResponseParserFactory
from anyio.lowlevel import checkpoint

from controller.kinds.answers import SHORT_BYTES, ParserFactory
from controller.kinds.aws import parse_timestamp
from controller.kinds.models import operation_model
from controller.pieces import PIECE, InPieces

LONG = " " * (SHORT_BYTES + 1)
JOBS = 4 * PIECE + 1


class Turns:
    """How often the event loop has turned."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            self.count += 1
            await checkpoint()


async def turns_of(work: Any) -> tuple[Any, int]:
    """What an awaitable gives, and how often the loop turned meanwhile."""
    turns = Turns()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turns.run)
        await checkpoint()
        before = turns.count
        found = await work
        turned = turns.count - before
        tasks.cancel_scope.cancel()
    return found, turned


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        pytest.param(0, [], id="nothing"),
        pytest.param(2, [[0, 1]], id="less than a piece"),
        pytest.param(3, [[0, 1, 2]], id="a piece"),
        pytest.param(7, [[0, 1, 2], [3, 4, 5], [6]], id="more"),
    ],
)
async def test_a_turn_comes_between_two_pieces(length: int, pieces: list[list[int]]) -> None:
    async def work() -> list[Sequence[int]]:
        return [piece async for piece in InPieces(range(length), 3)]

    found, turns = await turns_of(work())
    assert list(map(list, found)) == pieces
    assert turns == max(0, len(pieces) - 1)


async def test_a_cancellation_comes_between_two_pieces() -> None:
    done = 0
    with anyio.CancelScope() as scope:
        async for piece in InPieces(range(7), 3):
            done += len(piece)
            scope.cancel()
    assert (done, scope.cancelled_caught) == (3, True)


def bedrock_page(jobs: int) -> str:
    times = {"submitTime": "2026-11-21T10:00:00Z", "endTime": "no time"}
    items = [{"jobArn": f"arn-{n}", "status": "Completed", **times} if n % 7 else None for n in range(jobs)]
    return json.dumps({"invocationJobSummaries": items, "nextToken": "next", "unknown": {"a": 1}})


def personalize_page(jobs: int) -> str:
    items = [{"batchInferenceJobArn": f"arn-{n}", "creationDateTime": 1.7e9 + n} for n in range(jobs)]
    return json.dumps({"batchInferenceJobs": items, "nextToken": "next"})


ANSWERS = [
    pytest.param(bedrock_page(JOBS) + LONG, True, id="a page of Bedrock"),
    pytest.param(personalize_page(JOBS) + LONG, True, id="a page of Personalize"),
    pytest.param(bedrock_page(PIECE) + LONG, False, id="no more jobs than a piece"),
    pytest.param(bedrock_page(JOBS // 2)[: SHORT_BYTES // 2], False, id="short and cut off"),
    pytest.param(f'{{"invocationJobSummaries": 3, "batchInferenceJobs": {{"a": "b"}}}}{LONG}', False, id="no lists"),
    pytest.param(f'{{"invocationJobSummaries": ["{LONG}"]}}', False, id="an item that is none"),
    pytest.param(json.dumps({"batchInferenceJobs": ["x"] * SHORT_BYTES}), False, id="many items that are none"),
    pytest.param(f"[]{LONG}", False, id="a list"),
    pytest.param(f"null{LONG}", False, id="null"),
    pytest.param(f"{{{LONG}", False, id="cut off"),
]


async def parsed(factory: AioResponseParserFactory, protocol: str, shape: Any, body: str) -> Any:
    """The answer, or the type of the error that its parser ends with."""
    factory.set_parser_defaults(timestamp_parser=parse_timestamp)
    headers = {"x-amzn-requestid": "request-1", "Date": "Sat, 21 Nov 2026 10:00:00 GMT"}
    answer = {"status_code": 200, "headers": headers, "body": body.encode()}
    try:
        return await factory.create_parser(protocol).parse(answer, shape)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize(("body", "long"), ANSWERS)
@pytest.mark.parametrize(
    ("protocol", "service", "operation"),
    [
        pytest.param("rest-json", "bedrock", "ListModelInvocationJobs", id="rest-json"),
        pytest.param("json", "personalize", "ListBatchInferenceJobs", id="json"),
    ],
)
async def test_a_long_answer_is_what_the_sdk_makes_of_it(
    protocol: str, service: str, operation: str, body: str, *, long: bool
) -> None:
    shape = operation_model(service, operation).output_shape
    plain = await parsed(AioResponseParserFactory(), protocol, shape, body)
    ours, turns = await turns_of(parsed(ParserFactory(), protocol, shape, body))
    assert ours == plain
    whole = isinstance(plain, dict) and any(len(value) == JOBS for value in plain.values() if isinstance(value, list))
    assert turns >= (JOBS // PIECE if long and whole else 0)
