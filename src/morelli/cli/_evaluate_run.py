"""`morelli evaluate run` and `report`: detectors measured by protocols, or a table of scores read again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, error_console, printable
from morelli.cli._evaluate_options import (
    Audit,
    Bundles,
    Detectors,
    DrawSeed,
    Images,
    Level,
    MapChoice,
    Name,
    Out,
    RealGroups,
    Refit,
    RefitChoice,
    Rounds,
    ScoreChoice,
    Seed,
    Spectra,
    Thumbnails,
    bundle_inputs,
    measure_options,
)
from morelli.cli._evaluate_reporting import reported
from morelli.cli._fit import RealGroupChoice
from morelli.cli._options import ImageColumn, LabelColumn, LabelFrom, LayoutOption, PerturbationId, Quiet
from morelli.cli._sources import collection_of
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.evaluation import Summary
    from morelli.reports import Report

READ_AS = {
    "leave-one-lineage-out": "Each lineage is scored by fits without it and without a share of the real "
    "sources. `morelli fit` holds out larger folds, and an atlas scores its own dimensions, so their figures "
    "differ from these.",
    "transfer": "Means over fits on one generator each, tested on every one: lower than a fit on many.",
    "leave-one-family-out": "Means over the families, each scored by fits without it.",
    "by-era": "Means over the steps in time, each scored by a fit on earlier generators.",
    "by-real-source": "Each real source is scored by a fit without it and without a share of the lineages.",
    "fixed": "Bundles are scored without fitting: held out only from images that they were not fitted on.",
}
"""What a figure of each protocol is, so that it is not taken for one of another command."""


def run(
    table: Annotated[
        str,
        typer.Argument(
            metavar="F.lance", show_default=False, help="Labelled features; with --external, images instead."
        ),
    ],
    *,
    out: Out,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="By commas: lineage, transfer, era, family, source, univfd, fixed."
        ),
    ] = "lineage,transfer",
    detectors: Detectors = None,
    bundles: Bundles = None,
    refit: Refit = RefitChoice.auto,
    train: Annotated[
        Path | None, typer.Option(metavar="F.lance", help="What univfd trains on; the argument is the test.")
    ] = None,
    held_in: Annotated[
        Path | None,
        typer.Option(metavar="F.lance", help="What univfd tunes thresholds on, else a fifth of --train."),
    ] = None,
    more: Annotated[
        list[Path] | None,
        typer.Option(
            "--more",
            metavar="F.lance",
            help="Features of the same images by another encoder, for an ensemble. Again for more.",
        ),
    ] = None,
    set_column: Annotated[str, typer.Option(help="Column that names univfd's test sets.")] = "set",
    perturbation: PerturbationId = None,
    external: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help="Score by another tool: reads one path a line, writes one score a line."
        ),
    ] = None,
    external_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What tables call that tool.")
    ] = None,
    scores: Annotated[ScoreChoice, typer.Option(help="What that tool writes.")] = ScoreChoice.probability,
    label_from: LabelFrom = None,
    layout: LayoutOption = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    real_groups: RealGroups = RealGroupChoice.source,
    least: Annotated[int, typer.Option(min=2, help="Fewest images of a generator in the matrix.")] = 10,
    seed: Seed = 0,
    rounds: Rounds = 1000,
    level: Level = 0.9,
    maps: Annotated[MapChoice, typer.Option(help="How to draw the feature space.")] = MapChoice.tsne,
    images: Images = None,
    spectra: Spectra = False,
    audit: Audit = None,
    thumbnails: Thumbnails = True,
    name: Name = "",
    quiet: Quiet = False,
) -> None:
    """Evaluate detectors by protocols that keep lineages and real sources apart, and write a report.

    Detectors are fitted again for every split. A bundle is scored as it is on images that it has not seen;
    if it has seen them, its recipe is fitted again in every split instead, and the report says so. The
    folder gets predictions.parquet, report.html, report.json, report.md and CSV tables.

    Examples:

        morelli evaluate run F.lance -o report/ --detector knn:1,3,5,9 --detector probe

        morelli evaluate run F.lance -o report/ --bundle my-bundle/ --protocol lineage,era,source

        morelli evaluate run sets.lance --train progan.lance --protocol univfd --detector probe -o report/

        morelli evaluate run photos/ --external "python score.py" --label-from folders -o report/

        morelli evaluate run GenImage/ --external "python score.py" --layout genimage -o report/
    """
    from morelli.evaluation import Input, Run

    reading = collection_of(
        label_from=label_from, layout=layout, image_column=image_column, label_column=label_column
    )

    if external is not None:
        if detectors or bundles or train:
            raise UsageError(
                "--external scores images by itself: leave --detector, --bundle and --train out."
            )
        made = Run(
            kind="external",
            inputs=(Input("images", table),),
            external=external,
            external_name=external_name,
            scores=scores.value,
            label_from=reading["label_from"],
            layout=reading["layout"],
            image_column=image_column,
            label_column=label_column,
            protocols=("external",),
            seed=seed,
        )
        images = images or [table]
    else:
        inputs = [Input("features", table), *bundle_inputs(bundles)]
        inputs += [Input("more_features", str(path)) for path in more or ()]
        inputs += [Input("train", str(train))] if train else []
        inputs += [Input("held_in", str(held_in))] if held_in else []
        made = Run(
            kind="features",
            inputs=tuple(inputs),
            detectors=tuple(detectors or ()),
            protocols=tuple(p.strip() for p in protocol.split(",") if p.strip()),
            refit=refit.value,
            real_groups=real_groups.value,
            seed=seed,
            least=least,
            perturbation=perturbation,
            set_column=set_column,
        )
    report = reported(
        made,
        out,
        options=measure_options(rounds, level, seed, real_groups.value),
        name=name,
        images=images,
        reading=reading,
        audit=audit,
        maps=maps.value,
        spectra=spectra,
        thumbnails=thumbnails,
        quiet=quiet,
    )
    if not quiet:
        _show(report.summary, report)


def report(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS", show_default=False, help="A table of scores, Parquet or CSV, of any tool."
        ),
    ],
    *,
    out: Out,
    seed: DrawSeed = 0,
    rounds: Rounds = 1000,
    level: Level = 0.9,
    real_groups: RealGroups = RealGroupChoice.source,
    images: Images = None,
    image_column: ImageColumn = None,
    audit: Audit = None,
    thumbnails: Thumbnails = True,
    name: Name = "",
    quiet: Quiet = False,
) -> None:
    """Recompute every figure, table and chart from a predictions table alone.

    Another tool joins by writing such a table, Parquet or CSV: `label` (0 or real, 1 or fake) and `logit` or
    `probability` are needed; sha256, uri, generator, lineage, source, detector and the others are used where
    present. The tables of `morelli detect` on labelled images are such tables.

    Examples:

        morelli evaluate report predictions.parquet -o report/

        morelli evaluate report theirs.csv -o theirs/ --name "Their detector"

        morelli detect labelled/ --label-from folders --csv verdicts.csv

        morelli evaluate report verdicts.csv -o verdicts/
    """
    from morelli.evaluation import Input, Run

    made = Run(kind="table", inputs=(Input("predictions", str(predictions)),), seed=seed)
    done = reported(
        made,
        out,
        options=measure_options(rounds, level, seed, real_groups.value),
        name=name,
        images=images,
        reading=collection_of(label_from=None, layout=None, image_column=image_column, label_column=None),
        audit=audit,
        maps="none",
        spectra=False,
        thumbnails=thumbnails,
        quiet=quiet,
    )
    if not quiet:
        _show(done.summary, done)


def _show(summary: Summary, report: Report) -> None:
    """The main figures on the screen, file facts beside each."""
    from rich import box
    from rich.table import Table

    screen = console()
    for protocol in dict.fromkeys(r.protocol for r in summary.results):
        own = [r for r in summary.results if r.protocol == protocol]
        grid = Table(
            "detector", "images", "AUC", "file facts", "AP", "at 5 % alarms", "weakest", box=box.SIMPLE_HEAD
        )
        for r in own:
            grid.add_row(
                printable(r.detector),
                f"{r.n_images:,}",
                str(r.metrics.get("auc", "–")),
                f"{r.metadata_only.value:.3f}" if r.metadata_only else "unknown",
                _brief(r.metrics.get("average_precision")),
                _brief(r.metrics.get("tpr_at_0.05_fpr")),
                printable(r.worst_generator or "–"),
            )
        screen.print(f"{protocol}, {own[0].perturbation or 'as delivered'}", markup=False, highlight=False)
        screen.print(grid)
        if protocol in READ_AS:
            screen.print(f"{READ_AS[protocol]}\n", markup=False, highlight=False, soft_wrap=True)
    for note in report.document["run"].get("notes", []):
        error_console().print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    screen.print(f"Report: {report.page}", markup=False, highlight=False, soft_wrap=True)


def _brief(estimate: Any) -> str:
    return "–" if estimate is None else f"{estimate.value:.3f}"
