"""From a predictions table to everything that is reported: the one entry for tables and reports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from morelli.artefacts import plain_json
from morelli.audit import metadata_only_auc
from morelli.errors import UsageError
from morelli.evaluation._compare import Comparison, compare_all, rows_key
from morelli.evaluation._fold_means import FoldMeans, fold_options, measure_folds
from morelli.evaluation._measure import (
    GroupEstimate,
    MeasureOptions,
    SourceEstimate,
    measure,
    real_sources,
)
from morelli.evaluation._predictions import Predictions
from morelli.evaluation._univfd_protocol import UnivFDTable, univfd_table
from morelli.evaluation.protocols import POOLED, TRANSFER, UNIVFD
from morelli.metrics import Estimate
from morelli.metrics.probabilities import (
    CoveragePoint,
    ReliabilityBin,
    reliability_curve,
    risk_coverage_curve,
)

METADATA_IMAGES = 5_000  # the metadata-only forest is fitted on at most so many images


@dataclass(frozen=True)
class FoldSummary:
    """One fold (a test set, a trained generator, a step between eras) by itself."""

    name: str
    n_real: int
    n_fake: int
    metrics: Mapping[str, Estimate]
    generators: tuple[GroupEstimate, ...]


@dataclass(frozen=True)
class Result:
    """One detector under one protocol and perturbation.

    `metrics` are of the pooled out-of-fold scores, or unweighted means over `folds` where the protocol
    is read fold by fold. `metadata_only` is what file facts alone reach on the same images; None
    where the table knows no file facts. `worst_generator` has the lowest AUC of those with enough images.
    """

    protocol: str
    detector: str
    perturbation: str
    bundle: str | None
    n_images: int
    n_real: int
    n_fake: int
    n_lineages: int
    n_sources: int
    metrics: Mapping[str, Estimate]
    metadata_only: Estimate | None
    generators: tuple[GroupEstimate, ...]
    worst_generator: str | None
    sources: tuple[SourceEstimate, ...]
    folds: tuple[FoldSummary, ...]
    reliability: tuple[ReliabilityBin, ...]
    coverage: tuple[CoveragePoint, ...]
    verdicts: Mapping[str, Mapping[str, int]]
    univfd: UnivFDTable | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """All results of a predictions table, the paired comparisons, and the run's record."""

    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...]
    run: Mapping[str, Any]
    options: MeasureOptions

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values all the way down; NaN becomes null."""
        return {
            "results": [plain_json(r) for r in self.results],
            "comparisons": [plain_json(c) for c in self.comparisons],
            "run": plain_json(self.run),
            "options": plain_json(self.options),
        }


def summarize(
    predictions: Predictions,
    options: MeasureOptions | None = None,
    *,
    fold_rounds: int | None = 200,
    metadata: bool = True,
    comparisons: bool = True,
) -> Summary:
    """Measure every (protocol, detector, perturbation) of the table.

    Args:
        predictions: the table.
        options: rounds, level, seed and operating points.
        fold_rounds: bootstrap rounds of protocols that are read fold by fold (there are many folds).
        metadata: also score the metadata-only baseline, where the table holds file facts.
        comparisons: also test all pairs of detectors within each protocol.
    """
    options = options or MeasureOptions()
    tested = predictions.select(part="test")
    if not len(tested):
        raise UsageError("the table has no test rows (part = 'test') to measure")
    baselines: dict[str, Estimate | None] = {}
    results: list[Result] = []
    pairs: list[Comparison] = []
    for protocol in tested.names("protocol"):
        of_protocol = tested.select(protocol=protocol)
        own = options if protocol in POOLED else fold_options(options, fold_rounds)
        for perturbation in _perturbations(of_protocol):
            delivered = of_protocol.select(perturbation=perturbation)
            measured: dict[bytes, FoldMeans] = {}
            for detector in delivered.names("detector"):
                rows = delivered.select(detector=detector)
                baseline = _baseline(rows, options, baselines) if metadata else None
                table = None
                if protocol == UNIVFD:
                    whole = predictions.select(protocol=UNIVFD, perturbation=perturbation)
                    table = univfd_table(whole, detector)
                result, means = _result(
                    rows,
                    protocol=protocol,
                    detector=detector,
                    perturbation=perturbation,
                    options=own,
                    baseline=baseline,
                    table=table,
                )
                results.append(result)
                measured[rows_key(delivered, detector)] = means
            if comparisons and len(delivered.names("detector")) > 1:
                pairs += compare_all(delivered, protocol=protocol, options=own, measured=measured)
    return Summary(tuple(results), tuple(pairs), predictions.run, options)


def _perturbations(rows: Predictions) -> Sequence[str | None]:
    names: list[str | None] = list(rows.names("perturbation"))
    if (rows.codes("perturbation")[0] < 0).any():
        names.insert(0, None)
    return names


def _result(
    rows: Predictions,
    *,
    protocol: str,
    detector: str,
    perturbation: str | None,
    options: MeasureOptions,
    baseline: Estimate | None,
    table: UnivFDTable | None,
) -> tuple[Result, FoldMeans]:
    labels, p = rows.labels, rows.probabilities
    if protocol in POOLED:
        whole = measure(rows, options)
        metrics, notes, groups = whole.metrics, whole.notes, whole.groups
        folds: tuple[FoldSummary, ...] = ()
        means = FoldMeans(whole.metrics, {}, whole.degrees, whole.notes, whole.replicates)
    else:
        means = measure_folds(rows, options, pooled=False, transfer=protocol == TRANSFER)
        metrics, notes = means.metrics, (f"means over {len(means.folds)} folds", *means.notes)
        folds = _fold_summaries(rows, means)
        # Tested by one fold only, a generator is what that fold says; by many, see the matrix.
        once = [g for m in means.folds.values() for g in m.groups]
        groups = tuple(once) if len({g.name for g in once}) == len(once) else ()
    eligible = [g for g in groups if g.n >= options.least_group and not isnan(g.auc.value)]
    worst = min(eligible, key=lambda g: g.auc.value).name if eligible else None
    fake = labels == 1
    images = rows.images()
    bundles = rows.names("bundle")
    result = Result(
        protocol,
        detector,
        perturbation or "",
        bundles[0] if bundles else None,
        len(np.unique(images)),
        len(np.unique(images[~fake])),
        len(np.unique(images[fake])),
        len(np.unique(rows.clusters()[fake])),
        len(np.unique(rows.clusters()[~fake])),
        metrics,
        baseline,
        groups,
        worst,
        real_sources(rows, options.level),
        folds,
        reliability_curve(labels, p, options.bins),
        risk_coverage_curve(labels, p),
        _verdict_counts(rows),
        table,
        tuple(notes),
    )
    return result, means


def _fold_summaries(rows: Predictions, means: FoldMeans) -> tuple[FoldSummary, ...]:
    codes, names = rows.codes("fold")
    return tuple(
        FoldSummary(
            name,
            int(((codes == names.index(name)) & (rows.labels == 0)).sum()),
            int(((codes == names.index(name)) & (rows.labels == 1)).sum()),
            measured.metrics,
            measured.groups,
        )
        for name, measured in means.folds.items()
    )


def _verdict_counts(rows: Predictions) -> dict[str, dict[str, int]]:
    """Real and generated images of each verdict that occurs."""
    fake = rows.labels == 1
    verdicts, words = rows.codes("verdict")
    return {
        word: {"real": int(((verdicts == c) & ~fake).sum()), "generated": int(((verdicts == c) & fake).sum())}
        for c, word in enumerate(words)
        if (verdicts == c).any()
    }


def _baseline(
    rows: Predictions, options: MeasureOptions, known: dict[str, Estimate | None]
) -> Estimate | None:
    """The metadata-only AUC of the images in `rows`, computed once for each set of images."""
    images = rows.images()
    _, first = np.unique(images, return_index=True)
    # In one order whatever the table's, so that two reports on the same images state the same figure.
    names = [
        str(a or b)
        for a, b in zip(*(rows.table.column(c).to_pylist() for c in ("sha256", "uri")), strict=True)
    ]
    first = np.array(sorted(first, key=lambda row: names[row]), dtype=np.int64)
    if len(first) > METADATA_IMAGES:
        first = np.sort(np.random.default_rng(options.seed).choice(first, METADATA_IMAGES, replace=False))
    subset = rows.rows(first)
    facts = [n for n in ("format", "width", "height") if subset.table.column(n).null_count < len(subset)]
    if not facts or len(np.unique(subset.labels)) < 2:
        return None
    key = hashlib.sha256("\n".join(map(str, subset.table.column("sha256").to_pylist())).encode()).hexdigest()
    if key not in known:
        table = subset.table.select(["label", *facts])
        groups = subset.clusters(options.real_groups).astype(str)
        try:
            found = metadata_only_auc(table, groups, seed=options.seed, level=options.level)
            known[key] = Estimate(found.auc, *found.interval)
        except UsageError:  # too few groups of a class to hold any out
            known[key] = None
    return known[key]
