"""`morelli fit`: a feature table in, a bundle out."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from morelli.cli._console import console, error_console
from morelli.cli._errors import warn
from morelli.cli._options import FalseAlarmRate, Folds, FoldSeed, MissRate, Quiet
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.audit import MetadataBaseline
    from morelli.detectors import Bundle
    from morelli.features import Features, FeatureTable

CONFOUNDED = 0.65
"""Area under the curve of file facts alone from which fitting warns."""
LOOSE = 2.0
"""How many times the asked rate the 95 % bound of a threshold's rate may be before fitting warns."""
FEW_GROUPS = 6
"""Groups of a class below which what is held out says little about other groups."""


class DetectorChoice(StrEnum):
    """The rule that makes a score of features."""

    probe = "probe"
    neighbors = "neighbors"
    experts = "experts"


class RealGroupChoice(StrEnum):
    """What real images are kept together by when a table is split."""

    source = "source"
    image = "image"


def fit(
    table: Annotated[Path, typer.Argument(metavar="F.lance", show_default=False, help="Labelled features.")],
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", show_default=False, help="Folder to write.")
    ],
    kinds: Annotated[
        str | None,
        typer.Option(help="Feature kinds to look at, by commas, such as layer:6-9; else all of the table."),
    ] = None,
    detector: Annotated[
        DetectorChoice,
        typer.Option(help="A linear probe, nearest neighbours, or one probe for each span of years, joined."),
    ] = DetectorChoice.probe,
    expert_years: Annotated[
        str,
        typer.Option(
            metavar="YEARS",
            help="Years in which each further expert begins, by commas; from the column era.",
        ),
    ] = "2023",
    k: Annotated[int, typer.Option(min=1, help="How many neighbours vote.")] = 5,
    fpr: FalseAlarmRate = 0.05,
    miss_rate: MissRate = 0.05,
    new_groups: Annotated[
        bool,
        typer.Option(
            "--new-groups",
            help="Promise these shares for images of sources and generators that are not in the table.",
        ),
    ] = False,
    families: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help='Families of generators to name, as {"lineage": "family"}; other lineages are strangers.',
        ),
    ] = None,
    quick: Annotated[
        list[Path] | None,
        typer.Option(
            "--quick",
            "--bfloat16",
            metavar="QUICK.lance",
            help="The same images, extracted with --dtype bfloat16 or int8: measure what that costs the "
            "detector, so that `detect --precision fast` or `fastest` may use it; may be repeated.",
        ),
    ] = None,
    real_groups: Annotated[
        RealGroupChoice, typer.Option(help="Keep real images together by their source, or not at all.")
    ] = RealGroupChoice.source,
    folds: Folds = 8,
    seed: FoldSeed = 0,
    name: Annotated[str | None, typer.Option(help="Name of the bundle; else its folder's.")] = None,
    quiet: Quiet = False,
) -> None:
    """Fit a detector on labelled features, calibrate it on held-out scores, and write a bundle.

    Every score that sets a threshold or a figure comes from a detector that has not seen the image's
    group: a generator's lineage, or a source of real images. So say which image is by which generator
    (folders below fake/, or the columns generator and lineage of a manifest).

    Examples:

        morelli fit mine.lance -o my-bundle/

        morelli fit mine.lance -o knn/ --detector neighbors --k 9 --kinds final

        morelli fit mine.lance -o strict/ --kinds layer:6-9 --fpr 0.01

        morelli fit mine.lance -o both/ --detector experts --expert-years 2023 --new-groups
    """
    from morelli.detectors import Bundle, Recipe, fit_bundle
    from morelli.features import FeatureTable

    Bundle.check_target(out)
    source = FeatureTable.open(table)
    chosen = _chosen(source, kinds)
    evidence = ("final",) if "final" in source.kinds else (chosen[-1],)
    features = source.load(kinds=list(dict.fromkeys([*chosen, *evidence])), where="label IS NOT NULL")
    if not len(features):
        raise UsageError(
            f"{table} has no labelled image. Extract with --label-from folders, --label, or a manifest."
        )
    recipe = Recipe(
        name=name or out.resolve().name,
        kinds=chosen,
        estimator=_estimator(detector, k, expert_years, seed),
        bank_kinds=evidence,
        fpr=fpr,
        miss_rate=miss_rate,
        new_groups=new_groups,
        families=None if families is None else _families(families),
        real_groups=real_groups.value,
        n_folds=folds,
        seed=seed,
    )
    same_images = [FeatureTable.open(path) for path in quick or ()]  # a wrong name is met before the fit
    command = shlex.join(["morelli", *sys.argv[1:]])
    bundle = fit_bundle(features, recipe, command=command).bundle
    for same in same_images:
        bundle = bundle.with_quick(features, same.load(kinds=list(bundle.kinds)))
    bundle.save(out)
    alone = _file_facts(features, real_groups.value)
    if not quiet:
        _print_fit(bundle, out, alone, unlabelled=len(source) - len(features))
    _warn(bundle, features, alone)


