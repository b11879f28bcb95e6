"""Unknown creates: learns what became of them.

Invariant: an unknown create is sent again only with its own token or unique name, and only while that is trusted or
after two complete scans have shown that it is absent; what is found is adopted only where name or token and parameters
agree. What the answers mean is decided in `transitions.creating`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import anyio

from controller.desk import Desk, Rule, wait_for_store
from controller.dispatch import Dispatcher, find_tagged
from controller.errors import AwsError
from controller.kinds.kind import Kind
from controller.model import Attempt, Job, Observation, Phase, Todo
from controller.pages import WINDOW_SLACK_S, PageError, Reading, pages
from controller.transitions.creating import (
    Resolving,
    adopt,
    name_taken,
    not_in_list,
    not_tagged,
    resolving,
    sending_again,
)
from controller.transitions.step import Step


class Resolver:
    """Handles the jobs of one lane whose `todo` is resolve."""

    def __init__(self, desk: Desk, dispatcher: Dispatcher) -> None:
        self._desk = desk
        self._dispatcher = dispatcher

    async def handle(self, jobs: Sequence[Job]) -> None:
        """Take one step for each job; every one of them ends with another `todo`, or a later due time."""
        chosen: dict[Resolving, list[Job]] = {way: [] for way in Resolving}
        for job in jobs:
            chosen[self._way(job)].append(job)
        async with anyio.create_task_group() as tasks:
            for job in chosen[Resolving.SEND_AGAIN]:
                tasks.start_soon(self._send_again, job)
            for job in chosen[Resolving.SEARCH_TAG]:
                tasks.start_soon(self._search_tag, job)
            if chosen[Resolving.SEARCH_LIST]:
                tasks.start_soon(self._search_list, chosen[Resolving.SEARCH_LIST])

    def _way(self, job: Job) -> Resolving:
        desk = self._desk
        way = resolving(job, desk.kind, desk.create_policy, desk.aws_now())
        # Who sends again may be the first to create it, and a paused lane creates nothing: two scans tell as well.
        return Resolving.SEARCH_LIST if way is Resolving.SEND_AGAIN and desk.paused else way

    async def _send_again(self, job: Job) -> None:
        """The same request once more; its outcome takes the way of every create."""
        desk = self._desk
        attempt = job.attempt_now
        if not await desk.calls.pace("create"):
            return
        # A store that is away must not end the others' calls, which run beside this one.
        if not await wait_for_store(desk, partial(self._intend_again, job, attempt)):
            return
        await self._dispatcher.record([await self._dispatcher.create(job, attempt)])

    async def _intend_again(self, job: Job, attempt: Attempt) -> bool:
        """Commit to sending once more; False where there is nothing to send any more."""
        desk = self._desk
        now = desk.aws_now()
        async with desk.lock():
            current = (await desk.load([job.id])).get(job.id)
            if current is None or not _still_unknown(current, attempt):
                return False
            with desk.departing([current]):
                await desk.commit_locked([(current, sending_again(current, now))])
        return True

    # Search by List

    async def _search_list(self, jobs: Sequence[Job]) -> None:
        """One complete scan for all of them, newest first, back to before the oldest was sent."""
        desk, kind = self._desk, self._desk.kind
        began_at = desk.aws_now()
        wanted = {job.attempt_now.remote_name: job for job in jobs}
        tokens = {job.attempt_now.token: job for job in jobs}
        oldest = min(job.attempt_now.created_at for job in jobs) - WINDOW_SLACK_S
        found: dict[int, tuple[Observation, Mapping[str, Any]]] = {}
        strange: set[int] = set()
        reading = Reading()
        try:
            async for page in pages(desk, after=oldest, reading=reading):
                for observation, body in page:
                    job = _match(kind, observation, tokens, wanted)
                    if job is None:
                        continue
                    if desk.can_own(observation.remote_id):
                        found[job.id] = (observation, body)
                    else:
                        strange.add(job.id)
        except (AwsError, PageError) as error:
            await self._search_again(jobs, str(error), tries=3)
            return
        # What carries our mark, or may be ours for all that can be read of it, is not absent.
        unclear = [job for job in jobs if job.id not in found and (job.id in strange or reading.without_id)]
        await self._search_again(unclear, "List shows a job of this name or token, or of none, without an id", tries=6)
        clear = [job for job in jobs if job not in unclear]
        await desk.apply([(job.id, self._found_or_not(job, found, began_at)) for job in clear])

    async def _search_again(self, jobs: Sequence[Job], message: str, *, tries: int) -> None:
        """The scan proves nothing about these: another one has to."""
        at = self._desk.aws_now() + self._desk.backoff(tries)
        await self._desk.apply([(job.id, partial(_again, at=at, message=message)) for job in jobs])

    def _found_or_not(
        self, job: Job, found: Mapping[int, tuple[Observation, Mapping[str, Any]]], began_at: float
    ) -> Rule:
        desk = self._desk
        attempt = job.attempt_now

        def rule(current: Job) -> Step | None:
            if not _still_unknown(current, attempt):
                return None
            if job.id not in found:
                return not_in_list(current, desk.context(), desk.create_policy, began_at)
            observation, body = found[job.id]
            differs = desk.kind.differs(current.spec or {}, body)
            if differs:
                text = f"a remote job of this name exists, with another {', '.join(differs)}"
                return name_taken(current, text, desk.context())
            return adopt(Step(current), observation, desk.context(), next_get_at=self._dispatcher.first_get_at(current))

        return rule

    # Search by tag

    async def _search_tag(self, job: Job) -> None:
        """Ask the tagging API for the mark that every request of such a kind carries."""
        desk = self._desk
        attempt = job.attempt_now
        remote_id: str | None = None
        try:
            remote_id = await find_tagged(desk, attempt.token)
        except AwsError as error:
            desk.log.warning("cannot search by tag", name=job.identity.name, error=error.message)
        await desk.apply([(job.id, partial(self._tagged_or_not, attempt=attempt, remote_id=remote_id))])

    def _tagged_or_not(self, job: Job, *, attempt: Attempt, remote_id: str | None) -> Step | None:
        desk = self._desk
        if not _still_unknown(job, attempt):
            return None
        if remote_id is None:
            tries = attempt.resolve_tries
            return not_tagged(job, desk.context(), desk.create_policy, desk.backoff(tries, base_s=5))
        seen = Observation(remote_id=remote_id, status="", standing=desk.kind.standing(""))
        return adopt(Step(job), seen, desk.context(), next_get_at=desk.aws_now())


def _still_unknown(job: Job, attempt: Attempt) -> bool:
    current = job.current
    return job.phase is Phase.CREATING and current is not None and current.token == attempt.token


def _again(job: Job, *, at: float, message: str) -> Step | None:
    return Step(job).change(todo=Todo.RESOLVE, due_at=at, message=message) if job.phase is Phase.CREATING else None


def _match(kind: Kind, observation: Observation, tokens: Mapping[str, Job], names: Mapping[str, Job]) -> Job | None:
    """By token where List shows it, else by our name."""
    if kind.members.token is not None and observation.token is not None:
        return tokens.get(observation.token)
    return names.get(observation.name or "")
