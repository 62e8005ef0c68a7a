"""Robustness sweeps: how detectors hold when the same images are delivered worse.

UnivFD (Ojha et al. 2023, figure 6) sweeps JPEG quality 100–30 and Gaussian blur σ 0–4 and reports AP for each
family of generators. Here the encoder sees each (image, perturbation) once, the features are kept in one
table by content, and any number of detectors is scored from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.errors import UsageError
from morelli.evaluation._arrays import FloatArray, IntArray
from morelli.evaluation._folds import fold_splits
from morelli.evaluation._predictions import Predictions
from morelli.evaluation._protocols import run_splits
from morelli.evaluation._refits import Candidate
from morelli.evaluation._splits import Split
from morelli.evaluation.protocols import ALL, CLEAN, ROBUSTNESS
from morelli.features import Features
from morelli.metrics import Estimate
from morelli.metrics.resampling import Ranked, Resampling, interval

if TYPE_CHECKING:
    from morelli.encoders import Encoder
    from morelli.features import FeatureTable
    from morelli.images import ImageItem

UNIVFD: Mapping[str, tuple[str, ...]] = {
    "jpeg": tuple(f"jpeg:{quality}" for quality in (100, 90, 80, 70, 60, 50, 40, 30)),
    "blur": tuple(f"blur:{sigma}" for sigma in (1, 2, 3, 4)),
}
"""The axes of UnivFD's figure 6; σ = 0 is the clean image, which every sweep includes."""

STANDARD: Mapping[str, tuple[str, ...]] = {
    **UNIVFD,
    "webp": tuple(f"webp:{quality}" for quality in (95, 75, 50, 30)),
    "downup": ("downup:0.75", "downup:0.5", "downup:0.25"),
    "centercrop": ("centercrop:0.9", "centercrop:0.75", "centercrop:0.5"),
    "noise": ("noise:2", "noise:4", "noise:8", "noise:16"),
    "delivery": ("social:facebook", "social:instagram", "social:whatsapp", "screenshot", "align:288,85"),
}
"""All axes: the paper's, and WebP, scaling down and up, cropping, noise, and whole ways of delivery."""

AXES: Mapping[str, Mapping[str, tuple[str, ...]]] = {"standard": STANDARD, "univfd": UNIVFD}
"""Sets of axes by name."""


def extract_perturbed(
    source: str | Path | Sequence[str | Path] | Iterable[ImageItem],
    out: str | Path,
    *,
    encoder: Encoder,
    perturbations: Mapping[str, Sequence[str]] | Sequence[str] | str = "standard",
    kinds: Sequence[str] = ("final",),
    progress: Callable[[str, int, int], None] | None = None,
    on_pass: Callable[[str, int, Sequence[tuple[str, str, str]]], None] | None = None,
    **options: Any,
) -> FeatureTable:
    """Features of every image of `source`, clean and under every perturbation, in the one table `out`.

    What the table holds already is not encoded again, so a sweep can be broken off, resumed and widened.
    `progress` is called with (perturbation, its number, their number) before each pass, `on_pass` after
    it with (perturbation, number of images that have features, address, reason and message of each that has
    none); `options` go to `morelli.features.extract`.
    """
    from morelli.features import FeatureTable, extract

    specs = perturbation_ids(perturbations)
    items: Any = source if isinstance(source, str | Path | Sequence) else list(source)
    for number, spec in enumerate(specs):
        if progress is not None:
            progress(spec, number, len(specs))
        report = extract(items, out, encoder=encoder, kinds=kinds, perturbation=spec or None, **options)
        if on_pass is not None:
            failed = [(failure.uri, failure.reason, failure.message) for failure in report.failed]
            on_pass(spec, report.done + report.skipped + report.duplicates, failed)
    return FeatureTable.open(Path(out))


def perturbation_ids(perturbations: Mapping[str, Sequence[str]] | Sequence[str] | str) -> list[str]:
    """Canonical ids in order, the clean image ("") first, each once.

    A text is the name of a set of axes, `standard` or `univfd`, or specifications with commas between.
    """
    from morelli.images import perturbation

    if isinstance(perturbations, str):
        perturbations = AXES.get(perturbations, perturbations.split(","))
    if isinstance(perturbations, Mapping):
        specs = [spec for axis in perturbations.values() for spec in axis]
    else:
        specs = list(perturbations)
    return list(dict.fromkeys([CLEAN, *(perturbation(spec).id for spec in specs if spec)]))


