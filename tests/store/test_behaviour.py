"""The behaviour of a store: the law of the contract, over every database."""

from dataclasses import replace

import anyio
import asyncpg
import pytest

from controller.errors import FencedOutError, NotFoundError
from controller.events import Event
from controller.model import Desired, Job, Observation, Phase, Records, Standing, Stub, Todo, Wishes
from controller.store import DeadLetter, EntryType, JobChange, LaneWrite, NewEntry, RemoteIdTakenError, Selection
from tests.store.building import (
    KIND,
    LANE,
    OTHER_LANE,
    SCOPE,
    Place,
    attempt_of,
    change,
    ended,
    event_of,
    full,
    identity,
    insert,
    intended,
    opened,
    running,
    waiting,
)


def entry(name: str, lane: str = LANE) -> NewEntry:
    return NewEntry(lane, EntryType.DOCUMENT, name, b'{"name": "\xc3\xa4"}', "test")


# Inbox


async def test_entries_are_durable_and_keep_their_order(place: Place) -> None:
    async with opened(place) as store:
        first = await store.receive([entry("a"), entry("b"), entry("c", OTHER_LANE)], now=5.0)
        second = await store.receive([entry(f"n{n}") for n in range(30)], now=6.0)
        assert [*first, *second] == sorted([*first, *second])
        assert await store.receive([], now=7.0) == []
    async with opened(place) as store:
        assert [each.name for each in await store.inbox(LANE, 100)] == ["a", "b", *(f"n{n}" for n in range(30))]
        assert [each.name for each in await store.inbox(LANE, 2)] == ["a", "b"]
        oldest = (await store.inbox(LANE, 1))[0]
        assert (oldest.id, oldest.body, oldest.received_at) == (first[0], b'{"name": "\xc3\xa4"}', 5.0)
        assert await store.inbox_size() == 33


