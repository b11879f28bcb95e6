"""The command line: parses, calls, prints.

Invariant: a client command knows the daemon through its HTTP interface alone; only `run`, `simulate`, `doctor` and the
offline commands use other parts of the package, and each imports what it needs when it runs, so that `--help` is quick.
No error of a user ends in a traceback: one sentence on stderr and an exit code of `controller.errors.ExitCode`.
"""

import sys


def main() -> None:
    """Entry point of `ferryman`."""
    from controller.cli.program import run_command  # noqa: PLC0415 - nothing is loaded before it is needed

    sys.exit(run_command(sys.argv[1:]))