def _families(path: Path) -> dict[str, str]:
    """The family of each lineage, from a JSON object of texts."""
    from morelli.artefacts import read_json

    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UsageError(f'{path} is no JSON object of the form {{"lineage": "family"}}.')
    return found


def _estimator(detector: DetectorChoice, k: int, expert_years: str, seed: int) -> Any:
    from morelli.detectors import ExpertProbe, LinearProbe, NearestNeighborDetector

    if detector is DetectorChoice.neighbors:
        return NearestNeighborDetector(k=k)
    if detector is DetectorChoice.probe:
        return LinearProbe(random_state=seed)
    years = [text.strip() for text in expert_years.split(",")]
    if not all(text.isdigit() for text in years):
        raise UsageError(f"--expert-years takes years by commas, such as 2021,2023; got {expert_years!r}.")
    return ExpertProbe(tuple(int(text) for text in years), random_state=seed)


def _chosen(source: FeatureTable, kinds: str | None) -> tuple[str, ...]:
    """The kinds of the table that were asked for; without a wish all whole vectors.

    Tokens and attention are no vectors, and parts of the embedding would only repeat it.
    """
    from morelli.encoders import expand_kinds, kind_ranges

    if kinds is None:
        whole = tuple(kind for kind in source.kinds if kind.split(":")[0] in ("final", "layer", "mean"))
        if not whole:
            raise UsageError(f"Say which of {kind_ranges(source.kinds)} to look at, with --kinds.")
        return whole
    places = [kind.split(":")[1].split(".") for kind in source.kinds if ":" in kind]
    layers = max((int(place[0]) for place in places), default=0)
    heads = max((int(place[1]) for place in places if len(place) > 1), default=None)
    return tuple(expand_kinds(kinds.split(","), layers=layers, heads=heads))


def _single(bundle: Bundle) -> list[str]:
    """The classes whose groups are single images."""
    training = bundle.training
    return [
        words
        for name, words in (("real", "real"), ("fake", "generated"))
        if training[f"n_{name}"] > 1 and training[f"n_groups_{name}"] >= training[f"n_{name}"]
    ]


def _few(bundle: Bundle) -> str | None:
    """What so few images, or so few groups, leave open; None where they are enough.

    Images that cannot promise a rate at all have a warning of their own, and so have groups of one image.
    """
    training, single = bundle.training, _single(bundle)
    loose = [
        f"{training[f'n_{name}']:,} {words} ones allow {error} up to {threshold.upper:.0%} "
        f"(asked: {threshold.rate:.0%})"
        for name, words, error, threshold in (
            ("real", "real", "false alarms", bundle.ai),
            ("fake", "generated", "misses", bundle.real),
        )
        if threshold.guaranteed and threshold.upper > LOOSE * threshold.rate
    ]
    groups = [
        f"{training[f'n_groups_{name}']} groups of {words} ones"
        for name, words in (("real", "real"), ("fake", "generated"))
        if words not in single and training[f"n_groups_{name}"] < FEW_GROUPS
    ]
    if groups:
        loose.append(f"{' and '.join(groups)} say little about others")
    if not loose:
        return None
    return (
        f"few images to promise anything: {'; '.join(loose)}. Add images of further sources and generators, "
        "a dozen of each and a few hundred images in all"
    )


