"""The `falconet` command. One file per group of commands; `main` is the entry of the script.

Results go to stdout, everything said about them to stderr. A mistake of the user's is one message and exit code 2;
`--debug` shows where it came from. Commands import what they need when they run, so `falconet --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from falconet import __version__
from falconet.cli import data, devices, exports, models, runs, shrink, tables, training
from falconet.errors import UserError

HELP = """Design vision networks small enough for a phone: photos and a budget in, a verified model and a report out.

Begin with `falconet init sr`, then `falconet plan sr.yaml` and `falconet run sr.yaml`.
"""

app = typer.Typer(
    help=HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
)
app.command("init")(runs.init)
app.command("plan")(runs.plan)
app.command("run")(runs.run)
app.command("train")(training.train)
app.command("shrink")(shrink.shrink)
app.command("search")(runs.search)
app.command("resume")(runs.resume)
app.command("report")(runs.report)
app.command("inspect")(models.inspect)
app.command("evaluate")(models.evaluate)
app.command("enhance")(models.enhance)
app.command("export")(exports.export)
app.command("list")(tables.list_table)
app.command("bench")(devices.bench)
app.add_typer(devices.app, name="device")
app.add_typer(data.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"falconet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", help="Show the version.", callback=_print_version, is_eager=True),
) -> None:
    """Options that stand before the command; `main` reads --debug itself, so it may stand anywhere."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 when all is well, 2 for what the user can put right, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app([argument for argument in given if argument != "--debug"], prog_name="falconet")
    except (UserError, FloatingPointError, PermissionError, NotADirectoryError) as error:
        if debug:
            raise
        print(f"falconet: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left, as `head` does
        sys.exit(1)
