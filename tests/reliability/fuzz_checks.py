"""What must hold of everything that is fuzzed: the product's own outcome or error, at once, and nothing else.

Invariant: a check raises `AssertionError` for what breaks a promise; any other exception is a crash of the product, and
passes through. Times are of this process's processor, the best of a few tries, so that a busy machine fails nothing.
"""

import asyncio
import gc
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from aiobotocore.awsrequest import AioAWSResponse

from controller.documents import Policy, Rejection, canonical_json, from_json, read_file, read_message, to_json
from controller.errors import AwsError, SettingsError
from controller.kinds import KINDS
from controller.kinds.aws import AwsClients, open_clients
from controller.model import Document
from controller.queue_urls import parse_queue_url
from controller.queues import SourceUnavailableError
from controller.queues.sqs import SqsSource
from controller.rejections import rejected_body
from controller.seams import SystemClock, no_failpoint
from controller.settings import AwsSettings, QueueSettings, Scope, load_settings
from controller.transitions.creating import intend
from controller.transitions.step import Context
from controller.transitions.wanting import apply_document
from controller.upkeep import _item_errors
from controller.views import job_core

STALL_S = 0.05
TRIES = 3
POLICY = Policy(scopes={"default": frozenset()})
ENDPOINT = "http://aws.invalid"
QUEUE = f"sqs:{ENDPOINT}/123456789012/jobs"
Read = Callable[[], Sequence[Document | Rejection]]
T = TypeVar("T")


class Tally:
    """What was met, for the printed line."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.accepted: list[Document] = []

    def timed(self, what: str, do: Callable[[], T]) -> T:
        """Do it within the time that one document may take; once more where something else may have been slow."""
        best = float("inf")
        for _ in range(TRIES):
            began = time.thread_time()
            result = do()
            best = min(best, time.thread_time() - began)
            if best < STALL_S / 2:
                break
        self.slowest_s = max(self.slowest_s, best)
        assert best < STALL_S, f"{what} took {best * 1000:.0f} ms"
        return result


def check_message(data: bytes, tally: Tally) -> None:
    """A queue message: every item has an outcome, which can be kept and shown."""
    _check_outcomes(tally.timed("a message", lambda: read_message(data, KINDS, POLICY)), tally)


def check_file(data: bytes, suffix: str, tally: Tally) -> None:
    """A file of a spool, which a thread reads."""
    _check_outcomes(read_file(data, suffix, KINDS, POLICY), tally)


def _check_outcomes(found: Sequence[Document | Rejection], tally: Tally) -> None:
    assert found
    for item in found:
        tally.counts["documents"] += 1
        if isinstance(item, Rejection):
            tally.counts["rejected"] += 1
            assert item.problems
            orjson.loads(rejected_body(item))
        else:
            tally.counts["accepted"] += 1
            tally.accepted.append(item)
            _check_document(item)


def _check_document(document: Document) -> None:
    """What it stores is what it was; it can be applied, shown, intended and sent."""
    assert from_json(orjson.loads(canonical_json(to_json(document)))) == document
    kind = KINDS[document.identity.kind]
    context = Context(kind, 1_790_000_000.0, "fuzz")
    verdict = apply_document(None, document, context)
    assert verdict.step is not None
    job = verdict.step.job
    orjson.dumps(job_core(job))
    assert apply_document(job, document, context).answer == "unchanged"
    if document.spec is not None and not job.terminal:
        prefix = str(document.spec.get(kind.name_member or "", document.identity.name))
        step = intend(job, prefix, kind.name_length_max, context.now)
        attempt = step.job.current
        assert attempt is not None
        json.dumps(kind.parameters(document.spec, attempt.token, attempt.remote_name))


def check_settings(environment: Mapping[str, str], path: Path | None) -> None:
    """Settings are read, or refused in one sentence."""
    with suppress(SettingsError):
        load_settings(path, environment)


# Answers from the network


class Canned:
    """The SDK's HTTP session, which answers with what it is given."""

    answer: tuple[int, Mapping[str, str], bytes] = (200, {}, b"")

    def __init__(self, **_: Any) -> None:
        return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def close(self) -> None:
        return

    async def send(self, request: Any) -> AioAWSResponse:
        status, headers, body = Canned.answer
        return AioAWSResponse(request.url, status, dict(headers), _Content(body))


