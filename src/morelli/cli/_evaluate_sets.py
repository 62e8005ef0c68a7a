"""`morelli evaluate univfd-sets`: the folders of UnivFD's test sets as a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from morelli.cli._console import console
from morelli.errors import UsageError


def univfd_sets(
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", show_default=False, help="The folder with progan/, cyclegan/, …."),
    ],
    *,
    out: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE.csv", show_default=False, help="Manifest to write."),
    ],
    published_counts: Annotated[
        bool,
        typer.Option(
            "--published-counts",
            help="1000 images of each class, or 100 where a class has fewer, as published.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the order of files, and of those that are taken.")] = 0,
) -> None:
    """Read the folder layout of UnivFD's 19 test sets into a manifest that `extract` takes.

    Examples:

        morelli evaluate univfd-sets CNN_synth_testset/ -o sets.csv

        morelli extract sets.csv -o sets.lance --transform univfd-224-crop-v1 --kinds final
    """

    from morelli.artefacts import write_file
    from morelli.artefacts.targets import check_file_target
    from morelli.artefacts.text import csv_table
    from morelli.evaluation import univfd_items
    from morelli.evaluation import univfd_sets as read

    check_file_target(out)
    if Path(out).suffix.lower() != ".csv" and (Path(out).is_file() or not Path(out).exists()):
        raise UsageError(f"{out} does not end in .csv, by which other commands know the manifest; add it")
    sets = read(root, sample=(1000, 100) if published_counts else None, seed=seed)
    rows = [
        (
            str((root / item.uri).resolve()),
            "fake" if item.label else "real",
            item.generator or "",
            item.metadata["set"],
        )
        for item in univfd_items(sets, root)
    ]
    write_file(out, csv_table(("path", "label", "generator", "set"), rows, mark=False))
    counts = ", ".join(f"{s.name} {len(s.reals)}+{len(s.fakes)}" for s in sets)
    console().print(
        f"{out}: {len(rows):,} images in {len(sets)} sets: {counts}", highlight=False, markup=False
    )
