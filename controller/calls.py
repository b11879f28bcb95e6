"""A lane's calls to AWS: each at the rate of its operation, and what comes back teaches that rate.

Invariant: no call leaves before its turn, and none whose turn comes after the lane began to drain. A throttle slows
those that wait as well; a refusal for any other reason says that the pace was right.

What a call is for, and what its answer means to a job, is decided by those who make it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import anyio

from controller.errors import AwsError, NoAnswerError, ScopeUnavailableError, ThrottledError
from controller.kinds.aws import AwsClients, Reply
from controller.limits import RateLimiter, RateState
from controller.seams import Clock
from controller.settings import LimitSettings, RateSettings
from controller.status import RateStatus

OPERATIONS: Final = ("create", "get", "list", "stop", "delete")
UNAVAILABLE_RETRY_S: Final = 15.0
THROTTLE_EVENT_S: Final = 60.0

Say = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Commits an event of the lane's own stream: its name, its data."""


@dataclass(slots=True)
class _Counts:
    """What became of one operation's calls since the start."""

    calls: int = 0
    throttles: int = 0
    errors: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: {"ok": 0})
    waited_s: float = 0.0


class Calls:
    """Makes the calls of one lane.

    Args:
        service: botocore's name of the service that most calls are for.
        drain: set when no call shall leave any more; `wake` must be called then.
        say: for what the lane's events tell of its calls.
        found: called when AWS accepts the scope's credentials again.
    """

    def __init__(
        self,
        clients: AwsClients,
        service: str,
        *,
        limits: LimitSettings,
        clock: Clock,
        drain: anyio.Event,
        log: Any,
        say: Say,
        found: Callable[[], None],
    ) -> None:
        self.unavailable = ""
        """Why AWS does not accept the scope's credentials; empty: it does, as far as is known."""
        self._clients = clients
        self._service = service
        self._limits = limits
        self._clock = clock
        self._drain = drain
        self._log = log
        self._say = say
        self._found = found
        self._limiters: dict[str, RateLimiter] = {}
        self._counts = {operation: _Counts() for operation in OPERATIONS}
        self._cut = {operation: anyio.Event() for operation in OPERATIONS}
        self._unavailable_until = 0.0
        self._throttle_told_at = -THROTTLE_EVENT_S

    def restore(self, states: Mapping[str, Any]) -> None:
        """Take up the rates that `learned` gave before, by operation; what is missing or damaged starts anew."""
        now = self._clock.monotonic()
        for operation in OPERATIONS:
            limits: RateSettings = getattr(self._limits, operation)
            state = states.get(operation)
            learned = RateState.parsed(state if isinstance(state, Mapping) else {})
            self._limiters[operation] = (
                RateLimiter.restored(limits.rate, limits.burst, learned, now)
                if learned
                else RateLimiter(limits.rate, limits.burst)
            )

    def learned(self) -> dict[str, Any]:
        """The rates by operation, as JSON."""
        now = self._clock.monotonic()
        return {operation: asdict(limiter.state(now)) for operation, limiter in self._limiters.items()}

    def delay_s(self, use: str) -> float:
        """How long the next call of an operation would wait for its turn."""
        return self._limiters[use].delay(self._clock.monotonic())

    def present_rate(self, use: str) -> float:
        """Calls per second that an operation is allowed just now."""
        return self._limiters[use].present_rate(self._clock.monotonic())

    def rest_s(self) -> float:
        """How long an unavailable scope is left alone; 0 when a call may be tried."""
        return max(0.0, self._unavailable_until - self._clock.monotonic()) if self.unavailable else 0.0

    def statuses(self) -> dict[str, RateStatus]:
        """What is shown of each operation."""
        now = self._clock.monotonic()
        return {operation: self._status(operation, limiter, now) for operation, limiter in self._limiters.items()}

    def _status(self, operation: str, limiter: RateLimiter, now: float) -> RateStatus:
        counts = self._counts[operation]
        return RateStatus(
            rate=limiter.present_rate(now),
            ceiling=getattr(self._limits, operation).rate,
            calls=counts.calls,
            throttles=counts.throttles,
            errors=counts.errors,
            outcomes=dict(counts.outcomes),
            waited_s=counts.waited_s,
        )

    def wake(self) -> None:
        """Let those that wait for their turn look at `drain` again."""
        for cut in self._cut.values():
            cut.set()

    async def pace(self, use: str) -> bool:
        """Wait for the rate of `use`; False where the lane drains before its turn comes."""
        limiter = self._limiters[use]
        delay = limiter.reserve(self._clock.monotonic())
        if delay > 0:
            began, flight = self._clock.monotonic(), limiter.flight
            # A throttle meanwhile slows those who wait as well: what was booked at the old rate is booked again.
            while not await self._turn_comes(use, delay) and not self._drain.is_set() and limiter.flight != flight:
                delay, flight = limiter.reserve(self._clock.monotonic()), limiter.flight
            self._counts[use].waited_s += self._clock.monotonic() - began
        return not self._drain.is_set()

    async def _turn_comes(self, use: str, delay: float) -> bool:
        """Wait for so long; False where a cut of the rate or the drain of the lane came first."""
        with anyio.move_on_after(delay):
            await self._cut[use].wait()
            return False
        return True

    async def send(
        self,
        use: str,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        service: str | None = None,
        paced: bool = False,
    ) -> Reply:
        """Wait for the rate of `use` unless that is done, call, and learn from what comes back.

        Raises:
            AwsError: of the call; `NoAnswerError`, definite, where the lane drains before the call's turn comes.
        """
        if not paced and not await self.pace(use):
            raise NoAnswerError("the daemon is stopping", definite=True)
        limiter = self._limiters[use]
        sent_at = self._clock.monotonic()
        self._counts[use].calls += 1
        try:
            reply = await self._clients.call(service or self._service, operation, parameters)
        except ThrottledError as error:
            self._count_failure(use, error)
            self._throttled(use, sent_at)
            await self._tell_throttle(use)
            raise
        except ScopeUnavailableError as error:
            self._count_failure(use, error)
            await self._lost_scope(error.message)
            raise
        except AwsError as error:
            self._count_failure(use, error)
            limiter.succeeded(self._clock.monotonic(), sent_at)
            raise
        self._counts[use].outcomes["ok"] += 1
        limiter.succeeded(self._clock.monotonic(), sent_at)
        if self.unavailable:
            self._found_scope()
        return reply

    def _count_failure(self, use: str, error: AwsError) -> None:
        counts = self._counts[use]
        counts.outcomes[error.outcome] = counts.outcomes.get(error.outcome, 0) + 1
        if isinstance(error, ThrottledError):
            counts.throttles += 1
        else:
            counts.errors += 1

    def _throttled(self, use: str, sent_at: float) -> None:
        now = self._clock.monotonic()
        if self._limiters[use].throttled(sent_at, now):
            cut, self._cut[use] = self._cut[use], anyio.Event()
            cut.set()
            self._log.warning("AWS throttles", operation=use, rate=round(self._limiters[use].present_rate(now), 3))

    async def _tell_throttle(self, use: str) -> None:
        """Say once in a while, as an event, that AWS throttles."""
        now = self._clock.monotonic()
        if now - self._throttle_told_at < THROTTLE_EVENT_S:
            return
        self._throttle_told_at = now
        await self._say("throttled", {"operation": use, "rate": round(self._limiters[use].present_rate(now), 4)})

    async def _lost_scope(self, message: str) -> None:
        first = not self.unavailable
        self.unavailable = message
        self._unavailable_until = self._clock.monotonic() + UNAVAILABLE_RETRY_S
        if first:
            self._log.error("the scope is unavailable: no creates until AWS accepts the credentials", error=message)
            await self._say("scope_unavailable", {"message": message})

    def _found_scope(self) -> None:
        self.unavailable = ""
        self._log.info("the scope is available again")
        self._found()
