"""`morelli import`: detectors that others published, as bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from morelli.cli._errors import warn
from morelli.cli._options import FalseAlarmRate, MissRate
from morelli.errors import UsageError

import_ = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@import_.callback()
def _group() -> None:
    """Turn published detector weights into bundles. Their files are read as data; no code in them runs."""


@import_.command()
def univfd(
    weights: Annotated[
        Path, typer.Argument(metavar="fc_weights.pth", show_default=False, help="The published head.")
    ],
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", show_default=False, help="Folder to write.")
    ],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="F.lance",
            show_default=False,
            help="Labelled features of images of yours, for calibrated probabilities and two thresholds.",
        ),
    ] = None,
    fpr: FalseAlarmRate = 0.05,
    miss_rate: MissRate = 0.05,
    force: Annotated[
        bool, typer.Option("--force", help="Take another head of the same shape too, such as one of yours.")
    ] = False,
) -> None:
    """Import the published UnivFD head (Ojha et al. 2023): 768 weights and a bias over CLIP ViT-L/14.

    The head has no bank and no calibration of its own: verdicts use its raw probability and one threshold of
    0.5, unless --calibrate names labelled images that it was not trained on. --fpr and --miss-rate are for
    these.

    Examples:

        morelli import univfd fc_weights.pth -o univfd-bundle/

        morelli detect ~/Pictures --bundle univfd-bundle/

        morelli extract mine/ -o L.lance --layout auto --encoder clip-vit-l14 --transform univfd-224-crop-v1

        morelli import univfd fc_weights.pth -o calibrated/ --calibrate L.lance
    """
    from morelli.detectors import Bundle, import_univfd

    Bundle.check_target(out)
    bundle = import_univfd(weights, force=force)
    if calibrate is not None:
        from morelli.features import FeatureTable

        table = FeatureTable.open(calibrate)
        bundle.check_build(table.build)
        labelled = table.load(list(bundle.kinds), where=table.one_perturbation(None, "label IS NOT NULL"))
        if not len(labelled):
            raise UsageError(
                f"{calibrate} has no labelled image. Extract with --label-from folders or --label."
            )
        bundle = bundle.recalibrated(labelled, fpr=fpr, miss_rate=miss_rate)
        for threshold in (bundle.ai, bundle.real):
            if threshold.note:
                warn(threshold.note)
    bundle.save(out)
    typer.echo(f"{out}: bundle {bundle.name} for {bundle.build.encoder}")
