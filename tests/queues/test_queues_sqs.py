"""The SQS source against moto's server and a proxy that changes its answers."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import pytest

from controller.errors import ExitCode, SettingsError
from controller.queue_urls import parse_queue_url
from controller.queues import Delivery, Settled, Source, SourceUnavailableError
from controller.queues import sqs as sqs_module
from controller.queues.dead_letters import RejectedCopy, open_dead_letter_queue
from controller.queues.opening import open_source
from controller.queues.sqs import _rounds
from controller.seams import SystemClock
from controller.settings import QueueSettings
from tests.moto_peer import Forward, boto, failing_entries, proxying, running_moto, use_endpoint


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running_moto(monkeypatch) as url:
        yield url


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs_module, "_BACKOFF_S", 0.01)


@asynccontextmanager
async def source_of(url: str, **settings: Any) -> AsyncIterator[Source]:
    queue = QueueSettings(**({"wait_s": 1} | settings))
    with anyio.fail_after(60):
        async with open_source(f"sqs:{url}", queue, clock=SystemClock(), chance=Random(1)) as source:
            yield source


def make_queue(peer: str, name: str = "documents", **attributes: str) -> str:
    if name.endswith(".fifo"):
        attributes |= {"FifoQueue": "true"}
    url: str = boto("sqs", peer).create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def send(peer: str, url: str, *bodies: str, group: str = "") -> None:
    client = boto("sqs", peer)
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start : start + 10])]
        if group:
            entries = [e | {"MessageGroupId": group, "MessageDeduplicationId": e["MessageBody"]} for e in entries]
        client.send_message_batch(QueueUrl=url, Entries=entries)


def counts(peer: str, url: str) -> tuple[int, int]:
    """Messages that wait, and messages that are out."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = boto("sqs", peer).get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


async def acknowledge(source: Source, deliveries: list[Delivery]) -> None:
    await source.acknowledge([Settled(each, 1) for each in deliveries])


async def test_messages_come_in_batches_and_go_when_acknowledged(peer: str) -> None:
    url = make_queue(peer)
    send(peer, url, *(f"body {number}" for number in range(25)))
    bodies: list[bytes] = []
    async with source_of(url) as source:
        assert source.name == f"sqs:{url}"
        while deliveries := list(await source.receive()):
            assert len(deliveries) <= 10
            assert all(each.origin == f"sqs:{url}#{each.id}" and each.suffix is None for each in deliveries)
            bodies += [each.body for each in deliveries]
            await acknowledge(source, deliveries)
    assert sorted(bodies) == sorted(f"body {number}".encode() for number in range(25))
    assert counts(peer, url) == (0, 0)


async def test_what_is_not_acknowledged_stays(peer: str) -> None:
    url = make_queue(peer)
    send(peer, url, "a", "b")
    async with source_of(url) as source:
        deliveries = list(await source.receive())
        await acknowledge(source, deliveries[:1])
    assert counts(peer, url) == (0, 1)


async def test_an_empty_queue_is_an_empty_poll(peer: str) -> None:
    async with source_of(make_queue(peer)) as source:
        assert list(await source.receive()) == []


