"""The program: its commands and groups, and the options that stand before any of them."""

from __future__ import annotations

import os
import signal
import sys
from copy import copy
from typing import Annotated

import typer

from morelli.cli._analyses import analyses
from morelli.cli._atlas import atlas
from morelli.cli._audit import audit
from morelli.cli._bank import bank
from morelli.cli._concepts import concepts
from morelli.cli._console import fit_streams_to_their_encoding, open_closed_streams
from morelli.cli._detect import detect
from morelli.cli._encoders import encoders
from morelli.cli._ensemble import ensemble
from morelli.cli._errors import ExitCode, MorelliGroup
from morelli.cli._evaluate import evaluate
from morelli.cli._explain import explain
from morelli.cli._extract import extract
from morelli.cli._fit import fit
from morelli.cli._import import import_
from morelli.cli._info import info
from morelli.cli._provenance import provenance
from morelli.cli._recipe import recipe
from morelli.cli._reproduce import reproduce
from morelli.cli._serve import serve_command
from morelli.cli._study import study

app = typer.Typer(
    name="morelli",
    cls=MorelliGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from morelli._version import __version__

        typer.echo(f"morelli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Tell AI-generated images from real ones: calibrated probabilities, with the evidence beside them.

    Verdicts on a folder of pictures:

        morelli detect ~/Pictures

    A detector of your own, from a folder with the subfolders real/ and fake/:

        morelli extract mine/ -o mine.lance --label-from folders

        morelli fit mine.lance -o my-bundle/

        morelli detect new/ --bundle my-bundle/

    Exit codes: 0 all done, 2 wrong usage, 3 some files failed (they are listed), 4 nothing could be done,
    130 interrupted (Ctrl-C).
    """


# What `morelli --help` shows together, in this order.
VERDICTS, DATA, STUDY, APP = "Verdicts", "Data and features", "Study", "App and program"

app.command("detect", rich_help_panel=VERDICTS)(detect)
app.command("provenance", rich_help_panel=VERDICTS)(provenance)
app.command("fit", rich_help_panel=VERDICTS)(fit)
app.command("ensemble", rich_help_panel=VERDICTS)(ensemble)
app.add_typer(bank, name="bank", rich_help_panel=VERDICTS)
app.add_typer(import_, name="import", rich_help_panel=VERDICTS)
app.add_typer(recipe, name="recipe", rich_help_panel=VERDICTS)

app.command("audit", rich_help_panel=DATA)(audit)
app.command("extract", rich_help_panel=DATA)(extract)
app.add_typer(encoders, name="encoders", rich_help_panel=DATA)

evaluate.command("analyses")(analyses)
app.add_typer(evaluate, name="evaluate", rich_help_panel=STUDY)
app.command("reproduce", rich_help_panel=STUDY)(reproduce)
app.add_typer(explain, name="explain", rich_help_panel=STUDY)
app.add_typer(concepts, name="concepts", rich_help_panel=STUDY)
app.add_typer(study, name="study", rich_help_panel=STUDY)
app.add_typer(atlas, name="atlas", rich_help_panel=STUDY)

app.command("serve", rich_help_panel=APP)(serve_command)
app.command("info", rich_help_panel=APP)(info)


def program(words: list[str]) -> typer.Typer:
    """The program for these arguments: where the first names a command or a group, with that alone.

    Typer makes every command that is there, which takes longer than to load all of them.
    """
    named = copy(app)
    named.registered_commands = [one for one in app.registered_commands if one.name in words[:1]]
    named.registered_groups = [one for one in app.registered_groups if one.name in words[:1]]
    return named if named.registered_commands or named.registered_groups else app


def main() -> None:
    """Run the command line and exit with its code."""
    # OpenMP's threads spin while they wait, which costs dearly where other programs want the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    open_closed_streams()
    fit_streams_to_their_encoding()
    try:
        program(sys.argv[1:])()
    except SystemExit as leaving:
        if leaving.code == ExitCode.INTERRUPTED:
            # Threads may still end their work; whoever presses Ctrl-C once more waits for nothing.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise
