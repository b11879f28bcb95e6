"""The ASGI application: takes a request through identity, faults, throttles and inspection to its handler.

Invariant: between reading a request's facts and its effect nothing waits, except where a fault says so; every request
that names an operation is counted once, under what the client was told (or would have been).
"""

import random
import uuid
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, Final

from controller.simulator import (
    bedrock,
    blueprint_optimization,
    personalize,
    prompt_optimization,
    quotas,
    sts,
    tagging,
)
from controller.simulator.admin import Administration
from controller.simulator.answers import Answer, error_answer, json_answer, xml_answer
from controller.simulator.backend import Backend
from controller.simulator.call import Call, Handler
from controller.simulator.errors import AwsError
from controller.simulator.exchange import ClientGoneError, Exchange, Receive, Scope, Send, Sleep
from controller.simulator.faults import (
    Delay,
    DropConnection,
    Effect,
    Faults,
    Hang,
    LoseReply,
    Refuse,
    RefuseCredentials,
    Reshape,
    Throttle,
    first,
)
from controller.simulator.identity import Identity, identify
from controller.simulator.inspection import sentence
from controller.simulator.ledger import LedgerError
from controller.simulator.operation import Match, Operation, Request
from controller.simulator.protocol import Operations, load_operations
from controller.simulator.reshaping import reshape
from controller.simulator.throttling import Throttles

ADMINISTRATION_PREFIX: Final = "/_simulator"
_HANDLERS: Final[Mapping[str, Handler]] = {
    **bedrock.HANDLERS,
    **prompt_optimization.HANDLERS,
    **blueprint_optimization.HANDLERS,
    **personalize.HANDLERS,
    **tagging.HANDLERS,
    **quotas.HANDLERS,
    **sts.HANDLERS,
}
_CREDENTIAL_MESSAGES: Final[Mapping[str, str]] = {
    "unknown_key": "The security token included in the request is invalid.",
    "expired_key": "The security token included in the request is expired",
    "bad_signature": "The request signature we calculated does not match the signature you provided.",
}
_PAGE_TOKEN_MEMBERS: Final = ("nextToken", "PaginationToken", "NextToken")


