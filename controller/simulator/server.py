"""Serves a simulator on a socket.

Invariant: no signal handlers are installed, and leaving the context ends every connection at once: nobody who talks to
a simulator is owed a graceful goodbye.
"""

import asyncio
import contextlib
import gc
import os
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from controller.simulator.exchange import CONNECTION_EXTENSION
from controller.simulator.options import SimulatorOptions
from controller.simulator.simulator import Simulator

_BACKLOG: Final = 2048
_LEAVE_TIMEOUT_S: Final = 1.0
_LAST_TURNS: Final = 10
"""Of the event loop: a connection that was accepted last is not known before."""
_YOUNG_OBJECTS_MAX: Final = 50_000


class _BreakableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose connection the application can break."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {CONNECTION_EXTENSION: self}
        self.scope["extensions"] = extensions

    def reset(self) -> None:
        """Ends the connection with RST."""
        described = self.transport.get_extra_info("socket")
        # A second descriptor of the same connection: event loops hide the real one behind a read-only face.
        with socket.socket(fileno=os.dup(described.fileno())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self) -> None:
        """Ends the connection after what was written."""
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server that says when it is ready, leaves signals alone, and leaves at once when told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()
        self.leave = anyio.Event()

    async def run_shielded(self, listener: socket.socket) -> None:
        """Serves until `leave` is set; a cancellation from outside reaches the context's user, who sets it."""
        with anyio.CancelScope(shield=True):
            await self.serve([listener])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for _ in range(_LAST_TURNS):
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        if self.server_state.tasks:  # requests under way see their client leave
            await asyncio.wait(self.server_state.tasks, timeout=_LEAVE_TIMEOUT_S)
        for task in self.server_state.tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def serve(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves until the context is left; gives the base URL.

    Raises:
        OSError: the address cannot be bound.
    """
    listener = _listener(host, port)
    bound = listener.getsockname()
    config = uvicorn.Config(
        simulator.app,
        http=_BreakableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        backlog=_BACKLOG,
    )
    server, failure = _Server(config), None
    name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    async with anyio.create_task_group() as group:
        group.start_soon(server.run_shielded, listener)
        try:
            await server.ready.wait()
            yield f"http://{name}:{bound[1]}"
        except Exception as error:  # noqa: BLE001 -- the user's own, raised below as it came, not as a group
            failure = error
        finally:
            server.leave.set()
    if failure is not None:
        raise failure


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, every answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def run(
    port: int, options: SimulatorOptions, *, host: str = "127.0.0.1", ledger_path: Path | None = None
) -> None:
    """Serves a simulator with the system's clock until it is cancelled.

    Raises:
        OSError: the address cannot be bound, or the ledger not opened. LedgerError: it is no ledger.
    """
    chance = random.Random()  # noqa: S311 -- ids of a simulated world
    # Nothing in a world is garbage until it is deleted: a full collection over 200,000 jobs costs seconds.
    gc.set_threshold(_YOUNG_OBJECTS_MAX, 50, 100)
    with Simulator(options, now=time.time, random=chance, ledger_path=ledger_path) as simulator:
        gc.freeze()
        async with serve(simulator, host, port):
            await anyio.sleep_forever()
