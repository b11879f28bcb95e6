"""Which jobs take a place in which quota, and whether one more may be created.

Invariant: what is used is the size of sets of identities, ours (job numbers) and other people's (remote identities of
the last complete pass). Nothing is counted up or down, so a release that comes twice, or for a job nobody knows, cannot
leave a slot taken or invent one.

A quota key stands for one limit at AWS. A job takes a slot in one key or in several; the first is the one whose refusal
teaches something. The ceiling of a key is the lower of the configured and the learned one, and at least 1.

A refusal parks its key: no create until a slot is seen to be free, or a slow probe tries one create. Which jobs wait,
and in what order, is not known here.
"""

from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Slots", "SlotsState"]

PROBE_INTERVAL_S: Final = 60.0
PROBE_SPREAD: Final = 0.5
"""How far chance moves a probe: from 0.75 to 1.25 of its interval."""
KEYS_RESTORED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class SlotsState:
    """What was learned of the quotas, as JSON can carry it. Who takes the slots is read from the store instead."""

    learned: Mapping[str, int] = field(default_factory=dict)
    parked: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, raw: Mapping[str, Any]) -> "SlotsState":
        """The state as it was stored, without what cannot be true of any quota."""
        learned = raw.get("learned")
        pairs = learned.items() if isinstance(learned, Mapping) else ()
        parked = raw.get("parked")
        keys = parked if isinstance(parked, list | tuple) else ()
        return cls(
            learned={key: limit for key, limit in list(pairs)[:KEYS_RESTORED_MAX] if _is_limit(limit)},
            parked=tuple(key for key in keys[:KEYS_RESTORED_MAX] if isinstance(key, str)),
        )


@dataclass(slots=True)
class _Limited:
    """A key that AWS has refused, or whose learned ceiling is below the configured one."""

    learned: int
    full_at: int  # what was used when AWS refused, without the refused one: fewer than that, and a slot is free
    probe_at: float
    parked: bool = False
    probing: bool = False
    prober: int | None = None


