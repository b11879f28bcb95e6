"""`doctor`: what is right, what is wrong, and what to do about it.

Invariant: nothing is changed, neither here nor at AWS: every call reads, or names a thing that cannot exist. Each line
stands for itself; what could not be checked says so.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import anyio

from controller.cli.advice import pass_role_hint
from controller.cli.doctor.ends import check_sinks, check_sources
from controller.cli.doctor.finding import Finding, Level, failed, ok, warning
from controller.cli.doctor.scopes import check_scope
from controller.cli.doctor.store import check_store
from controller.cli.logging import Masker, configure_logging, secrets_of
from controller.cli.table import Table
from controller.cli.terminal import Terminal
from controller.daemon import policy_of
from controller.errors import ExitCode, SettingsError
from controller.http.guard import read_token
from controller.kinds import KINDS
from controller.seams import Clock, SystemClock
from controller.settings import LogSettings, Settings, load_settings

_LINE_WIDTHS: Final = (8, 44)


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
    level = f"{finding.level:<{_LINE_WIDTHS[0]}}"
    subject = f"{finding.subject:<{_LINE_WIDTHS[1]}}"
    row = Table(("", "", ""), [(level.strip(), subject, finding.detail)])
    if terminal.coloured:
        terminal.table(row, header=False)
    else:
        terminal.line(f"{level}{subject} {finding.detail}")
    if finding.advice:
        terminal.line(f"{'':<{_LINE_WIDTHS[0]}}-> {finding.advice}")


async def _findings(config: Path | None, terminal: Terminal) -> AsyncIterator[Finding]:
    import os  # noqa: PLC0415 - the environment is read here and nowhere else in this module

    try:
        settings = load_settings(config)
        policy_of(settings)
        read_token(settings.http)
    except SettingsError as error:
        yield failed("settings", str(error), "mend it first: nothing else was checked")
        return
    quiet = LogSettings(level="error", format=settings.log.format)
    configure_logging(quiet, Masker(secrets_of(settings, os.environ)), terminal, live=False)
    yield ok("settings", f"read from {config or os.environ.get('FERRYMAN_CONFIG') or 'the environment and defaults'}")
    clock = SystemClock()
    async for finding in _everything(settings, clock):
        yield finding


async def _everything(settings: Settings, clock: Clock) -> AsyncIterator[Finding]:
    yield await check_store(settings.store.url)
    for name in settings.scopes:
        for finding in await check_scope(name, settings, clock):
            yield finding
    for finding in await check_sources(settings, clock):
        yield finding
    for finding in await check_sinks(settings, clock):
        yield finding
    if not settings.queue.sources:
        yield warning(
            "queue", "no source is configured", "documents then come by `ferryman apply`, files and HTTP only"
        )


def _advise(terminal: Terminal) -> None:
    """The permission that new users miss first cannot be tested without creating a job."""
    terminal.line("")
    terminal.line("Creates themselves cannot be tested without creating. What fails first is iam:PassRole: test it for")
    terminal.line("each role that your documents name, against the ARN that is shown above:")
    services = {kind.name.partition(".")[0]: kind.name for kind in KINDS.values() if kind.service != "personalize"}
    named = [next(iter(services.values())), *(kind.name for kind in KINDS.values() if kind.service == "personalize")]
    for kind in named:
        terminal.line(f"  {kind}: {pass_role_hint(kind, '<role ARN>')}")
