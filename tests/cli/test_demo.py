"""`make demo`, as somebody sees it who tries it out."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.cli.command import DEADLINE_S, environment
from tests.processes import ROOT


def _read(master: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(master, 4096)
        except OSError:  # how a terminal says that its last user has left
            return


def test_it_shows_where_to_look_and_a_ctrl_c_ends_with_what_was_done() -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "tests.demo"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        os.close(slave)
        text, sent = "", False
        for data in _read(master):
            text += data.decode(errors="replace")
            if not sent and "Running" in text:
                os.killpg(process.pid, signal.SIGINT)
                sent = True
        assert process.wait(DEADLINE_S) == 130, text
    os.close(master)
    assert text.index("look at http://127.0.0.1:") < text.index("Running")
    assert "Traceback" not in text
    last = text.splitlines()[-1]
    assert last.partition(" in ")[0].endswith(" of 300 Succeeded"), text