class Application:
    """ASGI 3."""

    def __init__(
        self,
        backend: Backend,
        faults: Faults,
        administration: Administration,
        *,
        now: Callable[[], float],
        sleep: Sleep,
        chance: random.Random,
    ) -> None:
        self._backend = backend
        self._faults = faults
        self._administration = administration
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self._throttles = Throttles()
        self._operations: Operations = load_operations()
        self._date = (0, b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the simulator speaks HTTP only, not {scope['type']}")
        exchange = Exchange(scope, receive, send, self._sleep)
        try:
            await self._serve(scope, exchange)
        except ClientGoneError:
            return

    async def _serve(self, scope: Scope, exchange: Exchange) -> None:
        request_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        head = _head(scope)
        try:
            request = Request(*head, body=await exchange.body())
        except AwsError as error:
            await exchange.reply(self._stamped(error_answer(None, "rest-json", error, request_id), request_id))
            return
        if request.path.startswith(ADMINISTRATION_PREFIX):
            await exchange.reply(self._administration.answer(request))
            return
        await self._serve_aws(request, exchange, request_id)

    async def _serve_aws(self, request: Request, exchange: Exchange, request_id: str) -> None:
        match: Match | None = None
        effects: tuple[Effect, ...] = ()
        try:
            match = self._operations.find(request)
            identity = identify(request, self._backend.options, match.operation.dialect, self._now())
            parameters = match.operation.parse(request, match.labels)
            effects = self._hits(match.operation, identity, parameters)
            await self._before(match.operation, effects, exchange)
            answer = self._carry_out(match.operation, identity, parameters, effects, request_id)
        except AwsError as error:
            operation = match.operation if match else None
            protocol = match.operation.protocol if match else _protocol(request)
            answer = error_answer(operation, protocol, error, request_id)
        name = match.operation.name if match else "(unknown)"
        await self._deliver(name, self._stamped(answer, request_id), effects, exchange)

    def _hits(self, operation: Operation, identity: Identity, parameters: Mapping[str, Any]) -> tuple[Effect, ...]:
        facts = {
            "operation": operation.name,
            "service": operation.service,
            "account": identity.account,
            "region": identity.region,
            "access_key": identity.access_key,
            "name": str(parameters.get("jobName", "")),
            "role": str(parameters.get("roleArn", parameters.get("RoleArn", ""))),
        }
        has_page_token = any(parameters.get(member) for member in _PAGE_TOKEN_MEMBERS)
        return self._faults.hits(facts, has_page_token=has_page_token, now=self._now())

    async def _before(self, operation: Operation, effects: tuple[Effect, ...], exchange: Exchange) -> None:
        """The faults that come before the effect, in the order they were planted."""
        dialect = operation.dialect
        for effect in effects:
            match effect:
                case Delay(when="before"):
                    await exchange.pause(effect.seconds)
                case Hang(when="before"):
                    self._backend.ledger.count(operation.name, "hung")
                    await exchange.pause(effect.seconds_max)
                    await exchange.reset()
                    raise ClientGoneError
                case DropConnection():
                    self._backend.ledger.count(operation.name, "dropped")
                    await exchange.reset()
                    raise ClientGoneError
                case Refuse():
                    raise AwsError(effect.code, effect.message, status=effect.status)
                case Throttle():
                    raise AwsError(dialect.throttled, "Rate exceeded")
                case RefuseCredentials():
                    raise AwsError(getattr(dialect, effect.reason), _CREDENTIAL_MESSAGES[effect.reason])

    def _carry_out(
        self,
        operation: Operation,
        identity: Identity,
        parameters: Mapping[str, Any],
        effects: tuple[Effect, ...],
        request_id: str,
    ) -> Answer:
        now, options = self._now(), self._backend.options
        admits = self._throttles.admits
        if options.throttles and not admits(options.throttles, operation.name, identity.account, identity.region, now):
            raise AwsError(operation.dialect.throttled, "Rate exceeded")
        problems = operation.inspect.problems(parameters)
        if problems:
            raise AwsError(operation.dialect.invalid, sentence(problems))
        self._backend.world.advance(now)
        try:
            value = _HANDLERS[operation.name](Call(operation, identity, parameters, now, self._backend, effects))
        except LedgerError as error:  # what cannot be written down does not happen
            raise AwsError(operation.dialect.internal, str(error), status=500) from error
        if operation.protocol == "query":
            return xml_answer(operation, value, request_id)
        wire = operation.encode(value)
        for effect in effects:
            if isinstance(effect, Reshape):
                reshape(operation.name, wire, effect)
        return json_answer(operation, wire)

    async def _deliver(self, name: str, answer: Answer, effects: tuple[Effect, ...], exchange: Exchange) -> None:
        """The faults that come after the effect, and the answer."""
        ledger, loss = self._backend.ledger, first(effects, LoseReply)
        ledger.count(name, f"lost:{loss.then}" if loss else answer.outcome)
        for effect in effects:
            match effect:
                case Delay(when="after"):
                    await exchange.pause(effect.seconds)
                case Hang(when="after"):
                    await exchange.pause(effect.seconds_max)
                    await exchange.reset()
                    return
        match loss.then if loss else None:
            case None:
                await exchange.reply(answer)
            case "reset":
                await exchange.reset()
            case "close":
                await exchange.close()
            case "truncate":
                await exchange.truncate(answer)
            case int(status):
                await exchange.reply(_gateway_error(status, answer))

    def _stamped(self, answer: Answer, request_id: str) -> Answer:
        second = int(self._now())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True).encode())
        headers = (*answer.headers, (b"date", self._date[1]), (b"x-amzn-requestid", request_id.encode()))
        return Answer(answer.status, headers, answer.body, answer.outcome)


def _head(scope: Scope) -> tuple[str, str, str, dict[str, str]]:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return scope["method"], scope["path"], scope.get("query_string", b"").decode("latin-1"), headers


def _protocol(request: Request) -> str:
    """The protocol in which to refuse a request that has no route."""
    if "x-amz-target" in request.headers:
        return "json"
    return "query" if request.path == "/" else "rest-json"


def _gateway_error(status: int, answer: Answer) -> Answer:
    """What a proxy in front of the service would say: no error code, no JSON."""
    kept = tuple(header for header in answer.headers if header[0] == b"date")
    return Answer(status, ((b"content-type", b"text/html"), *kept), b"<html><body>error</body></html>", "lost")
