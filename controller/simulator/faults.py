"""Faults that a test or a user plants: which calls they hit, and what they do to them.

Invariant: a fault is chosen once per call, before anything happens, from the call's operation, caller, parameters and
the seeded source of chance; it then acts where its effect says: before the effect, after it, or on what a list shows.
Carrying the effects out belongs in `app` (time, replies) and `listing` (lists).
"""

import random
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, TypeAdapter

from controller.simulator.options import Frozen, Seconds, Share


class Refuse(Frozen):
    """An error answer; nothing is accepted. Without `status` the modelled one is used."""

    effect: Literal["refuse"] = "refuse"
    code: str
    message: str = "Simulated fault"
    status: int | None = Field(default=None, ge=300, le=599)


class Throttle(Frozen):
    """The service's own throttling error; nothing is accepted."""

    effect: Literal["throttle"] = "throttle"


class RefuseCredentials(Frozen):
    """The caller's credentials are refused in the service's own words."""

    effect: Literal["refuse_credentials"] = "refuse_credentials"
    reason: Literal["unknown_key", "expired_key", "bad_signature"] = "expired_key"


class LoseReply(Frozen):
    """The call takes effect and its reply is lost: reset, cut off in the middle, or replaced by a server error.

    `then` is what the client sees: `reset` (RST before the first byte), `close` (end of stream before the first byte),
    `truncate` (half of the body), or an HTTP status.
    """

    effect: Literal["lose_reply"] = "lose_reply"
    then: Literal["reset", "close", "truncate", 500, 502, 503, 504] = "reset"


class DropConnection(Frozen):
    """The connection is reset before the call takes effect."""

    effect: Literal["drop_connection"] = "drop_connection"


class Delay(Frozen):
    """The call waits, before or after its effect."""

    effect: Literal["delay"] = "delay"
    seconds: Seconds
    when: Literal["before", "after"] = "after"


class Hang(Frozen):
    """No answer until the client gives up. With `when="after"` the call has taken effect."""

    effect: Literal["hang"] = "hang"
    when: Literal["before", "after"] = "after"
    seconds_max: Seconds = 3600


class StaleList(Frozen):
    """A list as it was `age_s` seconds (of the clock) ago, from page `from_page` on."""

    effect: Literal["stale_list"] = "stale_list"
    age_s: Seconds
    from_page: int = Field(default=1, ge=1)


class SeenTwice(Frozen):
    """The last job of a page appears again: at the head of the next page, or at the end of the last one."""

    effect: Literal["seen_twice"] = "seen_twice"


class Missed(Frozen):
    """Jobs at the end of a page are in no page at all, as when pages shift."""

    effect: Literal["missed"] = "missed"
    count: int = Field(default=1, ge=1)


class EmptyPage(Frozen):
    """A page without jobs that has a token: the next call goes on where this one should have begun."""

    effect: Literal["empty_page"] = "empty_page"


class RepeatedPageToken(Frozen):
    """The token that was sent comes back (on a first page: one that leads to the first page)."""

    effect: Literal["repeated_page_token"] = "repeated_page_token"


class ExpiredPageToken(Frozen):
    """A page token is refused in the service's own words. Hits only calls that send one."""

    effect: Literal["expired_page_token"] = "expired_page_token"


class Reshape(Frozen):
    """What lists and gets show of jobs is changed: members added or replaced, members removed.

    `set` replaces only members that a job has unless `add` is true; `name` is a pattern for the job's name.
    """

    effect: Literal["reshape"] = "reshape"
    set: Mapping[str, Any] = {}
    add: bool = True
    remove: frozenset[str] = frozenset()
    name: str = "*"


Effect = Annotated[
    Refuse
    | Throttle
    | RefuseCredentials
    | LoseReply
    | DropConnection
    | Delay
    | Hang
    | StaleList
    | SeenTwice
    | Missed
    | EmptyPage
    | RepeatedPageToken
    | ExpiredPageToken
    | Reshape,
    Field(discriminator="effect"),
]
E = TypeVar("E")


