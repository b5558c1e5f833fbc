"""The command line: parse, call, print."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from incog import __version__
from incog.cli import train, vaults
from incog.cli.evaluate import evaluate
from incog.cli.failing import tell_bug
from incog.cli.hiding import hide
from incog.cli.human import score
from incog.cli.methods import methods
from incog.cli.plans import plan, render
from incog.cli.screen import Screen
from incog.runtime import one_thread_for_matrices

app = typer.Typer(
    name="incog",
    help="Take the identity out of faces in photos, videos and folders of them. `incog FILE` is `incog hide FILE`.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(train.app, name="train")


app.command()(hide)
app.command()(plan)
app.command()(render)
app.command()(evaluate)
app.command()(score)
app.command()(vaults.restore)
app.command()(vaults.inspect)
app.command()(vaults.strip)
app.command()(vaults.grant)
app.command()(methods)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"incog {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the identity out of faces in photos, videos and folders of them. `incog FILE` is `incog hide FILE`."""


_STOPPED = 130
"""The exit status that Typer makes of a KeyboardInterrupt."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; ``incog FILE`` means ``incog hide FILE``."""
    one_thread_for_matrices()
    signal.signal(signal.SIGTERM, _stop)
    # A closed terminal stops the work as Ctrl-C does, unless nohup has it go on.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _stop)
    arguments = sys.argv[1:]
    commands = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    commands |= {group.name for group in app.registered_groups if group.name}
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        arguments = ["hide", *arguments]
    try:
        app(arguments, prog_name="incog", standalone_mode=True)
    except SystemExit as end:
        if end.code == _STOPPED:
            Screen().error("stopped; nothing half done was left behind")
        raise
    except Exception as error:
        # Outside of what the commands guard themselves.
        tell_bug(error, Screen(verbose=not {"-v", "--verbose"}.isdisjoint(arguments)))
        sys.exit(1)
