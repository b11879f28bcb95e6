"""Publishing from a real store to real sinks."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import orjson
import pytest
from structlog.testing import capture_logs

from controller import publish
from controller.errors import NotFoundError
from controller.events import Event
from controller.publish import Publisher
from controller.seams import Clock, Failpoint, SystemClock, no_failpoint
from controller.settings import EventSettings
from controller.sinks.opening import open_subscriptions
from controller.store import LaneRecord, LaneWrite, Store
from controller.store.opening import open_store
from tests.sinks.webhook_receiver import HANG, RESET, Receiver, answer, receiving

CREATED, RUNNING = "ferryman.job.created", "ferryman.job.running"


class CrashError(Exception):
    """The process ends here."""


@asynccontextmanager
async def opened_store(tmp_path: Path, failpoint: Failpoint = no_failpoint) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path / 'ferryman.db'}"
    async with open_store(url, clock=SystemClock(), failpoint=failpoint, lock_wait_s=5) as store:
        yield store


class Lane:
    """Writes events, as the owner of a lane does."""

    def __init__(self, store: Store, name: str = "default/k") -> None:
        self._store = store
        self._name = name
        self._record: LaneRecord | None = None
        self._sequences: Counter[str] = Counter()

    async def write(self, *jobs: str, type_: str = CREATED, at: float | None = None) -> list[str]:
        """One event for each job named; returns their ids."""
        if self._record is None:
            self._record = await self._store.take_lane(self._name)
        events = [self._event(job, type_, SystemClock().now() if at is None else at) for job in jobs]
        self._record = await self._store.commit(self._record, LaneWrite(lane=self._name, events=events))
        return [event.id for event in events]

    def _event(self, job: str, type_: str, at: float) -> Event:
        self._sequences[job] += 1
        stream = f"{self._name.replace('/', '-')}-{job}"
        return Event(type_, stream, self._sequences[job], f"{self._name}/{job}", at, {"name": job})


@asynccontextmanager
async def publishing(
    store: Store,
    *sinks: str | dict[str, Any],
    failpoint: Failpoint = no_failpoint,
    clock: Clock | None = None,
    **settings: Any,
) -> AsyncIterator[Publisher]:
    events = EventSettings.model_validate({"sinks": list(sinks)} | settings)
    clock = clock or SystemClock()
    async with open_subscriptions(events, clock=clock) as subscriptions:
        publisher = Publisher(store, subscriptions, events, clock=clock, failpoint=failpoint, chance=Random(1))
        async with anyio.create_task_group() as running:
            await running.start(publisher.run)
            with anyio.fail_after(30):
                yield publisher
            running.cancel_scope.cancel()


class CreepingClock(SystemClock):
    """A clock that has gone on whenever it is looked at."""

    def __init__(self) -> None:
        self._at = 0.0

    def monotonic(self) -> float:
        self._at += 0.007
        return self._at


async def until(fact: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not fact():
            await anyio.sleep(0.005)


def in_file(path: Path) -> list[str]:
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()]


def posted(receiver: Receiver) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.requests]


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"url": f"webhook:{receiver.url()}", "allow_private": True} | more


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BACKOFF_S", 0.01)
    monkeypatch.setattr(publish, "BACKOFF_MAX_S", 0.05)
    monkeypatch.setattr(publish, "LOOK_S", 1000.0)


async def test_events_arrive_once_each_in_order_and_not_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store:
        lane = Lane(store)
        ids = await lane.write(*"abcab")
        async with publishing(store, f"file:{path}") as publisher:
            ids += await lane.write(*"cc")
            assert await publisher.drain(10)
        ids += await lane.write("d")
        async with publishing(store, f"file:{path}") as publisher:
            assert await publisher.drain(10)
    assert in_file(path) == ids


async def test_a_wake_delivers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store, publishing(store, f"file:{path}") as publisher:
        lane = Lane(store)
        await lane.write("a")
        publisher.wake()
        await until(lambda: len(in_file(path)) == 1)
        await lane.write("b")
        publisher.wake()
        await until(lambda: len(in_file(path)) == 2)


async def test_a_sink_receives_only_the_types_it_wants(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store:
        lane = Lane(store)
        await lane.write(*"abc")
        wanted = await lane.write(*"ab", type_=RUNNING)
        sink = {"url": f"file:{path}", "types": ["ferryman.job.run*"]}
        async with publishing(store, sink) as publisher:
            assert await publisher.drain(10)
            assert publisher.status()[0].depth == 0
    assert in_file(path) == wanted


async def test_only_the_lanes_of_this_process_are_published(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store:
        mine = await Lane(store, "default/mine").write(*"ab")
        await Lane(store, "default/other").write(*"cd")
        events = EventSettings.model_validate({"sinks": [f"file:{path}"]})
        async with open_subscriptions(events, clock=SystemClock()) as subscriptions:
            publisher = Publisher(
                store,
                subscriptions,
                events,
                clock=SystemClock(),
                failpoint=no_failpoint,
                chance=Random(1),
                owns=lambda lane: lane == "default/mine",
            )
            async with anyio.create_task_group() as running:
                running.start_soon(publisher.run)
                assert await publisher.drain(10)
    assert in_file(path) == mine


@pytest.mark.parametrize("failing", [pytest.param(HANG, id="hangs"), pytest.param(answer(500), id="fails")])
async def test_a_dead_sink_delays_only_itself(tmp_path: Path, failing: bytes) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store, receiving(failing) as receiver:
        lane = Lane(store)
        async with publishing(store, hook(receiver), f"file:{path}") as publisher:
            ids = await lane.write(*"abcdef")
            publisher.wake()
            with anyio.fail_after(3):
                await until(lambda: publisher.status()[1].delivered == 6)
            dead, healthy = publisher.status()
            assert (dead.delivered, dead.depth) == (0, 6)
            assert (healthy.delivered, healthy.dead_lettered) == (6, 0)
    assert in_file(path) == ids


async def test_a_sink_that_comes_back_receives_everything_in_order(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(RESET) as receiver:
        lane = Lane(store)
        ids = await lane.write(*(f"job-{number}" for number in range(40)))
        async with publishing(store, hook(receiver)) as publisher:
            await until(lambda: publisher.status()[0].failures >= 3)
            failed = len(receiver.requests)
            receiver.answers[:] = [answer(200)]
            await until(lambda: publisher.status()[0].depth == 0)
            assert publisher.status()[0].delivered == 40
        assert failed < 16 + 10 * 3
        delivered = posted(receiver)[failed:]
        assert sorted(delivered) == sorted(ids)


async def test_events_of_a_job_arrive_in_order_whatever_fails(tmp_path: Path) -> None:
    chance = Random(7)
    taken: dict[str, list[str]] = defaultdict(list)
    async with opened_store(tmp_path) as store:
        lane = Lane(store)
        ids = [id_ for _ in range(8) for id_ in await lane.write(*"abcde")]
        async with receiving(answer(200)) as receiver:
            receiver.answers[:] = [
                chance.choice([answer(200), answer(200), answer(500), RESET]) for _ in range(300)
            ] + [answer(200)]
            order = list(receiver.answers)
            async with publishing(store, hook(receiver)) as publisher:
                await until(lambda: publisher.status()[0].delivered == 40)
                assert await publisher.drain(5)
            for request, reply in zip(receiver.requests, order, strict=False):
                if reply == answer(200):
                    taken[orjson.loads(request.body)["subject"]].append(request.headers["webhook-id"])
    assert sorted(id_ for events in taken.values() for id_ in events) == sorted(ids)
    for events in taken.values():
        sequences = [int(id_.rpartition("-")[2]) for id_ in events]
        assert sequences == sorted(sequences)


async def test_what_comes_due_between_two_looks_at_the_clock_is_not_slept_over(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(*[answer(500)] * 60, answer(200)) as receiver:
        await Lane(store).write(*"abc")
        async with publishing(store, hook(receiver), clock=CreepingClock()) as publisher:
            await until(lambda: publisher.status()[0].delivered == 3)


async def test_an_event_refused_for_good_is_kept_and_skipped(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(answer(413), answer(200)) as receiver:
        ids = await Lane(store).write(*"ab")
        async with publishing(store, hook(receiver)) as publisher:
            assert await publisher.drain(10)
            status = publisher.status()[0]
            assert (status.delivered, status.dead_lettered, status.depth) == (1, 1, 0)
        (letter,) = await store.list_dead_letters(0, 10)
    assert (letter.what, letter.source) == ("event", status.name)
    assert "413" in letter.reason
    assert orjson.loads(letter.body)["id"] in ids


async def test_a_receiver_that_is_gone_gets_nothing_more_until_it_is_let_go_on(tmp_path: Path) -> None:
    """What is committed meanwhile waits for it, and is neither lost nor one dead letter each."""
    async with opened_store(tmp_path) as store, receiving(answer(410), answer(410), answer(200)) as receiver:
        lane = Lane(store)
        ids = await lane.write("a")
        async with publishing(store, hook(receiver)) as publisher:
            with capture_logs() as logs:
                await until(lambda: publisher.status()[0].disabled)
                ids += await lane.write(*"aba")
                assert not await publisher.drain(10)
            assert [log["event"] for log in logs] == ["publish.disabled"]
            status = publisher.status()[0]
            assert (status.dead_lettered, status.delivered, status.depth) == (0, 0, 4)
            assert "410" in status.problem
        assert len(receiver.requests) == 1
        async with publishing(store, hook(receiver)) as publisher:  # a start asks again
            await until(lambda: publisher.status()[0].disabled)
            assert publisher.resume(publisher.status()[0].name)
            assert not publisher.resume(publisher.status()[0].name)
            with pytest.raises(NotFoundError, match="no sink of this daemon; its sinks are "):
                publisher.resume("webhook:elsewhere")
            await until(lambda: publisher.status()[0].depth == 0)
            assert not publisher.status()[0].disabled
        assert await store.list_dead_letters(0, 10) == []
    asked, delivered = posted(receiver)[:2], posted(receiver)[2:]
    assert set(asked) <= set(ids)
    assert [id_ for id_ in delivered if "-a-" in id_] == [id_ for id_ in ids if "-a-" in id_]
    assert sorted(delivered) == sorted(ids)


async def test_what_becomes_too_old_for_a_disabled_sink_is_a_dead_letter_as_for_any_other(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(answer(410)) as receiver:
        await Lane(store).write(*"ab", at=SystemClock().now() - 1000)
        async with publishing(store, hook(receiver), age_max_s=500) as publisher:
            await until(lambda: publisher.status()[0].dead_lettered == 2)
            assert await publisher.drain(10)
        letters = await store.list_dead_letters(0, 10)
    assert len(receiver.requests) == 2
    assert all("410" in letter.reason for letter in letters)


@pytest.mark.parametrize(
    ("reply", "dead_letters"),
    [
        pytest.param(answer(500), 40, id="old and failing"),
        pytest.param(answer(200), 0, id="old and never tried"),
    ],
)
async def test_what_is_too_old_is_given_up_once_it_has_failed(tmp_path: Path, reply: bytes, dead_letters: int) -> None:
    async with opened_store(tmp_path) as store, receiving(reply) as receiver:
        await Lane(store).write(*(f"j{number}" for number in range(40)), at=SystemClock().now() - 1000)
        async with publishing(store, hook(receiver), age_max_s=500) as publisher:
            await until(lambda: publisher.status()[0].delivered + publisher.status()[0].dead_lettered == 40)
            assert await publisher.drain(5)
        assert len(await store.list_dead_letters(0, 100)) == dead_letters


async def test_what_is_young_is_tried_on(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(answer(500)) as receiver:
        await Lane(store).write("a")
        async with publishing(store, hook(receiver), age_max_s=500) as publisher:
            await until(lambda: len(receiver.requests) >= 5)
            assert publisher.status()[0].dead_lettered == 0
        assert len(set(posted(receiver))) == 1


def crash_at(step: str, times: int = 1) -> Failpoint:
    left = times

    async def failpoint(reached: str) -> None:
        nonlocal left
        await anyio.lowlevel.checkpoint()
        if reached == step:
            left -= 1
            if left == 0:
                raise CrashError

    return failpoint


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param("sink.send:before", [1, 1, 1], id="before the send: once"),
        pytest.param("sink.send:after", [2, 2, 2], id="after the send: again, with the same id"),
    ],
)
async def test_a_crash_around_the_send(tmp_path: Path, step: str, expected: list[int]) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store:
        ids = await Lane(store).write(*"abc")
        with pytest.raises(BaseExceptionGroup) as crashed:
            async with publishing(store, f"file:{path}", failpoint=crash_at(step)) as publisher:
                await publisher.drain(10)
        assert crashed.group_contains(CrashError)
    async with opened_store(tmp_path) as store, publishing(store, f"file:{path}") as publisher:
        assert await publisher.drain(10)
    counts = Counter(in_file(path))
    assert [counts[id_] for id_ in ids] == expected


async def test_a_stop_records_what_was_delivered(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store:
        ids = await Lane(store).write(*"abcde")
        async with publishing(store, f"file:{path}") as publisher:
            await until(lambda: publisher.status()[0].delivered == 5)
        async with publishing(store, f"file:{path}") as publisher:
            assert await publisher.drain(10)
    assert in_file(path) == ids


async def test_a_stop_records_what_was_delivered_a_moment_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "RECORD_S", 1000.0)
    async with opened_store(tmp_path) as store, receiving(answer(200), answer(200), HANG) as receiver:
        ids = await Lane(store).write(*"aaa")
        async with publishing(store, hook(receiver)):
            await until(lambda: len(receiver.requests) == 3)
        receiver.answers[:] = [answer(200)]
        async with publishing(store, hook(receiver)) as publisher:
            assert await publisher.drain(10)
        assert posted(receiver) == [*ids, ids[2]]


async def test_draining_does_not_wait_for_a_sink_that_fails(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(answer(500)) as receiver:
        await Lane(store).write("a")
        async with publishing(store, hook(receiver)) as publisher:
            await until(lambda: bool(receiver.requests))
            with anyio.fail_after(5):
                assert not await publisher.drain(4)


async def test_draining_ends_at_its_deadline(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(HANG) as receiver:
        await Lane(store).write("a")
        async with publishing(store, hook(receiver)) as publisher:
            await until(lambda: bool(receiver.requests))
            with anyio.fail_after(3):
                assert not await publisher.drain(0.3)


async def test_a_receiver_that_asks_for_time_is_left_alone_for_so_long(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store, receiving(answer(429, "retry-after: 1"), answer(200)) as receiver:
        await Lane(store).write("a")
        async with publishing(store, hook(receiver)) as publisher:
            await until(lambda: bool(receiver.requests))
            begun = anyio.current_time()
            await until(lambda: len(receiver.requests) == 2)
            assert anyio.current_time() - begun >= 0.9
            assert await publisher.drain(5)


async def test_many_lanes_and_many_events_are_caught_up_with(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with opened_store(tmp_path) as store:
        ids: dict[str, Sequence[str]] = {}
        for name in "xyz":
            ids[name] = await Lane(store, f"default/{name}").write(*(f"j{number % 50}" for number in range(1000)))
        async with publishing(store, f"file:{path}") as publisher:
            assert await publisher.drain(20)
    delivered = in_file(path)
    assert len(delivered) == 3000
    for name in "xyz":
        assert [id_ for id_ in delivered if id_.startswith(f"default-{name}")] == ids[name]
