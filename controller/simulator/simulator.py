"""One simulated AWS, put together: options, world, ledger, faults and the application that serves them."""

import contextlib
import random as random_module
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from controller.simulator.admin import Administration, plant
from controller.simulator.app import Application
from controller.simulator.backend import Backend
from controller.simulator.exchange import Sleep
from controller.simulator.faults import Faults
from controller.simulator.ledger import Ledger
from controller.simulator.options import SimulatorOptions
from controller.simulator.world import World


class Simulator:
    """A simulated AWS.

    Args:
        options: what it is like.
        now: its clock, epoch seconds, unscaled. Life cycles run `options.speed` times as fast.
        random: chance for ids, credentials and faults with a probability.
        ledger_path: JSON Lines; a file that exists already brings its jobs back.
        sleep: waits for faults with latency; a test with a clock of its own passes its own.

    Attributes:
        app: the ASGI 3 application.
        faults: planted faults. ledger: what was accepted, calls, peaks. world: the jobs.

    Raises:
        LedgerError: the file is no ledger. OSError: it cannot be opened.
    """

    def __init__(
        self,
        options: SimulatorOptions,
        *,
        now: Callable[[], float],
        random: random_module.Random,
        ledger_path: Path | None = None,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        self.now = now
        self.ledger = Ledger(ledger_path, kept_max=options.ledger_kept_max)
        self._backend = Backend(options, self.ledger, random)
        with contextlib.ExitStack() as unless_restored:
            unless_restored.callback(self.ledger.close)
            self._backend.restore(self.ledger.open())
            unless_restored.pop_all()
        self.ledger.peaks = self._backend.world.peaks
        self.faults = Faults(random)
        administration = Administration(self._backend, self.faults, now)
        self.app = Application(self._backend, self.faults, administration, now=now, sleep=sleep, chance=random)

    @property
    def options(self) -> SimulatorOptions:
        return self._backend.options

    @property
    def world(self) -> World:
        """The jobs as they are now."""
        self._backend.world.advance(self.now())
        return self._backend.world

    def configure(self, **changes: Any) -> None:
        """Changes options from now on; jobs that exist keep the lives they have."""
        self._backend.reconfigure(self._backend.options.with_changes(changes), self.now())

    def plant(
        self, kind: str, parameters: Mapping[str, Any], *, region: str, account: str | None = None, count: int = 1
    ) -> list[str]:
        """Jobs that somebody else created in the account; gives their ARNs."""
        place = (account or self.options.default_account, region)
        return plant(self._backend, kind, place, parameters, count=count, now=self.now())

    def close(self) -> None:
        """Closes the ledger file."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
