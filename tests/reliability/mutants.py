"""Mutants: planted bugs, each a patch made in a process of its own, and the cases of which one must catch it.

Invariant: a mutant that no case catches fails its test. The patches touch the product only in the process that is
forked for them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import aiobotocore.config

from controller.errors import AlreadyKnownError, AwsError, QuotaFullError, RefusedError, ThrottledError
from controller.kinds.kind import Kind
from controller.model import FailReason, Phase
from controller.simulator import Fault, LoseReply, OutcomeRule, Refuse
from controller.transitions.step import Step, end, settle
from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION
from tests.reliability.cases import CREATES, Case, one
from tests.reliability.learning import point_of
from tests.reliability.scenario import tagged
from tests.reliability.steps import Mode, Perturbation

# Whatever a mutant patches is Any: the patches do not keep to the signatures, and need not.
desk_module: Any = import_module("controller.desk")
learned_module: Any = import_module("controller.learned")
dispatch: Any = import_module("controller.dispatch")
intake: Any = import_module("controller.intake")
aws: Any = import_module("controller.kinds.aws")
prepared: Any = import_module("controller.kinds.prepared")
pages_module: Any = import_module("controller.pages")
publish: Any = import_module("controller.publish")
reconcile: Any = import_module("controller.reconcile")
resolve: Any = import_module("controller.resolve")
creating: Any = import_module("controller.transitions.creating")
running: Any = import_module("controller.transitions.running")
wanting: Any = import_module("controller.transitions.wanting")
upkeep: Any = import_module("controller.upkeep")
lane_writes: Any = import_module("controller.store.lane_writes")
DONE = {"one": ("succeeded", 1)}


@dataclass(frozen=True)
class Mutant:
    """A planted bug."""

    what: str
    plant: Callable[[], None]
    cases: Mapping[str, Case | Callable[[], Case]]
    """By the row that they belong to; a function where its step must be learned first."""


def lost(kind: str, **members: Any) -> Case:
    return Case(**{"documents": [one(kind)], "final": DONE, "script": {"one": Mode.LOST}, **members})


def crash(kind: str, step: str, occurrence: int, mode: Mode, **members: Any) -> Case:
    return Case(**{"documents": [one(kind)], "final": DONE, "plan": Perturbation(step, occurrence, mode), **members})


AFTER_CREATE = {"P3": crash(BATCH, f"aws.{CREATES[BATCH]}", 1, Mode.CRASH_AFTER)}
P6 = {"P6": lost(BATCH)}


def random_token() -> None:
    numbers = iter(range(10**6))
    kept = Kind.parameters

    def parameters(self: Kind, spec: Any, token: str, remote_name: str) -> dict[str, Any]:
        return kept(self, spec, f"{token[:-2]}x{next(numbers)}", remote_name)

    Kind.parameters = parameters  # type: ignore[method-assign]


def token_per_job() -> None:
    creating.make_token = lambda uid, _attempt: f"{uid}-1"


def acknowledge_first() -> None:
    kept = intake.Intake._process

    async def process(self: Any, source: Any, deliveries: Any, log: Any) -> Any:
        receive = self._receive_patiently

        async def nothing(*_: Any) -> None:
            return

        self._receive_patiently = nothing
        settled = await kept(self, source, deliveries, log)
        self._receive_patiently = receive
        judged = [await self._judge_delivery(delivery) for delivery in deliveries]
        await receive([item.entry for items in judged for item in items], log)
        return settled

    intake.Intake._process = process


def settle_before_send() -> None:
    async def send(self: Any, batch: Any) -> None:
        for waiting in batch:
            self._outgoing.settle(waiting.event)
        await self._record()
        await self._failpoint("sink.send:before")
        await self._sink.deliver([waiting.event for waiting in batch])
        await self._failpoint("sink.send:after")

    publish._SinkLoop._send = send


def short_scan_is_complete() -> None:
    kept = pages_module.pages

    async def first_page(desk: Any, **arguments: Any) -> Any:
        with suppress(pages_module.PageError):
            async for page in kept(desk, **arguments):
                yield page
                return

    reconcile.pages = resolve.pages = first_page


def known_is_refused() -> None:
    kept = aws._meaning

    def meaning(*arguments: Any) -> type[AwsError]:
        found = kept(*arguments)
        return RefusedError if found is AlreadyKnownError else found

    aws._meaning = meaning


def absence_at_once() -> None:
    def missed(job: Any, context: Any, *_: Any) -> Step:
        return settle(end(Step(job), Phase.FAILED, context.now, FailReason.LOST, "gone"), context)

    upkeep.get_missed = missed


def catch_all() -> None:
    """Whatever goes wrong with a create counts as a refusal."""
    kept = aws.AwsClients._send

    async def send(self: Any, *arguments: Any) -> Any:
        try:
            return await kept(self, *arguments)
        except Exception as error:
            raise RefusedError(str(error)) from error

    aws.AwsClients._send = send


def sdk_retries() -> None:
    """The SDK tries again, and so does what sends the prepared operations in its place."""

    def config(**arguments: Any) -> Any:
        return aiobotocore.config.AioConfig(**{**arguments, "retries": {"total_max_attempts": 3, "mode": "standard"}})

    kept = prepared.PreparedOperation.send

    async def send(self: Any, request: Any, transport: Any) -> Any:
        with suppress(Exception):
            return await kept(self, request, transport)
        return await kept(self, request, transport)

    aws.AioConfig = config
    prepared.PreparedOperation.send = send


def wall_clock_for_deadlines() -> None:
    """AWS's clock is taken to be this host's."""
    aws.AwsClients.aws_now = lambda self: self._clock.now()


def quota_fails_the_job() -> None:
    kept = creating.refused

    def refused(job: Any, error: AwsError, *rest: Any) -> Step:
        step: Step = kept(job, RefusedError(error.message) if isinstance(error, QuotaFullError) else error, *rest)
        return step

    dispatch.refused = refused


def no_bound_on_slots() -> None:
    learned_module.Learned.configured_slots = lambda *_: 10_000


def events_before_commit() -> None:
    kept = lane_writes.LaneWrites.commit

    async def commit(self: Any, record: Any, write: Any) -> Any:
        for place, event in enumerate(write.events, start=1):
            body = render_event(event, self._instance)
            with _events_file().open("ab") as file:
                file.write(body + b"\n")
            del place
        return await kept(self, record, write)

    lane_writes.LaneWrites.commit = commit


def render_event(event: Any, instance: str) -> bytes:
    from controller.events import render  # noqa: PLC0415 - only this mutant

    return render(event, instance)


_EVENTS: list[Any] = []


def _events_file() -> Any:
    return _EVENTS[0].events


def no_fencing() -> None:
    async def move(self: Any, transaction: Any) -> None:
        old, new = self._old, self._new
        text = transaction.statements.update(lane_writes.LANES, ["seq", "stream_sequence", "last_job"], ("lane",))
        await transaction.channel.change(text, (new.seq, new.stream_sequence, new.last_job, old.lane))

    lane_writes._Prepared._move = move


def throttle_clears_unknown() -> None:
    kept = creating.refused

    def refused(job: Any, error: AwsError, *rest: Any) -> Step:
        if isinstance(error, ThrottledError | RefusedError):
            job = Step(job).attempt(unknown=False).job
        step: Step = kept(job, error, *rest)
        return step

    dispatch.refused = refused


def name_without_attempt() -> None:
    kept = creating.make_remote_name
    creating.make_remote_name = lambda prefix, uid, _attempt, length: kept(prefix, uid, 1, length)
    token_per_job()


def pruning_forgets() -> None:
    async def pruned(self: Any, transaction: Any, jobs: Sequence[Any]) -> None:
        from controller.store.schema import ATTEMPTS, JOBS, LABELS  # noqa: PLC0415 - only this mutant

        del self
        for table, key in ((JOBS, "id"), (ATTEMPTS, "job_id"), (LABELS, "job_id")):
            await transaction.many(transaction.statements.delete(table, (key,)), [(job.id,) for job in jobs])

    lane_writes._Prepared._execute_pruned = pruned


def changed_spec_under_old_token() -> None:
    wanting._before_first_intent = lambda _job: True


def window_believed_for_slots() -> None:
    kept = reconcile.choose
    reconcile.choose = lambda *arguments: replace(kept(*arguments), complete_for_slots=True)


# Five more


def intent_after_the_call() -> None:
    """The intent is forgotten at the next start, as if it had been committed only with its outcome."""
    desk_module.found_at_start = lambda job, now: creating._wait(
        Step(job), creating.WaitReason.QUEUED, None, now, _context_of(job)
    ).attempt(ended_at=now)


def _context_of(job: Any) -> Any:
    from controller.kinds import KINDS  # noqa: PLC0415 - only this mutant
    from controller.transitions.step import Context  # noqa: PLC0415 - only this mutant

    return Context(KINDS[job.identity.kind], job.accepted_at, "matrix")


def silence_of_tags_is_proof() -> None:
    def not_tagged(job: Any, context: Any, *_: Any) -> Step:
        return settle(creating.new_attempt_wanted(Step(job), context.now, "retrying"), context)

    resolve.not_tagged = not_tagged


def deadline_needs_its_own_stop() -> None:
    """A stop whose answer was lost counts as somebody else's."""
    kept = running._conclude

    def conclude(step: Step, observation: Any, now: float) -> Step:
        if step.job.stop_sent_at is None:
            step = step.change(deadline_exceeded=False)
        concluded: Step = kept(step, observation, now)
        return concluded

    running._conclude = conclude


