"""AWS -> jobs: lists, compares, settles.

Level-triggered: what AWS shows now is compared with what the store holds. A pass snapshots the jobs that run, lists,
and looks again at those that it did not see; it costs a call a page, not a call a job.

Invariant: a pass that failed, expired or repeated a page says nothing about what it did not show. Silence never ends a
job: it leads to one Get. Only a pass that shows every active remote job, whoever's it is, replaces the foreign slots.
"""

import re
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from controller.desk import BATCH, Desk, Rule
from controller.errors import AwsError, DeniedError, PassExpiredError, ScopeUnavailableError, StoreUnavailableError
from controller.limits import ReadCadence
from controller.model import FINISHED, Job, Observation, Phase, Standing, Todo
from controller.pages import Page, PageError, pages
from controller.plans import Plan, PlanFacts, Scan, choose
from controller.store import LaneWrite
from controller.transitions.creating import adopt
from controller.transitions.running import not_in_pass, observe, read_again, worth_writing
from controller.transitions.step import Step

IDLE_S: Final = 60.0
WINDOW_SLACK_S: Final = 3600.0
FOREIGN_MAX: Final = 200_000
FULL_PASS_EVERY: Final = 10
"""While work waits for slots: every so many passes, one that is complete for the slots."""
_NAME_OF_OURS: Final = re.compile(r"-[a-z2-7]{8}-[0-9]{1,6}\Z")
_LIVE: Final = frozenset({Phase.RUNNING, Phase.STOPPING})


@dataclass(slots=True)
class _Pass:
    """What one pass has seen so far."""

    began_at: float
    seen: set[str] = field(default_factory=set)
    foreign: dict[str, set[str]] = field(default_factory=dict)
    orphans: list[Observation] = field(default_factory=list)
    pages: int = 0
    shown: int = 0


