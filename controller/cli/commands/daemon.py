"""`run simulate doctor version`."""
# ruff: noqa: PLC0415 - a command loads what it needs when it runs

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.commands.options import Config


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(simulate)
    app.command()(doctor)
    app.command()(version)


def run(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", show_default=False)] = None,
    simulated: Annotated[
        bool, typer.Option("--simulate", help="Against the built-in AWS simulator: no account, no network.")
    ] = False,
    until_settled: Annotated[
        bool, typer.Option("--until-settled", help="Leave when sources are empty and every job has ended or is held.")
    ] = False,
    config: Config = None,
) -> int:
    """The daemon. Files are applied at its start."""
    from controller.cli.running import run as run_daemon

    return run_daemon(tuple(files or ()), simulate=simulated, until_settled=until_settled, config=config)


def simulate(
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free one.")] = 4599,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    speed: Annotated[
        float | None, typer.Option("--speed", min=0.001, max=1_000_000, help="Simulated seconds per second.")
    ] = None,
    failure_rate: Annotated[
        float | None, typer.Option("--failure-rate", min=0, max=1, help="Share of jobs that fail.")
    ] = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="File that keeps the simulated world.")] = None,
    config: Config = None,
) -> int:
    """The AWS simulator alone, for any AWS SDK."""
    from controller.cli.simulating import run_simulator

    return run_simulator(host, port, speed=speed, failure_rate=failure_rate, ledger=ledger, config=config)


def doctor(config: Config = None) -> int:
    """Check this machine and account. Settings, store, clock, permissions, queues, sinks; and what to do."""
    from controller.cli.doctor import run_doctor

    return run_doctor(config)


def version() -> int:
    """The version of this program."""
    from controller import __version__
    from controller.cli.commands.options import open_terminal

    open_terminal().line(f"ferryman {__version__}")
    return 0
