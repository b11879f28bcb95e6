"""What answers sinks and sources: receivers, EventBridge, SNS and SQS that say what they should not."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from controller.publish import RETRY_AFTER_MAX_S
from controller.queues import Delivery, Settled, SourceUnavailableError, sqs
from controller.queues.dead_letters import RejectedCopy, open_dead_letter_queue
from controller.queues.opening import open_source
from controller.seams import SystemClock
from controller.settings import EventSettings, QueueSettings
from controller.sinks import Delivered, Later, Refused, Subscription
from controller.sinks.opening import open_subscriptions
from controller.store import OutboxEvent
from tests.moto_peer import REGION, use_endpoint
from tests.sinks.webhook_receiver import answer, receiving
from tests.web_peer import listening

WITHIN_S = 60.0
ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:events"
COOKIES = [f"set-cookie: name{number}={'x' * 100}; path=/" for number in range(20)]


def events(count: int) -> Sequence[OutboxEvent]:
    return [
        OutboxEvent(lane="l", seq=n, id=f"job{n}-1", type="ferryman.job.created", subject=f"l/{n}", at=0, body=b"{}")
        for n in range(1, count + 1)
    ]


@asynccontextmanager
async def subscribed(sink: str | dict[str, Any]) -> AsyncIterator[Subscription]:
    settings = EventSettings.model_validate({"sinks": [sink]})
    with anyio.fail_after(WITHIN_S):
        async with open_subscriptions(settings, clock=SystemClock()) as (subscription,):
            yield subscription


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(answer(200, *COOKIES), Delivered, id="cookies"),
        pytest.param(answer(200, "content-encoding: gzip", body=b"\x1f\x8b" + b"\x00" * 5000), Delivered, id="gzip"),
        pytest.param(answer(200, body=b"x" * 3_000_000), Delivered, id="a huge body"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Delivered, id="no end"),
        pytest.param(answer(503, "retry-after: " + "9" * 60), Later, id="an absurd Retry-After"),
        pytest.param(answer(503, "retry-after: -1"), Later, id="a negative Retry-After"),
        pytest.param(answer(503, "retry-after: Fri, 31 Dec 9999 23:59:59 GMT"), Later, id="Retry-After in 9999"),
        pytest.param(answer(302, "location: http://169.254.169.254/latest/"), Later, id="to the metadata service"),
        pytest.param(answer(307, "location: file:///etc/passwd"), Later, id="to a file"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000 + b"\r\n\r\n", Later, id="a huge head"),
        pytest.param(b"nonsense\x1b[2J\r\n\r\n", Later, id="no HTTP"),
    ],
)
async def test_a_webhook_receiver_of_any_sort(reply: bytes, expected: type) -> None:
    async with receiving(reply) as receiver:
        sink = {"url": f"webhook:{receiver.url()}", "allow_private": True}
        async with subscribed(sink) as subscription:
            for _ in range(2):
                outcomes = await subscription.sink.deliver(events(2))
                assert {type(outcome) for outcome in outcomes} == {expected}, outcomes
    assert not [request for request in receiver.requests if "cookie" in request.headers]
    assert {request.line for request in receiver.requests} == {"POST /hook HTTP/1.1"}
    for outcome in outcomes:
        if isinstance(outcome, Later):
            assert outcome.reason.isprintable()
            assert outcome.retry_after_s is None or outcome.retry_after_s >= 0


def test_no_receiver_is_left_alone_for_longer_than_a_day() -> None:
    assert RETRY_AFTER_MAX_S <= 86_400


# AWS, behind sinks and sources

Reply = Callable[[str], tuple[int, bytes]]
LAST_TURNS = 20


@asynccontextmanager
async def saying(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """An endpoint of AWS that answers as it is told, by operation."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        status, body = reply(request.headers.get("x-amz-target", "").rpartition(".")[2])
        return web.Response(status=status, body=body, content_type="application/x-amz-json-1.0")

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    try:
        async with listening(app) as url:
            use_endpoint(monkeypatch, url)
            yield url
    finally:
        for _ in range(LAST_TURNS):  # a connection that was accepted last is closed in the loop's next turns
            await anyio.lowlevel.checkpoint()


