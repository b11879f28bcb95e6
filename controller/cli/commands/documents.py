"""`apply validate deadletters kinds explain`."""
# ruff: noqa: PLC0415 - a command loads what it needs when it runs

from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import completion
from controller.cli.commands.options import Config, DryRun, Files, Output, Server, connect, now, open_terminal
from controller.cli.output import Format

if TYPE_CHECKING:
    from pathlib import Path

    from controller.documents import Policy


def register(app: typer.Typer) -> None:
    app.command()(apply)
    app.command()(validate)
    app.command()(deadletters)
    app.command()(kinds)
    app.command()(explain)


def apply(
    *,
    file: Files,
    dry_run: DryRun = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the verdicts.")] = False,
    scope: Annotated[
        str | None, typer.Option("--scope", metavar="SCOPE", help="For documents that name none.", show_default=False)
    ] = None,
    server: Server = None,
) -> int:
    """Hand documents to the daemon. Says which are accepted, unchanged, ignored or rejected (exit 4), and why."""
    from controller.cli.documents import apply as apply_documents

    with connect(server) as client:
        return apply_documents(client, open_terminal(), file, scope=scope, dry_run=dry_run, wait=not no_wait)


def validate(*, file: Files, config: Config = None) -> int:
    """Judge documents offline. With settings, also by what these allow. Exit 1 if any is invalid."""
    from controller.cli.documents import validate as validate_documents

    return validate_documents(file, open_terminal(), _policy(config))


def _policy(config: "Path | None") -> "Policy | None":
    import os

    from controller.settings import CONFIG_VARIABLE, load_settings

    if config is None and not os.environ.get(CONFIG_VARIABLE):
        return None
    from controller.admission import policy_of

    return policy_of(load_settings(config))


def deadletters(
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", show_default=False)] = None,
    *,
    requeue: Annotated[bool, typer.Option("--requeue", help="Send them once more: those named, or all.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Remove those named, which are dealt with.")] = False,
    output: Output = Format.TABLE,
    server: Server = None,
) -> int:
    """Rejected documents and events, and why."""
    from controller.cli.operating import command_letters, show_dead_letters
    from controller.errors import SettingsError

    if (ids and not (requeue or discard)) or (requeue and discard):
        raise SettingsError("name dead letters with --requeue or with --discard")
    with connect(server) as client:
        if requeue or discard:
            return command_letters(client, open_terminal(), "requeue" if requeue else "discard", ids or [])
        return show_dead_letters(client, open_terminal(), output, now())


def kinds(output: Output = Format.TABLE) -> int:
    """The kinds of jobs, and what their APIs can do."""
    from controller.cli.explaining import show_kinds

    return show_kinds(open_terminal(), output)


def explain(
    path: Annotated[
        str | None, typer.Argument(metavar="[KIND[.path]]", show_default=False, autocompletion=completion.kinds)
    ] = None,
    *,
    schema: Annotated[
        bool, typer.Option("--json-schema", help="The JSON Schema of documents, of all kinds or of KIND, for editors.")
    ] = False,
) -> int:
    """What a document may hold. For example `explain ModelInvocationJob.spec.inputDataConfig`."""
    from controller.cli.explaining import show_explanation, show_schema
    from controller.errors import SettingsError

    if schema:
        return show_schema(open_terminal(), path)
    if path is None:
        raise SettingsError("name a kind: `ferryman kinds` lists them")
    return show_explanation(open_terminal(), path)
