"""Inbox -> jobs: applies documents and commands to the jobs of one lane, in the order of their arrival.

Invariant: an entry is consumed in the same commit as what it changed, so that it is applied once; a sender who waits
hears the verdict after that commit, never before. What a document changes is decided in `transitions.wanting`; which
entries wait for an answer of AWS, and those behind them, in `resolutions`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import orjson

from controller.desk import AT_ONCE, Desk, wait_for_store
from controller.documents import from_json
from controller.events import Event
from controller.limits import is_spent
from controller.model import Identity, Job, Observation, Phase, Stub, Todo
from controller.pieces import InPieces
from controller.resolutions import Ready, Resolutions, arguments_of
from controller.store import DeadLetter, Entry, EntryType
from controller.transitions.step import Step
from controller.transitions.wanting import (
    Answer,
    Resolution,
    Verdict,
    apply_document,
    command_delete,
    command_resolve,
    command_retry,
    command_stop,
)

IDLE_S: Final = 60.0


class Orders:
    """The inbox of one lane."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._resolutions = Resolutions(desk)

    async def run(self) -> None:
        """Apply what arrives until the desk drains; whatever is left then waits in the store."""
        desk = self._desk
        while not desk.draining:
            idle_s = 0.0

            async def step() -> bool:
                nonlocal idle_s
                ready = await self._resolutions.look_up(await desk.store.inbox(desk.lane, AT_ONCE))
                if ready.entries:
                    await self._apply(ready)
                else:
                    idle_s = IDLE_S if ready.again_s is None else min(IDLE_S, ready.again_s)
                return True

            if await wait_for_store(desk, step) and idle_s:
                await desk.wake.inbox.wait(idle_s)

    async def _apply(self, ready: Ready) -> None:
        desk, entries = self._desk, ready.entries
        async with desk.lock():
            batch = _Batch(desk, await self._known(entries), await self._unless_taken(ready.shown))
            async for piece in InPieces(entries):
                for entry in piece:
                    batch.add(entry, self._turned(batch.judge(entry), batch.known(entry.name)))
            await desk.commit_locked(
                batch.decided(),
                consumed=[entry.id for entry in entries],
                events=batch.events,
                dead_letters=batch.dead_letters,
                paused=batch.paused,
                pause_reason=batch.pause_reason,
            )
        for entry_id, verdict, uid in batch.verdicts:
            desk.announce(entry_id, verdict.answer, verdict.message, uid)
        if batch.paused is False:
            desk.wake.dispatch.set()

    async def _known(self, entries: Sequence[Entry]) -> Mapping[str, Job | Stub]:
        desk = self._desk
        known = dict(await desk.store.jobs_named(desk.lane, list({entry.name for entry in entries if entry.name})))
        for name, record in known.items():
            if isinstance(record, Job) and record.id in desk.in_flight:
                known[name] = desk.in_flight[record.id]
        return known

    def _turned(self, verdict: Verdict, known: Job | Stub | None) -> Verdict:
        """Give a job that begins to wait, or to wait elsewhere, its place among the groups."""
        step = verdict.step
        if step is not None and isinstance(known, Job) and _same_place(known, step.job):
            return verdict
        if step is None or step.job.phase is not Phase.PENDING or step.job.attempt:
            return verdict
        if step.job.todo not in {Todo.CREATE, Todo.DELAY}:
            return verdict
        return replace(verdict, step=step.change(turn=self._desk.turn_of(step.job)))

    async def _unless_taken(self, shown: Mapping[int, Observation | str]) -> Mapping[int, Observation | str]:
        """While holding the lock: a remote id belongs to one attempt, and a person may name that of another."""
        named = [each.remote_id for each in shown.values() if isinstance(each, Observation)]
        taken = await self._desk.store.remote_ids_known(self._desk.lane, named) if named else frozenset()
        return {
            entry: _taken(each) if isinstance(each, Observation) and each.remote_id in taken else each
            for entry, each in shown.items()
        }


