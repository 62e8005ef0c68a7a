"""`morelli evaluate`: detectors measured honestly, and the report of it."""

from __future__ import annotations

import typer

from morelli.cli._evaluate_compare import compare
from morelli.cli._evaluate_robustness import robustness
from morelli.cli._evaluate_run import report, run
from morelli.cli._evaluate_sets import univfd_sets

evaluate = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@evaluate.callback()
def _group() -> None:
    """Measure detectors on images they have not seen, write a report, compare two, recompute from a table."""


evaluate.command()(run)
evaluate.command()(report)
evaluate.command()(compare)
evaluate.command()(robustness)
evaluate.command("univfd-sets")(univfd_sets)