ODD: dict[str, Any] = {
    "ids of any type": {"Successful": [{"Id": []}, {"Id": {}}, {"Id": 0}], "Failed": [{"Id": ["0"]}, {}]},
    "entries of any type": {"Successful": ["0", None, 0, []], "Failed": [7], "Entries": ["x"]},
    "lists that are none": {"Successful": "0", "Failed": 7, "Entries": {}},
    "nothing": {},
    "escapes in what failed": {
        "Failed": [{"Id": "0", "Code": "\ud800\x1b[2J", "Message": "https://b/x?X-Amz-Signature=canary\n\x00"}],
        "Entries": [{"ErrorCode": "\ud800\x1b[2J", "ErrorMessage": "https://b/x?X-Amz-Signature=canary\n\x00"}],
    },
    "codes of any type": {"Failed": [{"Id": "0", "Code": ["a"], "Message": {}}], "Entries": [{"ErrorCode": {}}]},
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("sink", ["sqs", "eventbridge"])
async def test_aws_that_answers_a_sink_oddly(monkeypatch: pytest.MonkeyPatch, sink: str, what: str) -> None:
    body = json.dumps(ODD[what]).encode()
    async with saying(lambda _operation: (200, body), monkeypatch) as url:
        setting = f"sqs:{url}/{ACCOUNT}/events" if sink == "sqs" else "eventbridge:bus"
        async with subscribed(setting) as subscription:
            (outcome,) = await subscription.sink.deliver(events(1))
    assert isinstance(outcome, Later | Refused), outcome
    outcome.reason.encode("utf-8")
    assert "\x00" not in outcome.reason
    assert "canary" not in outcome.reason


async def test_xml_that_is_no_answer_of_sns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entities that multiply are never expanded, and nothing counts as delivered."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        f'<!ENTITY {chr(98 + level)} "{f"&{chr(97 + level)};" * 10}">'.encode() for level in range(9)
    )
    for body in (bomb + b"]><x>&j;</x>", b"<a>" * 10_000, b"<PublishBatchResponse/>", b"{}", b"\xff"):
        async with saying(lambda _operation, body=body: (200, body), monkeypatch), subscribed(f"sns:{TOPIC}") as sns:  # type: ignore[misc]  # bound now
            (outcome,) = await sns.sink.deliver(events(1))
        assert isinstance(outcome, Later), (body[:20], outcome)


MESSAGES: dict[str, tuple[Any, int]] = {
    "other types": ({"Messages": [1, None, "x", [], {"MessageId": [], "ReceiptHandle": "h"}]}, 0),
    "no list": ({"Messages": {"MessageId": "a"}}, 0),
    "an id with escapes": ({"Messages": [{"MessageId": "\x1b[2J\n", "ReceiptHandle": "h", "Body": "{}"}]}, 0),
    "an endless id": ({"Messages": [{"MessageId": "x" * 100_000, "ReceiptHandle": "h", "Body": "{}"}]}, 0),
    "a body of another type": ({"Messages": [{"MessageId": "a", "ReceiptHandle": "h", "Body": {"a": 1}}]}, 1),
    "a lone surrogate": ({"Messages": [{"MessageId": "a", "ReceiptHandle": "h\ud800", "Body": "\ud800"}]}, 1),
    "attributes of other types": (
        {"Messages": [{"MessageId": "a", "ReceiptHandle": "h", "Body": "{}", "Attributes": {"MessageGroupId": []}}]},
        1,
    ),
}


@pytest.mark.parametrize("what", MESSAGES)
async def test_a_queue_that_hands_out_oddities(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    messages, taken = MESSAGES[what]
    answers: Iterator[Any] = iter([{}])  # the first one is to the probe at start

    def reply(operation: str) -> tuple[int, bytes]:
        odd = {"Successful": [{"Id": {}}], "Failed": "all"}
        said = next(answers, messages) if operation == "ReceiveMessage" else odd
        return 200, json.dumps(said).encode()

    monkeypatch.setattr(sqs, "_BACKOFF_S", 0.01)
    with anyio.fail_after(WITHIN_S):
        async with saying(reply, monkeypatch) as url:
            setting = f"sqs:{url}/{ACCOUNT}/documents"
            async with open_source(setting, QueueSettings(), clock=SystemClock(), chance=Random(1)) as source:
                found: Sequence[Delivery] = []
                with suppress(SourceUnavailableError):
                    found = await source.receive()
                await source.acknowledge([Settled(delivery, 1) for delivery in found])
    assert len(found) == taken
    for delivery in found:
        assert delivery.origin.isprintable()
        assert isinstance(delivery.body, bytes)
        assert isinstance(delivery.group, str)


@pytest.mark.parametrize("what", ODD)
async def test_a_dead_letter_queue_that_answers_oddly(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr("controller.queues.dead_letters.GIVE_UP_S", 0.2)
    body = json.dumps(ODD[what]).encode()
    async with saying(lambda _operation: (200, body), monkeypatch) as url:
        setting = f"sqs:{url}/{ACCOUNT}/dead"
        async with open_dead_letter_queue(setting, clock=SystemClock(), chance=Random(1), environment={}) as queue:
            assert await queue.send([RejectedCopy("1", "{}", "x", "y")]) == 1
