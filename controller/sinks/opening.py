"""Which implementation a sink's setting means."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from fnmatch import fnmatchcase

from controller.errors import SettingsError
from controller.events import TYPES
from controller.queue_urls import SQS_PREFIX
from controller.seams import Clock
from controller.settings import EventSettings
from controller.settings import Sink as SinkSettings
from controller.sinks import Sink, Subscription
from controller.sinks.addresses import Resolver, resolve
from controller.sinks.eventbridge import EVENTBRIDGE_PREFIX, open_eventbridge_sink
from controller.sinks.file import FILE_PREFIX, open_file_sink
from controller.sinks.log import LOG_PREFIX, LogSink
from controller.sinks.sns import SNS_PREFIX, open_sns_sink
from controller.sinks.sqs import open_sqs_sink
from controller.sinks.webhook import WEBHOOK_PREFIX, open_webhook_sink


def open_sink(
    settings: SinkSettings,
    *,
    timeout_s: float,
    clock: Clock,
    environment: Mapping[str, str] = os.environ,
    resolver: Resolver = resolve,
) -> AbstractAsyncContextManager[Sink]:
    """Open one of `events.sinks`; `timeout_s` bounds each delivery.

    Raises:
        SettingsError: here or on entering, where the sink cannot be used as configured.
    """
    url = settings.url
    if url in (LOG_PREFIX, LOG_PREFIX.removesuffix(":")):
        return nullcontext(LogSink())
    if url.startswith(FILE_PREFIX):
        return open_file_sink(url)
    if url.startswith(EVENTBRIDGE_PREFIX):
        return open_eventbridge_sink(url, timeout_s=timeout_s, clock=clock)
    if url.startswith(SQS_PREFIX):
        return open_sqs_sink(url, timeout_s=timeout_s, clock=clock, environment=environment)
    if url.startswith(SNS_PREFIX):
        return open_sns_sink(url, timeout_s=timeout_s, clock=clock)
    if url.startswith(WEBHOOK_PREFIX):
        return open_webhook_sink(settings, timeout_s=timeout_s, clock=clock, resolver=resolver)
    known = "log:, file:<path>, eventbridge:<bus>, sqs:<queue URL>, sns:<topic ARN> or webhook:<URL>"
    raise SettingsError(f"{_scheme(url)!r} is not a sink: use {known}")


def _scheme(url: str) -> str:
    """As much of a wrong setting as tells which it is: the rest of a URL may be secret, its path as well."""
    return f"{url.partition(':')[0][:40]}:"


@asynccontextmanager
async def open_subscriptions(
    settings: EventSettings,
    *,
    clock: Clock,
    environment: Mapping[str, str] = os.environ,
    resolver: Resolver = resolve,
) -> AsyncIterator[Sequence[Subscription]]:
    """Open all of `events.sinks`.

    Raises:
        SettingsError: a sink cannot be used as configured, or is named twice.
    """
    async with AsyncExitStack() as stack:
        subscriptions: list[Subscription] = []
        for sink_settings in settings.sinks:
            _check_types(sink_settings)
            opened = open_sink(
                sink_settings, timeout_s=settings.timeout_s, clock=clock, environment=environment, resolver=resolver
            )
            sink = await stack.enter_async_context(opened)
            if any(other.sink.name == sink.name for other in subscriptions):
                raise SettingsError(f"the sink {sink.name} is named twice: give it once, with all its types")
            subscriptions.append(Subscription(sink, sink_settings.types))
        yield subscriptions


def _check_types(settings: SinkSettings) -> None:
    for pattern in settings.types:
        if not any(fnmatchcase(known, pattern) for known in TYPES):
            raise SettingsError(f"events.sinks: {pattern!r} matches no type of event; one is {TYPES[0]}")