class Reconciler:
    """Reads the remote jobs of one lane."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pages_of: dict[Plan, int] = {}
        self._since_full = 0
        self._first = True
        self._last_pass_at = 0.0
        settings = desk.settings.reconcile
        self._cadence = ReadCadence(settings.interval, settings.interval_min)

    async def run(self) -> None:
        """Pass after pass, as often as something may have changed; silent when nothing runs."""
        desk = self._desk
        if not desk.kind.can_list:
            return
        while not desk.draining:
            wait_s = IDLE_S
            with suppress(StoreUnavailableError):
                wait_s = await self._wait_s()
                if wait_s <= 0:
                    await self._pass()
                    self._last_pass_at = desk.clock.monotonic()
                    continue
            await desk.wake.reconcile.wait(wait_s)

    async def _wait_s(self) -> float:
        """Until the next pass; 0: now."""
        desk = self._desk
        if (rest := desk.rest_s()) > 0:
            return rest
        live, oldest = await desk.store.running_summary(desk.lane)
        desk.reads_idle = live == 0
        wants_to_create = bool(desk.queue_keys)
        if self._first or not desk.slots_known:
            return 0.0 if live > 0 or wants_to_create else IDLE_S
        waiting = self._waits_for_slots()
        next_s = self._cadence.next_pass(
            active=live > 0 or waiting, waiting=waiting, earliest_end_s=self._earliest_end(oldest)
        )
        return IDLE_S if next_s is None else self._last_pass_at + next_s - desk.clock.monotonic()

    def _waits_for_slots(self) -> bool:
        desk = self._desk
        return any(desk.slots.free((key,)) == 0 for key in desk.queue_keys)

    def _earliest_end(self, oldest: float | None) -> float | None:
        if oldest is None:
            return None
        age = self._desk.aws_now() - oldest
        remaining = [
            left
            for durations in self._desk.durations.values()
            if (left := durations.expected_remaining(age)) is not None
        ]
        return min(remaining, default=None)

    # One pass

    async def _pass(self) -> None:
        desk = self._desk
        try:
            await self._one_pass()
        except DeniedError as error:
            desk.log.warning(
                "List is denied: jobs are read one by one, and foreign jobs are not counted", error=error.message
            )
            self._first = False
            desk.slots_known = True
            desk.wake.dispatch.set()
            await self._get_all()
        except (PassExpiredError, PageError) as error:
            desk.log.info("a pass over List is begun again", reason=str(error))
            await desk.sleep(desk.backoff(0))
        except ScopeUnavailableError:
            return
        except AwsError as error:
            if desk.draining:
                return
            desk.log.warning("a pass over List failed", error=error.message)
            await desk.sleep(desk.backoff(2))

    async def _one_pass(self) -> None:
        desk = self._desk
        live, oldest = await desk.store.running_summary(desk.lane)
        scan = choose(desk.kind, await self._facts(live, oldest), self._pages_of)
        current = _Pass(began_at=desk.aws_now())
        before = await self._snapshot()
        if scan.plan is Plan.GETS:
            await self._get_all()
        else:
            await self._scan(scan, current)
            await self._look_again(before, current)
        self._pages_of[scan.plan] = max(1, current.pages)
        await self._close(scan, current)

    async def _facts(self, live: int, oldest: float | None) -> PlanFacts:
        desk = self._desk
        after = oldest
        if self._first and (open_since := await desk.store.oldest_open(desk.lane)) is not None:
            after = min(open_since, oldest if oldest is not None else open_since)
        return PlanFacts(
            live=live,
            oldest=None if after is None else after - WINDOW_SLACK_S,
            now=desk.aws_now(),
            everything=desk.unproven,
            first=self._first,
            slots=not desk.slots_known or (self._waits_for_slots() and self._slots_stale()),
        )

    def _slots_stale(self) -> bool:
        """Foreign jobs hold slots that ours wait for, or nobody has looked for long."""
        slots = self._desk.slots
        foreign = any(slots.used(key) > slots.ours(key) for key in self._desk.queue_keys)
        return foreign or self._since_full >= FULL_PASS_EVERY

    async def _snapshot(self) -> "array[int]":
        """The jobs that ran before the list was read: only they can be missed."""
        jobs = array("q")
        after = 0
        while mirrors := await self._desk.store.running(self._desk.lane, after, BATCH):
            jobs.extend(mirror.job_id for mirror in mirrors)
            after = mirrors[-1].job_id
        return jobs

    async def _scan(self, scan: Scan, current: _Pass) -> None:
        for status in scan.statuses or (None,):
            async for page in pages(self._desk, after=scan.after, status=status):
                current.pages += 1
                current.shown += len(page)
                await self._compare(page, current)

    async def _compare(self, page: Page, current: _Pass) -> None:
        desk = self._desk
        shown = {observation.remote_id: observation for observation, _ in page}
        current.seen.update(shown)
        mirrors = await desk.store.mirrors(desk.lane, list(shown))
        rules: list[tuple[int, Rule]] = []
        for remote_id, mirror in mirrors.items():
            observation = shown[remote_id]
            if (
                mirror.phase in _LIVE
                and mirror.todo is not Todo.GET
                and worth_writing(mirror.remote_status, mirror.records, mirror.phase, observation)
            ):
                rules.append((mirror.job_id, partial(self._observed, observation=observation)))
        if rules:
            await desk.apply(rules)
        others = [pair for pair in page if pair[0].remote_id not in mirrors]
        if others:
            await self._others(others, current)

    def _observed(self, job: Job, observation: Observation) -> Step | None:
        desk = self._desk
        if job.current is None or job.current.remote_id != observation.remote_id:
            return None
        self._warn_unknown(observation)
        return observe(job, observation, desk.context(), detail_wanted=desk.kind.lacks_detail(observation))

    def _warn_unknown(self, observation: Observation) -> None:
        if observation.standing is Standing.UNKNOWN:
            self._desk.log.warning(
                "a status that this release does not know counts as running", status=observation.status
            )

    # What is not ours, or not known to be

    async def _others(self, others: Page, current: _Pass) -> None:
        desk = self._desk
        names = [observation.name for observation, _ in others if observation.name]
        intents = await desk.store.open_intents(desk.lane, names)
        known = await desk.store.remote_ids_known(desk.lane, [observation.remote_id for observation, _ in others])
        # Looked up last: a create that was recorded while this page was on its way is ours by now.
        ours = await desk.store.mirrors(desk.lane, list(known)) if known else {}
        found: list[tuple[int, Rule]] = []
        for observation, body in others:
            if observation.remote_id in ours:
                continue
            job = intents.get(observation.name or "")
            if job is not None:
                if job not in desk.in_flight:
                    found.append((job, partial(self._found_intent, observation=observation, body=body)))
                continue
            self._count_foreign(observation, current)
            ours_by_name = _NAME_OF_OURS.search(observation.name or "") is not None
            if ours_by_name and observation.remote_id not in known and (self._first or desk.unproven):
                current.orphans.append(observation)
        if found:
            await desk.apply(found)
        if len(current.orphans) >= BATCH:
            await self._keep_orphans(current)

    def _found_intent(self, job: Job, observation: Observation, body: Mapping[str, object]) -> Step | None:
        """An unknown or uncertain create turns up by itself."""
        desk = self._desk
        attempt = job.current
        if attempt is None or job.phase not in {Phase.CREATING, Phase.UNCERTAIN} or job.id in desk.in_flight:
            return None
        same_token = desk.kind.members.token is None or observation.token == attempt.token
        if attempt.remote_name != observation.name or not same_token or desk.kind.differs(job.spec or {}, body):
            return None
        return adopt(Step(job), observation, desk.context())

    def _count_foreign(self, observation: Observation, current: _Pass) -> None:
        if observation.standing in FINISHED or observation.standing is Standing.DELETING:
            return
        if sum(map(len, current.foreign.values())) >= FOREIGN_MAX:
            return
        for key in observation.quota_keys or ("*",):
            current.foreign.setdefault(key, set()).add(observation.remote_id)

    async def _keep_orphans(self, current: _Pass) -> None:
        if current.orphans:
            await self._desk.write(LaneWrite(self._desk.lane, orphans=tuple(current.orphans)))
            self._desk.has_orphans = True
            current.orphans.clear()

    # After the list

    async def _look_again(self, before: Sequence[int], current: _Pass) -> None:
        """Which of the jobs that ran before still run now, and were not shown? Each is read by Get."""
        desk = self._desk
        ran = set(before)
        lag_s = desk.settings.reconcile.list_lag_s
        after = 0
        while mirrors := await desk.store.running(desk.lane, after, BATCH):
            after = mirrors[-1].job_id
            missed = [
                mirror.job_id
                for mirror in mirrors
                if mirror.job_id in ran and mirror.remote_id not in current.seen and mirror.todo is not Todo.GET
            ]
            if missed:
                young = current.began_at - lag_s
                await desk.apply([(job, partial(self._missed, young=young)) for job in missed])

    def _missed(self, job: Job, young: float) -> Step | None:
        """List may lag behind a create; a younger job is not missing yet."""
        if job.phase not in _LIVE or job.current is None or job.current.created_at > young:
            return None
        return not_in_pass(job, self._desk.clock.now())

    async def _get_all(self) -> None:
        """Every running job by Get: the cheapest way where few run among a long history."""
        desk = self._desk
        after = 0
        while mirrors := await desk.store.running(desk.lane, after, BATCH):
            after = mirrors[-1].job_id
            now = desk.clock.now()
            await desk.apply([(mirror.job_id, partial(self._get_now, now=now)) for mirror in mirrors])

    def _get_now(self, job: Job, now: float) -> Step | None:
        return read_again(job, now) if job.phase in _LIVE and job.todo is None else None

    async def _close(self, scan: Scan, current: _Pass) -> None:
        desk = self._desk
        desk.passes += 1
        desk.last_complete_pass_at = desk.clock.now()
        await self._keep_orphans(current)
        if self._first and not current.orphans and not desk.unproven:
            desk.has_orphans = await desk.store.any_orphans(desk.lane)
        self._first = False
        if scan.everything and desk.unproven:
            desk.unproven = False
            await desk.write(LaneWrite(desk.lane, state=desk.learned()))
        self._since_full += 1
        if scan.complete_for_slots:
            self._since_full = 0
            desk.slots.foreign(current.foreign)
            desk.slots_known = True
        elif scan.plan is not Plan.GETS:
            self._merge_foreign(current)
        desk.wake.dispatch.set()

    def _merge_foreign(self, current: _Pass) -> None:
        """A narrower pass: those it showed ended are free; older ones stay counted."""
        shown_active = {remote for ids in current.foreign.values() for remote in ids}
        self._desk.slots.foreign_ended(current.seen - shown_active)
