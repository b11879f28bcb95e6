"""The effects a call can have: create, stop, delete; and the same effects again from a ledger.

Invariant: a refusal changes nothing; an accepted effect is in the ledger before the world shows it, and the world after
a restart is the one the ledger tells of. Requests and answers belong in the modules of the services.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from controller.simulator.errors import AwsError
from controller.simulator.families import FAMILIES, Family, partition, tags_of
from controller.simulator.ledger import Ledger, Record
from controller.simulator.lifecycle import (
    Draws,
    Plan,
    deleted_timeline,
    draw_plan,
    stopped_timeline,
    timeline_of,
)
from controller.simulator.options import OutcomeRule, SimulatorOptions
from controller.simulator.paging import PageTokens
from controller.simulator.world import Job, Place, SlotKey, World

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a token was used for."""

    arn: str
    at: float
    parameters: Mapping[str, Any]


class Backend:
    """One simulated AWS behind its wire: the world, its ledger, and the rules new jobs follow."""

    def __init__(self, options: SimulatorOptions, ledger: Ledger, chance: random.Random) -> None:
        self.options = options
        self.ledger = ledger
        self.chance = chance
        self.page_tokens = PageTokens(chance.randbytes(16))
        self.world = World(jobs_kept_max=options.jobs_kept_max, limit_of=self._limit_of)
        self._memories: dict[tuple[Place, str, str], _Memory] = {}
        self._rule_uses: dict[int, int] = {}

    def reconfigure(self, options: SimulatorOptions, now: float) -> None:
        """New options for what happens from now on; jobs keep the lives they have."""
        if options.rules != self.options.rules:
            self._rule_uses.clear()
        self.options = options
        self.world.jobs_kept_max = options.jobs_kept_max
        self.world.advance(now)
        self.world.start_waiting(self.world.waiting_slots(), now)

    def create(self, family: Family, place: Place, parameters: Mapping[str, Any], now: float) -> str:
        """Creates a job, or finds the one that its token names; gives the ARN.

        Raises:
            AwsError: a rule, the token, the name or the quota refuses it.
        """
        token = parameters.get(family.token_member) if family.token_member else None
        if token is not None:
            known = self._recall(family, place, token, parameters, now)
            if known is not None:
                return known
        name = parameters.get(family.name_member) if family.name_member else None
        rule = self._rule_for(family, place, name, parameters.get("roleArn", ""))
        if rule is not None and rule.refuse is not None:
            raise AwsError(rule.refuse.code, rule.refuse.message, status=rule.refuse.status)
        self._check_name(family, place, name)
        slots = _slots(family, place, parameters)
        self._check_quota(family, slots)
        job = self._new_job(family, place, parameters, now, rule=rule)
        self._accept(job, family.create, now)
        return job.arn

    def plant(self, family: Family, place: Place, parameters: Mapping[str, Any], now: float) -> str:
        """A job that somebody else created: no quota, token, name or rule refuses it."""
        job = self._new_job(family, place, parameters, now, rule=None, foreign=True)
        self._accept(job, "plant", now)
        return job.arn

    def stop(self, job: Job, operation: str, now: float) -> None:
        """Begins to stop a job that is active and not stopping already."""
        seconds = self._seconds(job, "Stopping")
        self._record(job, operation, "stop", now, {"seconds": seconds})
        self.world.relive(job, stopped_timeline(job.timeline, job.position, now, seconds), now)

    def delete(self, job: Job, operation: str, now: float) -> None:
        """Begins to delete a job that has ended."""
        seconds = self._seconds(job, "Deleting")
        self._record(job, operation, "delete", now, {"seconds": seconds})
        self.world.relive(job, deleted_timeline(job.timeline, job.position, now, seconds), now)

    def restore(self, records: Iterable[Record]) -> None:
        """Takes the effects of an earlier life, in their order."""
        for record in records:
            entry, details = record.entry, record.details
            self.world.advance(entry.at)
            if entry.effect == "create":
                job = _restored_job(record)
                self._remember(job, entry.at)
                self.world.add(job, may_wait=details["may_wait"])
                continue
            found = self.world.by_arn(entry.arn)
            if found is not None:
                change = stopped_timeline if entry.effect == "stop" else deleted_timeline
                timeline = change(found.timeline, found.position, entry.at, details["seconds"])
                self.world.relive(found, timeline, entry.at)

    def _limit_of(self, slot: SlotKey) -> int | None:
        return self.options.quota_limit(slot[2], slot[3])

    def _recall(
        self, family: Family, place: Place, token: str, parameters: Mapping[str, Any], now: float
    ) -> str | None:
        memory = self._memories.get((place, family.kind, token))
        lifetime = self.options.token_lifetime_s
        if memory is None or (lifetime is not None and now > memory.at + lifetime):
            return None
        if memory.parameters != parameters and self.options.changed_token != "same_arn":  # noqa: S105 -- an option's value
            code = "ConflictException" if self.options.changed_token == "conflict" else "ValidationException"  # noqa: S105 -- an option's value
            raise AwsError(code, f"The {family.token_member} was used with other parameters.")
        if self.options.repeated_token == "conflict":  # noqa: S105 -- an option's value
            raise AwsError("ConflictException", f"The {family.token_member} is in use by {memory.arn}.")
        return memory.arn

    def _remember(self, job: Job, now: float) -> None:
        if job.token is None:
            return
        self._memories[job.place, job.family.kind, job.token] = _Memory(job.arn, now, job.parameters)
        if len(self._memories) > self.options.jobs_kept_max:
            del self._memories[next(iter(self._memories))]

    def _rule_for(self, family: Family, place: Place, name: str | None, role: str) -> OutcomeRule | None:
        for index, rule in enumerate(self.options.rules):
            used = self._rule_uses.get(index, 0)
            if (rule.times is None or used < rule.times) and _matches(rule, family.kind, name or "", role, place[0]):
                self._rule_uses[index] = used + 1
                return rule
        return None

    def _check_name(self, family: Family, place: Place, name: str | None) -> None:
        if name is None or family.kind not in self.options.unique_names:
            return
        if name in self.world.shelf(place, family).by_name:
            if family.kind.startswith("personalize."):
                raise AwsError("ResourceAlreadyExistsException", f"Another resource with the name {name} exists.")
            raise AwsError("ValidationException", f"The job name is currently in use: {name}")

    def _check_quota(self, family: Family, slots: tuple[SlotKey, ...]) -> None:
        if not self.options.enforce_quotas or self.options.over_quota == "queue" or self.world.has_room(slots):
            return
        if family.kind.startswith("personalize."):
            message = "You have reached the limit of pending or in progress batch inference jobs."
            raise AwsError("LimitExceededException", message)
        message = f"You have reached the limit of active jobs ({family.resource}). Wait for one to end and try again."
        raise AwsError("ServiceQuotaExceededException", message)

    def _new_job(
        self,
        family: Family,
        place: Place,
        parameters: Mapping[str, Any],
        now: float,
        *,
        rule: OutcomeRule | None,
        foreign: bool = False,
    ) -> Job:
        options, sequence = self.options, self.ledger.sequence + 1
        name = parameters.get(family.name_member) if family.name_member else None
        used = len(self.world.shelf(place, family).by_name.get(name, ())) if name else sequence
        draws = Draws(options.seed, family.kind, *place, name, used)
        plan = draw_plan(options, family, parameters, rule, draws)
        spans = (options.list_lag_s, options.get_lag_s, options.tag_lag_s)
        lags = [draws.within(span) / options.speed for span in spans]
        # A job without a lag is seen at once, even by a clock that goes back.
        listed_from, seen_from, tagged_from = (now + lag if lag else 0.0 for lag in lags)
        created_at = round(now, 3)
        identifier = self._identifier(family, place, name)
        return Job(
            sequence=sequence,
            family=family,
            place=place,
            identifier=identifier,
            arn=_arn(family, place, identifier),
            name=name,
            token=parameters.get(family.token_member) if family.token_member else None,
            group=parameters.get(family.group_member) if family.group_member else None,
            parameters=parameters,
            tags=tags_of(parameters),
            slots=_slots(family, place, parameters),
            created_at=created_at,
            plan=plan,
            timeline=timeline_of(plan, created_at, created_at),
            foreign=foreign,
            listed_from=listed_from,
            seen_from=seen_from,
            tagged_from=tagged_from,
        )

    def _identifier(self, family: Family, place: Place, name: str | None) -> str:
        if family.arn_service == "personalize" and family.kind in self.options.unique_names:
            return str(name)
        while True:  # the same seed after a restart draws the same ids again
            chosen = "".join(self.chance.choices(_ALPHABET, k=12))
            identifier = f"{name}-{chosen[:6]}" if family.arn_service == "personalize" else chosen
            if identifier not in self.world.shelf(place, family).by_identifier:
                return identifier

    def _accept(self, job: Job, operation: str, now: float) -> None:
        may_wait = self.options.enforce_quotas and self.options.over_quota == "queue" and not job.foreign
        details = {
            "plan": job.plan,
            "lags": [job.listed_from, job.seen_from, job.tagged_from],
            "may_wait": may_wait,
        }
        self._record(job, operation, "create", now, details)
        self._remember(job, now)
        self.world.add(job, may_wait=may_wait)

    def _record(self, job: Job, operation: str, effect: str, now: float, details: Mapping[str, Any]) -> None:
        created = effect == "create"
        usage = {slot[3]: self.world.usage[slot] + created for slot in job.slots}
        self.ledger.append(
            at=now,
            account=job.place[0],
            region=job.place[1],
            kind=job.family.kind,
            operation=operation,
            effect=effect,
            arn=job.arn,
            name=job.name,
            token=job.token if created else None,
            parameters=job.parameters if created else {},
            usage=usage,
            foreign=job.foreign,
            details=details,
        )

    def _seconds(self, job: Job, status: str) -> float:
        span = self.options.durations[job.family.kind][status]
        return Draws(self.options.seed, job.arn, status).within(span) / self.options.speed


