"""`run`: the daemon, with what surrounds it: settings, log, simulator, live table.

Invariant: nothing that matters is decided here; the daemon runs the same with and without a terminal.
"""

import os
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio

from controller.admission import expand
from controller.cli.logging import Masker, configure_logging, secrets_of
from controller.cli.terminal import Terminal
from controller.daemon import RunOptions, Watch, run_daemon
from controller.errors import ExitCode, StoreError, StoreUnavailableError
from controller.http.guard import read_token
from controller.settings import Settings, load_settings
from controller.sinks.file import FILE_PREFIX, path_of


@dataclass(frozen=True, slots=True)
class _Run:
    settings: Settings
    options: RunOptions
    terminal: Terminal
    live: bool

    async def daemon(self) -> ExitCode:
        if not self.options.simulate:
            return await self._daemon(self.settings)
        from controller.cli.simulating import pointed_at, serving  # noqa: PLC0415 - only a simulated run needs it

        async with serving(self.settings) as endpoint:
            return await self._daemon(pointed_at(self.settings, endpoint, os.environ["AWS_REGION"]))

    async def _daemon(self, settings: Settings) -> ExitCode:
        try:
            return await run_daemon(settings, self.options, watch=self._watch() if self.live else None)
        except StoreUnavailableError as error:
            raise StoreError(str(error)) from error

    def _watch(self) -> Watch:
        from controller.cli.live import watch  # noqa: PLC0415 - only a terminal needs it

        return partial(watch, self.terminal)


def run(files: tuple[Path, ...], *, simulate: bool, until_settled: bool, config: Path | None) -> ExitCode:
    """Run the daemon until it ends.

    Raises:
        FerrymanError: it cannot start, or cannot go on.
    """
    settings = load_settings(config)
    if simulate:
        settings = _simulated(settings)
    files = tuple(expand(files, _own_files(settings)))
    if settings.http.enabled:
        read_token(settings.http)  # what is missing is said before a store is made or AWS is asked
    terminal = Terminal()
    live = terminal.shows_live and settings.log.format == "auto"
    configure_logging(settings.log, Masker(secrets_of(settings, os.environ)), terminal, live=live)
    options = RunOptions(files=files, until_settled=until_settled, simulate=simulate)
    run_ = _Run(settings, options, terminal, live)
    return anyio.run(run_.daemon, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def _own_files(settings: Settings) -> frozenset[Path]:
    """The files that events go to, absolute: they may stand among documents, and be empty still."""
    urls = (sink.url for sink in settings.events.sinks)
    return frozenset(path_of(url) for url in urls if url.startswith(FILE_PREFIX))


def _simulated(settings: Settings) -> Settings:
    """The settings of a simulated run; AWS's SDK reads its own from the process's environment, and nowhere else."""
    from controller.cli.simulating import local_settings, simulated_environment  # noqa: PLC0415 - as above

    settings = local_settings(settings, os.environ)
    environment = simulated_environment(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    return settings
