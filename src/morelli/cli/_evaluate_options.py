"""Options that the commands under `morelli evaluate` share."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._fit import RealGroupChoice

if TYPE_CHECKING:
    from morelli.evaluation import Input, MeasureOptions


class RefitChoice(StrEnum):
    """What becomes of a bundle that was fitted on the images that test it."""

    auto = "auto"
    always = "always"
    never = "never"


class MapChoice(StrEnum):
    """How the feature space is drawn."""

    tsne = "tsne"
    umap = "umap"
    pca = "pca"
    none = "none"


class ScoreChoice(StrEnum):
    """What another tool's scores are."""

    probability = "probability"
    logit = "logit"


Out = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", show_default=False, help="Folder of the report.")
]
Bundles = Annotated[
    list[str] | None,
    typer.Option("--bundle", metavar="BUNDLE", help="A bundle's folder, or default. Again for more."),
]
Detectors = Annotated[
    list[str] | None,
    typer.Option(
        "--detector",
        metavar="SPEC",
        help="knn:1,3,5,9, knn-majority:K, probe or univfd; @layer:8+final for other feature kinds. "
        "Again for more.",
    ),
]
Refit = Annotated[
    RefitChoice,
    typer.Option(
        help="Fit a bundle's recipe again in every split: if it has seen the images, always, or never."
    ),
]
Rounds = Annotated[int, typer.Option(min=0, help="Bootstrap rounds of the intervals.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.")]
Seed = Annotated[int, typer.Option(help="Seed of splits, detectors and bootstrap draws.")]
DrawSeed = Annotated[int, typer.Option(help="Seed of the intervals' bootstrap draws.")]
Name = Annotated[str, typer.Option(help="Title of the report.")]
RealGroups = Annotated[
    RealGroupChoice, typer.Option(help="Keep real images together by their source, or not at all.")
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images", metavar="PATH", help="The images behind the table, for pictures of the worst cases."
    ),
]
Audit = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="A finished audit of these images, to show its findings."),
]
Thumbnails = Annotated[
    bool, typer.Option("--thumbnails/--no-thumbnails", help="Put small pictures of the worst cases in.")
]
Spectra = Annotated[
    bool, typer.Option("--spectra", help="Draw mean high-pass spectra of --images; decodes all of them.")
]


def bundle_inputs(bundles: Sequence[str] | None) -> list[Input]:
    """The bundles that --bundle named, as inputs of a run."""
    from morelli.evaluation import Input

    return [Input("bundle", path) for path in bundles or ()]


def measure_options(rounds: int, level: float, seed: int, real_groups: str) -> MeasureOptions:
    """How figures and intervals are measured, from --rounds, --level, --seed and --real-groups."""
    from morelli.evaluation import MeasureOptions

    return MeasureOptions(rounds=rounds, level=level, seed=seed, real_groups=real_groups)
