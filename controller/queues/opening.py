"""Which implementation a source's setting means."""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from random import Random

from controller.errors import SettingsError
from controller.queue_urls import SQS_PREFIX
from controller.queues import Source
from controller.queues.spool import SPOOL_PREFIX, open_spool
from controller.queues.sqs import open_sqs_source
from controller.seams import Clock
from controller.settings import QueueSettings


def open_source(
    url: str,
    settings: QueueSettings,
    *,
    clock: Clock,
    chance: Random,
    environment: Mapping[str, str] = os.environ,
) -> AbstractAsyncContextManager[Source]:
    """Open one of `queue.sources`.

    Raises:
        SettingsError: here or on entering, where the source cannot be used as configured.
    """
    if url.startswith(SPOOL_PREFIX):
        return open_spool(url, poll_s=settings.poll_s, clock=clock)
    if url.startswith(SQS_PREFIX):
        return open_sqs_source(url, settings, clock=clock, chance=chance, environment=environment)
    raise SettingsError(f"{url.partition(':')[0][:40] + ':'!r} is not a source: use sqs:<queue URL> or dir:<path>")