class _Batch:
    """Entries of one commit; a later entry sees what an earlier one did."""

    def __init__(self, desk: Desk, known: Mapping[str, Job | Stub], shown: Mapping[int, Observation | str]) -> None:
        self._desk = desk
        self._before = known
        self._now: dict[str, Job | Stub] = dict(known)
        self._steps: dict[str, Step] = {}
        self._shown = shown
        self._named: set[str] = set()
        self.verdicts: list[tuple[int, Verdict, str | None]] = []
        self.events: list[Event] = []
        self.dead_letters: list[DeadLetter] = []
        self.paused: bool | None = None
        self.pause_reason = ""

    def decided(self) -> list[tuple[Job | None, Step]]:
        decided: list[tuple[Job | None, Step]] = []
        for name, step in self._steps.items():
            before = self._before.get(name)
            decided.append((before if isinstance(before, Job) else None, step))
        return decided

    def known(self, name: str) -> Job | Stub | None:
        """The job as the entries so far have left it."""
        return self._now.get(name)

    def judge(self, entry: Entry) -> Verdict:
        desk = self._desk
        known = self._now.get(entry.name)
        if entry.type is EntryType.DOCUMENT:
            return apply_document(known, from_json(orjson.loads(entry.body)), desk.context())
        if entry.type in {EntryType.PAUSE, EntryType.RESUME}:
            return self._pause(entry)
        if not isinstance(known, Job):
            gone = "it has ended and was pruned" if isinstance(known, Stub) else "no such job"
            return Verdict(Answer.REJECTED, gone)
        return self._command(entry, known)

    def _command(self, entry: Entry, job: Job) -> Verdict:
        context = self._desk.context()
        if entry.type is EntryType.STOP:
            return command_stop(job, context)
        if entry.type is EntryType.DELETE:
            return command_delete(job, context)
        if entry.type is EntryType.RETRY:
            return command_retry(job, context)
        arguments = arguments_of(entry)
        observation = self._shown.get(entry.id)
        if isinstance(observation, str):
            return Verdict(Answer.REJECTED, observation)
        if observation is not None and observation.remote_id in self._named:
            return Verdict(Answer.REJECTED, _taken(observation))
        resolution = Resolution(
            observation=observation, retry=arguments.get("retry") is True, fail=arguments.get("fail") is True
        )
        if [resolution.observation is not None, resolution.retry, resolution.fail].count(True) != 1:
            return Verdict(Answer.REJECTED, "say exactly one of remoteId, retry and fail")
        verdict = command_resolve(job, resolution, context)
        if observation is not None and verdict.answer is Answer.ACCEPTED:
            self._named.add(observation.remote_id)
        return verdict

    def _pause(self, entry: Entry) -> Verdict:
        pause = entry.type is EntryType.PAUSE
        paused_now = self._desk.paused if self.paused is None else self.paused
        why = self._desk.record.pause_reason if self.paused is None else self.pause_reason
        if pause == paused_now and not (pause and is_spent(why)):  # the guard's own pause ends by itself
            return Verdict(Answer.UNCHANGED, "paused already" if pause else "not paused")
        reason = str(arguments_of(entry).get("reason") or "by command")[:500]
        self.paused, self.pause_reason = pause, reason if pause else ""
        event = self._desk.lane_event("paused" if pause else "resumed", {"reason": reason})
        self.events.append(replace(event, sequence=event.sequence + len(self.events)))
        return Verdict(Answer.ACCEPTED, "paused" if pause else "resumed")

    def add(self, entry: Entry, verdict: Verdict) -> None:
        """Keep a verdict, and what it changes for the entries after it."""
        known = self._now.get(entry.name)
        step = verdict.step
        if verdict.answer is Answer.REJECTED and entry.type is EntryType.DOCUMENT and isinstance(known, Job):
            step = self._reject(entry, verdict, known)
        elif verdict.answer is Answer.REJECTED and entry.type is EntryType.DOCUMENT:
            self._dead_letter(entry, verdict)
        uid = known.uid if known is not None else None
        if step is not None:
            uid = step.job.uid
            earlier = self._steps.get(entry.name)
            happenings = (*earlier.happenings, *step.happenings) if earlier else step.happenings
            self._steps[entry.name] = Step(step.job, happenings)
            self._now[entry.name] = step.job
        self.verdicts.append((entry.id, verdict, uid))

    def _reject(self, entry: Entry, verdict: Verdict, job: Job) -> Step:
        """A refused document leaves its job alone, with an event of the job's own stream."""
        self._dead_letter(entry, verdict)
        return Step(job).refuse_document(
            {"source": entry.source, "reason": verdict.message, "problems": [verdict.message]}
        )

    def _dead_letter(self, entry: Entry, verdict: Verdict) -> None:
        identity = Identity(self._desk.scope, self._desk.kind.name, entry.name)
        self.dead_letters.append(
            DeadLetter(
                what="document",
                source=entry.source,
                subject=str(identity),
                reason=verdict.message,
                body=entry.body,
                at=self._desk.clock.now(),
            )
        )


def _taken(observation: Observation) -> str:
    return f"{observation.remote_id} belongs to another job already"


def _same_place(before: Job, after: Job) -> bool:
    was, now = before.wishes, after.wishes
    return before.uid == after.uid and (was.priority, was.group) == (now.priority, now.group)