def named_job_is_not_read() -> None:
    """What a person named runs on unseen, for a kind without List."""
    kept = creating.adopt

    def adopt(*arguments: Any, **options: Any) -> Step:
        step: Step = kept(*arguments, **options)
        return step.change(todo=None)

    wanting.adopt = adopt


def publisher_skips_a_failed_batch() -> None:
    kept = publish._SinkLoop._settle

    def settle_all(self: Any, batch: Any, outcomes: Any) -> None:
        del outcomes
        kept(self, batch, [None] * len(batch))

    publish._SinkLoop._settle = settle_all


def _again(kind: str) -> Case:
    """A first try that fails, and a second one."""
    rule = OutcomeRule(name="one-*-1", times=1, status="Failed")
    return Case(
        [one(kind, retry={"attempts": 2, "backoffSeconds": 2})],
        {"one": ("succeeded", 2)},
        options={"rules": (rule,)},
    )


def _long(kind: str, **members: Any) -> Case:
    rule = OutcomeRule(durations={"InProgress": (1e6, 1e6)})
    return Case(
        **{
            "documents": [one(kind, deadlineSeconds=20)],
            "final": {"one": ("failed", 1)},
            "options": {"rules": (rule,)},
            **members,
        }
    )


def _many(kind: str, **members: Any) -> Case:
    documents = [tagged(kind, f"job-{number}", 0, generation=1) for number in range(5)]
    final = {str(document["name"]): ("succeeded", 1) for document in documents}
    return Case(**{"documents": documents, "final": final, **members})


