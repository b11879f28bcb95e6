"""The commands and their options: words in, one call, an exit code out.

Invariant: a command function imports what it calls when it is called, so that `--help` loads nothing else.
"""

from typing import Annotated

import typer

from controller.cli.commands import daemon, documents, jobs, lanes

app = typer.Typer(
    name="ferryman",
    help="Carries AWS batch jobs from wanted to done: never twice, never lost, as fast as the quota allows.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        raise typer.Exit(daemon.version())


@app.callback()
def _main(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="The version of this program."),
    ] = False,
) -> None:
    del version


daemon.register(app)
documents.register(app)
jobs.register(app)
lanes.register(app)
