"""Notifications: whatever comes over the queue, only AWS's own word changes a job, and many ends cost few reads."""

import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from controller.errors import SettingsError
from controller.notifications import Notice, open_notifications, read_notice
from controller.seams import SystemClock
from tests.documents import BATCH, document
from tests.harness import Aws, Daemon, Ferryman, simulated_aws
from tests.moto_peer import REGION, boto, running_moto

ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"
LIST = "ListModelInvocationJobs"
GET = "GetModelInvocationJob"


def event(arn: Any = ARN, status: Any = "Completed", **changes: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "source": "aws.bedrock",
        "detail-type": "Batch Inference Job State Change",
        "resources": [arn],
        "detail": {
            "version": "0.0",
            "accountId": "123456789012",
            "batchJobName": "x",
            "batchJobArn": arn,
            "batchModelId": "amazon.nova-lite-v1:0",
            "status": status,
            "failureMessage": "",
            "creationTime": "Aug 16, 2024, 4:23:10 PM UTC",
        },
        **changes,
    }


@pytest.mark.parametrize(
    ("body", "notice"),
    [
        pytest.param(json.dumps(event()), Notice(ARN, "Completed"), id="an event"),
        pytest.param(json.dumps(event(status="Dreaming")), Notice(ARN, "Dreaming"), id="a new status"),
        pytest.param(json.dumps(event(source="aws.s3")), None, id="of another service"),
        pytest.param(json.dumps(event(**{"detail-type": "Model Customization"})), None, id="of another type"),
        pytest.param(json.dumps(event(detail=None)), None, id="without detail"),
        pytest.param(json.dumps(event(detail={"status": "Completed"})), None, id="without an ARN"),
        pytest.param(json.dumps(event(arn=["x"])), None, id="an ARN that is none"),
        pytest.param(json.dumps(event(arn="x" * 100_000)), None, id="an endless ARN"),
        pytest.param(json.dumps(event(status=None)), None, id="without a status"),
        pytest.param("[]", None, id="a list"),
        pytest.param('"aws.bedrock"', None, id="a text"),
        pytest.param("{", None, id="broken JSON"),
        pytest.param("", None, id="nothing"),
        pytest.param("[" * 10_000, None, id="deep"),
        pytest.param("\udcff", None, id="not UTF-8"),
    ],
)
def test_what_a_message_says(body: str, notice: Notice | None) -> None:
    assert read_notice(body.encode("utf-8", "surrogatepass")) == notice