def _old_replaced() -> Case:
    first = one(BATCH)
    changed = {
        **first,
        "generation": 2,
        "onSpecChange": "replace",
        "spec": {**first["spec"], "modelId": "amazon.nova-micro-v1:0"},
    }
    rule = OutcomeRule(name="one-*", times=1, durations={"InProgress": (1e6, 1e6)})
    return Case(
        [first],
        {"one": ("succeeded", 2)},
        options={"rules": (rule,)},
        prepare=lambda world: world.user.hand_over("then", lambda: world.user.is_made("one"), [changed]),
    )


def _pruned_then_again() -> Case:
    document = one(BATCH)

    def prepare(world: Any) -> None:
        ended: Callable[[], bool] = lambda: world.user.has_ended("one") and world.now() - world.user.jobs["one"].at > 60  # noqa: E731
        world.user.hand_over("again", ended, [document])

    return Case([document], DONE, prepare=prepare)


def _foreign_slots() -> Case:
    """Two of three slots are somebody else's, for long, and were taken long before."""

    def prepare(world: Any) -> None:
        parameters = {**one(BATCH)["spec"], "jobName": "theirs"}
        world.started(-7200.0)
        durations = world.simulator.options.durations
        world.simulator.configure(durations={**durations, BATCH: {**durations[BATCH], "InProgress": (7300, 7300)}})
        world.simulator.plant(BATCH, parameters, region="us-east-1", count=2)
        world.simulator.configure(durations=durations)
        world.started(0.0)

    documents = [tagged(BATCH, f"job-{number}", 0, generation=1) for number in range(3)]
    final = {str(document["name"]): ("succeeded", 1) for document in documents}
    limits = {"limits": {BATCH: {"jobs": {"*": 3}}}}
    return Case(
        documents, final, options={"enforce_quotas": False}, settings=limits, quotas={BATCH: 3}, prepare=prepare
    )


