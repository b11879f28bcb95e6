"""Groups take turns, by the start tags of start-time fair queueing.

A plain index on `(priority descending, turn ascending, id ascending)` then is the fair order.

Invariant: a group's turns ascend, and a group that begins to wait begins at the turn being served. So the k-th job of a
group is served after at most k jobs of every other group of its priority, however many those had waiting before.

The waiting jobs themselves, and the last turn of each group, live in the store: nothing here grows with them.
"""

from collections.abc import Iterable, Mapping

__all__ = ["LastTurns", "Turns"]


class Turns:
    """The turns of one lane. Bounded by the number of priorities."""

    __slots__ = ("_serving",)

    def __init__(self) -> None:
        self._serving: dict[int, int] = {}

    @classmethod
    def restored(cls, serving: Mapping[int, int]) -> "Turns":
        """Turns as after a restart.

        Args:
            serving: for each priority the highest turn that has left the queue; where none is known, the lowest that
                waits in it, which lets newcomers pass jobs that stand behind a parked quota key.
        """
        turns = cls()
        turns._serving.update(serving)
        return turns

    def state(self) -> Mapping[int, int]:
        """For each priority the highest turn that has left the queue; `restored` takes it."""
        return dict(self._serving)

    def tag(self, priority: int, last_of_group: int | None) -> int:
        """The turn of a newly accepted job.

        Args:
            priority: the job's.
            last_of_group: the highest turn that waits in its group and priority; None when none waits.
        """
        serving = self._serving.get(priority, 0)
        return serving if last_of_group is None else max(serving, last_of_group + 1)

    def served(self, priority: int, turn: int) -> None:
        """A job of this turn left the queue. Turns may be served out of order: a parked quota key holds some back."""
        self._serving[priority] = max(turn, self._serving.get(priority, 0))


class LastTurns:
    """The last turn of each group that waits, for so many groups at most.

    Where there are more, those are kept that are furthest beyond the turn being served: of any other a new job gets
    that turn, which is its place but for the few turns that its group was ahead.
    """

    __slots__ = ("_groups_max", "_last", "_turns")

    def __init__(self, turns: Turns, groups_max: int, waiting: Iterable[tuple[int, str, int]] = ()) -> None:
        """`waiting` holds for each priority and group that waits its last turn."""
        self._turns = turns
        self._groups_max = groups_max
        self._last = {(priority, group): turn for priority, group, turn in waiting}
        self._forget()

    def __len__(self) -> int:
        return len(self._last)

    def next(self, priority: int, group: str) -> int:
        """The turn of a job that begins to wait, which is now its group's last."""
        turn = self._turns.tag(priority, self._last.get((priority, group)))
        self._last.pop((priority, group), None)
        self._last[priority, group] = turn
        self._forget()
        return turn

    def _forget(self) -> None:
        """Half at once, so that it is seldom done; of those that are equally far, the ones that came first."""
        if len(self._last) <= self._groups_max:
            return
        serving = self._turns.state()
        beyond = sorted(self._last, key=lambda key: self._last[key] - serving.get(key[0], 0))
        self._last = {key: self._last[key] for key in beyond[-(self._groups_max // 2) :]}
