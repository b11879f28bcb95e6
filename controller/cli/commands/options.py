"""Options that several commands share, and how a client command reaches the daemon."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import completion
from controller.cli.output import Format

if TYPE_CHECKING:
    from controller.cli.client import Client
    from controller.cli.terminal import Terminal

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Where the daemon is; FERRYMAN_SERVER, or http://127.0.0.1:8470. Its token is FERRYMAN_HTTP__TOKEN.",
        show_default=False,
    ),
]
Scope = Annotated[str | None, typer.Option("--scope", metavar="SCOPE", help="Only this scope.", show_default=False)]
JobScope = Annotated[
    str | None, typer.Option("--scope", metavar="SCOPE", help="The job's scope; `default`.", show_default=False)
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print it.", case_sensitive=False)]
Labels = Annotated[
    list[str] | None,
    typer.Option("-l", "--label", metavar="KEY=VALUE", help="With this label; may be repeated.", show_default=False),
]
Phases = Annotated[
    list[str] | None,
    typer.Option(
        "--phase",
        metavar="PHASE",
        help="In this phase; may be repeated.",
        show_default=False,
        autocompletion=completion.phases,
    ),
]
Reasons = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        metavar="REASON",
        help="For this reason; may be repeated.",
        show_default=False,
        autocompletion=completion.reasons,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Every = Annotated[bool, typer.Option("--all", help="Every job.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML); FERRYMAN_CONFIG.", show_default=False),
]
Files = Annotated[
    list[str], typer.Option("-f", "--file", metavar="FILE|DIR|-", help="YAML, JSON or JSON Lines; may be repeated.")
]
Job = Annotated[str, typer.Argument(metavar="KIND/NAME", show_default=False, autocompletion=completion.jobs)]
JobOrNone = Annotated[
    str | None, typer.Argument(metavar="[KIND[/NAME]]", show_default=False, autocompletion=completion.jobs)
]


def connect(server: str | None) -> "Client":
    from controller.cli.client import Client  # noqa: PLC0415 - loaded by the commands that need it

    return Client.from_environment(server)


def open_terminal() -> "Terminal":
    from controller.cli.terminal import Terminal  # noqa: PLC0415 - loaded by the commands that need it

    return Terminal()


def now() -> datetime:
    return datetime.now(UTC)
