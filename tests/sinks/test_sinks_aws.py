"""EventBridge, SQS and SNS sinks against moto's server and a proxy that changes its answers."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest

from controller.errors import SettingsError
from controller.seams import SystemClock
from controller.settings import Sink as SinkSettings
from controller.sinks import Delivered, Later, Refused
from controller.sinks.opening import open_sink
from tests.moto_peer import ACCOUNT, REGION, Forward, boto, failing_entries, proxying, running_moto, use_endpoint
from tests.outbox_events import outbox_event

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}"


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running_moto(monkeypatch) as url:
        yield url


def opened(url: str, timeout_s: float = 5.0) -> Any:
    return open_sink(SinkSettings(url=url), timeout_s=timeout_s, clock=SystemClock())


def make_queue(peer: str, name: str = "events") -> str:
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url: str = boto("sqs", peer).create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def received(peer: str, queue: str) -> list[dict[str, Any]]:
    client = boto("sqs", peer)
    messages: list[dict[str, Any]] = []
    while found := client.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages"):
        messages += found
    return messages


async def test_sqs_receives_events_as_they_are(peer: str) -> None:
    queue = make_queue(peer)
    events = [outbox_event(seq) for seq in range(10)]
    async with opened(f"sqs:{queue}") as sink:
        assert sink.name == f"sqs:{queue}"
        assert await sink.deliver(events) == [Delivered()] * 10
    messages = received(peer, queue)
    assert [message["Body"].encode() for message in messages] == [event.body for event in events]
    assert {message["MessageAttributes"]["type"]["StringValue"] for message in messages} == {"ferryman.job.created"}


async def test_a_fifo_queue_groups_by_job_and_drops_what_comes_twice(peer: str) -> None:
    queue = make_queue(peer, "events.fifo")
    long = outbox_event(2, subject="s" * 63 + "/kind/" + "n" * 63)
    odd = outbox_event(3, subject="ü/?/\n")
    async with opened(f"sqs:{queue}") as sink:
        for _ in range(2):
            assert await sink.deliver([outbox_event(1), long, odd]) == [Delivered()] * 3
    attributes = [message["Attributes"] for message in received(peer, queue)]
    assert len(attributes) == 3
    assert attributes[0]["MessageGroupId"] == "default/k/job-1"
    assert attributes[0]["MessageDeduplicationId"] == outbox_event(1).id
    assert all(len(each["MessageGroupId"]) <= 128 for each in attributes)


async def test_text_that_messages_must_not_hold_arrives_as_the_same_json(peer: str) -> None:
    queue = make_queue(peer)
    event = outbox_event(1, subject="odd \uffff text")
    async with opened(f"sqs:{queue}") as sink:
        assert await sink.deliver([event]) == [Delivered()]
    (message,) = received(peer, queue)
    assert "\uffff" not in message["Body"]
    assert json.loads(message["Body"]) == json.loads(event.body)


async def test_entries_that_fail_are_told_apart(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make_queue(peer)
    failure = {"SenderFault": False, "Code": "InternalError", "Message": "try again"}
    change = failing_entries("SendMessageBatch", lambda place: place in (1, 3), failure)
    async with proxying(peer, change, monkeypatch), opened(f"sqs:{queue}") as sink:
        outcomes = await sink.deliver([outbox_event(seq) for seq in range(5)])
    later = Later("InternalError: try again")
    assert outcomes == [Delivered(), later, Delivered(), later, Delivered()]
    assert len(received(peer, queue)) == 3


async def test_an_entry_at_fault_is_refused(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make_queue(peer)
    failure = {"SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}
    change = failing_entries("SendMessageBatch", lambda place: place == 0, failure)
    async with proxying(peer, change, monkeypatch), opened(f"sqs:{queue}") as sink:
        outcomes = await sink.deliver([outbox_event(1), outbox_event(2)])
    assert outcomes == [Refused("InvalidMessageContents: no"), Delivered()]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{}", id="nothing"),
        pytest.param(b'{"Successful": null, "Failed": 3}', id="other types"),
        pytest.param(b'{"Successful": [1, {"Id": "7"}, {}]}', id="other ids"),
    ],
)
async def test_an_answer_that_does_not_name_an_event_leaves_it_in_doubt(
    peer: str, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    async def change(_operation: str, _body: bytes, _forward: Forward) -> tuple[int, bytes]:
        return 200, content

    async with proxying(peer, change, monkeypatch) as proxy, opened(f"sqs:{proxy.url}/1/q") as sink:
        outcomes = await sink.deliver([outbox_event(1), outbox_event(2)])
    assert [type(outcome) for outcome in outcomes] == [Later, Later]


async def test_a_batch_refused_for_its_content_is_split_until_the_event_at_fault_is_alone(
    peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue(peer)

    async def change(_operation: str, body: bytes, forward: Forward) -> tuple[int, bytes]:
        if b"job-5" in body:
            return 400, b'{"__type": "com.amazonaws.sqs#BatchRequestTooLong", "message": "too long"}'
        return await forward(body)

    async with proxying(peer, change, monkeypatch), opened(f"sqs:{queue}") as sink:
        outcomes = await sink.deliver([outbox_event(seq) for seq in range(8)])
    assert [type(outcome) for outcome in outcomes] == [Delivered] * 5 + [Refused] + [Delivered] * 2
    assert len(received(peer, queue)) == 7


async def test_an_event_that_nobody_takes_is_refused_unsent(peer: str) -> None:
    queue = make_queue(peer)
    async with opened(f"sqs:{queue}") as sink:
        outcomes = await sink.deliver([outbox_event(1), outbox_event(2, size=1024 * 1024), outbox_event(3)])
    assert [type(outcome) for outcome in outcomes] == [Delivered, Refused, Delivered]


@pytest.mark.parametrize("service", ["sqs", "sns", "eventbridge"])
async def test_what_does_not_exist_may_exist_later(peer: str, service: str) -> None:
    url = {"sqs": f"sqs:{peer}/{ACCOUNT}/none", "sns": f"sns:{TOPIC}:none", "eventbridge": "eventbridge:none"}[service]
    async with opened(url) as sink:
        outcomes = await sink.deliver([outbox_event(1), outbox_event(2)])
    assert [type(outcome) for outcome in outcomes] == [Later, Later]


@pytest.mark.parametrize("url", ["sqs:http://127.0.0.1:9/1/q", f"sns:{TOPIC}:t", "eventbridge:bus"])
async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    use_endpoint(monkeypatch, "http://127.0.0.1:9")
    async with opened(url) as sink:
        outcomes = await sink.deliver([outbox_event(1)])
    assert [type(outcome) for outcome in outcomes] == [Later]
    assert "canarysecret" not in str(outcomes)


def bus_with_archive(peer: str) -> str:
    """A bus whose events arrive in a queue, as EventBridge delivers them."""
    queue = make_queue(peer)
    arn = boto("sqs", peer).get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events = boto("events", peer)
    events.create_event_bus(Name="bus")
    events.put_rule(Name="all", EventBusName="bus", EventPattern='{"source": ["ferryman"]}')
    events.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "1", "Arn": arn}])
    return queue


async def test_eventbridge_receives_the_whole_event(peer: str) -> None:
    queue = bus_with_archive(peer)
    events = [outbox_event(1), outbox_event(2)]
    async with opened("eventbridge:bus") as sink:
        assert await sink.deliver(events) == [Delivered(), Delivered()]
    arrived = [json.loads(message["Body"]) for message in received(peer, queue)]
    assert [each["detail"] for each in arrived] == [orjson.loads(event.body) for event in events]
    assert {(each["source"], each["detail-type"]) for each in arrived} == {("ferryman", "ferryman.job.created")}
    assert {each["time"] for each in arrived} == {"2025-11-13T02:13:20Z"}


def entries_with(codes: Sequence[str | None]) -> bytes:
    entries = [{"ErrorCode": code, "ErrorMessage": "why"} if code else {"EventId": "e"} for code in codes]
    return json.dumps({"FailedEntryCount": 1, "Entries": entries}).encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(entries_with([None, "ThrottlingException"]), [Delivered, Later], id="throttled"),
        pytest.param(entries_with(["MalformedDetail", None]), [Refused, Delivered], id="malformed"),
        pytest.param(entries_with(["NotAuthorizedForSourceException", None]), [Later, Delivered], id="denied"),
        pytest.param(entries_with([None]), [Later, Later], id="too short"),
        pytest.param(b'{"Entries": [{}, {}]}', [Later, Later], id="empty entries"),
    ],
)
async def test_eventbridge_answers_for_each_entry(
    peer: str, monkeypatch: pytest.MonkeyPatch, content: bytes, expected: list[type]
) -> None:
    async def change(_operation: str, _body: bytes, _forward: Forward) -> tuple[int, bytes]:
        return 200, content

    async with proxying(peer, change, monkeypatch), opened("eventbridge:bus") as sink:
        outcomes = await sink.deliver([outbox_event(1), outbox_event(2)])
    assert [type(outcome) for outcome in outcomes] == expected


@pytest.mark.parametrize("suffix", ["", ".fifo"])
async def test_sns_publishes_to_its_subscribers(peer: str, suffix: str) -> None:
    queue = make_queue(peer, f"events{suffix}")
    sns = boto("sns", peer)
    topic = sns.create_topic(Name=f"t{suffix}", Attributes={"FifoTopic": "true"} if suffix else {})["TopicArn"]
    arn = boto("sqs", peer).get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    events = [outbox_event(seq) for seq in range(10)]
    async with opened(f"sns:{topic}") as sink:
        assert await sink.deliver(events) == [Delivered()] * 10
    messages = received(peer, queue)
    assert sorted(message["Body"].encode() for message in messages) == sorted(event.body for event in events)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        pytest.param("sqs:not a url", "queue URL", id="sqs"),
        pytest.param("sns:topic", "topic ARN", id="sns"),
        pytest.param("carrier-pigeon:x", "is not a sink", id="unknown"),
        pytest.param("http://me:canary@example.com/?token=canary", "is not a sink", id="secret"),
    ],
)
async def test_sinks_that_are_none(url: str, part: str) -> None:
    with pytest.raises(SettingsError, match=part) as refused:
        async with opened(url):
            pass
    assert "canary" not in str(refused.value)


async def test_without_a_region_the_sentence_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="set AWS_REGION"):
        async with opened("eventbridge:bus"):
            pass
