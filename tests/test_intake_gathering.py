"""Many senders and one store: who shares a write, and what a cancellation or a failure costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest

from controller.errors import StoreUnavailableError
from controller.gathering import ENTRIES_MAX, GatheringInbox
from controller.seams import SystemClock
from controller.store import EntryType, NewEntry


def entries(*names: str) -> list[NewEntry]:
    return [NewEntry("default/k", EntryType.DOCUMENT, name, b"{}", "test") for name in names]


@dataclass
class SlowInbox:
    """An inbox whose writes end when they are let go."""

    written: list[list[str]] = field(default_factory=list)
    begun: int = 0
    gate: anyio.Event = field(default_factory=anyio.Event)
    fails: bool = False

    async def receive(self, entries: Sequence[NewEntry], now: float) -> Sequence[int]:
        del now
        self.begun += 1
        await self.gate.wait()
        if self.fails:
            raise StoreUnavailableError("full")
        first = sum(map(len, self.written))
        self.written.append([entry.name for entry in entries])
        return range(first, first + len(entries))

    async def inbox_size(self) -> int:
        return sum(map(len, self.written))


async def begun(inbox: SlowInbox, count: int) -> None:
    with anyio.fail_after(5):
        while inbox.begun < count:
            await anyio.lowlevel.checkpoint()


async def test_who_comes_during_a_write_shares_the_next_one() -> None:
    inbox, ids = SlowInbox(), dict[str, Sequence[int]]()
    gathering = GatheringInbox(inbox, SystemClock())

    async def send(*names: str) -> None:
        ids[names[0]] = await gathering.receive(entries(*names))

    async with anyio.create_task_group() as senders:
        senders.start_soon(send, "a")
        await begun(inbox, 1)
        for names in (["b"], ["c", "d"], ["e"]):
            senders.start_soon(send, *names)
        await anyio.wait_all_tasks_blocked()
        inbox.gate.set()
    assert inbox.written == [["a"], ["b", "c", "d", "e"]]
    assert ids == {"a": [0], "b": [1], "c": [2, 3], "e": [4]}


async def test_a_write_is_bounded() -> None:
    inbox = SlowInbox()
    inbox.gate.set()
    gathering = GatheringInbox(inbox, SystemClock())
    async with anyio.create_task_group() as senders:
        for _ in range(3):
            senders.start_soon(gathering.receive, entries(*["x"] * (ENTRIES_MAX // 2 + 1)))
    assert [len(names) for names in inbox.written] == [ENTRIES_MAX // 2 + 1] * 3


async def test_a_failure_is_told_to_all_who_shared_the_write() -> None:
    inbox = SlowInbox(fails=True)
    gathering = GatheringInbox(inbox, SystemClock())
    failed: list[str] = []

    async def send(name: str) -> None:
        try:
            await gathering.receive(entries(name))
        except StoreUnavailableError:
            failed.append(name)

    async with anyio.create_task_group() as senders:
        for name in "abc":
            senders.start_soon(send, name)
        await anyio.wait_all_tasks_blocked()
        inbox.gate.set()
    assert sorted(failed) == ["a", "b", "c"]
    inbox.fails = False
    assert len(await gathering.receive(entries("d"))) == 1


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_a_sender_that_is_cancelled_takes_nobody_with_it(who: int) -> None:
    """The first is writing for itself, the second writes next for all who wait, the third only waits."""
    inbox, done = SlowInbox(), set[int]()
    gathering = GatheringInbox(inbox, SystemClock())
    scopes = [anyio.CancelScope() for _ in range(4)]

    async def send(place: int) -> None:
        with scopes[place]:
            await gathering.receive(entries(str(place)))
            done.add(place)

    async with anyio.create_task_group() as senders:
        for place in range(4):
            senders.start_soon(send, place)
            await anyio.wait_all_tasks_blocked()
        scopes[who].cancel()
        await anyio.wait_all_tasks_blocked()
        inbox.gate.set()
    assert done == {0, 1, 2, 3} - {who}
    written = [name for names in inbox.written for name in names]
    assert sorted(written) == sorted(str(place) for place in done)


async def test_a_writer_that_is_cancelled_leaves_the_others_to_the_next() -> None:
    inbox, done = SlowInbox(), set[str]()
    gathering = GatheringInbox(inbox, SystemClock())
    writer = anyio.CancelScope()

    async def send(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await gathering.receive(entries(name))
            done.add(name)

    async with anyio.create_task_group() as senders:
        senders.start_soon(send, "a", anyio.CancelScope())
        await begun(inbox, 1)
        senders.start_soon(send, "b", writer)
        senders.start_soon(send, "c", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        gate, inbox.gate = inbox.gate, anyio.Event()
        gate.set()
        await begun(inbox, 2)
        writer.cancel()
        await anyio.wait_all_tasks_blocked()
        inbox.gate.set()
    assert done == {"a", "c"}
    assert "c" in [name for names in inbox.written for name in names]