@asynccontextmanager
async def told_by(setting: str, told: list[tuple[str, str]]) -> AsyncIterator[None]:
    def tell(remote_id: str, status: str) -> None:
        told.append((remote_id, status))

    clock, chance = SystemClock(), random.Random(1)
    async with (
        open_notifications(setting, tell, clock=clock, chance=chance, environment={}, wait_s=1) as opened,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(opened.run)
        yield
        tasks.cancel_scope.cancel()


def make_queue(peer: str) -> str:
    url: str = boto("sqs", peer).create_queue(QueueName="notifications")["QueueUrl"]
    return url


def left_in(url: str) -> int:
    """Messages that wait or are out."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    client = boto("sqs", url.partition("/1234")[0])
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def send(url: str, *bodies: Any) -> None:
    client = boto("sqs", url.partition("/1234")[0])
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    for begin in range(0, len(texts), 10):
        entries = [{"Id": str(place), "MessageBody": text} for place, text in enumerate(texts[begin : begin + 10])]
        client.send_message_batch(QueueUrl=url, Entries=entries)


async def until(fact: Any, timeout_s: float = 60) -> None:
    with anyio.fail_after(timeout_s):
        while not fact():
            await anyio.sleep(0.05)


async def test_every_message_is_handed_on_or_dropped_and_then_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_moto(monkeypatch) as peer:
        url = make_queue(peer)
        send(url, event(), "not JSON", event(source="aws.s3"), event(status="Failed"), event())
        told: list[tuple[str, str]] = []
        async with told_by(f"sqs:{url}", told):
            await until(lambda: left_in(url) == 0)
        assert sorted(told) == [(ARN, "Completed"), (ARN, "Completed"), (ARN, "Failed")]


async def test_a_queue_that_is_missing_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_moto(monkeypatch) as peer, pytest.raises(SettingsError, match="does not exist"):
        async with told_by(f"sqs:{peer}/123456789012/nowhere", []):
            raise AssertionError("it was opened")


@asynccontextmanager
async def notified(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AsyncIterator[tuple[Aws, Daemon, Ferryman, str]]:
    """A daemon that by itself would look once in ten minutes, and the URL of the queue of its notifications."""
    with running_moto(monkeypatch) as peer:
        url = make_queue(peer)
        async with simulated_aws(**options) as aws:
            home = Ferryman(folder, aws.url)
            settings = {
                "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL_SQS": peer,
                "FERRYMAN_RECONCILE__NOTIFICATIONS": f"sqs:{url}",
                "FERRYMAN_RECONCILE__INTERVAL": "600",
            }
            async with home.daemon(**settings) as daemon:
                yield aws, daemon, home, url


def ended(home: Ferryman) -> set[str]:
    return {each["subject"] for each in home.events() if each["type"] == "ferryman.job.succeeded"}


def lives(seconds: float) -> dict[str, Any]:
    stages = {"Submitted": 0.1, "Validating": 0.1, "Scheduled": 0.1, "InProgress": 0.7}
    return {"speed": 1, "durations": {BATCH: {stage: (part * seconds,) * 2 for stage, part in stages.items()}}}


async def test_a_burst_of_ends_costs_few_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, lived_s = 40, 2.0
    options = {**lives(lived_s), "quotas": {BATCH: {"*": 100}}}
    async with notified(tmp_path, monkeypatch, **options) as (aws, daemon, home, queue):
        await daemon.post("/v1/documents", [document(BATCH, f"job-{n}", n) for n in range(jobs)])
        await daemon.until(lambda: len(aws.creates()) == jobs)
        last = max(entry.at for entry in aws.creates())
        await daemon.until(lambda: time.time() > last + lived_s)
        reads = aws.calls(LIST) + aws.calls(GET)
        arns = [entry.arn for entry in aws.creates()]
        foreign = [arn[:-4] + "0000" for arn in arns]
        send(queue, "no JSON", *map(event, foreign), *map(event, arns), *map(event, arns), "{}")
        await daemon.until(lambda: len(ended(home)) == jobs)
        assert aws.calls(LIST) + aws.calls(GET) - reads <= jobs / 2
        done = aws.calls(LIST) + aws.calls(GET)
        send(queue, *map(event, arns), event(arns[0], "Validating"))
        await daemon.until(lambda: left_in(queue) == 0)
        assert aws.calls(LIST) + aws.calls(GET) == done


async def test_an_early_message_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says Completed some seconds before AWS does; nothing ends before."""
    lived_s = 3.0
    async with notified(tmp_path, monkeypatch, **lives(lived_s)) as (aws, daemon, home, queue):
        await daemon.post("/v1/documents", [document(BATCH, "early", 0)])
        await daemon.until(lambda: len(aws.creates()) == 1)
        (entry,) = aws.creates()
        send(queue, event(entry.arn))
        await daemon.until(lambda: len(ended(home)) == 1)
        assert time.time() >= entry.at + lived_s


async def test_a_forged_message_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job goes on for long: it is looked at a few times, and keeps running."""
    async with notified(tmp_path, monkeypatch, **lives(3600)) as (aws, daemon, home, queue):
        await daemon.post("/v1/documents", [document(BATCH, "forged", 0)])
        await daemon.until(lambda: len(aws.creates()) == 1)
        reads = aws.calls(GET)
        send(queue, event(aws.creates()[0].arn, "Failed"))
        await daemon.until(lambda: aws.calls(GET) >= reads + 2)
        (job,) = (await daemon.get("/v1/jobs"))["items"]
        assert (job["phase"], ended(home)) == ("Running", set())
