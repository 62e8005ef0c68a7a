"""`morelli ensemble`: several bundles in, one detector that joins them out."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, printable
from morelli.cli._errors import warn
from morelli.cli._options import FalseAlarmRate, Folds, FoldSeed, MissRate, Quiet
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.detectors import Bundle, Ensemble
    from morelli.features import Features


class CombineChoice(StrEnum):
    """How the members' log-odds are joined."""

    fitted = "fitted"
    mean = "mean"


def ensemble(
    members: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE", show_default=False, help="Bundles to join, two or more."),
    ],
    *,
    features: Annotated[
        list[Path],
        typer.Option(
            "--features",
            "-f",
            metavar="F.lance",
            show_default=False,
            help="The table that a member was fitted on; again for every encoder.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="ENSEMBLE", show_default=False, help="Folder to write.")
    ],
    combine: Annotated[
        CombineChoice, typer.Option(help="Fit the members' weights, or take the plain mean.")
    ] = CombineChoice.fitted,
    fpr: FalseAlarmRate = 0.05,
    miss_rate: MissRate = 0.05,
    new_groups: Annotated[
        bool,
        typer.Option(
            "--new-groups",
            help="Promise these shares for images of sources and generators that are not in the tables.",
        ),
    ] = False,
    folds: Folds = 8,
    seed: FoldSeed = 0,
    name: Annotated[str | None, typer.Option(help="Name of the ensemble; else its folder's.")] = None,
    quiet: Quiet = False,
) -> None:
    """Join bundles that were fitted on the same images, each on its own encoder, into one detector.

    Every member is fitted again without each fold of lineages and sources, and the weights, the
    calibration and both thresholds come from these held-out scores. The figures of each member, of
    the plain mean and of the combination are printed with intervals, and whether the combination is
    better than the best member: every member costs a forward pass for each image.

    Verdicts of an ensemble say what each member says. What it means that members disagree is
    measured on the held-out images and kept with the ensemble.

    Examples:

        morelli ensemble clip/ dino/ -f clip.lance -f dino.lance -o both/

        morelli ensemble clip/ dino/ -f clip.lance -f dino.lance -o mean/ --combine mean

        morelli detect pictures/ --bundle both/
    """
    from morelli.detectors import Bundle, Ensemble, fit_ensemble

    Ensemble.check_target(out)
    bundles = [Bundle.load(path) for path in members]
    fitted = fit_ensemble(
        bundles,
        [_read(path, bundles) for path in features],
        name=name or out.resolve().name,
        combine=combine.value,
        fpr=fpr,
        miss_rate=miss_rate,
        new_groups=new_groups,
        n_folds=folds,
        seed=seed,
        command=shlex.join(["morelli", *sys.argv[1:]]),
    )
    made = fitted.ensemble
    made.save(out)
    if not quiet:
        _print_ensemble(made, out)
    best = fitted.best_member
    if not fitted.better_than(best):
        change = made.metrics["compared"][best]["difference"]["auc"]
        warn(
            f"the combination is not better than the member {best} alone: AUC {_signed(change)}; {best} by "
            "itself costs less"
        )
    for threshold in (made.ai, made.real):
        if not threshold.guaranteed and threshold.note:
            warn(threshold.note)


def _read(path: Path, bundles: list[Bundle]) -> Features:
    """The labelled features that the members of a table's encoder read."""
    from morelli.features import FeatureTable

    table = FeatureTable.open(path)
    kinds = [kind for one in bundles if one.build.matches(table.build) for kind in one.head_kinds]
    if not kinds:
        raise UsageError(f"{path} holds features by {table.build.encoder}, which no member was fitted on.")
    return table.load(kinds=list(dict.fromkeys(kinds)), where="label IS NOT NULL")


def _print_ensemble(made: Ensemble, out: Path) -> None:
    """The comparison, the weights, and what disagreement is worth; the model card has all of it."""
    from rich import box
    from rich.table import Table

    screen = console()
    passes = len(made.builds)
    screen.print(
        f"{out}: {made.name}, {len(made.members)} members, {passes} forward "
        f"pass{'es' if passes > 1 else ''} an image, {made.disagreement.images:,} held-out images.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    grid = Table(
        "", "weight", "AUC", "found at 5 % alarms", "combination better by, AUC", "found", box=box.SIMPLE_HEAD
    )
    shares = dict(zip([one.name for one in made.members], made.weights, strict=True))
    for row, figures in made.metrics["compared"].items():
        change = figures.get("difference")
        grid.add_row(
            printable(row),
            f"{shares[row]:.3f}" if row in shares else "",
            _plain(figures["auc"]),
            _plain(figures["tpr_at_5_percent_fpr"]),
            *([_signed(change["auc"]), _signed(change["tpr_at_5_percent_fpr"])] if change else ["", ""]),
        )
    screen.print(grid)
    d = made.disagreement
    screen.print(
        f"Members contradict each other on {d.contradicted:,} images; of the {d.answered:,} answers on these "
        f"{d.wrong:,} are wrong, of the {d.others_answered:,} others {d.others_wrong:,}. Such images get "
        f"{'no answer' if d.withholds else 'the answer of the combination'}.",
        highlight=False,
        soft_wrap=True,
    )


def _plain(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _signed(figure: dict[str, Any]) -> str:
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
