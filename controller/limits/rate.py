"""How fast one operation may be called: a GCRA ceiling, additive increase and multiplicative decrease inside it.

Invariant: in any T seconds at most `rate * T + burst` calls are let through, whatever the server answers; and however
often it refused, a call never waits for ever.

A limiter computes delays. It never sleeps, reads no clock and sends nothing: the caller passes in the seconds of one
monotonic clock, and waits. How the rate moves:

- A refusal cuts it by 0.7 and empties the burst, once per flight.
- It rises again along a straight line, a tenth of the ceiling a second, begun by the first success after the cut or,
  without any verdict, when patience ends. While refusals come without one success the rate only falls, down to a
  hundredth of the ceiling, and a call in 20..30 s asks whether the trouble is over.
- It stays for a while just below the limit that refusals have taught, and only then feels its way to the ceiling,
  slowly at first. A straight way there was measured too: more refusals, and as little as 87 % of the limit used.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from controller.limits.curve import Curve
from controller.limits.learned import CONFIRMED_MAX, LearnedLimit

__all__ = ["RateLimiter", "RateState", "full_jitter"]

CUT: Final = 0.7
FLOOR: Final = 0.01
"""The lowest rate, as a part of the ceiling."""
PATIENCE_S: Final = 20.0
"""How long a cut rate waits for a verdict. With the rise and the probe: at the ceiling after 40 s of quiet."""
RISE_S: Final = 10.0
"""Seconds a rise from zero to the ceiling takes."""
PROBE_S: Final = 10.0
"""Seconds from just below the learned limit to the ceiling; longer where calls are few, lest a step miss the limit."""
PROBE_CALLS: Final = 30
PROBE_MAX_S: Final = 60.0
PROBE_SHAPE: Final = ((0.4, 0.06), (0.7, 0.35), (1.0, 1.0))
"""The probe, as (part of its time, part of its way): slow while the limit is near, like CUBIC."""
FORGET_S: Final = 600.0
"""A learned limit that did not show for so long at the ceiling is forgotten."""
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class RateState:
    """What a limiter has learned, as JSON can carry it. Times are ages: no monotonic clock outlives its process.

    Attributes:
        rate: the present rate, calls per second.
        learned: the server's limit as learned, calls per second; None while unknown.
        confirmed: how often that limit was met again.
        since_cut_s: seconds since the last cut; None at the ceiling, where it means nothing any more.
    """

    rate: float
    learned: float | None = None
    confirmed: int = 0
    since_cut_s: float | None = None

    @classmethod
    def parsed(cls, raw: Mapping[str, Any]) -> "RateState | None":
        """The state as it was stored; None when it is not one. Its numbers are judged by `RateLimiter.restored`."""
        rate, confirmed = _positive(raw.get("rate")), raw.get("confirmed")
        if rate is None or isinstance(confirmed, bool) or not isinstance(confirmed, int):
            return None
        return cls(rate, _positive(raw.get("learned")), confirmed, _positive(raw.get("since_cut_s")))


class RateLimiter:
    """The pace of one operation of one lane.

    Args:
        rate: the ceiling, calls per second, above zero.
        burst: how many calls may go at once after a pause, at least 1. It counts only while the rate is at the ceiling.
    """

    __slots__ = ("_accepted", "_at", "_base", "_burst", "_ceiling", "_curve", "_cut_at", "_flight", "_level", "_limit")

    def __init__(self, rate: float, burst: int) -> None:
        if not (math.isfinite(rate) and rate > 0 and burst >= 1):
            raise ValueError(f"a limit needs a rate above 0 and a burst of at least 1, not {rate} and {burst}")
        self._ceiling = rate
        self._burst = burst
        self._curve = Curve(((0.0, rate),))
        self._level = float(burst)  # calls that may go at once; below zero when later ones are booked
        self._at = -math.inf  # the moment `_level` is true of
        self._base = rate
        self._cut_at = -math.inf
        self._flight = 0
        self._accepted = 0  # successes of calls sent after the last cut
        self._limit = LearnedLimit()

    @classmethod
    def restored(cls, rate: float, burst: int, state: RateState, now: float) -> "RateLimiter":
        """A limiter that knows what was learned before a restart. What cannot be true of this ceiling is left out."""
        limiter = cls(rate, burst)
        lowest = FLOOR * rate
        if state.learned is not None and lowest <= state.learned <= rate:
            limiter._limit = LearnedLimit(state.learned, min(max(state.confirmed, 0), CONFIRMED_MAX))
        limiter._base = min(max(_positive(state.rate) or rate, lowest), rate)
        limiter._level, limiter._at = 1.0, now
        if limiter._base < rate:
            limiter._level = 0.0
            limiter._cut_at = now - min(state.since_cut_s or 0.0, FORGET_S)
            limiter._curve = limiter._rising(now, now)
        return limiter

    @property
    def flight(self) -> int:
        """Grows with each cut, which makes the bookings of calls that were not sent yet void: book them again."""
        return self._flight

    def present_rate(self, now: float) -> float:
        """Calls per second."""
        return self._curve.rate(now)

    def delay(self, now: float) -> float:
        """Seconds until a call may go; books nothing."""
        self._advance(now)
        missing = 1 - self._level
        return self._curve.wait(self._at, missing) if missing > ROUNDING else 0.0

    def reserve(self, now: float) -> float:
        """Books one call. Returns the seconds the caller must wait before it sends.

        A booking holds for the `flight` it was made in.
        """
        delay = self.delay(now)
        self._level -= 1
        return delay

    def succeeded(self, now: float, sent_at: float | None = None) -> None:
        """A call was not refused for its pace. Without `sent_at` it counts as sent after the last cut."""
        if sent_at is not None and sent_at <= self._cut_at:
            return
        self._accepted += 1
        if self._accepted == 1 and self._cut_at <= now < self._cut_at + self._patience_s:
            self._advance(now)
            self._curve = self._rising(now, now)

    def throttled(self, sent_at: float, now: float) -> bool:
        """The server refused a call for its pace.

        Returns:
            Whether this cut the rate: not for a call sent before the last cut.
        """
        if sent_at <= self._cut_at:
            return False
        self._advance(now)
        self._learn(min(sent_at, now), now)
        self._level = 0.0
        self._flight += 1
        self._cut_at = now
        self._accepted = 0
        self._curve = self._rising(now, now + self._patience_s)
        return True

    def state(self, now: float) -> RateState:
        rate = self.present_rate(now)
        return RateState(
            rate=rate,
            learned=self._limit.rate,
            confirmed=self._limit.confirmed,
            since_cut_s=now - self._cut_at if rate < self._ceiling else None,
        )

    @property
    def _patience_s(self) -> float:
        return min(1 / self._base, PATIENCE_S)

    def _advance(self, now: float) -> None:
        for until, cap in ((min(now, self._curve.ends_at), 1), (now, self._burst)):
            if until > self._at:
                if self._level < cap:
                    self._level = min(cap, self._level + self._curve.calls(self._at, until))
                self._at = until

    def _learn(self, sent_at: float, now: float) -> None:
        if now - self._curve.ends_at > FORGET_S:
            self._limit = LearnedLimit()
        # Without a success the rise since the last cut was patience alone, and teaches nothing.
        present = self._curve.rate(now) if self._accepted else self._base
        # A call's pace is that of the middle of the gap before it, while the rate moves.
        refused = min(present, self._curve.rate(sent_at - 0.5 / self._curve.rate(sent_at)))
        limit = self._limit.after_refusal(refused, self._accepted, sent_at - self._cut_at)
        lowest = FLOOR * self._ceiling
        self._limit = limit.within(lowest, self._ceiling)
        self._base = max(lowest, min(CUT * present, self._limit.hold_rate or present))

    def _rising(self, now: float, begin: float) -> Curve:
        """The rate from now on: level until `begin`, up to just below the learned limit, level, then to the ceiling."""
        rate = max(self._base, min(self._limit.hold_rate or self._ceiling, self._ceiling))
        at = begin + (rate - self._base) / self._ceiling * RISE_S
        knots = [(now, self._base), (begin, self._base), (at, rate)]
        at += self._limit.hold_s
        knots.append((at, rate))
        probe_s = min(max(PROBE_S, PROBE_CALLS / rate), PROBE_MAX_S) if self._limit.confirmed else PROBE_S
        knots += [(at + time * probe_s, rate + way * (self._ceiling - rate)) for time, way in PROBE_SHAPE]
        return Curve(tuple(knots))


def full_jitter(base: float, attempt: int, ceiling: float, random: Random) -> float:
    """Seconds of a backoff: anything from 0 to `base * 2 ** attempt`, at most the ceiling. The first attempt is 0."""
    return random.uniform(0.0, min(ceiling, base * 2.0 ** min(max(attempt, 0), 60)))


def _positive(value: object) -> float | None:
    """The number, if it is one, finite and above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < math.inf else None
