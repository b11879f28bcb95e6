"""How every test process is set up, and the table of perturbations at the end of a run, wherever it was begun."""

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.rows import Rows

YOUNG_OBJECTS_MAX = 10_000
LONG = ("test_kill.py", "test_matrix.py", "test_simulate.py", "test_process_rows.py", "test_mutants.py")
"""Files of few and long tests, the longest first: begun last, one of them would be waited for by everybody else."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Rows(), "rows")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what has been imported: to look through it again frees nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, 20, 50)


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """In memory where there is such a place: hours of virtual time hold many commits."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(prefix="ferryman-", dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)
