"""What a lane has learned, and what a restart should know of it: rates, slots, durations, turns, the day's spending.

Invariant: nothing that a restart reads here is trusted: what is missing, damaged or of another release starts anew.
When it is committed, and what is done by it, is decided by those who use it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from controller.calls import Calls
from controller.kinds.kind import ALL_JOBS, Kind
from controller.limits import Durations, DurationsState, Slots, SlotsState, Spend, Turns
from controller.model import AT_AWS, Job
from controller.settings import LimitSettings

KEYS_REMEMBERED_MAX: Final = 10_000
HOUR_S: Final = 3_600


class Learned:
    """Of one lane.

    Args:
        calls: of the lane; it keeps the rates itself.
        aws_now: seconds since the epoch, by AWS's clock where it is known.
        unproven: the store is new while its instance is not, so remote jobs of an earlier store may exist.
    """

    def __init__(
        self, kind: Kind, limits: LimitSettings, calls: Calls, aws_now: Callable[[], float], *, unproven: bool
    ) -> None:
        self.slots = Slots(self.configured_slots)
        self.turns = Turns()
        self.durations: dict[str, Durations] = {}
        """By quota key."""
        self.spend = Spend(limits.creates_per_day)
        self.unproven = unproven
        self.alive_at: float | None = None
        """When an earlier process last wrote into this store, by the hour; None once a pass has looked behind it. What
        was made since then is unknown to the store where it is a restored backup."""
        self._kind = kind
        self._limits = limits
        self._calls = calls
        self._aws_now = aws_now

    def restore(self, state: Mapping[str, Any], now: float) -> None:
        """Take up what `state` gave before; `now` is monotonic."""
        self._calls.restore(_mapping(state.get("rates")))
        self.slots = Slots.restored(self.configured_slots, SlotsState.parsed(_mapping(state.get("slots"))), now)
        for key, durations in _mapping(state.get("durations")).items():
            self.durations[key] = Durations.restored(DurationsState.parsed(_mapping(durations)))
        turns = _mapping(state.get("turns"))
        self.turns = Turns.restored(
            {int(priority): turn for priority, turn in turns.items() if _is_whole(priority) and isinstance(turn, int)}
        )
        spend = _mapping(state.get("spend"))
        if isinstance(spend.get("day"), int) and isinstance(spend.get("count"), int):
            self.spend = Spend(self._limits.creates_per_day, spend["day"], spend["count"])
        if self.unproven and state.get("scanned") is True:
            self.unproven = False
        alive_at = state.get("alive_at")
        self.alive_at = float(alive_at) if isinstance(alive_at, int | float) else None

    def state(self, spend: Spend | None = None) -> dict[str, Any]:
        """What a restart should know, as JSON; `spend` is what is spent once the commit has happened."""
        spend = spend or self.spend
        now = self._aws_now() // HOUR_S * HOUR_S
        return {
            "rates": self._calls.learned(),
            "slots": asdict(self.slots.state()),
            "durations": {key: asdict(durations.state()) for key, durations in self.durations.items()},
            "turns": {str(priority): turn for priority, turn in self.turns.state().items()},
            "spend": {"day": spend.day, "count": spend.count},
            "scanned": not self.unproven,
            # Until a pass has looked behind the last writing, a restart has to look as far back.
            "alive_at": now if self.alive_at is None else self.alive_at,
        }

    def configured_slots(self, key: str) -> int:
        """How many jobs of a quota key the settings allow at AWS at a time."""
        for prefix, slots in self._kind.fixed_slots.items():
            if key.startswith(prefix):
                return slots
        jobs = self._limits.jobs
        if key in jobs:
            return jobs[key]
        if key in self._kind.default_slots and key != ALL_JOBS:
            return self._kind.default_slots[key]
        return jobs.get(ALL_JOBS, self._kind.default_slots[ALL_JOBS])

    def medians_s(self) -> dict[str, float]:
        """How long jobs of each quota key take, where that is known."""
        return {key: median for key, each in self.durations.items() if (median := each.median()) is not None}

    def observe(self, before: Job | None, after: Job) -> None:
        """Learn from a job that is at AWS no more how long it was there."""
        if before is None or before.current is None or before.phase not in AT_AWS or after.phase in AT_AWS:
            return
        key = before.quota_keys[0]
        if key not in self.durations and len(self.durations) >= KEYS_REMEMBERED_MAX:
            return
        ended_at = next((each.ended_at for each in after.attempts if each.token == before.current.token), None)
        took_s = (self._aws_now() if ended_at is None else ended_at) - before.current.created_at
        self.durations.setdefault(key, Durations()).observe(took_s)


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
