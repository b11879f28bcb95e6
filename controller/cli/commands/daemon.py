"""`run simulate doctor iam-policy version`."""
# ruff: noqa: PLC0415 - a command loads what it needs when it runs

from pathlib import Path
from typing import Annotated

import typer

from controller.cli import completion
from controller.cli.commands.options import Config, open_terminal
from controller.cli.output import PolicyFormat


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(simulate)
    app.command()(doctor)
    app.command("iam-policy")(iam_policy)
    app.command()(version)


def run(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", show_default=False)] = None,
    simulated: Annotated[
        bool,
        typer.Option(
            "--simulate",
            help="Against the built-in AWS simulator: no account, no network. Jobs live faster there, by"
            " simulator.speed; unless reconcile.interval is set, they are looked at as much more often.",
        ),
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


def iam_policy(
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Only these kinds; may be repeated.",
            show_default=False,
            autocompletion=completion.kinds,
        ),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope", metavar="SCOPE", help="For the role or profile that this scope runs as.", show_default=False
        ),
    ] = None,
    account: Annotated[
        str, typer.Option("--account", metavar="NUMBER", help="The account of the jobs.", show_default=False)
    ] = "",
    tags: Annotated[bool, typer.Option("--tags", help="Documents carry AWS tags in their spec.")] = False,
    form: Annotated[PolicyFormat, typer.Option("--format", help="How to print it.")] = PolicyFormat.JSON,
    config: Config = None,
) -> int:
    """The least IAM policy for these settings. Nothing is asked of AWS."""
    from controller.cli.iam_policy import print_policy

    return print_policy(
        open_terminal(), tuple(kind or ()), scope=scope, account=account, tags=tags, form=form, config=config
    )


def version() -> int:
    """The version of this program."""
    from controller import __version__

    open_terminal().line(f"ferryman {__version__}")
    return 0
