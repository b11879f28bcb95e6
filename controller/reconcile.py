"""AWS -> jobs: lists, compares, settles.

Level-triggered: what AWS shows now is compared with what the store holds. A pass snapshots the jobs that run, lists,
and looks again at those that it did not see; it costs a call a page, not a call a job.

Invariant: a pass that failed, expired or repeated a page says nothing about what it did not show. Silence never ends a
job: it leads to one Get. Only a pass that shows every active remote job, whoever's it is, replaces the foreign slots.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from controller.comparing import compare, look_now
from controller.desk import BATCH, Desk, Rule
from controller.errors import AwsError, DeniedError, PassExpiredError, ScopeUnavailableError, StoreUnavailableError
from controller.limits import ReadCadence
from controller.model import AT_AWS, FINISHED, Job, Observation, Phase, Standing, Todo
from controller.named_reads import FEW, read_named
from controller.pages import WINDOW_SLACK_S, Page, PageError, Reading, pages
from controller.plans import Counted, Plan, PlanFacts, Scan, choose
from controller.snapshot import Snapshot
from controller.store import LaneWrite
from controller.transitions.creating import adopt
from controller.transitions.running import not_in_pass, read_again
from controller.transitions.step import Step

IDLE_S: Final = 60.0
WATCH_S: Final = 1.0
"""How soon it is noticed that work has begun to wait for slots."""
AT_ONCE_S: Final = 0.2
"""So soon is now: a wait that depends on ages moves while it is waited for."""
YOUNG_SLACK_S: Final = 900.0
"""So much further back reaches a window that shows only the young ones: whoever it misses is read by Get."""
BRIEFS: Final = 2000
FOREIGN_MAX: Final = 200_000
FULL_PASS_EVERY: Final = 10
"""While work waits for slots: every so many passes, one that is complete for the slots."""
UNLISTED: Final = "what an earlier store created is to be looked for by List"
"""How the reason begins for which the reconciler pauses its lane."""
UNLISTED_S: Final = 60.0
DENIALS_BELIEVED: Final = 3
"""Before the first pass: so often is List denied until a lane goes on without it."""
DENIED_AGAIN_S: Final = 10.0
FAILED_S: Final = 30.0
"""The longest wait after a pass that came to nothing."""
_NAME_OF_OURS: Final = re.compile(r"-[a-z2-7]{8}-[0-9]{1,6}\Z")


@dataclass(slots=True)
class _Pass:
    """What one pass has seen so far."""

    began_at: float
    before: Snapshot = field(default_factory=Snapshot)
    foreign: dict[str, set[str]] = field(default_factory=dict)
    orphans: list[Observation] = field(default_factory=list)


class Reconciler:
    """Reads the remote jobs of one lane."""

    def __init__(self, desk: Desk, counted: Counted) -> None:
        self._desk = desk
        self._counted = counted
        self._since_full = 0
        self._waiting = False
        self._first = True
        self._denials = 0
        self._failures = 0
        self._list_wanted = False
        self._last_pass_at = 0.0
        settings = desk.settings.reconcile
        self._cadence = ReadCadence(settings.interval, settings.interval_min)

    async def run(self) -> None:
        """Pass after pass, as often as something may have changed; silent when nothing runs."""
        desk = self._desk
        if not desk.kind.can_list:
            return
        while not desk.draining:
            try:
                wait_s = await self._wait_s()
                if wait_s <= AT_ONCE_S:
                    await self._pass()
                    self._last_pass_at = desk.clock.monotonic()
                else:
                    await self._rest(wait_s)
            except StoreUnavailableError as error:
                desk.log.warning("a pass over List needs the store; trying again", error=str(error))
                await self._back_off()

    async def _back_off(self) -> None:
        """Longer after each pass in a row that came to nothing: its calls are paid for by everybody else's."""
        self._failures += 1
        await self._desk.sleep(self._desk.backoff(self._failures, ceiling_s=FAILED_S))

    async def _rest(self, wait_s: float) -> None:
        """Wait, but no longer than until work begins to wait for slots."""
        desk = self._desk
        end = desk.clock.monotonic() + wait_s
        while (left := end - desk.clock.monotonic()) > 0:
            if await desk.wake.reconcile.wait(left if self._waiting else min(left, WATCH_S)):
                return
            if not self._waiting and await self._keys_waited_for():
                return

    async def _wait_s(self) -> float:
        """Until the next pass; 0: now."""
        desk = self._desk
        if (rest := desk.calls.rest_s()) > 0:
            return rest
        live, oldest = await desk.store.running_summary(desk.lane)
        desk.reads_idle = live == 0
        wants_to_create = bool(desk.queue_keys)
        if (self._first and not self._denials) or not desk.slots_known:
            return 0.0 if live > 0 or wants_to_create else IDLE_S
        waiting = await self._keys_waited_for()
        self._waiting = bool(waiting)
        age_s = None if oldest is None else desk.aws_now() - oldest
        next_s = self._cadence.next_pass(
            active=live > 0 or bool(waiting),
            waiting=bool(waiting),
            oldest_s=age_s,
            durations=[desk.learned.durations[key] for key in waiting if key in desk.learned.durations],
        )
        return IDLE_S if next_s is None else self._last_pass_at + next_s - desk.clock.monotonic()

    async def _keys_waited_for(self) -> Sequence[str]:
        """Quota keys in which work waits and no slot is free."""
        desk = self._desk
        full = [key for key in desk.queue_keys if desk.learned.slots.free((key,)) == 0]
        # While a key is full nobody looks whether its queue has become empty.
        waiting = frozenset(await desk.store.queue_keys(desk.lane)) if full else frozenset()
        return [key for key in full if key in waiting]

    # One pass

    async def _pass(self) -> None:
        desk = self._desk
        try:
            await self._one_pass()
        except DeniedError as error:
            await self._do_without_list(error)
        except (PassExpiredError, PageError) as error:
            desk.log.info("a pass over List is begun again", reason=str(error))
            await self._back_off()
        except ScopeUnavailableError:
            return
        except AwsError as error:
            if desk.draining:
                return
            desk.log.warning("a pass over List failed", error=error.message)
            await desk.sleep(desk.backoff(2))

    async def _do_without_list(self, error: DeniedError) -> None:
        desk = self._desk
        desk.log.warning(
            "List is denied: jobs are read one by one, and foreign jobs are not counted", error=error.message
        )
        await self._get_all()
        if desk.learned.unproven:  # only List shows what an earlier store created; it must not be created again
            await self._pause(f"{UNLISTED}, whose permission is missing: {error.message}")
            await desk.sleep(UNLISTED_S)
            return
        self._denials += 1
        if self._first and self._denials < DENIALS_BELIEVED:  # it would also show what was made after a backup
            await desk.sleep(DENIED_AGAIN_S)
            return
        desk.slots_known = True
        desk.wake.dispatch.set()

    async def _pause(self, reason: str) -> None:
        desk = self._desk
        async with desk.lock():
            if not desk.paused:
                event = desk.lane_event("paused", {"reason": reason})
                await desk.commit_locked((), events=(event,), paused=True, pause_reason=reason)

    async def _resume_listed(self) -> None:
        desk = self._desk
        async with desk.lock():
            if desk.paused and desk.record.pause_reason.startswith(UNLISTED):
                event = desk.lane_event("resumed", {"reason": "List has shown what an earlier store created"})
                await desk.commit_locked((), events=(event,), paused=False)

    async def _one_pass(self) -> None:
        desk = self._desk
        current = _Pass(began_at=desk.aws_now())
        await self._take_snapshot(current.before)
        scan = choose(desk.kind, await self._facts(current.before), self._counted)
        self._list_wanted = False
        if scan.plan is Plan.GETS:
            await self._get_all()
        else:
            if not await self._scan(scan, current):
                # The window was longer than anybody knew; it is counted now.
                current.foreign.clear()
                scan = choose(desk.kind, await self._facts(current.before), self._counted)
                await self._scan(replace(scan, pages_max=None), current)
            await self._look_again(scan, current)
        await self._close(scan, current)

    async def _take_snapshot(self, snapshot: Snapshot) -> None:
        after = 0
        while jobs := await self._desk.store.running_briefly(self._desk.lane, after, BRIEFS):
            snapshot.add(jobs)
            after = jobs[-1].job_id

    async def _facts(self, snapshot: Snapshot) -> PlanFacts:
        desk = self._desk
        ours = snapshot.ours(YOUNG_SLACK_S)
        _, oldest = await desk.store.running_summary(desk.lane)
        after = oldest
        if self._first:  # a restored store does not know what was made since it was written
            moments = (await desk.store.oldest_open(desk.lane), oldest, desk.learned.alive_at)
            after = min((moment for moment in moments if moment is not None), default=None)
        return PlanFacts(
            live=len(snapshot),
            oldest=None if after is None else after - WINDOW_SLACK_S,
            now=desk.aws_now(),
            everything=desk.learned.unproven or self._list_wanted,
            first=self._first,
            slots=not desk.slots_known or (bool(await self._keys_waited_for()) and self._slots_stale()),
            ours=ours,
        )

    def _slots_stale(self) -> bool:
        """Foreign jobs hold slots that ours wait for, or nobody has looked for long."""
        slots = self._desk.learned.slots
        foreign = any(slots.used(key) > slots.ours(key) for key in self._desk.queue_keys)
        return foreign or self._since_full >= FULL_PASS_EVERY

    async def _scan(self, scan: Scan, current: _Pass) -> bool:
        """Read what the scan says; False: its window is longer than it may be, and was not read to its end."""
        now = current.began_at
        if scan.plan is Plan.EVERYTHING or scan.after is not None:
            whole, read, parts, back_to = await self._read(current, after=scan.after, pages_max=scan.pages_max)
            if scan.after is None:
                self._counted.count_everything(now, read)
            else:
                self._counted.count_window(scan.after if whole else back_to, now, parts)
            if not whole:
                return False
        for status in scan.statuses:
            _, read, _, _ = await self._read(current, status=status)
            self._counted.count_status(status, now, read)
        return True

    async def _read(
        self, current: _Pass, *, after: float | None = None, status: str | None = None, pages_max: int | None = None
    ) -> tuple[bool, int, float, float]:
        """Whether it was read to its end, its pages, the same with the last as a part of one, and how far back."""
        read, shown, fullest, back_to = 0, 0, 1, current.began_at
        page_size_max = self._desk.kind.listing.page_size_max if self._desk.kind.listing else 1
        reading = Reading()
        async with aclosing(pages(self._desk, after=after, status=status, reading=reading)) as found:
            async for page in found:
                read += 1
                fullest = max(fullest, len(page))
                shown += len(page)
                times = [observation.submitted_at for observation, _ in page if observation.submitted_at is not None]
                back_to = min([back_to, *times])
                if reading.without_id and (self._first or self._desk.learned.unproven):
                    raise PageError("an item without an id may be what an earlier store created")
                await self._compare(page, current)
                reach_s = max(1.0, current.began_at - back_to)
                # By the pages so far, the rest of the window is as long as this.
                if (
                    pages_max is not None
                    and after is not None
                    and reading.more
                    and read * (current.began_at - after) / reach_s > pages_max
                ):
                    return False, read, float(read), back_to
                del page, times  # before the next one is read: each is large
        # A page that another follows is full, however many AWS puts on one.
        return True, read, shown / (fullest if read > 1 else page_size_max), back_to

    async def _compare(self, page: Page, current: _Pass) -> None:
        mirrors = await compare(self._desk, page)
        for mirror in mirrors.values():
            current.before.mark(mirror.job_id)
        others = [pair for pair in page if pair[0].remote_id not in mirrors]
        if others:
            await self._others(others, current)

    # What is not ours, or not known to be

    async def _others(self, others: Page, current: _Pass) -> None:
        desk = self._desk
        # Whatever else the pass comes to: those shown as ended hold no slot, and whoever waits for one may go on now.
        if desk.learned.slots.foreign_ended(
            [observation.remote_id for observation, _ in others if _ended(observation)]
        ):
            desk.wake.dispatch.set()
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
            named_as_ours = _NAME_OF_OURS.search(observation.name or "") is not None
            ours_by_name = named_as_ours and desk.can_own(observation.remote_id)
            if ours_by_name and observation.remote_id not in known and (self._first or desk.learned.unproven):
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
        same_token = observation.token in {None, attempt.token}  # not every answer shows it; the name is ours alone
        if not desk.can_own(observation.remote_id) or attempt.remote_name != observation.name:
            return None
        if not same_token or desk.kind.differs(job.spec or {}, body):
            return None
        return adopt(Step(job), observation, desk.context())

    def _count_foreign(self, observation: Observation, current: _Pass) -> None:
        if _ended(observation):
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

    async def _look_again(self, scan: Scan, current: _Pass) -> None:
        """Which of the jobs that ran before still run now, and were not shown?

        They are looked for where they were submitted, many a page, and those still not shown are read by Get.
        """
        desk = self._desk
        young = current.began_at - desk.settings.reconcile.list_lag_s
        after = 0
        while jobs := await desk.store.running_briefly(desk.lane, after, BRIEFS):
            after = jobs[-1].job_id
            missed = [job.job_id for job in jobs if current.before.missed(job.job_id)]
            for begin in range(0, len(missed), BATCH):
                await self._look_for(missed[begin : begin + BATCH], scan, young)

    async def _look_for(self, missed: Sequence[int], scan: Scan, young: float) -> None:
        desk = self._desk
        jobs = list((await desk.load(missed)).values())
        left: Sequence[Job] = [job for job in jobs if job.todo is not Todo.GET]
        waiting = [job for job in jobs if job.todo is Todo.GET]
        if scan.statuses:  # by status, those that have ended are not shown; a window has shown them all
            left = await read_named(desk, left, self._counted)
        unseen = {job.id for job in left if _unseen(job, young)}
        if len(unseen) > FEW:  # a List that lags behind so many creates is no reason for a Get of each
            left = [job for job in left if job.id not in unseen]
        rules = [(job.id, partial(self._missed, young=young)) for job in (*left, *waiting)]
        if rules:
            await desk.apply(rules)

    def _missed(self, job: Job, young: float) -> Step | None:
        if job.phase not in AT_AWS or job.current is None:
            return None
        desk, now = self._desk, self._desk.aws_now()
        if not _unseen(job, young):
            return not_in_pass(job, now, desk.loss_policy)
        # What List need not show yet is not missing, but it may have ended before any pass came to it.
        return read_again(job, now) if job.todo is not Todo.GET else None

    async def _get_all(self) -> None:
        """Every running job by Get: the cheapest way where few run among a long history."""
        desk = self._desk
        after = 0
        while mirrors := await desk.store.running(desk.lane, after, BATCH):
            after = mirrors[-1].job_id
            now = desk.aws_now()
            await desk.apply([(mirror.job_id, partial(look_now, now=now)) for mirror in mirrors])
            waiting = await desk.load([mirror.job_id for mirror in mirrors if mirror.todo is Todo.GET])
            # A Get alone ends nothing: what it did not find is looked for in List.
            self._list_wanted |= any(
                job.missing_since is not None and job.missing_passes < desk.loss_policy.passes
                for job in waiting.values()
            )

    async def _close(self, scan: Scan, current: _Pass) -> None:
        desk = self._desk
        desk.passes += 1
        desk.last_complete_pass_at = desk.clock.now()
        await self._keep_orphans(current)
        if self._first and not current.orphans and not desk.learned.unproven:
            desk.has_orphans = await desk.store.any_orphans(desk.lane)
        self._first, self._denials, self._failures = False, 0, 0
        desk.learned.alive_at = None
        if scan.everything and desk.learned.unproven:
            desk.learned.unproven = False
            await desk.write(LaneWrite(desk.lane, state=desk.learned.state()))
        if not desk.learned.unproven:
            await self._resume_listed()
        self._since_full += 1
        if scan.complete_for_slots:
            self._since_full = 0
            desk.learned.slots.foreign(current.foreign)
            desk.slots_known = True
        desk.wake.dispatch.set()


def _ended(observation: Observation) -> bool:
    return observation.standing in FINISHED or observation.standing is Standing.DELETING


def _unseen(job: Job, young: float) -> bool:
    """Whether List may still lag behind its create: no answer has ever shown it."""
    return job.remote_status is None and job.current is not None and job.current.created_at > young