def _clock_jumps() -> Case:
    def prepare(world: Any) -> None:
        def jump() -> bool:
            if world.elapsed > 12:  # the deadline has been placed by then
                world.host_clock_wrong_s = 3600.0
            return False

        world.user.cut_when = jump

    options = {"durations": {BATCH: {"InProgress": (30, 30)}}}
    return Case([one(BATCH, deadlineSeconds=600)], DONE, options=options, prepare=prepare)


def _note_events(world: Any) -> None:
    _EVENTS[:] = [world]


def _two_owners() -> Case:
    """The lane is taken over by another owner while this one works."""

    def prepare(world: Any) -> None:
        import sqlite3  # noqa: PLC0415 - only this case

        done: list[bool] = []

        def take() -> bool:
            if not done and world.user.is_made("one"):
                done.append(True)
                with sqlite3.connect(world.store) as other:
                    other.execute(
                        "UPDATE lanes SET epoch = epoch + 1, seq = seq + 10 WHERE lane LIKE '%ModelInvocation%'"
                    )
                other.close()
            return False

        world.user.cut_when = take

    return Case([one(BATCH)], DONE, prepare=prepare, ends=("StoreError: another daemon took over", "ended"))


def _commit_of_an_event() -> Case:
    """The power fails before the commit that tells of the create."""
    case = Case([one(BATCH)], DONE)
    plan = point_of(case, CREATES[BATCH], "the first commit after the create", "before")
    return replace(case, plan=plan, prepare=_note_events)


def _sink_fails() -> Case:
    def prepare(_world: Any) -> None:
        from controller.sinks import Later  # noqa: PLC0415 - only this case
        from controller.sinks.file import FileSink  # noqa: PLC0415 - only this case

        kept = FileSink.deliver
        calls: list[int] = []

        async def deliver(self: Any, events: Any) -> Any:
            calls.append(len(events))
            if len(calls) == 3:
                return [Later("not now")] * len(events)
            return await kept(self, events)

        FileSink.deliver = deliver  # type: ignore[method-assign]

    return Case([one(BATCH)], DONE, prepare=prepare)


def _stale_pages() -> Case:
    documents = [tagged(PROMPT, f"job-{number}", number, generation=1) for number in range(5)]
    final = {str(document["name"]): ("succeeded", 1) for document in documents}
    return Case(
        documents,
        final,
        options={"page_size_max": 2, "repeated_token": "conflict"},
        script={f"job-{number}": Mode.LOST for number in range(5)},
        events={f"job-{number}": ["adopted", "-uncertain"] for number in range(5)},
    )