def sweep(
    table: FeatureTable,
    candidates: Sequence[Candidate],
    *,
    perturbations: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    splits: Sequence[Split] | None = None,
    seed: int = 0,
) -> Predictions:
    """Score detectors on every perturbation that `table` holds, on its labelled images.

    Estimators are fitted on the *clean* training rows of every split and scored on its test rows, clean and
    perturbed; bundles are scored as they are, which means little on images that they were fitted on.

    Args:
        table: from `extract_perturbed`.
        candidates: the detectors.
        perturbations: which to score; all that the table holds if None. The clean images always belong to it.
        splits: row numbers refer to the labelled clean rows of the table, in their order; five folds that
            hold out lineages and real sources if None. Bundles ignore them.
        seed: of those folds.

    Rows carry protocol "robustness" and the perturbation's id ("" for clean); the run records the families
    of the generators for `robustness_curves`. Fitting needs the features of all perturbations in memory;
    bundles are scored one perturbation at a time.

    An image without features under one of the perturbations is left out of all, so that every delivery is of
    the same images; the run's `left_out` says how many lack each.

    Raises UsageError when the table lacks a perturbation, or no image has all of them.
    """
    held = table.metadata(["perturbation"]).column("perturbation").to_pylist()
    present = list(dict.fromkeys(held))
    wanted = present if perturbations is None else perturbation_ids(perturbations)
    specs = list(dict.fromkeys([CLEAN, *wanted]))
    missing = [spec for spec in specs if spec not in present]
    if missing:
        raise UsageError(
            f"The table lacks {', '.join(spec or 'the clean images' for spec in missing)}: "
            "run extract_perturbed first."
        )
    fixed = [candidate for candidate in candidates if candidate.fixed]
    fitted = [candidate for candidate in candidates if not candidate.fixed]
    kinds = sorted({kind for c in candidates for kind in (c.detector.kinds if c.fixed else c.kinds)})
    clean, kept, left_out = _of_all(table, specs, kinds)
    order = {sha: row for row, sha in enumerate(clean.column("sha256"))}
    parts: list[Predictions] = []
    held_back: list[Features] = []
    for spec in specs:
        features = clean if spec == CLEAN else _in_order(table, spec, kinds, order)
        if fixed:
            everything = Split("", np.empty(0, np.int64), np.arange(len(features)))
            parts.append(run_splits(ROBUSTNESS, features, [everything], fixed))
        if fitted:
            held_back.append(features)
    if fitted:
        n = len(clean)
        steps = n * np.arange(len(specs))
        widened = [
            replace(split, test=np.add.outer(steps, split.test).ravel())
            for split in (
                [_renumbered(split, kept) for split in splits]
                if splits is not None
                else fold_splits(clean, seed=seed)
            )
        ]
        parts.append(run_splits(ROBUSTNESS, Features.concat(held_back), widened, fitted))
    run = {"protocol": ROBUSTNESS, "seed": seed, "build": clean.build.to_json(), "families": _families(clean)}
    if left_out:
        run["left_out"] = left_out
    return Predictions.concat(parts, run)


@dataclass(frozen=True)
class CurvePoint:
    """One detector on one family of generators under one perturbation.

    `axis` and `strength` are the parts of the perturbation's id ("jpeg", 85.0); the clean image has axis ""
    and no strength. `auc` has an interval over lineages and real sources, the same draws at every point; `ap`
    weighs family and real images equally (base rate one half); `recall` is the share found at logit 0,
    `recall_fixed` at the threshold that gives 5 % false positives on the clean real images; `fpr` and
    `fpr_fixed` are the false-positive rates of the perturbed real images at these two, `fpr_by_source`
    the former for each real source.
    """

    detector: str
    perturbation: str
    axis: str
    strength: float | None
    family: str
    n: int
    auc: Estimate
    ap: float
    recall: float
    recall_fixed: float
    fpr: float
    fpr_fixed: float
    fpr_by_source: Mapping[str, float]


def robustness_curves(
    predictions: Predictions,
    *,
    families: Mapping[str, str] | None = None,
    fpr: float = 0.05,
    rounds: int = 300,
    level: float = 0.9,
    seed: int = 0,
) -> list[CurvePoint]:
    """Curves from the rows of a sweep: one point for each detector, perturbation and family, and "all".

    `families` maps generators to families; what the sweep recorded if None.
    """
    families = families if families is not None else predictions.run.get("families", {})
    points: list[CurvePoint] = []
    for detector in predictions.names("detector"):
        own = predictions.select(detector=detector)
        clean = own.select(perturbation=CLEAN)
        if not len(clean):
            raise UsageError(f"The sweep of {detector} has no clean images to compare with.")
        cut = Ranked(clean.labels, clean.logits).threshold_at_fpr(fpr)
        for spec in dict.fromkeys([CLEAN, *own.names("perturbation")]):
            part = own.select(perturbation=spec)
            points += _points(part, detector, spec, families, cut, rounds, level, seed)
    return points


