"""A limiter against a model of a server: token bucket of its own, answers after a latency, all chance from one seed.

The figures asserted here are the ones the rates, holds and probes in `controller.limits` were chosen by.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from controller.limits import RateLimiter


@dataclass
class Server:
    """Refuses what its bucket has no token for; a refused call costs it nothing."""

    limit: float
    burst: float
    level: float = 0.0
    at: float = 0.0

    def accepts(self, now: float) -> bool:
        self.level = min(self.burst, self.level + (now - self.at) * self.limit)
        self.at = now
        if self.limit == 0 or self.level < 1 - 1e-9:
            return False
        self.level -= 1
        return True


@dataclass(frozen=True)
class Call:
    sent_at: float
    accepted: bool


@dataclass(frozen=True)
class Figures:
    calls: int
    accepted: int
    per_second: float

    @property
    def refused(self) -> float:
        return 1 - self.accepted / self.calls


def figures(calls: Sequence[Call], begin: float, end: float) -> Figures:
    window = [call for call in calls if begin <= call.sent_at < end]
    accepted = sum(call.accepted for call in window)
    return Figures(len(window), accepted, accepted / (end - begin))


def run(
    limiter: RateLimiter,
    server: Server,
    limits: Sequence[tuple[float, float]],
    until: float,
    *,
    latency: float = 0.2,
    jitter: Callable[[], float] = float,
) -> list[Call]:
    """Calls as fast as the limiter lets them go. `limits` are the server's limits from their moments on."""
    now, calls, changes = 0.0, list[Call](), list(limits)
    flight: list[tuple[float, int]] = []
    while now < until:
        ready = now + limiter.delay(now)
        if flight and flight[0][0] <= ready:
            now, number = heapq.heappop(flight)
            if calls[number].accepted:
                limiter.succeeded(now, calls[number].sent_at)
            else:
                limiter.throttled(calls[number].sent_at, now)
            continue
        now = ready
        assert limiter.reserve(now) == 0
        while changes and changes[0][0] <= now:
            server.limit = changes.pop(0)[1]
        calls.append(Call(now, server.accepts(max(server.at, now + latency / 2 + jitter()))))
        heapq.heappush(flight, (now + latency + jitter(), len(calls) - 1))
    return calls


HOUR = 3600.0


@pytest.mark.parametrize("server_burst", [1, 10])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize(("ceiling", "burst"), [pytest.param(2, 4, id="creates"), pytest.param(5, 10, id="reads")])
def test_a_server_limit_is_learned(ceiling: int, burst: int, part: float, server_burst: int) -> None:
    limit = ceiling * part
    calls = run(RateLimiter(ceiling, burst), Server(limit, server_burst, level=server_burst), [], 2 * HOUR)
    settled = figures(calls, 600, 2 * HOUR)
    assert settled.refused < 0.01
    assert settled.per_second >= 0.9 * limit
    assert figures(calls, 0, 600).refused < 0.04


@pytest.mark.parametrize("seed", range(5))
def test_a_server_limit_is_learned_over_an_uneven_network(seed: int) -> None:
    chance = Random(seed)
    server = Server(1.0, 10, level=10)
    calls = run(RateLimiter(2, 4), server, [], HOUR, jitter=lambda: chance.uniform(0, 0.1))
    settled = figures(calls, 600, HOUR)
    assert settled.refused < 0.01
    assert settled.per_second >= 0.9


@pytest.mark.parametrize("later", [0.0, 3.0, 7.0, 11.0, 15.0, 19.0])
@pytest.mark.parametrize("server_burst", [1, 10])
@pytest.mark.parametrize("allowed", [0.5, 1.0])
@pytest.mark.parametrize(("ceiling", "burst"), [pytest.param(2, 4, id="creates"), pytest.param(5, 10, id="reads")])
def test_ten_minutes_of_refusals_end(ceiling: int, burst: int, allowed: float, server_burst: int, later: float) -> None:
    end = 660 + later
    server = Server(ceiling, server_burst, level=server_burst)
    calls = run(RateLimiter(ceiling, burst), server, [(60, 0), (end, ceiling * allowed)], 1600)
    assert figures(calls, 60, end).calls <= 0.04 * ceiling * (end - 60)
    assert figures(calls, end + 60, end + 120).per_second >= 0.9 * ceiling * allowed
    whole = figures(calls, 0, 1600)
    assert whole.calls <= 1.2 * whole.accepted


def test_a_raised_limit_is_found() -> None:
    calls = run(RateLimiter(2, 4), Server(0.6, 1), [(1200, 2.0)], 2400)
    assert figures(calls, 1100, 1200).per_second <= 0.6
    assert figures(calls, 2000, 2400).per_second == pytest.approx(2.0, rel=0.01)


def test_a_lowered_limit_is_found() -> None:
    calls = run(RateLimiter(5, 10), Server(4.0, 1), [(1200, 1.5)], 2400)
    assert figures(calls, 1260, 2400).per_second >= 0.85 * 1.5
    assert figures(calls, 1260, 2400).refused < 0.02