async def test_ids_of_consumed_entries_are_never_given_again(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        (last,) = await store.receive([entry("a")], now=5.0)
        await store.commit(record, LaneWrite(LANE, consumed=[last]))
        assert await store.inbox(LANE, 10) == []
    async with opened(place) as store:
        assert (await store.receive([entry("b")], now=6.0))[0] > last


# Ownership


async def test_a_new_owner_fences_out_the_earlier_one(place: Place) -> None:
    async with opened(place) as store:
        first = await store.take_lane(LANE)
        first, _ = await insert(store, first, [waiting("a")])
        second = await store.take_lane(LANE)
        assert second.epoch == first.epoch + 1
        assert (second.number, second.seq, second.last_job) == (first.number, first.seq, first.last_job)
        (received,) = await store.receive([entry("b")], now=5.0)
        with pytest.raises(FencedOutError):
            await store.commit(
                first,
                LaneWrite(
                    LANE,
                    changes=[JobChange(None, waiting("b"))],
                    events=[event_of(waiting("b"))],
                    consumed=[received],
                    dead_letters=[DeadLetter("document", "s", "x", "r", b"", 1.0)],
                    paused=True,
                ),
            )
        assert await store.find_job(identity("b")) is None
        assert await store.events_after(LANE, 0, 10) == []
        assert await store.inbox_size() == 1
        assert await store.list_dead_letters(0, 10) == []
        assert not (await store.lane_records())[0].paused
        await store.commit(second, LaneWrite(LANE, changes=[JobChange(None, waiting("b"))]))


async def test_a_record_that_is_not_the_latest_is_fenced_out(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        await store.commit(record, LaneWrite(LANE))
        with pytest.raises(FencedOutError):
            await store.commit(record, LaneWrite(LANE))


async def test_a_lane_remembers_its_state(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        record = await store.commit(record, LaneWrite(LANE, state={"rates": {"create": [1.5, None]}}))
        record = await store.commit(record, LaneWrite(LANE, paused=True, pause_reason="spent"))
        event = Event("ferryman.lane.paused", LANE, 1, LANE, 5.0, {})
        record = await store.commit(record, LaneWrite(LANE, events=[event]))
        assert (record.paused, record.pause_reason, record.stream_sequence) == (True, "spent", 1)
        other = await store.take_lane(OTHER_LANE)
    async with opened(place) as store:
        again = await store.take_lane(LANE)
        assert again == replace(record, epoch=record.epoch + 1)
        assert again.state == {"rates": {"create": [1.5, None]}}
        resumed = await store.commit(again, LaneWrite(LANE, paused=False))
        assert await store.lane_records() == [resumed, other]
        assert (resumed.paused, resumed.pause_reason) == (False, "")


# Commits


async def test_every_field_of_a_job_survives(place: Place) -> None:
    job = full("everything")
    async with opened(place) as store:
        _, (read,) = await insert(store, await store.take_lane(LANE), [job])
        assert read == replace(job, id=read.id)
        assert await store.find_job(job.identity) == read


async def test_a_change_writes_every_field(place: Place) -> None:
    async with opened(place) as store:
        record, (before,) = await insert(store, await store.take_lane(LANE), [waiting("a")])
        after = replace(full("a"), id=before.id)
        record = await change(store, record, (before, after))
        assert await store.jobs_by_id([before.id]) == [after]
        back = replace(before, incarnation=2, uid="another")
        await change(store, record, (after, back))
        assert await store.jobs_by_id([before.id]) == [back]


async def test_ids_are_allocated_by_lane_and_ascend(place: Place) -> None:
    async with opened(place) as store:
        record, jobs = await insert(store, await store.take_lane(LANE), [waiting("a"), waiting("b")])
        _, others = await insert(store, await store.take_lane(OTHER_LANE), [waiting("a", "other")])
        record, more = await insert(store, record, [waiting("c")])
        base = record.number * 2**40
        assert [job.id for job in [*jobs, *more]] == [base + 1, base + 2, base + 3]
        assert others[0].id >> 40 != record.number
        assert record.last_job == 3


async def test_events_have_the_sequence_of_their_lane(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        a, b = waiting("a"), waiting("b")
        record = await store.commit(record, LaneWrite(LANE))
        record = await store.commit(record, LaneWrite(LANE, events=[event_of(a), event_of(b)]))
        record = await store.commit(record, LaneWrite(LANE, events=[event_of(a, 2)]))
        events = await store.events_after(LANE, 0, 10)
        assert [(each.seq, each.id) for each in events] == [(2, f"{a.uid}-1"), (3, f"{b.uid}-1"), (4, f"{a.uid}-2")]
        assert record.seq == 4
        assert await store.events_after(LANE, 2, 1) == [events[1]]
        assert await store.lanes_with_events() == {LANE: 4}
        assert b'"name":"a"' in events[0].body


async def test_a_remote_id_belongs_to_one_attempt(place: Place) -> None:
    async with opened(place) as store:
        record, (a, b, c) = await insert(store, await store.take_lane(LANE), [waiting(n) for n in "abc"])
        record = await change(store, record, (a, running(a, "arn:a")))
        with pytest.raises(RemoteIdTakenError) as caught:
            await change(store, record, (c, running(c, "arn:c")), (b, running(b, "arn:a")))
        assert caught.value.remote_id == "arn:a"
        with pytest.raises(RemoteIdTakenError) as caught:
            await change(store, record, (b, running(b, "arn:b")), (c, running(c, "arn:b")))
        assert caught.value.remote_id == "arn:b"
        creating = intended(b)
        record = await change(store, record, (b, creating))
        with pytest.raises(RemoteIdTakenError):
            await change(store, record, (creating, running(creating, "arn:a")))
        assert await store.jobs_by_id([b.id, c.id]) == [creating, c]
        other, (d,) = await insert(store, await store.take_lane(OTHER_LANE), [waiting("d", "other")])
        await change(store, other, (d, running(d, "arn:a")))
        await change(store, record, (creating, running(creating, "arn:b")))


async def test_a_name_is_one_job_and_its_stub_gives_way(place: Place) -> None:
    async with opened(place) as store:
        record, (job,) = await insert(store, await store.take_lane(LANE), [waiting("a", generation=3)])
        done = ended(running(job, "arn:a", attempt=1))
        record = await change(store, record, (job, done))
        record = await store.commit(record, LaneWrite(LANE, pruned=[done]))
        assert await store.find_job(job.identity) is None
        stub = await store.find_stub(job.identity)
        assert isinstance(stub, Stub)
        assert (stub.uid, stub.generation, stub.attempt, stub.phase) == (job.uid, 3, 1, Phase.SUCCEEDED)
        assert await store.jobs_named(LANE, ["a", "nobody"]) == {"a": stub}
        assert await store.remote_ids_known(LANE, ["arn:a"]) == frozenset()
        record, (again,) = await insert(store, record, [waiting("a", incarnation=2)])
        assert again.id != job.id
        assert await store.find_stub(job.identity) is None
        assert await store.jobs_named(LANE, ["a"]) == {"a": again}


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(waiting("a"), id="waits"),
        pytest.param(ended(waiting("a"), desired=Desired.ABSENT), id="is to be deleted"),
        pytest.param(ended(waiting("a"), next_document=full("a").next_document), id="is to be replaced"),
    ],
)
async def test_a_job_with_more_to_do_is_not_pruned(place: Place, job: Job) -> None:
    async with opened(place) as store:
        record, (read,) = await insert(store, await store.take_lane(LANE), [job])
        assert await store.prunable(LANE, 1e12, 10) == []
        with pytest.raises(ValueError, match="must not be pruned"):
            await store.commit(record, LaneWrite(LANE, pruned=[read]))
        assert await store.find_job(job.identity) == read


async def test_attempts_are_of_the_present_incarnation(place: Place) -> None:
    async with opened(place) as store:
        record, (job,) = await insert(store, await store.take_lane(LANE), [waiting("a")])
        first = running(job, "arn:1")
        record = await change(store, record, (job, first))
        second = replace(waiting("a"), id=job.id, incarnation=2, uid="second")
        record = await change(store, record, (first, second))
        assert (await store.jobs_by_id([job.id]))[0].attempts == ()
        assert await store.mirrors(LANE, ["arn:1"]) == {}
        assert await store.remote_ids_known(LANE, ["arn:1", "arn:2"]) == {"arn:1"}
        third = running(second, "arn:2")
        await change(store, record, (second, third))
        assert (await store.jobs_by_id([job.id]))[0].attempts == third.attempts


async def test_a_value_that_no_column_holds_is_its_writers_error(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        with pytest.raises((OverflowError, asyncpg.DataError)):
            await insert(store, record, [waiting("a", generation=2**70)])
        _, (read,) = await insert(store, record, [waiting("a", generation=2**62)])
        assert read.generation == 2**62


# What a lane reads


async def test_the_queue_goes_by_priority_then_turn_then_age(place: Place) -> None:
    jobs = [
        waiting("young", turn=1),
        waiting("urgent", turn=9, priority=5),
        waiting("low", turn=0, priority=-5),
        waiting("early", turn=0, group="b"),
        waiting("younger", turn=1),
        waiting("elsewhere", turn=0, quota_keys=("other", "*")),
        waiting("delayed", turn=0, todo=Todo.DELAY),
        waiting("late group", turn=7, group="b"),
    ]
    async with opened(place) as store:
        record, read = await insert(store, await store.take_lane(LANE), jobs)
        heads = await store.queue_heads(LANE, "*", 10)
        order = ["urgent", "early", "young", "younger", "late group", "low"]
        assert [job.identity.name for job in heads] == order
        assert [job.identity.name for job in await store.queue_heads(LANE, "*", 2)] == order[:2]
        assert sorted(await store.queue_keys(LANE)) == ["*", "other"]
        assert await store.queue_keys(OTHER_LANE) == []
        assert sorted(await store.turns_waiting(LANE)) == [(-5, "", 0), (0, "", 1), (0, "b", 7), (5, "", 9)]
        by_name = {job.identity.name: job for job in read}
        positions = {name: await store.queue_position(by_name[name]) for name in by_name}
        assert positions["urgent"] == 0
        assert positions["low"] == 6
        assert (positions["early"], positions["young"], positions["younger"]) == (1, 3, 4)
        urgent = by_name["urgent"]
        await change(store, record, (urgent, intended(urgent)))
        assert (await store.queue_heads(LANE, "*", 1))[0].identity.name == "early"


async def test_things_to_do_come_when_due_the_longest_due_first(place: Place) -> None:
    jobs = [waiting(f"n{n}", todo=Todo.GET, due_at=float(due)) for n, due in enumerate([30, 10, 20])]
    async with opened(place) as store:
        await insert(store, await store.take_lane(LANE), [*jobs, waiting("x", todo=Todo.STOP, due_at=1.0)])
        assert [job.due_at for job in await store.jobs_to(LANE, Todo.GET, 20.0, 10)] == [10.0, 20.0]
        assert [job.due_at for job in await store.jobs_to(LANE, Todo.GET, 99.0, 1)] == [10.0]
        assert 10.0 not in [job.due_at for job in await store.jobs_to(LANE, Todo.GET, 99.0, 10, due_after=10.0)]
        assert await store.jobs_to(LANE, Todo.GET, 99.0, 10, due_after=10.0)
        assert await store.next_due(LANE, Todo.GET) == 10.0
        assert await store.next_due(LANE, Todo.DELETE) is None
        with pytest.raises(ValueError, match="queue_heads"):
            await store.jobs_to(LANE, Todo.CREATE, 1.0, 1)


async def test_what_runs(place: Place) -> None:
    async with opened(place) as store:
        names = ["a", "b", "c", "d", "e"]
        record, (a, b, c, d, e) = await insert(store, await store.take_lane(LANE), [waiting(n) for n in names])
        mirrored = Records(5, 1, 1, 0)
        changed = [
            running(a, "arn:a", records=mirrored, remote_status="InProgress", quota_keys=("x", "y")),
            running(b, "arn:b", phase=Phase.STOPPING, todo=Todo.GET),
            intended(c),
            ended(running(d, "arn:d")),
        ]
        await change(store, record, *zip([a, b, c, d], changed, strict=True))
        mirrors = await store.mirrors(LANE, ["arn:a", "arn:b", "arn:d", "arn:x"])
        assert set(mirrors) == {"arn:a", "arn:b", "arn:d"}
        assert (mirrors["arn:a"].job_id, mirrors["arn:a"].remote_status) == (a.id, "InProgress")
        assert mirrors["arn:a"].records == Records(5, 1, 1, 0)
        assert (mirrors["arn:b"].phase, mirrors["arn:b"].todo) == (Phase.STOPPING, Todo.GET)
        assert [mirror.remote_id for mirror in await store.running(LANE, 0, 10)] == ["arn:a", "arn:b"]
        assert [mirror.remote_id for mirror in await store.running(LANE, a.id, 10)] == ["arn:b"]
        assert [mirror.remote_id for mirror in await store.running(LANE, 0, 1)] == ["arn:a"]
        assert await store.running_summary(LANE) == (2, 2001.0)
        assert await store.running_summary(OTHER_LANE) == (0, None)
        assert sorted(await store.slots_taken(LANE)) == [(a.id, ("x", "y")), (b.id, ("*",)), (c.id, ("*",))]
        counts = await store.phase_counts(LANE)
        assert counts == dict.fromkeys((*(job.phase for job in changed), Phase.PENDING), 1)
        assert (LANE, Phase.PENDING, "Queued", 1) in await store.counts()
        assert await store.oldest_open(LANE) == e.accepted_at
        assert await store.oldest_open(OTHER_LANE) is None


async def test_open_intents_are_those_without_an_outcome(place: Place) -> None:
    async with opened(place) as store:
        record, (a, b, c, d) = await insert(store, await store.take_lane(LANE), [waiting(n) for n in "abcd"])
        retried = intended(replace(b, attempts=(attempt_of(b, 1, ended_at=5.0),), attempt=1))
        changed = [
            intended(a),
            replace(retried, phase=Phase.UNCERTAIN),
            running(c, "arn:c"),
            intended(d, phase=Phase.PENDING, todo=Todo.CREATE),
        ]
        await change(store, record, *zip([a, b, c, d], changed, strict=True))
        names = [attempt.remote_name for job in changed for attempt in job.attempts]
        assert await store.open_intents(LANE, names) == {
            changed[0].attempts[0].remote_name: a.id,
            changed[1].attempts[1].remote_name: b.id,
        }
        assert await store.interrupted(LANE, 10) == [changed[0]]


async def test_deadlines(place: Place) -> None:
    wishes = Wishes(deadline_s=60.0)
    jobs = [
        waiting("unplaced", wishes=wishes),
        waiting("late", wishes=wishes, deadline_at=20.0),
        waiting("later", wishes=wishes, deadline_at=10.0),
        waiting("in time", wishes=wishes, deadline_at=99.0),
        waiting("acted on", wishes=wishes, deadline_at=5.0, deadline_exceeded=True),
        ended(waiting("ended", wishes=wishes, deadline_at=5.0)),
        waiting("none"),
    ]
    async with opened(place) as store:
        await insert(store, await store.take_lane(LANE), jobs)
        assert await store.deadlines(LANE) == (True, 10.0)
        assert [job.identity.name for job in await store.overdue(LANE, 50.0, 10)] == ["later", "late"]
        assert [job.identity.name for job in await store.overdue(LANE, 50.0, 1)] == ["later"]
        assert [job.identity.name for job in await store.without_deadline(LANE, 10)] == ["unplaced"]


async def test_prunable_are_the_ended_the_oldest_first(place: Place) -> None:
    jobs = [
        ended(waiting("new"), at=900.0),
        ended(waiting("older"), at=100.0),
        ended(waiting("old"), Phase.FAILED, at=200.0),
        ended(waiting("gone"), Phase.DELETED, at=300.0, desired=Desired.ABSENT),
        waiting("open"),
    ]
    async with opened(place) as store:
        await insert(store, await store.take_lane(LANE), jobs)
        names = [job.identity.name for job in await store.prunable(LANE, 500.0, 10)]
        assert names == ["older", "old", "gone"]
        assert len(await store.prunable(LANE, 500.0, 2)) == 2


async def test_orphans_are_kept_until_they_have_an_attempt(place: Place) -> None:
    def seen(name: str | None, remote_id: str) -> Observation:
        return Observation(remote_id, "Completed", Standing.COMPLETED, name=name)

    async with opened(place) as store:
        record = await store.take_lane(LANE)
        assert not await store.any_orphans(LANE)
        orphans = [seen("a-1", "arn:1"), seen("b-1", "arn:2"), seen(None, "arn:3")]
        record = await store.commit(record, LaneWrite(LANE, orphans=orphans))
        record = await store.commit(record, LaneWrite(LANE, orphans=[seen("a-1", "arn:4")]))
        assert await store.any_orphans(LANE)
        assert await store.orphans(LANE, ["a-1", "b-1", "c-1"]) == {"a-1": "arn:4", "b-1": "arn:2"}
        await insert(store, record, [running(waiting("a"), "arn:4")])
        assert await store.prune(events_before=0, dead_letters_before=0, stubs_before=0, limit=10) == 1
        assert await store.orphans(LANE, ["a-1", "b-1"]) == {"b-1": "arn:2"}


async def test_orphans_of_pruned_jobs_are_not_kept(place: Place) -> None:
    """Neither those found before the job was pruned, nor those found again; another life of its name is another job."""

    def seen(name: str) -> Observation:
        return Observation(f"arn:{name}", "Completed", Standing.COMPLETED, name=name)

    job = ended(waiting("a-b"), at=1.0)
    mine, other, elsewhere = f"a-b-{job.uid[:8]}-2", "a-b-aaaaaaaa-1", f"b-{job.uid[:8]}-1"
    found = LaneWrite(LANE, orphans=[seen(mine), seen(other), seen(elsewhere)])
    async with opened(place) as store:
        record = await store.commit(await store.take_lane(LANE), found)
        assert set(await store.orphans(LANE, [mine, other, elsewhere])) == {mine, other, elsewhere}
        record, _ = await insert(store, record, [job])
        record = await store.commit(record, LaneWrite(LANE, pruned=await store.prunable(LANE, 500.0, 10)))
        await store.commit(record, found)
        assert set(await store.orphans(LANE, [mine, other, elsewhere])) == {other, elsewhere}


async def test_long_lists_of_names_and_ids(place: Place) -> None:
    async with opened(place) as store:
        _, jobs = await insert(store, await store.take_lane(LANE), [waiting(f"n{n:04}") for n in range(1100)])
        assert len(jobs) == 1100
        assert await store.jobs_by_id([job.id for job in jobs]) == jobs
        assert await store.jobs_by_id([]) == []
        assert await store.jobs_named(LANE, []) == {}


# Publishing


async def test_cursors_move_and_are_durable(place: Place) -> None:
    async with opened(place) as store:
        assert await store.cursors("log:") == {}
        await store.advance("log:", {LANE: 3, OTHER_LANE: 1})
        letter = DeadLetter("event", "log:", "s", "too old", b"{}", 9.0)
        await store.advance("log:", {LANE: 5}, [letter])
        await store.advance("file:x", {LANE: 1})
    async with opened(place) as store:
        assert await store.cursors("log:") == {LANE: 5, OTHER_LANE: 1}
        (kept,) = await store.list_dead_letters(0, 10)
        assert replace(kept, id=0) == letter
        await store.keep_sinks(["file:x"])
        assert (await store.cursors("log:"), await store.cursors("file:x")) == ({}, {LANE: 1})


async def test_events_wait_for_a_sink_that_has_never_taken_any(place: Place) -> None:
    job = waiting("a")
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        await store.commit(record, LaneWrite(LANE, events=[event_of(job, n, at=float(n)) for n in (1, 2)]))
        await store.advance("log:", {LANE: 2})
        for _ in range(2):
            await store.keep_sinks(["log:", "webhook:new"])
            await store.prune(events_before=9.0, dead_letters_before=0, stubs_before=0, limit=100)
            assert [each.seq for each in await store.events_after(LANE, 0, 10)] == [1, 2]
        assert (await store.cursors("webhook:new")).get(LANE, 0) == 0
        await store.advance("webhook:new", {LANE: 1, "controller": 3})
        await store.keep_sinks(["log:", "webhook:new"])
        assert await store.cursors("webhook:new") == {LANE: 1, "controller": 3}
        await store.prune(events_before=9.0, dead_letters_before=0, stubs_before=0, limit=100)
        assert [each.seq for each in await store.events_after(LANE, 0, 10)] == [2]


@pytest.mark.parametrize(
    ("cursors", "left"),
    [
        pytest.param({}, [4], id="no sinks: by age alone"),
        pytest.param({"a": {LANE: 2}}, [3, 4], id="not beyond a cursor"),
        pytest.param({"a": {LANE: 4}, "b": {LANE: 1}}, [2, 3, 4], id="the slowest sink counts"),
        pytest.param({"a": {LANE: 4}, "b": {OTHER_LANE: 9}}, [1, 2, 3, 4], id="a sink that has not begun this lane"),
        pytest.param({"a": {LANE: 4}}, [4], id="delivered, but young"),
    ],
)
async def test_events_go_when_old_and_delivered(
    place: Place, cursors: dict[str, dict[str, int]], left: list[int]
) -> None:
    job = waiting("a")
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        events = [event_of(job, n, at=float(n)) for n in (1, 2, 3, 4)]
        await store.commit(record, LaneWrite(LANE, events=events))
        for sink, at in cursors.items():
            await store.advance(sink, at)
        await store.prune(events_before=4.0, dead_letters_before=0, stubs_before=0, limit=100)
        assert [each.seq for each in await store.events_after(LANE, 0, 10)] == left


async def test_pruning_is_bounded(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        events = [event_of(waiting("a"), n) for n in range(1, 6)]
        letters = [DeadLetter("document", "s", "x", "r", b"", float(n)) for n in range(3)]
        record, jobs = await insert(store, record, [ended(waiting(n)) for n in "ab"])
        await store.commit(record, LaneWrite(LANE, events=events, dead_letters=letters, pruned=jobs))
        gone = [
            await store.prune(events_before=1e12, dead_letters_before=2.0, stubs_before=1e12, limit=4) for _ in range(4)
        ]
        assert gone == [4, 4, 1, 0]
        assert [letter.at for letter in await store.list_dead_letters(0, 10)] == [2.0]
        assert await store.find_stub(identity("a")) is None


# What people look at


async def test_lists_are_paged_newest_first(place: Place) -> None:
    async with opened(place) as store:
        await insert(store, await store.take_lane(LANE), [full("n0"), *(waiting(f"n{n}") for n in range(1, 7))])
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page, cursor = await store.list_jobs(Selection(), cursor, 3)
            seen.extend(job.identity.name for job in page)
            if cursor is None:
                break
        assert seen == [f"n{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
        assert len(page[0].attempts) == 2


async def test_a_list_is_newest_first_over_all_lanes_and_stays_so_while_jobs_come_and_change(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        other = await store.take_lane(OTHER_LANE)
        times = {"a": 10.0, "b": 10.25, "c": 30.0, "d": 40.5}
        record, ours = await insert(store, record, [replace(waiting(n), accepted_at=at) for n, at in times.items()])
        others = {"p": 10.25, "q": 20.0 + 2**-40, "r": 20.0, "s": 50.0}
        await insert(store, other, [replace(waiting(n, "other"), accepted_at=at) for n, at in others.items()])
        page, cursor = await store.list_jobs(Selection(), None, 3)
        assert [job.identity.name for job in page] == ["s", "d", "c"]
        a, b, *_ = ours
        record = await change(store, record, (b, ended(b)), (a, replace(a, reason="Backoff", todo=Todo.DELAY)))
        await insert(store, record, [replace(waiting("new"), accepted_at=60.0)])
        names: list[str] = []
        while cursor is not None:
            page, cursor = await store.list_jobs(Selection(), cursor, 1)
            names += [job.identity.name for job in page]
        assert names == ["q", "r", "p", "b", "a"]
        filtered, _ = await store.list_jobs(Selection(kind=KIND, text="a"), None, 3)
        assert [job.identity.name for job in filtered] == ["a"]


@pytest.mark.parametrize(
    "cursor", ["", "17", "7ff8000000000000-1", "fff0000000000000-1", "41da484f40c00000-", "41da484f40c00000-1\n"]
)
async def test_what_is_no_cursor_is_refused(sqlite_place: Place, cursor: str) -> None:
    async with opened(sqlite_place) as store:
        with pytest.raises(NotFoundError, match="not the cursor of a page"):
            await store.list_jobs(Selection(), cursor, 1)


SELECTIONS = [
    pytest.param(Selection(), {"a", "b", "c", "o"}, id="any"),
    pytest.param(Selection(scope=SCOPE), {"a", "b", "c"}, id="scope"),
    pytest.param(Selection(kind=KIND), {"a", "b", "c", "o"}, id="kind"),
    pytest.param(Selection(scope="other", kind=KIND), {"o"}, id="scope and kind"),
    pytest.param(Selection(name="a"), {"a"}, id="name"),
    pytest.param(Selection(phases=frozenset({Phase.SUCCEEDED, Phase.RUNNING})), {"b", "c"}, id="phases"),
    pytest.param(Selection(reasons=frozenset({"Queued"})), {"a", "o"}, id="reasons"),
    pytest.param(Selection(labels={"run": "x"}), {"a", "b"}, id="label"),
    pytest.param(Selection(labels={"run": "x", "team": "1"}), {"b"}, id="both labels"),
    pytest.param(Selection(labels={"run": "nothing"}), set(), id="no such label"),
    pytest.param(Selection(group="g"), {"c"}, id="group"),
    pytest.param(Selection(text="%"), set(), id="text is no pattern"),
    pytest.param(Selection(text="a"), {"a"}, id="text"),
    pytest.param(Selection(search="RN:B"), {"b"}, id="search of a remote id"),
    pytest.param(Selection(search="X"), {"a", "b"}, id="search of a label's value"),
    pytest.param(Selection(search="C"), {"c"}, id="search of a name"),
    pytest.param(Selection(search="_"), set(), id="search is no pattern"),
    pytest.param(Selection(search="x", phases=frozenset({Phase.RUNNING})), {"b"}, id="search and phase"),
]


@pytest.mark.parametrize(("selection", "names"), SELECTIONS)
async def test_selections(place: Place, selection: Selection, names: set[str]) -> None:
    async with opened(place) as store:
        jobs = [
            waiting("a", wishes=Wishes(labels={"run": "x"})),
            running(waiting("b", wishes=Wishes(labels={"run": "x", "team": "1"})), "arn:b"),
            ended(waiting("c", group="g")),
        ]
        await insert(store, await store.take_lane(LANE), jobs)
        await insert(store, await store.take_lane(OTHER_LANE), [waiting("o", "other")])
        found, _ = await store.list_jobs(selection, None, 10)
        assert {job.identity.name for job in found} == names
        assert await store.count_jobs(selection) == len(names)


async def test_labels_follow_the_document(place: Place) -> None:
    async with opened(place) as store:
        record, (a,) = await insert(
            store, await store.take_lane(LANE), [waiting("a", wishes=Wishes(labels={"x": "1"}))]
        )
        changed = replace(a, wishes=Wishes(labels={"y": "2"}))
        record = await change(store, record, (a, changed))
        assert await store.count_jobs(Selection(labels={"x": "1"})) == 0
        assert await store.count_jobs(Selection(labels={"y": "2"})) == 1
        done = ended(changed)
        record = await change(store, record, (changed, done))
        await store.commit(record, LaneWrite(LANE, pruned=[done]))
        record = await store.take_lane(LANE)
        await insert(store, record, [waiting("b")])
        assert await store.count_jobs(Selection(labels={"y": "2"})) == 0


async def test_events_are_read_by_cursor_and_subject(place: Place) -> None:
    async with opened(place) as store:
        a, o = waiting("a"), waiting("o", "other")
        for lane, job in ((LANE, a), (OTHER_LANE, o)):
            events = [event_of(job, n) for n in (1, 2, 3)]
            await store.commit(await store.take_lane(lane), LaneWrite(lane, events=events))
        first, cursor = await store.list_events({}, None, 4)
        assert [(each.lane, each.seq) for each in first] == [(LANE, 1), (LANE, 2), (LANE, 3), (OTHER_LANE, 1)]
        rest, cursor = await store.list_events(cursor, None, 4)
        assert [(each.lane, each.seq) for each in rest] == [(OTHER_LANE, 2), (OTHER_LANE, 3)]
        assert await store.list_events(cursor, None, 4) == ([], cursor)
        of_one, _ = await store.list_events({}, str(o.identity), 10)
        assert [each.lane for each in of_one] == [OTHER_LANE] * 3
        assert [each.seq for each in await store.last_events(str(a.identity), 2)] == [2, 3]


async def test_dead_letters_are_taken_once(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        letters = [DeadLetter("document", "dir:x", f"s{n}", "bad\x00 name", b"\x00\xff", 1.0) for n in range(3)]
        await store.commit(record, LaneWrite(LANE, dead_letters=letters))
        kept = await store.list_dead_letters(0, 10)
        assert [letter.subject for letter in kept] == ["s0", "s1", "s2"]
        assert (kept[0].body, kept[0].reason) == (b"\x00\xff", "bad\ufffd name")
        assert await store.list_dead_letters(kept[0].id, 1) == [kept[1]]
        assert await store.list_dead_letters(0, 2, newest=True) == [kept[2], kept[1]]
        assert await store.list_dead_letters(kept[1].id, 2, newest=True) == [kept[0]]
        taken = await store.take_dead_letters([kept[2].id, kept[0].id, 10**6])
        assert taken == [kept[0], kept[2]]
        assert await store.take_dead_letters([kept[0].id]) == []
        assert await store.list_dead_letters(0, 10) == [kept[1]]


async def test_texts_of_aws_that_no_database_takes_are_mended(place: Place) -> None:
    job = waiting("a", message="a\x00b \ud800", remote_status="odd\x00")
    async with opened(place) as store:
        _, (read,) = await insert(store, await store.take_lane(LANE), [job])
        assert (read.message, read.remote_status) == ("a\ufffdb ?", "odd\ufffd")


# The whole


async def test_facts_are_remembered(place: Place) -> None:
    async with opened(place) as store:
        await store.remember({"world": "real", "scope.default": "1 eu"})
        await store.remember({"world": "simulated"})
    async with opened(place) as store:
        facts = await store.facts()
        assert (facts["world"], facts["scope.default"]) == ("simulated", "1 eu")


async def test_it_says_that_it_can_be_written(place: Place) -> None:
    async with opened(place) as store:
        assert await store.writable()


async def test_reads_see_every_commit_that_has_returned(place: Place) -> None:
    async with opened(place) as store:
        record = await store.take_lane(LANE)
        for n in range(20):
            record = await store.commit(record, LaneWrite(LANE, changes=[JobChange(None, waiting(f"n{n}"))]))
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(_expects, store, n + 1)


async def _expects(store: object, count: int) -> None:
    assert await store.count_jobs(Selection()) == count  # type: ignore[attr-defined]  # a store
