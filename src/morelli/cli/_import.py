"""`morelli import`: detectors that others published, as bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    force: Annotated[
        bool, typer.Option("--force", help="Take another head of the same shape too, such as one of yours.")
    ] = False,
) -> None:
    """Import the published UnivFD head (Ojha et al. 2023): 768 weights and a bias over CLIP ViT-L/14.

    The head has no bank and no calibration of its own: verdicts use its raw probability until you fit
    thresholds on images of yours.

    Examples:

        morelli import univfd fc_weights.pth -o univfd-bundle/

        morelli detect ~/Pictures --bundle univfd-bundle/
    """
    from morelli.detectors import Bundle, import_univfd

    Bundle.check_target(out)
    bundle = import_univfd(weights, force=force)
    bundle.save(out)
    typer.echo(f"{out}: bundle {bundle.name} for {bundle.build.encoder}")
