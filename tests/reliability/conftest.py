"""What the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.reliability.hatchery import Hatchery, open_hatchery


@pytest.fixture(scope="session")
def hatchery() -> Iterator[Hatchery]:
    """One process for all worlds that the tests of this process ask for."""
    with open_hatchery() as opened:
        yield opened
