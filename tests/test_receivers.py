"""How many receive at once: the arithmetic, and a queue that fills and empties."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
import pytest

from controller.queues.opening import open_source
from controller.receivers import HELD_BYTES_MAX, IDLE, Receivers
from controller.seams import SystemClock
from controller.settings import QueueSettings
from controller.store import Store
from tests.moto_peer import Forward, boto, proxying, running_moto
from tests.test_intake import document, encoded, intake_of, opened_store, send

MOST = 6


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running_moto(monkeypatch) as url:
        yield url


def test_they_grow_by_full_answers_up_to_the_most_and_shrink_by_empty_ones() -> None:
    receivers = Receivers(MOST)
    with receivers.polling():
        assert not receivers.joined(full=False)
        assert [receivers.joined(full=True) for _ in range(MOST)] == [True] * (MOST - IDLE) + [False] * IDLE
    assert [receivers.left(empty=True) for _ in range(MOST)] == [True] * (MOST - IDLE) + [False] * IDLE
    assert receivers.count == IDLE


def test_one_joins_where_nobody_listens() -> None:
    receivers = Receivers(MOST)
    assert receivers.joined(full=False)
    with receivers.polling():
        assert not receivers.joined(full=False)
    assert not receivers.left(empty=False)


def test_a_source_for_one_has_one() -> None:
    receivers = Receivers(1)
    assert receivers.count == 1
    assert not receivers.joined(full=True)
    assert not receivers.left(empty=True)


def test_much_in_hand_stops_the_growth_and_sends_others_home() -> None:
    receivers = Receivers(MOST)
    with ExitStack() as hands:
        assert receivers.joined(full=True)
        hands.enter_context(receivers.holding(HELD_BYTES_MAX))
        assert not receivers.joined(full=True)
        assert receivers.left(empty=False)
        assert not receivers.left(empty=False)
    assert receivers.joined(full=True)


@dataclass
class Polls:
    """Long polls that are out, and the most that were so far."""

    now: int = 0
    most: int = 0
    sizes: list[int] = field(default_factory=list)

    async def count(self, operation: str, body: bytes, forward: Forward) -> tuple[int, bytes]:
        if operation != "ReceiveMessage":
            return await forward(body)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            status, content = await forward(body)
        finally:
            self.now -= 1
        self.sizes.append(len(json.loads(content).get("Messages", [])))
        return status, content


async def test_a_full_queue_is_read_by_many_and_an_empty_one_by_two(
    tmp_path: Path, peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = boto("sqs", peer).create_queue(QueueName="documents")["QueueUrl"]
    send(peer, url, [encoded(document(f"n{number}")) for number in range(120)])
    polls = Polls()
    settings = QueueSettings(receivers=MOST, wait_s=1)
    async with (
        opened_store(tmp_path) as store,
        proxying(peer, polls.count, monkeypatch),
        open_source(f"sqs:{url}", settings, clock=SystemClock(), chance=Random(1)) as source,
        anyio.create_task_group() as running,
    ):
        intake = intake_of(store)
        with anyio.fail_after(60):
            await running.start(intake.run, source)
            while intake.status()[source.name].accepted < 120 or intake.idle_polls(source.name) < MOST + IDLE:
                await anyio.sleep(0.01)
            assert IDLE < polls.most <= MOST
            await _only_two_poll(polls)
        running.cancel_scope.cancel()
        assert await _known(store) == {f"n{number}" for number in range(120)}


async def _only_two_poll(polls: Polls) -> None:
    """Over two long polls each: whoever was to leave has left."""
    polls.most = 0
    begun = len(polls.sizes)
    while len(polls.sizes) < begun + 2 * IDLE:
        await anyio.sleep(0.01)
    assert polls.most <= IDLE


async def _known(store: Store) -> set[str]:
    lane = "default/bedrock.ModelInvocationJob"
    return {entry.name for entry in await store.inbox(lane, 1000)}
