"""A process that has imported Ferryman and forks itself for every `ferryman run` it is asked for.

Each child is a process of its own, with its own signals, files, limits and death; only the second that Python needs to
import everything is saved. Orders come as JSON lines on stdin, births and deaths go as JSON lines to stdout.
"""

import gc
import json
import os
import resource
import selectors
import signal
import sys
from typing import Any, NoReturn


def main() -> None:
    _import_all()
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(read_end, selectors.EVENT_READ)
        _serve(selector, read_end)


def _import_all() -> None:
    import uvicorn.loops.uvloop  # noqa: PLC0415
    import uvicorn.protocols.http.httptools_impl  # noqa: PLC0415, F401

    import controller.cli.commands.daemon  # noqa: PLC0415
    import controller.cli.program  # noqa: PLC0415
    import controller.cli.running  # noqa: PLC0415
    import controller.daemon  # noqa: PLC0415, F401

    gc.collect()
    gc.freeze()


def _serve(selector: selectors.BaseSelector, read_end: int) -> None:
    living: set[int] = set()
    rest = b""
    _say(ready=True)
    while True:
        for key, _ in selector.select():
            if key.fd == read_end:
                _drain(read_end)
                continue
            data = os.read(0, 1 << 20)
            if not data:
                for pid in living:
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                living.add(_fork(json.loads(line)))
        for pid, code in _dead():
            living.discard(pid)
            _say(ended=pid, code=code)


def _drain(read_end: int) -> None:
    try:
        while os.read(read_end, 4096):
            pass
    except BlockingIOError:
        return


def _dead() -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    try:
        while (answer := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((answer[0], os.waitstatus_to_exitcode(answer[1])))
    except ChildProcessError:
        pass
    return found


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _become_ferryman(order)
    _say(born=pid, order=order["order"])
    return pid


def _become_ferryman(order: dict[str, Any]) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 256)
    for name, limit in order["limits"].items():
        which = getattr(resource, f"RLIMIT_{name}")
        resource.setrlimit(which, (limit, limit))
    from controller.cli.program import run_command  # noqa: PLC0415

    sys.exit(run_command(order["arguments"]))


def _say(**fact: Any) -> None:
    os.write(1, json.dumps(fact).encode() + b"\n")


if __name__ == "__main__":
    main()
