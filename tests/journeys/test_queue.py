"""The queue: documents of four kinds over SQS, jobs at the simulated AWS, both on real sockets."""

import json
import signal
from pathlib import Path
from typing import Any

import anyio
import boto3
import pytest

from tests.documents import mixed
from tests.harness import Ferryman, check_sequences, simulated_aws
from tests.moto_peer import running_moto


def boto(service: str, url: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )


def send(client: Any, url: str, documents: list[dict[str, Any]]) -> None:
    """Single documents and lists of them, ten messages a call."""
    bodies = [json.dumps(document) for document in documents[:100]]
    bodies += [json.dumps(documents[begin : begin + 10]) for begin in range(100, len(documents), 10)]
    for begin in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[begin : begin + 10])]
        client.send_message_batch(QueueUrl=url, Entries=entries)


def waiting(client: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


async def test_two_hundred_documents_over_sqs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each remote job is created exactly once, every event is there, SIGTERM leaves with 0 in time."""
    with running_moto(monkeypatch) as moto:
        sqs = boto("sqs", moto)
        url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
        documents = list(mixed(200))
        await anyio.to_thread.run_sync(send, sqs, url, documents)
        async with simulated_aws() as aws:
            settings = {
                "AWS_ENDPOINT_URL_SQS": moto,
                "FERRYMAN_QUEUE__SOURCES": json.dumps([f"sqs:{url}"]),
                "FERRYMAN_QUEUE__WAIT_S": "1",
            }
            home = Ferryman(tmp_path, aws.url, settings)
            async with home.daemon() as daemon:
                await daemon.until(lambda: len(aws.creates()) == 200)
                await daemon.until(lambda: ended(home) == 200)
                await anyio.to_thread.run_sync(send, sqs, url, documents)
                with anyio.fail_after(30):
                    while await anyio.to_thread.run_sync(waiting, sqs, url):
                        await anyio.sleep(0.1)  # the fact is an empty queue at another server
                with anyio.fail_after(20):
                    assert await daemon.end(signal.SIGTERM) == 0
            assert len(aws.creates()) == 200
            assert aws.created_twice() == []
            events = home.events()
            check_sequences(events)
            for moment in ("accepted", "created", "succeeded"):
                told = [event["subject"] for event in events if event["type"] == f"ferryman.job.{moment}"]
                assert len(told) == len(set(told)) == 200, moment


def ended(home: Ferryman) -> int:
    return sum(event["type"] == "ferryman.job.succeeded" for event in home.events())


async def test_until_settled_waits_for_two_empty_polls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_moto(monkeypatch) as moto:
        sqs = boto("sqs", moto)
        url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
        await anyio.to_thread.run_sync(send, sqs, url, list(mixed(12)))
        async with simulated_aws() as aws:
            settings = {
                "AWS_ENDPOINT_URL_SQS": moto,
                "FERRYMAN_QUEUE__SOURCES": json.dumps([f"sqs:{url}"]),
                "FERRYMAN_QUEUE__WAIT_S": "1",
            }
            done = await Ferryman(tmp_path, aws.url, settings).arun("run", "--until-settled")
            assert done.code == 0, done.plain()
            assert len(aws.creates()) == 12
        assert waiting(sqs, url) == 0


async def test_a_queue_that_is_not_there(tmp_path: Path) -> None:
    async with simulated_aws() as aws:
        settings = {
            "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1",
            "FERRYMAN_QUEUE__SOURCES": '["sqs:http://127.0.0.1:1/123456789012/jobs"]',
        }
        done = await Ferryman(tmp_path, aws.url, settings).arun("run", "--until-settled")
        assert done.code == 2
        assert "the queue http://127.0.0.1:1/123456789012/jobs" in done.plain()
