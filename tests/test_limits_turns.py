import heapq
from collections.abc import Sequence

import pytest

from controller.limits import LastTurns, Turns


class Queue:
    """The store's part: the waiting jobs in the order of the index, and each group's last turn."""

    def __init__(self, turns: Turns | None = None) -> None:
        self.turns = turns or Turns()
        self.waiting: list[tuple[int, int, int, str]] = []
        self.accepted = 0

    def accept(self, group: str, count: int = 1, priority: int = 0) -> None:
        lasts = [turn for other, turn, _, name in self.waiting if (-other, name) == (priority, group)]
        last = max(lasts, default=None)
        for _ in range(count):
            last = self.turns.tag(priority, last)
            heapq.heappush(self.waiting, (-priority, last, self.accepted, group))
            self.accepted += 1

    def serve(self, count: int = 1) -> str:
        served = []
        for _ in range(count):
            priority, turn, _, group = heapq.heappop(self.waiting)
            self.turns.served(-priority, turn)
            served.append(group)
        return "".join(served)


@pytest.mark.parametrize("served_before", [0, 1, 137, 9_000])
@pytest.mark.parametrize("later", [("b", "c"), ("c", "b")])
def test_a_group_that_dumps_first_does_not_hold_up_the_others(served_before: int, later: Sequence[str]) -> None:
    queue = Queue()
    queue.accept("a", 10_000)
    queue.serve(served_before)
    for group in later:
        queue.accept(group, 300)
    order = queue.serve(910)
    for group in later:
        places = [place for place, served in enumerate(order) if served == group]
        assert len(places) == 300
        for k, place in enumerate(places, start=1):
            assert place - (k - 1) <= 3 * k


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [
        pytest.param([("a", 3, 0)], "aaa", id="one group keeps its order"),
        pytest.param([("a", 3, 0), ("b", 3, 0)], "ababab", id="two groups alternate"),
        pytest.param([("a", 1, 0), ("b", 3, 0), ("a", 1, 0)], "abbab", id="a group goes on after its last"),
        pytest.param([("a", 3, 0), ("b", 2, 5)], "bbaaa", id="priority comes first"),
        pytest.param([("a", 2, 5), ("b", 1, 0), ("b", 2, 5)], "ababb", id="turns are per priority"),
    ],
)
def test_the_order_of_service(arrivals: Sequence[tuple[str, int, int]], order: str) -> None:
    queue = Queue()
    for group, count, priority in arrivals:
        queue.accept(group, count, priority)
    assert queue.serve(len(order)) == order


def test_waiting_saves_up_no_turns() -> None:
    queue = Queue()
    queue.accept("a", 100)
    queue.serve(100)
    queue.accept("a", 4)
    queue.accept("b", 4)
    assert queue.serve(8) == "abababab"


def test_a_withdrawn_dump_costs_its_group_nothing() -> None:
    queue = Queue()
    queue.accept("a", 1000)
    queue.waiting.clear()
    queue.accept("b", 3)
    queue.accept("a", 3)
    assert queue.serve(6) == "bababa"


def test_turns_served_out_of_order_never_go_back() -> None:
    turns = Turns()
    turns.served(0, 50)
    turns.served(0, 3)
    assert turns.tag(0, None) == 50
    assert turns.tag(0, 10) == 50
    assert turns.tag(0, 70) == 71
    assert turns.tag(1, None) == 0


def test_a_restart_goes_on_where_it_was() -> None:
    queue = Queue()
    queue.accept("a", 1000)
    queue.serve(400)
    again = Queue(Turns.restored({0: min(turn for _, turn, _, _ in queue.waiting)}))
    again.waiting, again.accepted = queue.waiting, queue.accepted
    again.accept("b", 3)
    assert again.serve(6) == "ababab"


def test_ever_new_groups_are_forgotten_and_the_one_that_dumps_is_not() -> None:
    """Whoever is far ahead keeps his place; whoever is not gets the place that is served, which is his anyway."""
    turns = Turns()
    last = LastTurns(turns, 100, [(0, "dump", 5_000)])
    turns.served(0, 40)
    given = [last.next(0, f"group-{number}") for number in range(1_000)]
    assert given == [40] * 1_000
    assert len(last) <= 100
    assert last.next(0, "dump") == 5_001
    assert last.next(5, "dump") == 0
    assert last.next(0, "group-0") == 40
    assert [last.next(0, "new"), last.next(0, "new")] == [40, 41]


def test_more_groups_in_the_store_than_are_remembered() -> None:
    last = LastTurns(Turns(), 10, [(0, f"group-{number}", number) for number in range(500)])
    assert len(last) <= 10
    assert last.next(0, "group-499") == 500
    assert last.next(0, "group-1") == 0
