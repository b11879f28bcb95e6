"""`doctor`: what is right, what is wrong, and what to do about it.

Invariant: nothing is changed, neither here nor at AWS: every call reads, or names a thing that cannot exist. Each line
stands for itself; what could not be checked says so.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

import anyio

from controller.admission import policy_of
from controller.cli.advice import denied_hint
from controller.cli.doctor.daemon import Asked, ask_daemon
from controller.cli.doctor.ends import check_sinks, check_sources
from controller.cli.doctor.finding import Finding, Level, failed, ok, skipped
from controller.cli.doctor.scopes import check_scope
from controller.cli.doctor.store import check_store
from controller.cli.logging import Masker, configure_logging, secrets_of
from controller.cli.table import COLOURS
from controller.cli.terminal import Terminal
from controller.cli.text import visible
from controller.errors import ExitCode, SettingsError
from controller.http.guard import read_token
from controller.kinds import KINDS
from controller.seams import Clock, SystemClock
from controller.settings import CONFIG_VARIABLE, LogSettings, Settings, load_settings

DEFAULT_PORT: Final = 8470
SERVER_VARIABLE: Final = "FERRYMAN_SERVER"
_NOT_ASKED: Final = (
    "the daemon runs against the simulator; nothing of AWS was checked (stop it, and set AWS_REGION and credentials,"
    " to check for a real run)"
)
_LEVEL: Final = 8
_SUBJECT: Final = 46
_RESET: Final = "\x1b[0m"


def run_doctor(config: Path | None) -> ExitCode:
    """Check everything; the answer is whether nothing has failed."""
    return anyio.run(_doctor, config, Terminal())


async def _doctor(config: Path | None, terminal: Terminal) -> ExitCode:
    levels: set[Level] = set()
    async with aclosing(_findings(config, terminal)) as findings:
        async for finding in findings:
            levels.add(finding.level)
            _print(terminal, finding)
    if not levels & {Level.FAILED, Level.SKIPPED}:  # what is wrong must not be lost above so many words
        _advise(terminal)
    return ExitCode.NEGATIVE if Level.FAILED in levels else ExitCode.DONE


def _print(terminal: Terminal, finding: Finding) -> None:
    level = f"{finding.level:<{_LEVEL}}"
    if terminal.coloured:
        level = f"{COLOURS.get(finding.level, '')}{level}{_RESET}"
    terminal.write(f"{level}{visible(f'{finding.subject:<{_SUBJECT}} {finding.detail}')}\n")
    if finding.advice:
        terminal.line(f"{'':<{_LEVEL}}-> {finding.advice}")


async def _findings(config: Path | None, terminal: Terminal) -> AsyncGenerator[Finding, None]:
    try:
        settings = load_settings(config)
        policy_of(settings)
        read_token(settings.http)
    except SettingsError as error:
        yield failed("settings", str(error), "mend it first: nothing else was checked")
        return
    quiet = LogSettings(level="error", format=settings.log.format)
    configure_logging(quiet, Masker(secrets_of(settings, os.environ)), terminal, live=False)
    yield ok("settings", f"read from {config or os.environ.get(CONFIG_VARIABLE) or 'the environment and defaults'}")
    async with aclosing(_everything(settings, SystemClock())) as findings:
        async for finding in findings:
            yield finding


async def _everything(settings: Settings, clock: Clock) -> AsyncGenerator[Finding, None]:
    daemon = await _daemon(settings)
    yield await check_store(_store_url(settings, simulated=daemon.simulated))
    for finding in daemon.findings:
        yield finding
    for name in settings.scopes:
        if daemon.simulated:
            yield skipped(f"scope {name}", _NOT_ASKED)
            continue
        for finding in await check_scope(name, settings, clock):
            yield finding
    if not settings.queue.sources:
        yield ok("queue", "no source is configured: documents come by `apply`, files and HTTP only")
    for finding in (*await check_sources(settings, clock), *await check_sinks(settings, clock)):
        yield finding


async def _daemon(settings: Settings) -> Asked:
    if not settings.http.enabled:
        return Asked([])
    server = os.environ.get(SERVER_VARIABLE) or _own_server(settings)
    return await anyio.to_thread.run_sync(ask_daemon, server, read_token(settings.http))


def _store_url(settings: Settings, *, simulated: bool) -> str:
    """The store of these settings; where a simulated daemon runs, the one that it has by them."""
    if simulated:
        from controller.cli.simulating import local_settings  # noqa: PLC0415 - only a simulated run needs it

        with suppress(SettingsError):  # it runs with other settings than these
            return local_settings(settings, os.environ).store.url
    return settings.store.url


def _own_server(settings: Settings) -> str:
    """Where a daemon with these settings is reached from this machine."""
    host = "127.0.0.1" if settings.http.host in {"0.0.0.0", "::"} else settings.http.host  # noqa: S104 - recognised only
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port or DEFAULT_PORT}"


def _advise(terminal: Terminal) -> None:
    """The permission that new users miss first cannot be tested without creating a job."""
    terminal.line("")
    terminal.line("A create cannot be tested without creating. When one is denied although all above is allowed,")
    for kind in KINDS.values():
        terminal.line(f"- {kind.name}: {denied_hint(kind.name, '<role ARN of the document>')}")
    terminal.line("`ferryman iam-policy` prints the least policy for these settings.")
