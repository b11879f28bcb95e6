"""Whether a run has come to its end: a store that cannot be read for a moment must not end it."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from controller.errors import ExitCode, StoreUnavailableError
from controller.intake import Intake
from controller.lane import Lane
from controller.model import Phase
from controller.settling import OUTCOME_S, Settling
from controller.store import Store


class TurnedClock:
    """Sleeping is what moves it."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class AwayStore:
    """As much of a store as is read here; gone for so many reads."""

    def __init__(self, away: int, counts: Mapping[Phase, int]) -> None:
        self.away = away
        self._counts = counts

    def _read(self) -> None:
        self.away -= 1
        if self.away >= 0:
            raise StoreUnavailableError("the store lost the connection")

    async def inbox_size(self) -> int:
        self._read()
        return 0

    async def phase_counts(self, _lane: str) -> Mapping[Phase, int]:
        self._read()
        return self._counts

    async def next_due(self, _lane: str, _todo: object) -> None:
        self._read()


def settling(store: AwayStore, clock: TurnedClock) -> Settling:
    lanes: Any = {"default/kind": cast("Lane", None)}
    return Settling(cast("Store", store), lanes, cast("Intake", None), (), clock)


async def test_a_run_goes_on_while_its_store_cannot_be_read() -> None:
    clock = TurnedClock()
    await settling(AwayStore(20, {Phase.SUCCEEDED: 1}), clock).wait()
    assert len(clock.slept) == 20
    assert min(clock.slept) >= 1


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        pytest.param({Phase.SUCCEEDED: 1}, ExitCode.DONE, id="succeeded"),
        pytest.param({Phase.SUCCEEDED: 1, Phase.FAILED: 1}, ExitCode.NOT_ALL_SUCCEEDED, id="failed"),
    ],
)
async def test_the_outcome_is_asked_for_again(counts: Mapping[Phase, int], code: ExitCode) -> None:
    assert await settling(AwayStore(3, counts), TurnedClock()).outcome() is code


async def test_a_store_that_stays_away_has_no_outcome() -> None:
    clock = TurnedClock()
    with pytest.raises(StoreUnavailableError):
        await settling(AwayStore(1000, {}), clock).outcome()
    assert clock.monotonic() <= OUTCOME_S + 5
