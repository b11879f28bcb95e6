"""`doctor`: what is right, what is wrong, and what to do about it.

Invariant: nothing is changed, neither here nor at AWS: every call reads, or names a thing that cannot exist. Each line
stands for itself; what could not be checked says so.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import anyio

from controller.admission import policy_of
from controller.cli.advice import denied_hint
from controller.cli.doctor.daemon import check_daemon
from controller.cli.doctor.ends import check_sinks, check_sources
from controller.cli.doctor.finding import Finding, Level, failed, ok, warning
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
    _advise(terminal)
    return ExitCode.NEGATIVE if Level.FAILED in levels else ExitCode.DONE


def _print(terminal: Terminal, finding: Finding) -> None:
    level = f"{finding.level:<{_LEVEL}}"
    if terminal.coloured:
        level = f"{COLOURS[finding.level]}{level}{_RESET}"
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
    yield await check_store(settings.store.url)
    if settings.http.enabled:
        server = os.environ.get(SERVER_VARIABLE) or _own_server(settings)
        for finding in await anyio.to_thread.run_sync(check_daemon, server, read_token(settings.http)):
            yield finding
    for name in settings.scopes:
        for finding in await check_scope(name, settings, clock):
            yield finding
    if not settings.queue.sources:
        yield warning("queue", "no source is configured: documents come by `apply`, files and HTTP only")
    for finding in (*await check_sources(settings, clock), *await check_sinks(settings, clock)):
        yield finding


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
