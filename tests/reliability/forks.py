"""Runs that share nothing: each in a process of its own, forked when all is imported, a few at a time.

A run may patch, leak and leave loops behind; it answers with JSON, and its process ends there.
"""

import asyncio
import gc
import json
import os
import selectors
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

AT_ONCE = 2
RUN_S_MAX = 60.0
"""Real seconds of one run: a run that takes longer hangs."""

Answer = dict[str, Any]


@dataclass
class _Child:
    key: Any
    pid: int
    pipe: int
    until: float
    text: bytes = b""


def run_forked(
    runs: Iterable[tuple[Any, Callable[[], Answer]]], at_once: int = AT_ONCE, run_s_max: float = RUN_S_MAX
) -> Iterator[tuple[Any, Answer]]:
    """Run each function in a process of its own; gives key and answer as they end.

    A run that raises answers `{"error": traceback}`.
    """
    waiting = iter(runs)
    children: dict[int, _Child] = {}
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                while len(children) < at_once and (following := next(waiting, None)) is not None:
                    child = _fork(*following, run_s_max)
                    children[child.pipe] = child
                    selector.register(child.pipe, selectors.EVENT_READ)
                if not children:
                    return
                for pipe in _readable(selector, children):
                    data = os.read(pipe, 1 << 20)
                    children[pipe].text += data
                    if not data:
                        selector.unregister(pipe)
                        child = children.pop(pipe)
                        yield child.key, _ended(child)
        finally:
            for child in children.values():
                os.kill(child.pid, signal.SIGKILL)
                _ended(child)


class Branch:
    """This process is one that `branch` has forked: it must end with its answer."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def answer(self, answer: Answer) -> NoReturn:
        _answer(self._pipe, json.dumps(answer).encode(), 0)


def branch(run_s_max: float = RUN_S_MAX) -> Answer | Branch:
    """Go on twice from here.

    In a process that is forked for it, with a `Branch`; and here, with the answer of that process when it has ended.
    """
    reading, writing = os.pipe()
    loop = asyncio._get_running_loop()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        gc.disable()
        asyncio._set_running_loop(loop)  # which of them runs is forgotten at a fork
        return Branch(writing)
    os.close(writing)
    child = _Child(None, pid, reading, time.monotonic() + run_s_max)
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while True:
            if _readable(selector, {reading: child}):
                data = os.read(reading, 1 << 20)
                child.text += data
                if not data:
                    return _ended(child)


def _readable(selector: selectors.BaseSelector, children: dict[int, _Child]) -> list[int]:
    ready = [key.fd for key, _ in selector.select(1.0)]
    for child in children.values():
        if time.monotonic() > child.until:
            os.kill(child.pid, signal.SIGKILL)
    return ready


def _ended(child: _Child) -> Answer:
    os.close(child.pipe)
    _, status = os.waitpid(child.pid, 0)
    if not child.text:
        return {"error": f"the run ended with {os.waitstatus_to_exitcode(status)} and no answer"}
    answer: Answer = json.loads(child.text)
    return answer


def _fork(key: Any, run: Callable[[], Answer], run_s_max: float) -> _Child:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_the_run(run, writing)
    os.close(writing)
    return _Child(key, pid, reading, time.monotonic() + run_s_max)


def _be_the_run(run: Callable[[], Answer], pipe: int) -> NoReturn:
    gc.disable()  # what a cut run leaves behind must not be finalised, and the process will not live long
    code = 0
    try:
        text = json.dumps(run()).encode()
    except BaseException:  # noqa: BLE001 - whatever it was, the parent is told
        text, code = json.dumps({"error": traceback.format_exc()}).encode(), 1
    _answer(pipe, text, code)


def _answer(pipe: int, text: bytes, code: int) -> NoReturn:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(pipe, rest) :]
    os._exit(code)
