"""Verdicts reach those who wait, those who come late, and nobody else; memory is bounded."""

import anyio

from controller.verdicts import Verdicts, VerdictView

LONG_S = 10.0


def said(number: int) -> VerdictView:
    return VerdictView("accepted", f"message {number}", f"uid{number}")


def announce(verdicts: Verdicts, *numbers: int) -> None:
    for number in numbers:
        verdicts.announce(number, "accepted", f"message {number}", f"uid{number}")


async def test_a_verdict_announced_before_the_wait_is_found_at_once() -> None:
    verdicts = Verdicts()
    announce(verdicts, 1, 2)
    with anyio.fail_after(1):
        assert await verdicts.wait([1, 2], LONG_S) == {1: said(1), 2: said(2)}
    assert await verdicts.wait([2], 0) == {2: said(2)}


async def test_a_wait_ends_with_the_last_missing_verdict() -> None:
    verdicts = Verdicts()
    announce(verdicts, 1)
    heard: list[object] = []

    async def wait() -> None:
        heard.append(await verdicts.wait([1, 2, 3], LONG_S))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        announce(verdicts, 3, 4)
        await anyio.wait_all_tasks_blocked()
        assert not heard
        announce(verdicts, 2)
    assert heard == [{1: said(1), 2: said(2), 3: said(3)}]


async def test_when_the_time_is_over_the_known_ones_are_returned() -> None:
    verdicts = Verdicts()
    announce(verdicts, 1)
    assert await verdicts.wait([1, 2], 0.01) == {1: said(1)}
    assert await verdicts.wait([], LONG_S) == {}
    assert not verdicts._waiting


async def test_one_who_gives_up_leaves_the_others_waiting() -> None:
    verdicts = Verdicts()
    heard: list[object] = []

    async def wait() -> None:
        heard.append(await verdicts.wait([1], LONG_S))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert await verdicts.wait([1], 0.01) == {}
        announce(verdicts, 1)
    assert heard == [{1: said(1)}]


async def test_the_oldest_are_forgotten_but_not_for_one_who_waits() -> None:
    verdicts = Verdicts(kept_max=2)
    announce(verdicts, 1, 2, 3)
    assert await verdicts.wait([1, 2, 3], 0) == {2: said(2), 3: said(3)}
    heard: list[object] = []

    async def wait() -> None:
        heard.append(await verdicts.wait([7, 8, 9, 10], LONG_S))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        announce(verdicts, 7, 8, 9, 10)
    assert heard == [{number: said(number) for number in (7, 8, 9, 10)}]


async def test_two_who_wait_for_one_entry_both_hear_it_and_nothing_is_left() -> None:
    verdicts = Verdicts()
    heard: list[object] = []

    async def wait(timeout_s: float) -> None:
        heard.append(await verdicts.wait([1, 2], timeout_s))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, LONG_S)
        tasks.start_soon(wait, LONG_S)
        with anyio.move_on_after(0.01):
            await wait(LONG_S)
        announce(verdicts, 1, 2)
    assert heard == [{1: said(1), 2: said(2)}] * 2
    assert not verdicts._waiting
