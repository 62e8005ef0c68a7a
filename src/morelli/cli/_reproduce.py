"""`morelli reproduce`: does a report hold?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._console import console, printable
from morelli.cli._errors import ExitCode
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.reports import Reproduction


def reproduce(
    report: Annotated[
        Path,
        typer.Argument(metavar="REPORT", show_default=False, help="A report's folder, or its report.json."),
    ],
    *,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="ROLE=PATH",
            help="Where an input lies now: features, bundle, train, held_in, images or predictions.",
        ),
    ] = None,
    external: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            show_default=False,
            help="The command of another tool, where the report measures one; the recorded one is never run.",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Largest difference of scores and figures that is no difference.")
    ] = 1e-6,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Rebuild a report's numbers from its recorded inputs, and say whether they match.

    The features, bundles and settings are read again, every detector is fitted again, and inputs,
    predictions and figures are compared with the record. A bundle or a feature table that was changed
    does not match, and the differences are listed.

    A report may come from anybody: a command that it records is shown and never run. Give the command that
    is to score the images with --external.

    Examples:

        morelli reproduce report/

        morelli reproduce report/ --input features=moved/F.lance --input bundle=moved/my-bundle

        morelli reproduce theirs/ --external "python score.py"

    Exit codes: 0 it matches, 2 wrong usage or no --external where one is needed, 3 it does not match, 4 an
    input is missing or damaged.
    """
    from morelli.reports import reproduce as run

    replaced: dict[str, str | Path] = {}
    for entry in inputs or []:
        role, sign, path = entry.partition("=")
        if not (role and sign and path):
            raise UsageError(f"--input wants ROLE=PATH, such as features=F.lance, not {entry!r}.")
        replaced[role] = path
    outcome = run(report, replaced=replaced, external=external, tolerance=tolerance)
    if json_document:
        typer.echo(json.dumps(outcome.to_json(), indent=1))
    else:
        _print_outcome(report, outcome, tolerance)
    raise typer.Exit(ExitCode.DONE if outcome.matches else ExitCode.SOME_FAILED)


def _print_outcome(report: Path, outcome: Reproduction, tolerance: float) -> None:
    screen = console()

    def line(text: str) -> None:
        screen.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    if outcome.matches:
        line(f"{report}: the numbers match, {'to the byte' if outcome.exact else f'within {tolerance:g}'}.")
    else:
        line(f"{report}: the numbers do NOT match.")
        for one in outcome.differences:
            line(f"  {one.what}: recorded {one.recorded}, found {one.found}")
    for note in outcome.notes:
        line(f"  note: {note}")
