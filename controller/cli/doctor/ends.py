"""Sources, dead letter queue, notifications and sinks: do they exist, and may they be used?

Invariant: no message is received, sent or deleted. Reading a queue's or topic's attributes is a permission that
Ferryman itself does not need, so its lack is a warning.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, Final

import anyio

from controller.cli.doctor.finding import Finding, Level, failed, ok, warning
from controller.errors import AwsError, DeniedError, SettingsError
from controller.kinds.aws import AwsClients
from controller.masking import MASK, mask_text
from controller.queue_urls import SQS_PREFIX, parse_queue_url
from controller.queues.spool import SPOOL_PREFIX
from controller.queues.sqs import open_queue_clients
from controller.seams import Clock
from controller.settings import Scope, Settings, Sink
from controller.sinks.arns import region_of
from controller.sinks.aws_batch import open_sink_clients
from controller.sinks.eventbridge import EVENTBRIDGE_PREFIX
from controller.sinks.file import FILE_PREFIX, path_of
from controller.sinks.log import LOG_PREFIX, LogSink
from controller.sinks.opening import open_sink
from controller.sinks.sns import SNS_PREFIX
from controller.sinks.webhook import WEBHOOK_PREFIX, shown_webhook

_TIMEOUT_S: Final = 10.0
_READ: Final = "sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility"
_READ_BRIEFLY: Final = "sqs:ReceiveMessage, sqs:DeleteMessage"
_SEND: Final = "sqs:SendMessage"


async def check_sources(settings: Settings, clock: Clock) -> list[Finding]:
    """Where documents and notifications come from, and where rejected documents go."""
    queue = settings.queue
    findings = [await _check_source(source, clock) for source in queue.sources]
    if queue.dead_letter_queue:
        findings.append(await _check_queue("dead letter queue", queue.dead_letter_queue, _SEND, clock))
    if settings.reconcile.notifications:
        findings.append(await _check_queue("notifications", settings.reconcile.notifications, _READ_BRIEFLY, clock))
    return findings


async def _check_source(source: str, clock: Clock) -> Finding:
    if source.startswith(SQS_PREFIX):
        return await _check_queue("source", source, _READ, clock)
    if source.startswith(SPOOL_PREFIX):
        path = Path(source.removeprefix(SPOOL_PREFIX))
        return await anyio.to_thread.run_sync(_check_directory, f"source {source}", path)
    return failed(f"source {_unread(source)}", "is not a source", "use sqs:<queue URL> or dir:<path>")


def _check_directory(subject: str, path: Path) -> Finding:
    if not path.is_dir():
        return failed(subject, "there is no such directory", "make it first")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return failed(subject, "it cannot be read and written", "change its permissions: files are moved when taken")
    return ok(subject, "can be read and written")


async def _check_queue(what: str, setting: str, actions: str, clock: Clock) -> Finding:
    try:
        queue = parse_queue_url(setting)
    except SettingsError as error:
        return failed(f"{what} {_unread(setting)}", str(error))

    def clients() -> AbstractAsyncContextManager[AwsClients]:
        return open_queue_clients(queue, pool=1, timeout_s=_TIMEOUT_S, clock=clock, environment=os.environ)

    names = ["ApproximateNumberOfMessages", "VisibilityTimeout"]
    parameters = {"QueueUrl": queue.url, "AttributeNames": names}
    return await _ask(
        f"{what} {SQS_PREFIX}{queue.url}", clients, ("sqs", "GetQueueAttributes", parameters), actions, _waiting
    )


def _unread(setting: str) -> str:
    """Of a setting that is wrong: where its credentials end, if it has any, nobody can tell."""
    return f"{setting.partition(':')[0][:40]}:{MASK}" if "@" in setting else mask_text(setting)


def _waiting(body: Mapping[str, Any]) -> str:
    attributes = body.get("Attributes")
    waiting = attributes.get("ApproximateNumberOfMessages") if isinstance(attributes, Mapping) else None
    words = "message waits" if waiting == "1" else "messages wait"
    return "exists" if waiting is None else f"exists, about {waiting} {words}"


async def check_sinks(settings: Settings, clock: Clock) -> list[Finding]:
    """Where events go."""
    return [await _check_sink(sink, clock) for sink in settings.events.sinks]


def _shown(url: str) -> str:
    """The name by which the daemon knows it; of a webhook its host and a digest: the rest may be secret."""
    if url in {LOG_PREFIX, LogSink.name}:
        return LogSink.name
    if url.startswith(FILE_PREFIX):
        return f"{FILE_PREFIX}{path_of(url)}"
    if not url.startswith(WEBHOOK_PREFIX):
        return _unread(url)
    with suppress(SettingsError):
        return shown_webhook(url)
    return WEBHOOK_PREFIX


async def _check_sink(sink: Sink, clock: Clock) -> Finding:
    url, subject = sink.url, f"sink {_shown(sink.url)}"
    if url.startswith(FILE_PREFIX):
        return await anyio.to_thread.run_sync(_check_file, subject, Path(url.removeprefix(FILE_PREFIX)))
    opened = await _check_opening(sink, subject, clock)
    if opened.level is Level.FAILED:
        return opened
    if url.startswith(SQS_PREFIX):
        return await _check_queue("sink", url, _SEND, clock)
    if url.startswith(EVENTBRIDGE_PREFIX):
        bus = url.removeprefix(EVENTBRIDGE_PREFIX) or "default"
        call = ("events", "DescribeEventBus", {"Name": bus})
        return await _ask(subject, _sink_clients(url, "events", region_of(bus), clock), call, "events:PutEvents")
    if url.startswith(SNS_PREFIX):
        topic = url.removeprefix(SNS_PREFIX)
        call = ("sns", "GetTopicAttributes", {"TopicArn": topic})
        return await _ask(subject, _sink_clients(url, "sns", region_of(topic), clock), call, "sns:Publish")
    return opened


def _sink_clients(
    url: str, service: str, region: str, clock: Clock
) -> Callable[[], AbstractAsyncContextManager[AwsClients]]:
    return lambda: open_sink_clients(url, service, Scope(region=region), timeout_s=_TIMEOUT_S, clock=clock)


def _check_file(subject: str, path: Path) -> Finding:
    """Nothing is written, and a file that is not there is not made."""
    if path.exists():
        usable = path.is_file() and os.access(path, os.R_OK | os.W_OK)
        return (
            ok(subject, "can be written") if usable else failed(subject, "cannot be written", "change its permissions")
        )
    if path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK):
        return ok(subject, "will be made")
    return failed(subject, f"cannot be made in {path.parent}", "make the directory, or change its permissions")


async def _check_opening(sink: Sink, subject: str, clock: Clock) -> Finding:
    """Whether its settings are right. Nothing is sent."""
    try:
        async with open_sink(sink, timeout_s=_TIMEOUT_S, clock=clock):
            return ok(subject, "is configured; it was not called" if sink.url.startswith("webhook:") else "is there")
    except SettingsError as error:
        return failed(subject, str(error))


async def _ask(
    subject: str,
    open_: Callable[[], AbstractAsyncContextManager[AwsClients]],
    call: tuple[str, str, Mapping[str, Any]],
    actions: str,
    describe: Callable[[Mapping[str, Any]], str] = lambda _body: "exists",
) -> Finding:
    service, operation, parameters = call
    try:
        async with open_() as clients:
            reply = await clients.call(service, operation, parameters)
    except DeniedError:
        return warning(
            subject,
            f"not allowed: {service}:{operation}, so it could not be checked",
            f"Ferryman itself needs {actions}",
        )
    except AwsError as error:
        return failed(subject, error.message, f"check that it exists in this account and Region; needed: {actions}")
    except SettingsError as error:
        return failed(subject, str(error))
    return ok(subject, f"{describe(reply.body)}; needed: {actions}")
