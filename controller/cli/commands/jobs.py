"""`get describe events wait stop delete retry resolve`."""
# ruff: noqa: PLC0415 - a command loads what it needs when it runs

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from controller.cli.commands.options import (
    DryRun,
    Every,
    Job,
    JobOrNone,
    JobScope,
    Labels,
    Output,
    Phases,
    Reasons,
    Scope,
    Server,
    Yes,
    connect,
    now,
    open_terminal,
)
from controller.cli.output import Format


def register(app: typer.Typer) -> None:
    app.command()(get)
    app.command()(describe)
    app.command()(events)
    app.command()(wait)
    app.command()(_ordering("stop", "Stop jobs, where their API can."))
    app.command()(_ordering("delete", "Stop jobs, and delete them where their API can."))
    app.command()(_ordering("retry", "Run jobs again that have ended."))
    app.command()(resolve)


def get(
    target: JobOrNone = None,
    *,
    output: Output = Format.TABLE,
    phase: Phases = None,
    reason: Reasons = None,
    label: Labels = None,
    group: Annotated[str | None, typer.Option("--group", help="Of this group.", show_default=False)] = None,
    text: Annotated[str | None, typer.Option("--name", help="With this in the name.", show_default=False)] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show changes until interrupted.")] = False,
    scope: Scope = None,
    server: Server = None,
) -> int:
    """Jobs: what runs, what waits and why."""
    from controller.cli.getting import Get
    from controller.cli.selection import select

    selected = select(
        target, scope=scope, labels=label or (), phases=phase or (), reasons=reason or (), group=group, text=text
    )
    with connect(server) as client:
        command = Get(client, open_terminal(), selected, output, now)
        return command.watch() if watch else command.once()


def describe(target: Job, scope: JobScope = None, server: Server = None) -> int:
    """Everything about one job. Why it waits, its attempts, its last events, what to do next."""
    from controller.cli.describing import describe as describe_job
    from controller.cli.selection import one

    selected = one(target, scope)
    with connect(server) as client:
        return describe_job(client, open_terminal(), selected, now())


def events(
    target: JobOrNone = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Those that come, until interrupted; with --since, kept ones first.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Only later ones: 30s, 10m, 2h, 7d or a time.", show_default=False
        ),
    ] = None,
    output: Output = Format.TABLE,
    scope: JobScope = None,
    server: Server = None,
) -> int:
    """Events, of one job or of all. Those that are kept, or with --follow those that come."""
    from controller.cli.following import Events, read_since
    from controller.cli.selection import one

    selected = one(target, scope) if target is not None else None
    subject = f"{selected.scope}/{selected.kind}/{selected.name}" if selected is not None else None
    with connect(server) as client:
        if follow:
            client.summary()  # one that was never there is not waited for, as one that goes away is
        shown = Events(client, open_terminal(), output, subject, now())
        return shown.show(since=read_since(since, now()) if since is not None else None, follow=follow)


def wait(
    target: JobOrNone = None,
    *,
    label: Labels = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Exit with 124 after so long.")
    ] = None,
    scope: JobScope = None,
    server: Server = None,
) -> int:
    """Wait until all have ended. Exit 0 if all Succeeded, 1 if some did not, 124 when the time is over."""
    from controller.cli.selection import select
    from controller.cli.waiting import wait_for
    from controller.errors import SettingsError

    selected = select(target, scope=scope, labels=label or ())
    if not selected.is_one and not selected.labels:
        raise SettingsError("say what to wait for: KIND/NAME or -l key=value")
    with connect(server) as client:
        return wait_for(client, open_terminal(), selected, timeout)


def _ordering(verb: str, says: str) -> Callable[..., int]:
    """The command of an order without arguments of its own."""

    def order(
        target: JobOrNone = None,
        *,
        label: Labels = None,
        phase: Phases = None,
        reason: Reasons = None,
        every: Every = False,
        yes: Yes = False,
        dry_run: DryRun = False,
        scope: Scope = None,
        server: Server = None,
    ) -> int:
        return _order(
            verb,
            target,
            label=label,
            phase=phase,
            reason=reason,
            every=every,
            yes=yes,
            dry_run=dry_run,
            scope=scope,
            server=server,
        )

    order.__name__, order.__doc__ = verb, says
    return order


def resolve(
    target: JobOrNone = None,
    *,
    remote_id: Annotated[
        str | None, typer.Option("--remote-id", metavar="ARN", help="It was created: this is it.", show_default=False)
    ] = None,
    again: Annotated[bool, typer.Option("--retry", help="Create it again: a second job is then possible.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="Count it as failed.")] = False,
    label: Labels = None,
    phase: Phases = None,
    reason: Reasons = None,
    every: Every = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    scope: Scope = None,
    server: Server = None,
) -> int:
    """Settle an Uncertain create. Say what became of it: --remote-id, --retry or --fail."""
    from controller.errors import SettingsError

    arguments = {"remoteId": remote_id, "retry": again or None, "fail": fail or None}
    given = {name: value for name, value in arguments.items() if value is not None}
    if len(given) != 1:
        raise SettingsError("say exactly one of --remote-id, --retry and --fail")
    phases = phase or (["Uncertain"] if target is None or "/" not in target else None)
    return _order(
        "resolve",
        target,
        label=label,
        phase=phases,
        reason=reason,
        every=every,
        yes=yes,
        dry_run=dry_run,
        scope=scope,
        server=server,
        arguments=given,
    )


def _order(
    verb: str,
    target: str | None,
    *,
    label: list[str] | None,
    phase: list[str] | None,
    reason: list[str] | None,
    every: bool,
    yes: bool,
    dry_run: bool,
    scope: str | None,
    server: str | None,
    arguments: Mapping[str, object] | None = None,
) -> int:
    from controller.cli.bulk import Order, carry_out
    from controller.cli.selection import select

    selected = select(target, scope=scope, labels=label or (), phases=phase or (), reasons=reason or ())
    order = Order(verb, selected, every=every, yes=yes, dry_run=dry_run, arguments=arguments or {})
    with connect(server) as client:
        return carry_out(client, open_terminal(), order)