def _points(  # noqa: PLR0917
    part: Predictions,
    detector: str,
    spec: str,
    families: Mapping[str, str],
    cut: float,
    rounds: int,
    level: float,
    seed: int,
) -> list[CurvePoint]:
    labels, logits = part.labels, part.logits
    generator, names = part.codes("generator")
    of_name = [families.get(name, "") for name in names]
    family = np.asarray([of_name[code] if code >= 0 else "" for code in generator])
    known = [ALL, *sorted(set(family[(labels == 1) & (family != "")]))]
    # Every fake counts twice: in its family, and in the group of all.
    rows = np.concatenate([np.arange(len(part)), np.flatnonzero((labels == 1) & (family != ""))])
    codes: IntArray = np.zeros(len(rows), np.int64)
    codes[len(part) :] = [known.index(name) for name in family[rows[len(part) :]]]
    ranked = Ranked(labels[rows], logits[rows], codes, len(known))
    plain = ranked.grouped(ranked.cumulative_reals(np.ones((1, ranked.n_real))), np.ones((1, ranked.n_fake)))
    drawn = _draws(part, ranked, rows, rounds, seed)
    source, sources = part.codes("source")
    by_source = {
        sources[code]: float(np.mean(logits[(labels == 0) & (source == code)] > 0))
        for code in np.unique(source[(labels == 0) & (source >= 0)])
    }
    real = labels == 0
    axis, _, argument = spec.partition(":")
    points = []
    for place, name in enumerate(known):
        own = (labels == 1) & ((family == name) | (name == ALL))
        points.append(
            CurvePoint(
                detector=detector,
                perturbation=spec,
                axis=axis,
                strength=_strength(argument),
                family=name,
                n=int(own.sum()),
                auc=interval(float(plain.auc[0, place]), drawn[:, place], level),
                ap=float(plain.average_precision[0, place]),
                recall=float(np.mean(logits[own] > 0)),
                recall_fixed=float(np.mean(logits[own] > cut)),
                fpr=float(np.mean(logits[real] > 0)),
                fpr_fixed=float(np.mean(logits[real] > cut)),
                fpr_by_source=by_source,
            )
        )
    return points


def _draws(part: Predictions, ranked: Ranked, rows: IntArray, rounds: int, seed: int) -> FloatArray:
    """AUC of resampled lineages and sources for every group of `ranked`, (rounds, groups)."""
    clusters, images = part.clusters()[rows], part.images()[rows]
    weights = []
    for side, members in enumerate((ranked.real_rows, ranked.grouped_rows)):
        resampling = Resampling.of(clusters[members], images[members])
        weights.append(resampling.draw(range(rounds), seed, side)[:, resampling.codes])
    return ranked.grouped(ranked.cumulative_reals(weights[0]), weights[1]).auc


def _of_all(
    table: FeatureTable, specs: Sequence[str], kinds: Sequence[str]
) -> tuple[Features, IntArray, dict[str, int]]:
    """The labelled images that have features under every perturbation, clean.

    Also the new number of every labelled clean row, -1 for those left out, and how many lack each
    perturbation.
    """
    clean = table.load(kinds, where="perturbation = '' AND label IS NOT NULL")
    names = clean.column("sha256")
    held: dict[str, set[str]] = {spec: set() for spec in specs}
    rows = table.metadata(["sha256", "perturbation"])
    for sha, spec in zip(*(rows.column(c).to_pylist() for c in ("sha256", "perturbation")), strict=True):
        if spec in held:
            held[spec].add(sha)
    left_out = {spec: sum(sha not in there for sha in names) for spec, there in held.items()}
    left_out = {spec: count for spec, count in left_out.items() if count}
    whole = np.asarray([all(sha in there for there in held.values()) for sha in names], dtype=bool)
    if len(clean) and not whole.any():
        raise UsageError(
            f"No image of the table has features under every perturbation; {', '.join(left_out)} lack some: "
            "run extract_perturbed again to complete them."
        )
    return clean.take(whole), np.where(whole, np.cumsum(whole) - 1, -1), left_out


def _renumbered(split: Split, places: IntArray) -> Split:
    """The split with the rows' new numbers, without those that have none."""
    train, test = places[split.train], places[split.test]
    return replace(split, train=train[train >= 0], test=test[test >= 0])


def _in_order(table: FeatureTable, spec: str, kinds: Sequence[str], order: Mapping[str, int]) -> Features:
    """The rows of one perturbation in the order of the clean rows."""
    quoted = spec.replace("'", "''")
    features = table.load(kinds, where=f"perturbation = '{quoted}'")
    places = {sha: row for row, sha in enumerate(features.column("sha256"))}
    return features.take([places[sha] for sha in order])


def _families(features: Features) -> dict[str, str]:
    try:
        families = features.column("family")
    except UsageError:
        return {}
    names, labels = features.column("generator"), features.labels
    return {
        str(name): str(family)
        for name, family, label in zip(names, families, labels, strict=True)
        if label == 1 and name and family
    }


def _strength(argument: str) -> float | None:
    try:
        return float(argument)
    except ValueError:
        return None