def _matches(rule: OutcomeRule, kind: str, name: str, role: str, account: str) -> bool:
    pairs = ((kind, rule.kind), (name, rule.name), (role, rule.role), (account, rule.account))
    return all(pattern == "*" or fnmatchcase(value, pattern) for value, pattern in pairs)


def _slots(family: Family, place: Place, parameters: Mapping[str, Any]) -> tuple[SlotKey, ...]:
    return tuple((*place, family.kind, key) for key in family.quota_keys(parameters))


def _arn(family: Family, place: Place, identifier: str) -> str:
    account, region = place
    return f"arn:{partition(region)}:{family.arn_service}:{region}:{account}:{family.resource}/{identifier}"


def _restored_job(record: Record) -> Job:
    entry, details = record.entry, record.details
    family, place = FAMILIES[entry.kind], (entry.account, entry.region)
    plan = Plan(**{**details["plan"], "stages": tuple((status, s) for status, s in details["plan"]["stages"])})
    created_at = round(entry.at, 3)
    listed_from, seen_from, tagged_from = details["lags"]
    return Job(
        sequence=entry.sequence,
        family=family,
        place=place,
        identifier=entry.arn.rsplit("/", 1)[-1],
        arn=entry.arn,
        name=entry.name,
        token=entry.token,
        group=entry.parameters.get(family.group_member) if family.group_member else None,
        parameters=entry.parameters,
        tags=tags_of(entry.parameters),
        slots=_slots(family, place, entry.parameters),
        created_at=created_at,
        plan=plan,
        timeline=timeline_of(plan, created_at, created_at),
        foreign=entry.foreign,
        listed_from=listed_from,
        seen_from=seen_from,
        tagged_from=tagged_from,
    )
