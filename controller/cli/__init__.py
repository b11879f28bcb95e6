"""The command line: parses, calls, prints.

Invariant: a client command knows the daemon through its HTTP interface alone; only `run`, `simulate`, `doctor` and the
offline commands use other parts of the package, and each imports what it needs when it runs, so that `--help` is quick.
No error of a user ends in a traceback: one sentence on stderr and an exit code of `controller.errors.ExitCode`.
"""

import os
import sys
import threading
import time
from typing import Final

THREADS_END_S: Final = 1.0
"""How long the end of a process waits for its threads."""


def main() -> None:
    """Entry point of `ferryman`."""
    from controller.cli.program import run_command  # noqa: PLC0415 - nothing is loaded before it is needed

    code = run_command(sys.argv[1:])
    if not _threads_end():
        # Everything is written and closed: what a file system that hangs holds must not hold the process.
        os._exit(code)
    sys.exit(code)


def _threads_end() -> bool:
    """Whether no thread is left for which the interpreter would wait."""
    end = time.monotonic() + THREADS_END_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                return False
    return True