class Slots:
    """The slots of one lane.

    Args:
        ceiling: the configured limit of a quota key.
        probe_interval_s: how often a parked key, or one held below its configured limit, may try one create more.
    """

    def __init__(self, ceiling: Callable[[str], int], probe_interval_s: float = PROBE_INTERVAL_S) -> None:
        self._configured = ceiling
        self._probe_interval_s = probe_interval_s
        # The further keys of each job, by its first key: half the memory of one set per key beside one dictionary.
        self._ours: dict[str, dict[int, tuple[str, ...]]] = {}
        self._ours_further: dict[str, set[int]] = {}
        self._foreign: dict[str, set[str]] = {}
        self._limited: dict[str, _Limited] = {}

    @classmethod
    def restored(
        cls,
        ceiling: Callable[[str], int],
        state: SlotsState,
        now: float,
        probe_interval_s: float = PROBE_INTERVAL_S,
    ) -> "Slots":
        """Slots that know what was learned before a restart; the occupied ones are to be entered with `occupy`."""
        slots = cls(ceiling, probe_interval_s)
        for key, learned in state.learned.items():
            if 1 <= learned < slots._configured_ceiling(key):
                slots._limited[key] = _Limited(learned, learned, now + probe_interval_s)
        for key in state.parked:
            ceiling_now = slots.ceiling(key)
            slots._limited.setdefault(key, _Limited(ceiling_now, ceiling_now, now + probe_interval_s)).parked = True
        return slots

    def occupy(self, job: int, keys: tuple[str, ...]) -> None:
        """The job takes a slot in every key, whether one is free or not: what is running is a fact, not a wish."""
        first, *others = dict.fromkeys(keys)
        if self.occupied_by(job) == (first, *others):
            return
        self._remove(job)
        self._ours.setdefault(first, {})[job] = tuple(others)
        for key in others:
            self._ours_further.setdefault(key, set()).add(job)
        for key in (first, *others):
            limited = self._limited.get(key)
            if limited is not None and limited.probing and limited.prober is None:
                limited.prober = job

    def release(self, job: int) -> frozenset[str]:
        """The job's slots are free. Returns the keys this wakes; a job that holds none changes nothing."""
        keys = self._remove(job)
        self._end_probe_of(job, keys)
        return self._woken(keys)

    def occupied_by(self, job: int) -> tuple[str, ...]:
        """The keys in which the job takes a slot; empty for one that takes none."""
        for first, jobs in self._ours.items():
            if job in jobs:
                return (first, *jobs[job])
        return ()

    def foreign(self, snapshot: Mapping[str, AbstractSet[str]]) -> frozenset[str]:
        """Other people's active jobs as of a complete pass, for all keys. Returns the keys this wakes."""
        self._foreign = {key: set(identities) for key, identities in snapshot.items() if identities}
        return self._woken(self._limited)

    def foreign_ended(self, identities: Collection[str]) -> frozenset[str]:
        """These have been seen ended, or turned out to be ours. Returns the keys this wakes."""
        for key, active in list(self._foreign.items()):
            active.difference_update(identities)
            if not active:
                del self._foreign[key]
        return self._woken(self._limited)

    def used(self, key: str) -> int:
        return len(self._ours.get(key, ())) + len(self._ours_further.get(key, ())) + len(self._foreign.get(key, ()))

    def ours(self, key: str) -> int:
        """How many of the used ones are our own."""
        return len(self._ours.get(key, ())) + len(self._ours_further.get(key, ()))

    def keys(self) -> frozenset[str]:
        """Every key in which anything is used or learned."""
        return frozenset((*self._ours, *self._ours_further, *self._foreign, *self._limited))

    def ceiling(self, key: str) -> int:
        """The limit in force, 1 or more."""
        limited = self._limited.get(key)
        configured = self._configured_ceiling(key)
        return configured if limited is None else min(configured, limited.learned)

    def free(self, keys: tuple[str, ...]) -> int:
        """How many more jobs with these keys may be created now."""
        return min(self._free(key) for key in keys)

    def refused(self, keys: tuple[str, ...], now: float, *, job: int | None = None, jitter: float = 0.5) -> bool:
        """AWS has no slot: the first key is parked, and its ceiling learned as what was used without the refused job.

        Args:
            keys: the keys of the refused job.
            now: monotonic seconds.
            job: the refused job. It is released in the same step, without waking the key. Without it, the refused
                job is taken to hold its slot still.
            jitter: 0..1, by chance; moves the next probe.

        Returns:
            Whether the ceiling in force changed.
        """
        key = keys[0]
        before = self.ceiling(key)
        others = self.used(key) - 1
        if job is not None:
            self._remove(job)
            others = self.used(key)
        limited = self._limited.setdefault(key, _Limited(before, others, now))
        limited.learned, limited.full_at = min(before, max(1, others)), others
        limited.parked, limited.probing, limited.prober = True, False, None
        limited.probe_at = self._probe_at(now, jitter)
        return self.ceiling(key) != before

    def admitted(self, keys: tuple[str, ...]) -> bool:
        """AWS took one more: its keys are not full, and a learned ceiling below what is used was too low.

        Returns:
            Whether the ceiling in force changed in a key.
        """
        before = [self.ceiling(key) for key in keys]
        for key in keys:
            limited = self._limited.get(key)
            if limited is not None:
                limited.learned = max(limited.learned, self.used(key))
                limited.parked, limited.probing, limited.prober = False, False, None
                self._forget_if_free(key)
        return before != [self.ceiling(key) for key in keys]

    def probe_due(self, now: float) -> frozenset[str]:
        """Keys that nothing but a probe can open again, and whose time has come."""
        return frozenset(
            key
            for key, limited in self._limited.items()
            if now >= limited.probe_at and self._free(key) == 0 and self._may_probe(key)
        )

    def probe(self, key: str, now: float, jitter: float = 0.5) -> None:
        """Lets one create pass in this key, even above its learned ceiling. The next is due an interval later."""
        limited = self._limited.get(key)
        if limited is not None and self._may_probe(key):
            limited.probing, limited.prober = True, None
            limited.probe_at = self._probe_at(now, jitter)

    def unpark(self, key: str) -> None:
        """The key is tried again within its ceiling, as after a word from outside that slots are free."""
        limited = self._limited.get(key)
        if limited is not None:
            limited.parked = False
            self._forget_if_free(key)

    def parked(self) -> frozenset[str]:
        return frozenset(key for key, limited in self._limited.items() if limited.parked)

    def state(self) -> SlotsState:
        learned = {key: limited.learned for key, limited in self._limited.items()}
        return SlotsState(learned=learned, parked=tuple(sorted(self.parked())))

    def _configured_ceiling(self, key: str) -> int:
        return max(1, self._configured(key))

    def _probe_at(self, now: float, jitter: float) -> float:
        return now + self._probe_interval_s * (1 + PROBE_SPREAD * (jitter - 0.5))

    def _may_probe(self, key: str) -> bool:
        return self.used(key) < self._configured_ceiling(key)

    def _free(self, key: str) -> int:
        limited = self._limited.get(key)
        within = 0 if limited is not None and limited.parked else max(0, self.ceiling(key) - self.used(key))
        open_probe = limited is not None and limited.probing and limited.prober is None and self._may_probe(key)
        return max(within, int(open_probe))

    def _remove(self, job: int) -> tuple[str, ...]:
        keys = self.occupied_by(job)
        if keys:
            del self._ours[keys[0]][job]
            if not self._ours[keys[0]]:
                del self._ours[keys[0]]
        for key in keys[1:]:
            self._ours_further[key].discard(job)
            if not self._ours_further[key]:
                del self._ours_further[key]
        return keys

    def _end_probe_of(self, job: int, keys: tuple[str, ...]) -> None:
        """A probe whose create was neither admitted nor refused has said nothing: the key is as it was before."""
        for key in keys:
            limited = self._limited.get(key)
            if limited is not None and limited.prober == job:
                limited.probing, limited.prober = False, None

    def _woken(self, keys: Collection[str]) -> frozenset[str]:
        """Unparks the keys in which fewer are active than when AWS refused."""
        woken = frozenset(key for key in keys if key in self._limited and self._is_awake(key, self._limited[key]))
        for key in woken:
            self.unpark(key)
        return woken

    def _is_awake(self, key: str, limited: _Limited) -> bool:
        # Whether a probe of unknown outcome exists or not, AWS has a free slot when one of the others ended.
        return limited.parked and self.used(key) - (limited.prober is not None) < limited.full_at

    def _forget_if_free(self, key: str) -> None:
        limited = self._limited[key]
        if not limited.parked and not limited.probing and limited.learned >= self._configured_ceiling(key):
            del self._limited[key]


def _is_limit(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
