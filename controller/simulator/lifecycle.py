"""The life of one job: a plan drawn once, and the timeline that follows from it.

Invariant: pure. The same options, family, identity and start give the same life, and a job's status and record counts
at an instant follow from its timeline alone. Nothing here knows other jobs, quotas or the wire.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.simulator.families import Family
from controller.simulator.options import OutcomeRule, SimulatorOptions, Span

DEFAULT_TIMEOUT_HOURS: Final = 24
GONE: Final = ""  # the last entry in the timeline of a deleted job

Timeline = tuple[tuple[float, str], ...]

_MESSAGES: Final[Mapping[str, str]] = {
    "Failed": "The job failed: one or more input records could not be processed.",
    "Expired": "The job expired: it did not finish within its timeout.",
    "PartiallyCompleted": "Not all records could be processed in time.",
    "ServiceError": "The service could not process the request.",
    "ClientError": "The samples could not be read. Check the input and try again.",
    "CREATE FAILED": "The batch inference job failed: the input data could not be read.",
}

TICK_DIGITS: Final = 3
TICK_S: Final = 10.0**-TICK_DIGITS
"""Instants of a timeline are rounded to this."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen to a job unless it is stopped. `stages` are (status, seconds of the wire's clock)."""

    stages: tuple[tuple[str, float], ...]
    final: str
    message: str | None
    records_total: int
    error_share: float
    processed_share: float


@dataclass(frozen=True, slots=True)
class Records:
    total: int
    processed: int
    succeeded: int
    failed: int


NO_RECORDS: Final = Records(0, 0, 0, 0)


class Draws:
    """A short sequence of uniform numbers in [0, 1) that depends on nothing but its key."""

    def __init__(self, *key: object) -> None:
        digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=64).digest()
        self._numbers = iter([int.from_bytes(digest[i : i + 4]) / 2**32 for i in range(0, 64, 4)])

    def share(self) -> float:
        return next(self._numbers)

    def within(self, span: Span) -> float:
        return span[0] + (span[1] - span[0]) * self.share()


def draw_plan(
    options: SimulatorOptions, family: Family, parameters: Mapping[str, Any], rule: OutcomeRule | None, draws: Draws
) -> Plan:
    """The plan of a new job. `rule` overrides what is drawn."""
    durations = {**options.durations[family.kind], **(rule.durations if rule else {})}
    stages = [(status, durations[status], draws.share()) for status in family.stages]
    timed = tuple((status, (low + (high - low) * share) / options.speed) for status, (low, high), share in stages)
    final, early = _draw_final(options, family, draws)
    records = round(draws.within(options.records))
    processed_share = 0.2 + 0.7 * draws.share()
    last = family.stages[0] if early else family.working
    error_share, message = options.error_share, None
    if rule is not None:
        final = rule.status or (family.failure if rule.stage else final)
        last = rule.stage or last
        records = records if rule.records is None else rule.records
        error_share = error_share if rule.error_share is None else rule.error_share
        processed_share = processed_share if rule.processed_share is None else rule.processed_share
        message = rule.message
    if final == family.success:
        processed_share = 1.0
    else:
        timed = _ending_in(timed, last)
        message = message or _MESSAGES.get(final)
    plan = Plan(timed, final, message, records, error_share, processed_share)
    return _expiring(plan, family, parameters, options.speed)


def _draw_final(options: SimulatorOptions, family: Family, draws: Draws) -> tuple[str, bool]:
    mark, early = draws.share(), draws.share() < options.failing_stage_share
    for status, probability in options.outcomes.get(family.kind, {}).items():
        if mark < probability:
            return status, early and status == family.failure
        mark -= probability
    return family.success, False


def _ending_in(stages: tuple[tuple[str, float], ...], last: str) -> tuple[tuple[str, float], ...]:
    names = [status for status, _ in stages]
    return stages[: names.index(last) + 1] if last in names else stages


def _expiring(plan: Plan, family: Family, parameters: Mapping[str, Any], speed: float) -> Plan:
    """Bedrock's batch jobs end at their timeout whatever they are doing."""
    if "Expired" not in family.final:
        return plan
    timeout = parameters.get("timeoutDurationInHours", DEFAULT_TIMEOUT_HOURS) * 3600 / speed
    left, stages = timeout, []
    for status, seconds in plan.stages:
        if seconds > left:
            stages.append((status, left))
            done = plan.processed_share * left / seconds if status == family.working else 0.0
            return Plan(tuple(stages), "Expired", _MESSAGES["Expired"], plan.records_total, plan.error_share, done)
        stages.append((status, seconds))
        left -= seconds
    return plan


def timeline_of(plan: Plan, created_at: float, started_at: float) -> Timeline:
    """(instant, status) in order. A job that waited for a slot stays in its first status until `started_at`."""
    entries, at = [], created_at
    for position, (status, seconds) in enumerate(plan.stages):
        entries.append((at, status))
        at = round((started_at if position == 0 else at) + seconds, TICK_DIGITS)
    entries.append((at, plan.final))
    return tuple(entries)


def position_at(timeline: Timeline, at: float) -> int:
    """Index of the entry that holds at the instant; the first one for instants before it."""
    return max(0, bisect_right(timeline, at, key=lambda entry: entry[0]) - 1)


def records_at(plan: Plan, timeline: Timeline, working: str, at: float) -> Records:
    """Record counts: zero until work begins, growing with it, frozen when the job leaves the working stage."""
    for position, (begins, status) in enumerate(timeline):
        if status == working and begins <= at:
            left = timeline[position + 1][0] if position + 1 < len(timeline) else at
            planned = dict(plan.stages)[working]
            lasted = min(at, left) - begins
            # Instants are whole milliseconds, so a stage that ran its course may look a little short.
            done = 1.0 if lasted >= planned - 2 * TICK_S else lasted / planned
            processed = int(plan.records_total * plan.processed_share * done + 1e-9)
            failed = int(processed * plan.error_share + 1e-9)
            return Records(plan.records_total, processed, processed - failed, failed)
    return NO_RECORDS


def stopped_timeline(timeline: Timeline, position: int, at: float, stopping_s: float) -> Timeline:
    """The life of a job that stands at `position` and is told to stop at `at`."""
    return _ending(timeline, position, at, ("Stopping", "Stopped"), stopping_s)


def deleted_timeline(timeline: Timeline, position: int, at: float, deleting_s: float) -> Timeline:
    """The life of a job that stands at `position` and is deleted at `at`."""
    return _ending(timeline, position, at, ("Deleting", GONE), deleting_s)


def _ending(timeline: Timeline, position: int, at: float, statuses: tuple[str, str], seconds: float) -> Timeline:
    past = timeline[: position + 1]
    begins = max(at, past[-1][0])  # a clock that went back does not reorder a life
    return (*past, (begins, statuses[0]), (round(begins + seconds, 3), statuses[1]))
