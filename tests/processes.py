"""Processes that run `ferryman`: borne by a template which has imported everything, or started anew.

Both are real processes, and are used alike. One borne by the template spares the second or two of the processor that an
interpreter and its imports take: nearly every test asks for that. What is about the start itself starts anew.
The template is one for each process of the tests; it begins at its first use and ends with them.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, Protocol, Self

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-m", "controller.cli")
"""`ferryman`, started anew."""
BORN_S = 120.0
ENDED_S = 60.0

Stream = int | IO[Any]


class Process(Protocol):
    """What a test does with a process; `subprocess.Popen` offers the same."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its exit code, of a signal negative; none as long as it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """
        Raises:
            subprocess.TimeoutExpired: it still runs.
        """

    def send_signal(self, sig: int, /) -> None: ...


class Borne:
    """A child of the template."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._text = b""
        self._code: int | None = None
        told.settimeout(BORN_S)
        self.pid = self._number(0)

    def _number(self, which: int) -> int:
        while self._text.count(b"\n") <= which:
            data = self._told.recv(64)
            if not data:
                raise EOFError("the template has ended")
            self._text += data
        return int(self._text.splitlines()[which])

    def poll(self) -> int | None:
        if self._code is None:
            self._told.setblocking(False)
            try:
                self._end()
            except BlockingIOError:
                return None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._told.settimeout(timeout)
            try:
                self._end()
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(f"ferryman (process {self.pid})", timeout or 0) from error
        assert self._code is not None
        return self._code

    def _end(self) -> None:
        self._code = self._number(1)
        self._told.close()

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            try:
                os.kill(self.pid, sig)
            except ProcessLookupError:  # it has just ended
                return

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.wait()


class Template:
    """The process that forks; its imports go on while the tests do."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._ordering = Lock()
        self._complaints = TemporaryFile()  # noqa: SIM115 - closed by `close`
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.template", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=self._complaints,
                start_new_session=True,
            )

    def bear(self, order: Mapping[str, Any], streams: Sequence[int]) -> Borne:
        ours, theirs = socket.socketpair()
        text = json.dumps(order).encode() + b"\n"
        try:
            with theirs, self._ordering:
                sent = socket.send_fds(self._control, [text], [*streams, theirs.fileno()])
                self._control.sendall(text[sent:])
            return Borne(ours)
        except (BrokenPipeError, EOFError) as error:
            ours.close()
            code = self._process.wait(ENDED_S)
            raise AssertionError(f"the template has ended with {code}:\n{_read(self._complaints)}") from error

    def close(self) -> None:
        self._control.close()
        self._process.wait(ENDED_S)
        self._complaints.close()


@cache
def template() -> Template:
    """The one of this process."""
    found = Template()
    atexit.register(found.close)
    return found


def start(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.STDOUT,
    session: bool = False,
    limits: Mapping[str, int] | None = None,
) -> Borne:
    """A `ferryman` borne by the template; `limits` are those of the kernel, by name (`NOFILE`, `FSIZE`, `AS`)."""
    order = {
        "arguments": arguments,
        "folder": str(folder),
        "environment": dict(environment),
        "session": session,
        "limits": dict(limits or {}),
    }
    with Path(os.devnull).open("r+b") as nothing:

        def descriptor(stream: Stream) -> int:
            if stream == subprocess.DEVNULL:
                return nothing.fileno()
            return stream if isinstance(stream, int) else stream.fileno()

        out = descriptor(stdout)
        return template().bear(
            order, [descriptor(stdin), out, out if stderr == subprocess.STDOUT else descriptor(stderr)]
        )


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def run(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    timeout_s: float = ENDED_S,
    anew: bool = False,
) -> Said:
    """A `ferryman` to its end, with what it printed; killed if it has not ended in time.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
    """
    with TemporaryFile() as typed, TemporaryFile() as out, TemporaryFile() as err:
        typed.write(stdin.encode())
        typed.seek(0)
        if anew:
            process: Process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=folder, env=environment, stdin=typed, stdout=out, stderr=err
            )
        else:
            process = start(*arguments, folder=folder, environment=environment, stdin=typed, stdout=out, stderr=err)
        try:
            code = process.wait(timeout_s)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(ENDED_S)
        return Said(code, *(_read(stream) for stream in (out, err)))


def _read(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


def until(fact: Callable[[], bool], within_s: float = ENDED_S, poll_s: float = 0.02) -> None:
    """Wait for a fact that nothing announces: a file, a ledger, the end of a process."""
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(poll_s)
