"""One run of the command: arguments in, exit code out.

Invariant: every way in which a command ends is turned into an exit code here, and whatever a person can cause is said
in one sentence on stderr. What each command does is in its own module.
"""

import contextlib
import os
import sys
from collections.abc import Sequence

import typer

from controller.cli.commands import app
from controller.cli.text import visible
from controller.errors import ExitCode, FerrymanError

NAME = "ferryman"


def run_command(arguments: Sequence[str]) -> int:
    """Run `ferryman` with these arguments; returns its exit code."""
    _let_everything_be_written()
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    return _flush(code)


def _run(arguments: Sequence[str]) -> int:
    try:
        result = app(args=list(arguments) or ["--help"], prog_name=NAME, standalone_mode=False)
    except FerrymanError as error:
        return _fail(str(error), error.exit_code)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        return _fail(_usage_sentence(error), ExitCode.USAGE)
    except OSError as error:
        return _fail(f"{error.filename or 'this machine'}: {error.strerror or error}", ExitCode.USAGE)
    return result if isinstance(result, int) else ExitCode.DONE


def _usage_sentence(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    describe = getattr(error, "format_message", None)
    sentence = (
        (describe() if describe is not None else str(error))
        .strip()
        .replace("\n", " ")
        .replace("Value error, ", "")
        .rstrip(".")
    )
    command = context.command_path if context is not None else NAME
    return f"{sentence[:1].lower()}{sentence[1:]}; `{command} --help` shows how it is used"


def _fail(sentence: str, code: int) -> int:
    with contextlib.suppress(OSError, AttributeError):  # stderr is None where the process was started without
        sys.stderr.write(f"{NAME}: {visible(sentence)}\n")
    return code


def _let_everything_be_written() -> None:
    """A terminal or locale that cannot show a character gets its escape, never an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _flush(code: int) -> int:
    """Write what is buffered; a reader who has left is no error."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would try to flush once more at its end, and complain.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        if not isinstance(error, BrokenPipeError):
            return _fail(f"the output cannot be written: {error.strerror}", code or ExitCode.USAGE)
    return code
