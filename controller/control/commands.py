"""Commands: to one job, to many, to lanes.

Invariant: a command goes the way of a document: durable in the inbox of its lane, applied by the lane's owner, its
verdict heard after the commit. Nothing here writes a job. A bulk command reads bounded pages, and its dry run is judged
by the rules that the lane's owner applies.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from controller.control.answers import View, command_view, tally, verdict_members
from controller.control.jobs import Jobs
from controller.intake import Intake
from controller.kinds import Kind
from controller.model import Identity, Job, Phase
from controller.seams import Clock
from controller.store import EntryType, NewEntry, Selection, Store
from controller.transitions.step import Context
from controller.transitions.wanting import (
    Resolution,
    Verdict,
    command_delete,
    command_resolve,
    command_retry,
    command_stop,
)
from controller.verdicts import Verdicts

JOB_COMMANDS: Final = frozenset({EntryType.STOP, EntryType.DELETE, EntryType.RETRY, EntryType.RESOLVE})
PAGE: Final = 200


class Commands:
    """Sends commands through the inbox."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        verdicts: Verdicts,
        *,
        jobs: Jobs,
        kinds: Mapping[str, Kind],
        clock: Clock,
    ) -> None:
        self._store = store
        self._intake = intake
        self._verdicts = verdicts
        self._jobs = jobs
        self._kinds = kinds
        self._clock = clock

    async def one(
        self, type_: EntryType, identity: Identity, arguments: Mapping[str, Any], *, wait_s: float, source: str
    ) -> View:
        """Command one job.

        Raises:
            NotFoundError: there is no such job, and no document that could be one is on its way.
        """
        job = await self._store.find_job(identity)
        if job is None and (await self._store.find_stub(identity) or not await self._store.inbox_size()):
            raise await self._jobs.missing(identity)
        (view,) = await self._send(type_, [identity], arguments, wait_s=wait_s, source=source)
        if job is None and view["answer"] == "rejected" and view["uid"] is None:
            raise await self._jobs.missing(identity)
        return view

    async def many(
        self,
        type_: EntryType,
        selection: Selection,
        arguments: Mapping[str, Any],
        *,
        after: str | None,
        limit: int,
        wait_s: float,
        source: str,
    ) -> View:
        """Command the jobs of a selection, at most `limit` of them; `next` continues."""
        views: list[View] = []
        deadline = self._clock.monotonic() + wait_s
        cursor = after
        while True:
            jobs, cursor = await self._meant(type_, selection, cursor, min(PAGE, limit - len(views)))
            left_s = max(0.0, deadline - self._clock.monotonic())
            identities = [job.identity for job in jobs]
            views += await self._send(type_, identities, arguments, wait_s=left_s, source=source)
            if cursor is None or len(views) >= limit:
                return _bulk(views, cursor, dry_run=False)

    async def many_dry(
        self,
        type_: EntryType,
        selection: Selection,
        arguments: Mapping[str, Any],
        *,
        after: str | None,
        limit: int,
        instance: str,
    ) -> View:
        """What `many` would answer, by what the store holds now."""
        views: list[View] = []
        cursor = after
        while True:
            jobs, cursor = await self._meant(type_, selection, cursor, min(PAGE, limit - len(views)))
            for job in jobs:
                context = Context(self._kinds[job.identity.kind], self._clock.now(), instance)
                verdict = _judge(type_, job, arguments, context)
                members = {"answer": verdict.answer.value, "message": verdict.message, "uid": job.uid}
                views.append(command_view(job.identity, None, members))
            if cursor is None or len(views) >= limit:
                return _bulk(views, cursor, dry_run=True)

    async def _meant(
        self, type_: EntryType, selection: Selection, after: str | None, limit: int
    ) -> tuple[Sequence[Job], str | None]:
        """Jobs of a selection; a retry of those with a reason means none that has been deleted since."""
        jobs, cursor = await self._jobs.chosen(selection, after, limit)
        if type_ is EntryType.RETRY and selection.reasons and Phase.DELETED not in selection.phases:
            jobs = [job for job in jobs if job.phase is not Phase.DELETED]
        return jobs, cursor

    async def lanes(
        self, type_: EntryType, lanes: Sequence[str], reason: str, *, wait_s: float, source: str
    ) -> list[View]:
        """Pause or resume lanes."""
        body = orjson.dumps({"reason": reason})
        entries = [NewEntry(lane, type_, "", body, source) for lane in lanes]
        ids = await self._intake.order(entries)
        verdicts = await self._verdicts.wait(ids, wait_s)
        return [
            {"lane": lane, "inboxId": id_, **_without_uid(verdict_members(verdicts.get(id_)))}
            for lane, id_ in zip(lanes, ids, strict=True)
        ]

    async def _send(
        self,
        type_: EntryType,
        identities: Sequence[Identity],
        arguments: Mapping[str, Any],
        *,
        wait_s: float,
        source: str,
    ) -> list[View]:
        body = orjson.dumps(dict(arguments))
        entries = [NewEntry(identity.lane, type_, identity.name, body, source) for identity in identities]
        ids = await self._intake.order(entries) if entries else []
        verdicts = await self._verdicts.wait(ids, wait_s)
        return [
            command_view(identity, id_, verdict_members(verdicts.get(id_)))
            for identity, id_ in zip(identities, ids, strict=True)
        ]


def _without_uid(members: View) -> View:
    return {name: value for name, value in members.items() if name != "uid"}


_JUDGES: Final[Mapping[EntryType, Callable[[Job, Context], Verdict]]] = {
    EntryType.STOP: command_stop,
    EntryType.DELETE: command_delete,
    EntryType.RETRY: command_retry,
}


def _judge(type_: EntryType, job: Job, arguments: Mapping[str, Any], context: Context) -> Verdict:
    if type_ in _JUDGES:
        return _JUDGES[type_](job, context)
    resolution = Resolution(retry=arguments.get("retry") is True, fail=arguments.get("fail") is True)
    return command_resolve(job, resolution, context)


def _bulk(views: list[View], cursor: str | None, *, dry_run: bool) -> View:
    return {"items": views, "counts": tally(views), "dryRun": dry_run, "next": cursor}
