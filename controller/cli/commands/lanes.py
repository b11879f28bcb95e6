"""`lanes pause resume`."""
# ruff: noqa: PLC0415 - a command loads what it needs when it runs

from typing import Annotated, Final

import typer

from controller.cli import completion
from controller.cli.commands.options import Output, Server, connect, open_terminal
from controller.cli.output import Format

Lane = Annotated[
    str | None, typer.Argument(metavar="[SCOPE/KIND]", show_default=False, autocompletion=completion.lanes)
]
LaneOrSink = Annotated[
    str | None, typer.Argument(metavar="[SCOPE/KIND | SINK]", show_default=False, autocompletion=completion.lanes)
]
Why = Annotated[str, typer.Option("--why", help="Shown to others.", show_default=False)]

_LOG: Final = "log"


def register(app: typer.Typer) -> None:
    app.command()(lanes)
    app.command()(pause)
    app.command()(resume)


def lanes(output: Output = Format.TABLE, server: Server = None) -> int:
    """Lanes: slots, rates, jobs, pauses."""
    from controller.cli.operating import show_lanes

    with connect(server) as client:
        return show_lanes(client, open_terminal(), output)


def pause(lane: Lane = None, why: Why = "", server: Server = None) -> int:
    """Stop all creates. Of a lane, or of all lanes; running jobs go on."""
    return _command("pause", lane, why, server)


def resume(lane: LaneOrSink = None, why: Why = "", server: Server = None) -> int:
    """Undo `pause`. Of a lane, or of all; or send a disabled sink its events again, named as `doctor` shows it."""
    if lane is not None and (":" in lane or lane == _LOG):  # no scope or kind has one, and every other sink
        from controller.cli.operating import resume_sink

        with connect(server) as client:
            return resume_sink(client, open_terminal(), lane)
    return _command("resume", lane, why, server)


def _command(verb: str, lane: str | None, why: str, server: str | None) -> int:
    from controller.cli.operating import command_lanes

    with connect(server) as client:
        return command_lanes(client, open_terminal(), verb, lane, why)