async def test_entries_that_were_not_deleted_are_tried_again(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_queue(peer)
    send(peer, url, "a", "b", "c")
    failure = {"SenderFault": False, "Code": "InternalError"}
    change = failing_entries("DeleteMessageBatch", lambda place: place == 1, failure, times=1)
    async with proxying(peer, change, monkeypatch) as proxy, source_of(url) as source:
        await acknowledge(source, list(await source.receive()))
    deletes = [json.loads(body) for operation, body in proxy.calls if operation == "DeleteMessageBatch"]
    assert [len(each["Entries"]) for each in deletes] == [3, 1]
    assert counts(peer, url) == (0, 0)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{}", id="names none"),
        pytest.param(b'{"Successful": [{"Id": "9"}]}', id="names others"),
        pytest.param(b'{"Successful": 7}', id="makes no sense"),
        pytest.param(b"not json", id="is not json"),
    ],
)
async def test_an_entry_that_the_answer_does_not_name_counts_as_not_deleted(
    peer: str, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    url = make_queue(peer)
    send(peer, url, "a")

    async def change(operation: str, body: bytes, forward: Forward) -> tuple[int, bytes]:
        return (200, content) if operation == "DeleteMessageBatch" else await forward(body)

    async with proxying(peer, change, monkeypatch) as proxy, source_of(url) as source:
        await acknowledge(source, list(await source.receive()))
    assert [operation for operation, _ in proxy.calls].count("DeleteMessageBatch") == 3


async def test_in_a_group_a_later_message_is_not_deleted_before_an_earlier_one(
    peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_queue(peer, "documents.fifo")
    send(peer, url, "first", "second", "third", group="g")
    failure = {"SenderFault": False, "Code": "InternalError"}
    change = failing_entries("DeleteMessageBatch", lambda _place: True, failure)
    async with proxying(peer, change, monkeypatch) as proxy, source_of(url) as source:
        deliveries = list(await source.receive())
        assert [each.body for each in deliveries] == [b"first", b"second", b"third"]
        await acknowledge(source, deliveries)
    handles = {
        entry["ReceiptHandle"]
        for operation, body in proxy.calls
        if operation == "DeleteMessageBatch"
        for entry in json.loads(body)["Entries"]
    }
    assert handles == {deliveries[0].handle}


async def test_a_group_is_in_the_hands_of_one_receiver(peer: str) -> None:
    url = make_queue(peer, "documents.fifo")
    send(peer, url, *(f"{number:02d}" for number in range(15)), group="g")
    async with source_of(url) as source:
        first = list(await source.receive())
        assert list(await source.receive()) == []
        await acknowledge(source, first)
        second = list(await source.receive())
    assert [each.body for each in first + second] == [f"{number:02d}".encode() for number in range(15)]


async def test_messages_are_kept_while_their_processing_lags(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs_module, "VISIBILITY_S", 1)
    url = make_queue(peer)
    send(peer, url, "slow")
    async with source_of(url) as source:
        deliveries = list(await source.receive())
        async with anyio.create_task_group() as beside:
            beside.start_soon(source.keep, deliveries)
            for _ in range(2):
                assert list(await source.receive()) == []
            beside.cancel_scope.cancel()
        await acknowledge(source, deliveries)
    assert counts(peer, url) == (0, 0)


async def test_messages_that_nobody_keeps_come_again(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs_module, "VISIBILITY_S", 1)
    url = make_queue(peer)
    send(peer, url, "slow")
    async with source_of(url, wait_s=5) as source:
        first = list(await source.receive())
        again = list(await source.receive())
    assert [each.id for each in first] == [each.id for each in again]


@pytest.mark.parametrize(
    ("message", "body"),
    [
        pytest.param({"MessageId": "1", "ReceiptHandle": "h", "Body": "\ud800"}, b"\xed\xa0\x80", id="lone surrogate"),
        pytest.param({"MessageId": "1", "ReceiptHandle": "h"}, b"", id="no body"),
        pytest.param({"MessageId": "1", "ReceiptHandle": "h", "Body": None}, b"", id="null body"),
        pytest.param({"MessageId": "1", "ReceiptHandle": "h", "Body": 7}, b"", id="a number"),
        pytest.param({"Body": "{}"}, None, id="no id"),
    ],
)
async def test_messages_of_every_shape(
    peer: str, monkeypatch: pytest.MonkeyPatch, message: Mapping[str, Any], body: bytes | None
) -> None:
    async def change(_operation: str, _body: bytes, _forward: Forward) -> tuple[int, bytes]:
        return 200, json.dumps({"Messages": [message]}).encode()

    async with proxying(peer, change, monkeypatch) as proxy, source_of(f"{proxy.url}/1/q") as source:
        deliveries = list(await source.receive())
    assert [each.body for each in deliveries] == ([] if body is None else [body])


DENIED = b'{"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "no identity-based policy"}'
EXPIRED = b'{"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "canary"}'


@pytest.mark.parametrize(
    ("status", "content", "sentence"),
    [
        pytest.param(403, DENIED, "grant sqs:ReceiveMessage, sqs:DeleteMessage", id="denied"),
        pytest.param(403, EXPIRED, "does not accept the credentials", id="credentials"),
        pytest.param(500, b"", "cannot reach the queue", id="broken"),
    ],
)
async def test_a_queue_that_cannot_be_used_is_one_sentence_at_start(
    peer: str, monkeypatch: pytest.MonkeyPatch, status: int, content: bytes, sentence: str
) -> None:
    async def change(_operation: str, _body: bytes, _forward: Forward) -> tuple[int, bytes]:
        return status, content

    async with proxying(peer, change, monkeypatch) as proxy:
        with pytest.raises(SettingsError, match=sentence) as refused:
            async with source_of(f"{proxy.url}/1/q"):
                pass
    assert refused.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(refused.value)


async def test_a_missing_queue_is_one_sentence_at_start(peer: str) -> None:
    with pytest.raises(SettingsError, match="does not exist: check its URL"):
        async with source_of(f"{peer}/123456789012/none"):
            pass


async def test_an_unreachable_queue_is_one_sentence_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    use_endpoint(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(SettingsError, match="cannot reach the queue"):
        async with source_of("http://127.0.0.1:9/1/q"):
            pass


async def test_once_open_a_failing_queue_is_unavailable_and_comes_back(
    peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_queue(peer)
    broken = False

    async def change(_operation: str, body: bytes, forward: Forward) -> tuple[int, bytes]:
        return (503, b"") if broken else await forward(body)

    async with proxying(peer, change, monkeypatch), source_of(url) as source:
        assert list(await source.receive()) == []
        broken = True
        with pytest.raises(SourceUnavailableError, match="cannot reach"):
            await source.receive()
        broken = False
        send(peer, url, "back")
        assert [each.body for each in await source.receive()] == [b"back"]


@pytest.mark.parametrize(
    ("setting", "url", "region", "endpoint"),
    [
        pytest.param("https://sqs.eu-west-1.amazonaws.com/1/q", "same", "eu-west-1", "", id="usual"),
        pytest.param("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "same", "cn-north-1", "", id="china"),
        pytest.param("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "same", "us-gov-west-1", "", id="fips"),
        pytest.param("https://eu-west-1.queue.amazonaws.com/1/q", "same", "eu-west-1", "", id="legacy"),
        pytest.param("https://queue.amazonaws.com/1/q", "same", "us-east-1", "", id="oldest"),
        pytest.param("https://vpce-1-x.sqs.us-east-2.vpce.amazonaws.com/1/q", "same", "us-east-2", "", id="vpce"),
        pytest.param("https://sqs.eu-west-1.api.aws/1/q", "same", "eu-west-1", "", id="dual stack"),
        pytest.param("http://localhost:4566/0/q", "same", "", "http://localhost:4566", id="elsewhere"),
        pytest.param(
            "http://me:canary@localhost:1/0/q", "http://localhost:1/0/q", "", "http://localhost:1", id="credentials"
        ),
        pytest.param(
            "https://sqs.eu-west-1.amazonaws.com.evil.example/1/q",
            "same",
            "",
            "https://sqs.eu-west-1.amazonaws.com.evil.example",
            id="not Amazon",
        ),
    ],
)
def test_queue_urls(setting: str, url: str, region: str, endpoint: str) -> None:
    queue = parse_queue_url(f"sqs:{setting}")
    assert queue.url == (setting if url == "same" else url)
    assert (queue.region, queue.endpoint_url) == (region, endpoint)
    assert queue.scope({}).endpoint_url == endpoint
    assert queue.scope({"AWS_ENDPOINT_URL": "http://other"}).endpoint_url == ""


@pytest.mark.parametrize(
    "setting",
    [
        "sqs:",
        "sqs:queue",
        "sqs:https://h/",
        "sqs:https://h/q?token=canary",
        "sqs://x/y",
        "sqs:https://me:can/canary@h/1/q",
        "sqs:https://me:can#canary@h/1/q",
    ],
)
def test_urls_of_no_queue(setting: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_queue_url(setting)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("groups", "rounds"),
    [
        pytest.param("", [], id="none"),
        pytest.param("---", ["---"], id="no groups"),
        pytest.param("ab", ["ab"], id="two groups"),
        pytest.param("aabab", ["ab", "ab", "a"], id="by turns"),
        pytest.param("a-a-", ["a--", "a"], id="mixed"),
    ],
)
def test_rounds(groups: str, rounds: list[str]) -> None:
    deliveries = [Delivery(str(i), b"", "", group=group.strip("-")) for i, group in enumerate(groups)]
    assert ["".join(each.group or "-" for each in found) for found in _rounds(deliveries)] == rounds


async def test_the_dead_letter_queue_receives_copies(peer: str) -> None:
    url = make_queue(peer, "dead")
    copies = [RejectedCopy(str(i), f"body {i}\x01", "dir:/x", "why: ü" * 500) for i in range(23)]
    copies.append(RejectedCopy("empty", "", "", ""))
    async with open_dead_letter_queue(f"sqs:{url}", clock=SystemClock(), chance=Random(1), environment={}) as queue:
        assert await queue.send(copies) == 0
    assert counts(peer, url) == (24, 0)


async def test_a_dead_letter_queue_that_fails_is_given_up(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.queues.dead_letters.GIVE_UP_S", 0.3)
    url = f"{peer}/123456789012/none"
    async with open_dead_letter_queue(f"sqs:{url}", clock=SystemClock(), chance=Random(1), environment={}) as queue:
        assert await queue.send([RejectedCopy("1", "b", "s", "r")]) == 1