MUTANTS = {
    "random token per try": Mutant("random token per try", random_token, P6),
    "token per job": Mutant("token per job instead of per attempt", token_per_job, {"matrix: b-again": _again(BATCH)}),
    "acknowledge first": Mutant(
        "acknowledge before commit",
        acknowledge_first,
        {"P1": crash(BATCH, "queue.acknowledge", 1, Mode.CRASH_AFTER)},
    ),
    "settle before send": Mutant(
        "outbox row settled before the send",
        settle_before_send,
        {"P5": crash(BATCH, "sink.send", 2, Mode.CRASH_BEFORE)},
    ),
    "short scan": Mutant(
        "a short scan treated as complete", short_scan_is_complete, {"unknown: conflict": _stale_pages()}
    ),
    "already known": Mutant(
        "AlreadyExists not handled",
        known_is_refused,
        {"P6": lost(RECOMMENDATION, calls_max={"CreateBatchInferenceJob": 4})},
    ),
    "absence at once": Mutant(
        "absence believed at once",
        absence_at_once,
        {
            "P10": Case(
                [one(BLUEPRINT)], DONE, options={"get_lag_s": (30, 30)}, settings={"reconcile": {"list_lag_s": 60}}
            )
        },
    ),
    "catch-all": Mutant("catch-all except", catch_all, P6),
    "sdk retries": Mutant("SDK retries on", sdk_retries, {"P6": lost(BLUEPRINT)}),
    "wall clock": Mutant("wall clock for deadlines", wall_clock_for_deadlines, {"P23": _clock_jumps()}),
    "quota fails": Mutant(
        "quota error fails the job",
        quota_fails_the_job,
        {"P18": _many(BATCH, options={"quotas": {BATCH: {"*": 2}}})},
    ),
    "unbounded": Mutant(
        "unbounded gather",
        no_bound_on_slots,
        {
            "P18": _many(
                BATCH,
                options={"enforce_quotas": False},
                settings={"limits": {BATCH: {"jobs": {"*": 2}}}},
                quotas={BATCH: 2},
            )
        },
    ),
    "events first": Mutant(
        "events before commit",
        events_before_commit,
        {"P4": _commit_of_an_event},
    ),
    "no fencing": Mutant("no fencing", no_fencing, {"P40": _two_owners()}),
    "429 clears unknown": Mutant(
        "a 429 after a lost reply clears unknown",
        throttle_clears_unknown,
        {
            "P7": Case(
                [one(BATCH)],
                DONE,
                faults=[
                    Fault(effect=LoseReply(), operation=CREATES[BATCH]),
                    Fault(effect=Refuse(code="ValidationException", status=400), operation=CREATES[BATCH], skip=1),
                ],
            )
        },
    ),
    "name without attempt": Mutant(
        "a name match without the attempt", name_without_attempt, {"matrix: b-again": _again(BATCH)}
    ),
    "pruning forgets": Mutant(
        "pruning forgets the identity", pruning_forgets, {"matrix: 90-again": _pruned_then_again()}
    ),
    "changed spec": Mutant(
        "a changed spec under an old token", changed_spec_under_old_token, {"matrix: b-replace": _old_replaced()}
    ),
    "window for slots": Mutant(
        "a window pass believed for slots", window_believed_for_slots, {"P19": _foreign_slots()}
    ),
    "own: intent forgotten": Mutant("an intent found at start counts as not sent", intent_after_the_call, AFTER_CREATE),
    "own: silent tags": Mutant(
        "silence of the tagging API taken as proof",
        silence_of_tags_is_proof,
        {"unknown: tag": lost(BLUEPRINT, options={"tags_show_blueprint_optimizations": False})},
    ),
    "own: lost stop": Mutant(
        "a stop whose answer was lost counts as somebody else's",
        deadline_needs_its_own_stop,
        {
            "matrix: stop": _long(
                BATCH,
                plan=Perturbation("aws.StopModelInvocationJob", 1, Mode.CRASH_AFTER),
                data={"one": {"reason": "DeadlineExceeded"}},
            )
        },
    ),
    "own: named and forgotten": Mutant(
        "a remote job that a person named is not read",
        named_job_is_not_read,
        {
            "unknown: resolve": lost(
                BLUEPRINT,
                options={
                    "tags_show_blueprint_optimizations": False,
                    "durations": {BLUEPRINT: {"InProgress": (200, 200)}},
                },
            )
        },
    ),
    "own: batch skipped": Mutant(
        "a failed batch of events is skipped", publisher_skips_a_failed_batch, {"P34": _sink_fails()}
    ),
}
