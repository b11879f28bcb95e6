"""The commands and their options: words in, one call, an exit code out.

Invariant: a command function imports what it calls when it is called, so that `--help` loads nothing else.
"""

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
daemon.register(app)
documents.register(app)
jobs.register(app)
lanes.register(app)
