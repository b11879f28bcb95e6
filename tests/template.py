"""A process that has imported Ferryman, and forks itself for each `ferryman` that a test asks for.

Each child is a process of its own, with its own signals, files, limits, session and death; only the second that Python
needs to import everything is saved. `tests.processes` gives the orders.

An order comes over the socket named on the command line: a line of JSON, and with it four descriptors, which are the
child's stdin, stdout and stderr, and a socket on which its pid and its exit code are told, a line each. A child whose
socket is closed at the other end is killed: nobody waits for it any longer.
"""

import atexit
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

DESCRIPTORS = 4
ORDER_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Order:
    """What the process becomes."""

    wanted: Mapping[str, Any]
    descriptors: list[int]


class Template:
    """The process that forks, and who it has borne."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._living: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._wakes = os.pipe()
        for end in (self._woken, self._wakes):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def serve(self) -> Order | None:
        """Bear children; returns in each of them with its order, and with none at the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    order = _receive(self._control)
                    if order is None:
                        self._kill_all()
                        return None
                    if self._bear(order) == 0:
                        return order
                elif key.fd == self._woken:
                    _drain(self._woken)
                else:
                    os.kill(key.data, signal.SIGKILL)
                    self._selector.unregister(key.fileobj)
            self._bury()

    def _bear(self, order: Order) -> int:
        pid = os.fork()
        if pid == 0:
            self._become_a_child()
            return 0
        *streams, told = order.descriptors
        for stream in streams:
            os.close(stream)
        self._living[pid] = socket.socket(fileno=told)
        self._selector.register(told, selectors.EVENT_READ, pid)
        _tell(self._living[pid], pid)
        return pid

    def _become_a_child(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._control.close()
        for other in self._living.values():
            other.close()
        os.close(self._woken)
        os.close(self._wakes)

    def _bury(self) -> None:
        while self._living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            told = self._living.pop(pid)
            if told.fileno() in self._selector.get_map():
                self._selector.unregister(told)
            _tell(told, os.waitstatus_to_exitcode(status))
            told.close()

    def _kill_all(self) -> None:
        for pid in self._living:
            os.kill(pid, signal.SIGKILL)


def _receive(control: socket.socket) -> Order | None:
    text, descriptors, _, _ = socket.recv_fds(control, ORDER_BYTES_MAX, DESCRIPTORS)
    while text and not text.endswith(b"\n"):
        text += control.recv(ORDER_BYTES_MAX)
    return Order(json.loads(text), descriptors) if text else None


def _tell(told: socket.socket, number: int) -> None:
    try:
        told.sendall(f"{number}\n".encode())
    except BrokenPipeError:
        return


def _drain(end: int) -> None:
    try:
        while os.read(end, 4096):
            pass
    except BlockingIOError:
        return


def _import_all() -> None:
    import alembic.command  # noqa: PLC0415, F401

    import controller.cli.doctor  # noqa: PLC0415
    import controller.cli.program  # noqa: PLC0415
    import controller.cli.running  # noqa: PLC0415
    import controller.cli.simulating  # noqa: PLC0415, F401

    gc.collect()
    gc.freeze()


def _become_ferryman(order: Order) -> int:
    wanted = order.wanted
    if wanted["session"]:
        os.setsid()
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    *streams, told = order.descriptors
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.close(told)
    _open_streams()
    for name, limit in wanted["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    from controller.cli.program import run_command  # noqa: PLC0415

    return run_command(wanted["arguments"])


def _open_streams() -> None:
    """As a new interpreter does: by lines to a terminal, by blocks elsewhere."""
    for number, (name, mode, buffering) in enumerate((("stdin", "r", -1), ("stdout", "w", -1), ("stderr", "w", 1))):
        stream = open(number, mode, buffering=buffering, encoding="utf-8", closefd=False)  # noqa: SIM115 - for life
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _leave(code: int) -> NoReturn:
    """As an interpreter ends, what is left open told of, without taking apart the modules that were inherited."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    _import_all()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        order = Template(control).serve()
    if order is not None:
        _leave(_become_ferryman(order))


if __name__ == "__main__":
    main()
