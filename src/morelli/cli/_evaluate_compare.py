"""`morelli evaluate compare`: whether one detector is better than another on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._console import console, printable
from morelli.cli._evaluate_options import DrawSeed, Level, Rounds, measure_options
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.evaluation import Comparison


def compare(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="PREDICTIONS", show_default=False, help="One or two predictions tables."),
    ],
    *,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this protocol; else all that both have.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="A row for each generator, lineage, era or source with ten images or more.",
        ),
    ] = None,
    seed: DrawSeed = 0,
    rounds: Rounds = 1000,
    level: Level = 0.9,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Test whether one detector is better than another on the images that both scored.

    Differences have paired intervals that resample lineages and sources; p-values are corrected for the
    number of pairs (Holm). Every detector of the first table meets every one of the second; with one table,
    all of its pairs. A table of another tool (protocol external) pairs with any protocol that scores each
    image once.

    Examples:

        morelli evaluate compare mine/predictions.parquet theirs/predictions.parquet

        morelli evaluate compare report/predictions.parquet --protocol leave-one-lineage-out

        morelli evaluate compare mine/predictions.parquet theirs/predictions.parquet --by era
    """
    from morelli.evaluation import Predictions, compare_tables

    if len(tables) > 2:
        raise UsageError("compare takes one or two tables.")
    read = [Predictions.read(path) for path in tables]
    options = measure_options(rounds, level, seed, "source")
    found = compare_tables(*read, protocol=protocol, by=by, options=options)
    if json_document:
        import json

        typer.echo(json.dumps([c.to_json() for c in found], indent=1, ensure_ascii=False))
        return
    _show_pairs(found, by)


def _show_pairs(found: Sequence[Comparison], by: str | None) -> None:
    from rich import box
    from rich.table import Table

    columns = ["first", "second", "images", "AUC, first − second", "p (Holm)", "McNemar p"]
    grid = Table("protocol", *([] if by is None else [by]), *columns, box=box.SIMPLE_HEAD)
    for c in found:
        auc = c.differences.get("auc")
        grid.add_row(
            printable(c.protocol),
            *([] if by is None else [printable(str(c.subset))]),
            printable(c.first),
            printable(c.second),
            f"{c.n_images:,}",
            "–" if auc is None else f"{auc.value:+.3f} ({auc.low:+.3f} to {auc.high:+.3f})",
            "–" if auc is None else f"{c.adjusted['auc']:.3g}",
            f"{c.mcnemar.p_value:.3g}",
        )
    console().print(grid)
