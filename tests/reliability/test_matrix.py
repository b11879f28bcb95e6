"""The crash matrix, in a process of its own in which every run can be repeated by its name."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.harness import ROOT

SHARE = os.environ.get("FERRYMAN_MATRIX_SHARE", "10")
"""Of what can happen to each kind of step, one run in so many, and at least one; `1` is the whole matrix."""


@pytest.mark.xdist_group("matrix")
def test_every_step_may_fail(record_property: Callable[[str, object], None]) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.matrix", "--share", SHARE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    sys.stdout.write(done.stdout)
    record_property("row", "\n".join(line for line in done.stdout.splitlines() if not line.startswith("{")))
    assert done.returncode == 0, done.stdout + done.stderr