def _file_facts(features: Features, real_groups: Literal["source", "image"]) -> MetadataBaseline | None:
    """What facts of the files alone score, the same groups held out as from the detector.

    None where the table knows no such fact. An atlas of the same table states the same figure.
    """
    from morelli.audit import metadata_only_auc

    try:
        return metadata_only_auc(features, features.groups(real_groups=real_groups))
    except UsageError:
        return None


def _warn(bundle: Bundle, features: Features, alone: MetadataBaseline | None) -> None:
    """What makes the figures worth less than they look."""
    if alone is not None and alone.auc >= CONFOUNDED:
        aligned = any("align" in str(one) for one in set(features.column("perturbation").tolist()))
        advice = (
            "the pictures were aligned, so the detector can have learnt only what that leaves of them"
            if aligned
            else "the detector may have learnt them: extract both classes delivered alike "
            "(--perturb align:288,85)"
        )
        warn(
            f"format, size and shape of the files alone tell the classes apart with AUC {alone.auc:.3f}; "
            f"{advice}; look with `morelli audit`"
        )
    if twice := _in_both_classes(features):
        warn(
            f"{twice:,} pairs of images look alike and have opposite labels: one of each pair is labelled "
            "wrongly, or both are of the same original; `morelli audit` lists them"
        )
    for threshold in (bundle.ai, bundle.real):
        if not threshold.guaranteed and threshold.note:
            warn(threshold.note)
    if few := _few(bundle):
        warn(few)
    single = _single(bundle)
    if single:
        warn(
            f"every group of the {' and of the '.join(single)} images is one image: nothing is held out "
            "together, and figures for images of unseen generators or sources may be worse; name generators "
            "and sources with folders (--layout auto) or the columns generator, lineage and source"
        )


def _in_both_classes(features: Features) -> int:
    """Pairs of images, one of each class, whose perceptual hashes agree in all but a few bits."""
    import numpy as np

    from morelli.features import near_duplicates

    column = features.column("phash")
    known = np.flatnonzero([value is not None for value in column])
    pairs = known[near_duplicates(column[known].astype(np.uint64), reach=4)]
    labels = np.asarray(features.labels)
    return int((labels[pairs[:, 0]] != labels[pairs[:, 1]]).sum()) if len(pairs) else 0


def _print_fit(bundle: Bundle, out: Path, alone: MetadataBaseline | None, *, unlabelled: int) -> None:
    """Held-out figures in short; the model card has all of them."""
    screen = console()
    training = bundle.training
    screen.print(
        f"{out}: {bundle.name}, fitted on {training['n_real']:,} real and {training['n_fake']:,} "
        f"generated images in {training['n_groups_real']:,} and {training['n_groups_fake']:,} groups.",
        highlight=False,
        soft_wrap=True,
    )
    for figure, words in (
        ("auc", "area under the curve"),
        ("tpr_at_5_percent_fpr", "found at 5 % false alarms"),
        ("ece", "calibration error"),
    ):
        value = bundle.metrics[figure]
        held = "single images" if len(_single(bundle)) == 2 else "groups"
        spread = f"({100 * value['level']:.0f} %: {value['low']:.3f} to {value['high']:.3f}, {held} held out)"
        screen.print(f"  {words:<26} {value['value']:.3f}  {spread}", highlight=False)
    if bundle.attribution is not None:
        found = bundle.attribution.figures
        right = "none rightly" if found["right"] is None else f"{100 * found['right']:.0f} % of them rightly"
        screen.print(
            f"  {'family named':<26} {100 * found['named']:.0f} % of the generated images, {right}",
            highlight=False,
        )
    if alone is not None:
        low, high = alone.interval
        spread = f"(90 %: {low:.3f} to {high:.3f}, {'; '.join(filter(None, ['held out', alone.note]))})"
        screen.print(f"  {'AUC of file facts alone':<26} {alone.auc:.3f}  {spread}", highlight=False)
    screen.print(
        f"Held out in {training['n_folds']} folds; `morelli evaluate run` leaves one lineage out at a time, "
        "and an atlas scores its own dimensions, so their figures differ from these.",
        highlight=False,
        soft_wrap=True,
    )
    if unlabelled:
        error_console().print(f"{unlabelled:,} rows without a label were left out.", highlight=False)