class _Content:
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content


CALLS: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("bedrock", "CreateModelInvocationJob", {"jobName": "x"}),
    ("bedrock", "GetModelInvocationJob", {"jobIdentifier": "x"}),
    ("bedrock", "ListModelInvocationJobs", {}),
    ("bedrock", "StopModelInvocationJob", {"jobIdentifier": "x"}),
    ("bedrock", "CreateAdvancedPromptOptimizationJob", {"jobName": "x"}),
    ("bedrock", "GetAdvancedPromptOptimizationJob", {"jobIdentifier": "x"}),
    ("bedrock", "ListAdvancedPromptOptimizationJobs", {}),
    ("bedrock", "BatchDeleteAdvancedPromptOptimizationJob", {"jobIdentifiers": ["x"]}),
    ("bedrock-data-automation", "InvokeBlueprintOptimizationAsync", {}),
    ("bedrock-data-automation", "GetBlueprintOptimizationStatus", {"invocationArn": "x"}),
    ("personalize", "CreateBatchInferenceJob", {"jobName": "x"}),
    ("personalize", "DescribeBatchInferenceJob", {"batchInferenceJobArn": "x"}),
    ("personalize", "ListBatchInferenceJobs", {}),
    ("resourcegroupstaggingapi", "GetResources", {}),
    ("sts", "GetCallerIdentity", {}),
)


class Network:
    """The product's clients, whose network answers whatever is wanted. Use it as a context."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.run(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    async def _open(self) -> None:
        scope = Scope(region="us-east-1", endpoint_url=ENDPOINT)
        settings = AwsSettings()
        self._clients: AwsClients = await self._stack.enter_async_context(
            open_clients("fuzz", scope, settings, clock=SystemClock(), failpoint=no_failpoint, transport=Canned)
        )
        queue = parse_queue_url(QUEUE)
        self._source = SqsSource(queue, self._clients, QueueSettings(wait_s=1), SystemClock(), Random(1))

    def check_answer(
        self, call: tuple[str, str, Mapping[str, Any]], answer: tuple[int, Mapping[str, str], bytes], tally: Tally
    ) -> None:
        """An answer of AWS, whatever it is: read, or an error of the product's own."""
        Canned.answer = answer
        tally.counts["answers"] += 1
        service, operation, parameters = call
        try:
            reply = self._runner.run(self._clients.call(service, operation, parameters))
        except AwsError:
            return
        for kind in KINDS.values():
            _read_answer(kind, operation, reply.body)

    def check_receive(self, answer: tuple[int, Mapping[str, str], bytes], tally: Tally) -> None:
        """An answer of SQS: deliveries, or no source for now; their bodies are read as messages are."""
        Canned.answer = answer
        tally.counts["SQS answers"] += 1
        try:
            deliveries = self._runner.run(self._source.receive())
        except SourceUnavailableError:
            return
        for delivery in deliveries:
            check_message(delivery.body, tally)


def _read_answer(kind: Any, operation: str, body: Mapping[str, Any]) -> None:
    """Every reader of the kind, on an answer that need not be its own."""
    if operation.startswith("List"):
        items = body.get(kind.listing.items) if kind.listing else None
        for item in items if isinstance(items, list) else ():
            seen = kind.observe_summary(item)
            if seen is not None and isinstance(item, Mapping):
                kind.differs({"modelId": "amazon.nova-lite-v1:0", "roleArn": "x"}, item)
                kind.lacks_detail(seen)
    elif operation.startswith(("Get", "Describe")):
        kind.observe_detail(body, "x")
    elif operation.startswith("BatchDelete"):
        _item_errors(body, ["x"])


def without_pauses(do: Callable[[], T]) -> T:
    """No garbage is collected while times are taken; what there is at the beginning stays."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        return do()
    finally:
        gc.enable()
        gc.unfreeze()