class Fault(Frozen):
    """Which calls are hit. Patterns are shell patterns; `name` and `role` are the parameters' job name and role ARN.

    Attributes:
        skip: matching calls that pass first. times: calls that are hit after that; None is without end.
        probability: of being hit, for each matching call; calls that are spared count for neither.
        for_s: seconds of the clock after which the fault is over; None is never.
    """

    effect: Effect
    operation: str = "*"
    service: str = "*"
    account: str = "*"
    region: str = "*"
    access_key: str = "*"
    name: str = "*"
    role: str = "*"
    skip: int = Field(default=0, ge=0)
    times: int | None = Field(default=1, ge=1)
    probability: Share = 1.0
    for_s: Seconds | None = None


FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)
FAULTS_MAX: Final = 1000
FIRED_KEPT_MAX: Final = 10_000


class Faults:
    """The planted faults, in the order they were added. Each may hit the same call."""

    def __init__(self, chance: random.Random) -> None:
        self.fired: dict[int, int] = {}
        self._chance = chance
        self._planted: dict[int, _Planted] = {}
        self._count = 0

    def add(self, fault: Fault, *, now: float = 0.0) -> int:
        """Plants a fault and gives its number. `now` matters only with `for_s`.

        Raises:
            ValueError: there are too many faults already.
        """
        if len(self._planted) >= FAULTS_MAX:
            raise ValueError(f"there are {FAULTS_MAX} faults already; remove some")
        self._count += 1
        self._planted[self._count] = _Planted(fault, None if fault.for_s is None else now + fault.for_s)
        return self._count

    def remove(self, number: int) -> bool:
        """Whether there was such a fault."""
        return self._planted.pop(number, None) is not None

    def clear(self) -> None:
        self._planted.clear()

    def planted(self) -> dict[int, Fault]:
        return {number: planted.fault for number, planted in self._planted.items()}

    def hits(self, facts: Mapping[str, str], *, has_page_token: bool, now: float) -> tuple[Effect, ...]:
        """The effects that hit one call. `facts` has a value for every pattern of `Fault`."""
        if not self._planted:
            return ()
        found: list[Effect] = []
        for number, planted in tuple(self._planted.items()):
            if planted.until is not None and now >= planted.until:
                del self._planted[number]
            elif planted.takes(facts, has_page_token=has_page_token, chance=self._chance):
                found.append(planted.fault.effect)
                self._count_hit(number)
                if planted.fault.times == planted.taken:
                    del self._planted[number]
        return tuple(found)

    def _count_hit(self, number: int) -> None:
        self.fired[number] = self.fired.get(number, 0) + 1
        if len(self.fired) > FIRED_KEPT_MAX:
            del self.fired[next(iter(self.fired))]


class _Planted:
    def __init__(self, fault: Fault, until: float | None) -> None:
        self.fault = fault
        self.until = until
        self.taken = 0
        self._to_skip = fault.skip
        patterns = {name: getattr(fault, name) for name in _PATTERNS}
        self._patterns = {name: pattern for name, pattern in patterns.items() if pattern != "*"}

    def takes(self, facts: Mapping[str, str], *, has_page_token: bool, chance: random.Random) -> bool:
        if isinstance(self.fault.effect, ExpiredPageToken) and not has_page_token:
            return False
        if not all(fnmatchcase(facts[name], pattern) for name, pattern in self._patterns.items()):
            return False
        if self.fault.probability < 1 and chance.random() >= self.fault.probability:
            return False
        if self._to_skip:
            self._to_skip -= 1
            return False
        self.taken += 1
        return True


_PATTERNS = ("operation", "service", "account", "region", "access_key", "name", "role")


def first(effects: Iterable[object], kind: type[E]) -> E | None:
    """The first effect of a kind."""
    return next((effect for effect in effects if isinstance(effect, kind)), None)
