"""`morelli evaluate analyses`: the analyses of the UnivFD paper on a feature table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from morelli.cli._console import console, error_console
from morelli.cli._options import PerturbationId, Quiet


class Maps(StrEnum):
    """How the feature space is drawn; the maps are part of these analyses."""

    tsne = "tsne"
    umap = "umap"
    pca = "pca"


def analyses(
    table: Annotated[Path, typer.Argument(metavar="F.lance", show_default=False, help="Labelled features.")],
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", show_default=False, help="Folder to write.")
    ],
    kind: Annotated[str, typer.Option(help="Feature kind of the bank and of the unseen families.")] = "final",
    maps: Annotated[Maps, typer.Option(help="How to draw the feature space; umap is an extra.")] = Maps.tsne,
    perturbation: PerturbationId = None,
    seed: Annotated[int, typer.Option(help="Seed of folds, banks and maps.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Compare feature kinds, bank sizes and k; see where unseen families of generators land; draw maps.

    These are the analyses of the UnivFD paper. Every figure is held out by lineage and real source, and
    stands beside the AUC of a classifier that sees only the files' format and size. Writes
    analyses.json and plots. The families come from the table's column family.

    Examples:

        morelli evaluate analyses F.lance -o analyses/

        morelli evaluate analyses F.lance -o analyses/ --kind layer:8 --maps pca
    """
    from morelli.evaluation import analyse
    from morelli.features import FeatureTable
    from morelli.reports import report_folder, write_analyses

    report_folder(out, "folder of analyses")
    source = FeatureTable.open(table)
    kinds = [one for one in source.kinds if one == "final" or one.startswith(("layer:", "mean:"))]
    features = source.load(kinds=kinds, where=source.one_perturbation(perturbation, "label IS NOT NULL"))
    on_progress = None if quiet else lambda step: error_console().print(f"{step} …", highlight=False)
    found = analyse(features, bank_kind=kind, method=maps.value, seed=seed, progress=on_progress)
    written = write_analyses(found, features, out)
    if quiet:
        return
    screen = console()
    screen.print(f"{found.n:,} images; file facts alone reach AUC {found.baseline.auc:.3f}.", highlight=False)
    for score in found.layers.scores:
        screen.print(f"  {score.kind:<10} AUC {score.auc}", markup=False, highlight=False, soft_wrap=True)
    for name, sink in found.sinks.items():
        screen.print(
            f"  {name}: {sink.real_side_fake:.0%} of its images and {sink.real_side_real:.0%} of unseen real "
            "images fall on the real side",
            highlight=False,
            soft_wrap=True,
        )
    screen.print(f"{len(written)} files in {out}", highlight=False)
