"""P34: a short form of `make backlog`."""

from pathlib import Path

import pytest

from tests.reliability.backlog import SHARES, drain
from tests.reliability.test_process_rows import Record

EVENTS = {"file": 20_000, "sqs": 2_000, "webhook": 1_000}
GROWTH_MB_MAX = 64


@pytest.mark.parametrize("sort", SHARES)
async def test_p34_a_backlog_is_drained_in_order(tmp_path: Path, record_property: Record, sort: str) -> None:
    run = await drain(sort, EVENTS[sort], tmp_path / sort)
    assert run.arrivals.wrong == []
    assert run.arrivals.events == EVENTS[sort]
    assert run.mb_most - run.mb_before < GROWTH_MB_MAX
    record_property("row", run.sentence())
