"""Every metric of one set of predictions, with intervals, from one pass of bootstrap rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from morelli.evaluation._arrays import AnyArray, FloatArray, IntArray
from morelli.evaluation._predictions import Predictions
from morelli.metrics import Estimate, placements
from morelli.metrics.resampling import (
    Ranked,
    Resampling,
    auc_degrees,
    interval,
    log_loss_terms,
    probability_bins,
    replicate,
)
from morelli.metrics.shares import wilson_interval


@dataclass(frozen=True)
class MeasureOptions:
    """How intervals are made and which operating points are reported.

    real_groups: resample real images by ``source`` or by ``image``. least_group: a generator with fewer
    images cannot be called the worst one. base_rates: shares of generated images for the predictive value.
    """

    rounds: int = 1000
    level: float = 0.9
    seed: int = 0
    real_groups: str = "source"
    fprs: tuple[float, ...] = (0.01, 0.05)
    base_rates: tuple[float, ...] = (0.01, 0.1, 0.5)
    bins: int = 15
    least_group: int = 10
    threads: int | None = None


@dataclass(frozen=True)
class GroupEstimate:
    """One group of generated images (a generator) against all reals of the set.

    `auc` and `average_precision` have intervals over the group's images and the reals' clusters;
    `average_precision` weighs both sides equally (base rate one half), so groups of different size
    compare. `recall` counts probability > 0.5 and has Wilson's interval.
    """

    name: str
    n: int
    auc: Estimate
    average_precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class Measurement:
    """Metrics of one set of rows: `metrics` by name, the raw rounds in `replicates` (rounds,).

    `group_replicates` (rounds, groups) are the groups' AUCs in the order of `groups`.
    """

    metrics: Mapping[str, Estimate]
    groups: tuple[GroupEstimate, ...]
    degrees: float
    notes: tuple[str, ...]
    replicates: Mapping[str, FloatArray] = field(repr=False)
    group_replicates: FloatArray | None = field(default=None, repr=False)


def measure(
    predictions: Predictions,
    options: MeasureOptions | None = None,
    *,
    by: str = "generator",
    each_group: bool = True,
) -> Measurement:
    """Measure one detector on one set of rows.

    by: column whose values are the groups of generated images. each_group: also the intervals of every
    single group, which take as many rounds again; without them `groups` is empty.
    """
    return _Measure(predictions, options or MeasureOptions(), by).run(each_group=each_group)


class _Measure:
    """The arrays that every round reads, computed once."""

    def __init__(self, predictions: Predictions, options: MeasureOptions, by: str) -> None:
        self.options = options
        self.labels = predictions.labels
        self.p = predictions.probabilities
        codes, names = predictions.codes(by)
        fake = self.labels == 1
        codes = np.where(codes < 0, len(names), codes)
        used, groups = np.unique(codes[fake], return_inverse=True)
        self.group_names = [([*names, "(unnamed)"])[c] for c in used]
        self.groups = np.zeros(len(codes), dtype=np.int64)
        self.groups[fake] = groups
        self.n_groups = len(used)
        self.ranked = Ranked(self.labels, predictions.logits, self.groups, self.n_groups)
        clusters, images = predictions.clusters(options.real_groups), predictions.images()
        rows_f, rows_r = self.ranked.fake_rows, self.ranked.real_rows
        self.fake = Resampling.of(clusters[rows_f], images[rows_f])
        self.real = Resampling.of(clusters[rows_r], images[rows_r])
        self.flag = self.p > 0.5

    @cached_property
    def _won(self) -> FloatArray:
        """Share of reals that each fake (in fake_rows order) stands above, ties one half; (n_fake,)."""
        return placements(self.ranked.fake_scores, self.ranked.real_scores)

    @cached_property
    def _lost(self) -> FloatArray:
        """Share of fakes that each real (in real_rows order) stands below; (n_real,)."""
        return 1 - placements(self.ranked.real_scores, self.ranked.fake_scores)

    def _linear(self, rows: IntArray, side: Resampling, *, grouped: bool) -> AnyArray:
        """Sparse (statistics, clusters): sums over each cluster that metrics linear in weights need.

        Rows: flagged, Brier, log loss, calibration residuals by mass bin, by width bin, and for fakes
        the flagged images of each group.
        """
        from scipy.sparse import csr_array

        y, p, bins = self.labels[rows], self.p[rows], self.options.bins
        parts = [
            (np.zeros(len(rows), np.int64), self.flag[rows].astype(float)),
            (np.full(len(rows), 1), (p - y) ** 2),
            (np.full(len(rows), 2), log_loss_terms(y, p)),
            (3 + self._mass_bins[rows], y - p),
            (3 + bins + self._width_bins[rows], y - p),
        ]
        height = 3 + 2 * bins
        if grouped:
            parts.append((height + self.groups[rows], self.flag[rows].astype(float)))
            height += self.n_groups
        where = np.concatenate([w for w, _ in parts])
        values = np.concatenate([v for _, v in parts])
        columns = np.tile(side.codes, len(parts))
        matrix: AnyArray = csr_array((values, (where, columns)), shape=(height, side.n))
        return matrix

    @cached_property
    def _mass_bins(self) -> IntArray:
        return np.asarray(probability_bins(self.p, self.options.bins, "mass"))

    @cached_property
    def _width_bins(self) -> IntArray:
        return np.asarray(probability_bins(self.p, self.options.bins, "width"))

    def _both_classes(self, real_counts: FloatArray, fake_counts: FloatArray) -> dict[str, FloatArray]:
        """All pooled metrics of b weightings given as cluster counts (b, clusters)."""
        o, ranked = self.options, self.ranked
        cumulative = ranked.cumulative_reals(real_counts.take(self.real.codes, axis=1))
        fake_weights = fake_counts.take(self.fake.codes, axis=1)
        rank = ranked.pooled(cumulative, fake_weights, o.fprs)
        total_fake = fake_weights.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            real = (self._real_linear @ real_counts.T).T / cumulative[:, -1:]
            fake = (self._fake_linear @ fake_counts.T).T / total_fake
            n, tail = ranked.n_real + ranked.n_fake, 3 + 2 * o.bins
            mean = (real[:, :tail] * ranked.n_real + fake[:, :tail] * ranked.n_fake) / n
            fpr, recall = real[:, 0], fake[:, 0]
            out = {
                "auc": rank.auc,
                "average_precision": rank.average_precision,
                **{tpr_name(f): v for f, v in rank.tpr_at_fpr.items()},
                "balanced_accuracy": (1 - fpr + recall) / 2,
                "real_accuracy": 1 - fpr,
                "fake_accuracy": recall,
                "accuracy": ((1 - fpr) * ranked.n_real + recall * ranked.n_fake) / n,
                "brier": mean[:, 1],
                "log_loss": mean[:, 2],
                "ece_mass": np.abs(mean[:, 3 : 3 + o.bins]).sum(axis=1),
                "ece_width": np.abs(mean[:, 3 + o.bins : tail]).sum(axis=1),
            }
            for rate in o.base_rates:
                out[ppv_name(rate)] = recall * rate / (recall * rate + fpr * (1 - rate))
            if not ranked.n_groups:  # real images alone have no generator to take a mean over
                macro = np.full(len(real), np.nan)
                return out | {"macro_auc": macro, "macro_average_precision": macro, "macro_recall": macro}
            # A group counts as often as it was drawn, so a macro mean is a mean over draws of groups.
            group = ranked.grouped(cumulative, fake_counts.take(self._grouped_codes, axis=1))
            weight = group.weight
            hits = fake[:, tail:] * total_fake
            for name, each in (
                ("macro_auc", group.auc),
                ("macro_average_precision", group.average_precision),
                ("macro_recall", hits / (weight * ranked.group_sizes)),
            ):
                out[name] = np.where(weight > 0, each * weight, 0).sum(axis=1) / weight.sum(axis=1)
        return out

    @cached_property
    def _grouped_codes(self) -> IntArray:
        """Cluster of each fake in grouped_rows order."""
        of_row = np.zeros(len(self.labels), dtype=np.int64)
        of_row[self.ranked.fake_rows] = self.fake.codes
        return of_row[self.ranked.grouped_rows]

    def _per_group(self, rounds: range) -> dict[str, FloatArray]:
        """Group metrics when images are drawn inside each group and reals by cluster."""
        ranked, seed = self.ranked, self.options.seed
        first, width = self._draw_plan
        weights = np.empty((len(rounds), ranked.n_fake))
        for row, number in enumerate(rounds):
            rng = np.random.Generator(np.random.SFC64([seed, 2, self.fake.key, number]))
            picks = rng.random(len(first))
            picks *= width
            picks += first
            weights[row] = np.bincount(picks.astype(np.int64), minlength=ranked.n_fake)
        real = self.real.draw(rounds, seed, 0).take(self.real.codes, axis=1)
        result = ranked.grouped(ranked.cumulative_reals(real), weights)
        return {"auc": result.auc, "average_precision": result.average_precision}

    @cached_property
    def _draw_plan(self) -> tuple[FloatArray, FloatArray]:
        """First row and number of rows that each draw of an image may come from, n − 1 draws a group."""
        sizes = self.ranked.group_sizes
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        drawn = np.maximum(sizes - 1, 1)
        return np.repeat(starts, drawn).astype(np.float64), np.repeat(sizes, drawn).astype(np.float64)

    def run(self, *, each_group: bool) -> Measurement:
        o, ranked = self.options, self.ranked
        self._real_linear = self._linear(ranked.real_rows, self.real, grouped=False)
        self._fake_linear = self._linear(ranked.fake_rows, self.fake, grouped=True)
        once = np.ones((1, self.real.n)), np.ones((1, self.fake.n))
        values = {k: float(v[0]) for k, v in self._both_classes(*once).items()}
        notes = self._notes()
        both = ranked.n_real > 0 and ranked.n_fake > 0 and o.rounds > 0
        degrees = auc_degrees(self._won, self.fake, self._lost, self.real) if both else float("inf")
        if both:  # cached here, before threads would compute them side by side
            _ = self._grouped_codes, self._draw_plan
        draws: dict[str, FloatArray] = {}
        if both:
            draws = replicate(
                lambda r: self._both_classes(self.real.draw(r, o.seed, 0), self.fake.draw(r, o.seed, 1)),
                o.rounds,
                len(self.labels),
                o.threads,
            )
        metrics = {
            name: interval(value, draws[name], o.level, degrees) if name in draws else Estimate(value)
            for name, value in values.items()
        }
        groups, group_draws = self._groups(both) if each_group else ((), None)
        return Measurement(metrics, groups, degrees, notes, draws, group_draws)

    def _groups(self, both: bool) -> tuple[tuple[GroupEstimate, ...], FloatArray | None]:
        o, ranked = self.options, self.ranked
        if not self.n_groups:
            return (), None
        cumulative = ranked.cumulative_reals(np.ones((1, ranked.n_real)))
        plain = ranked.grouped(cumulative, np.ones((1, ranked.n_fake)))
        draws: dict[str, FloatArray] = {}
        if both:
            draws = replicate(self._per_group, o.rounds, len(self.labels), o.threads)
        codes = self.groups[ranked.fake_rows]
        sizes = ranked.group_sizes
        hits = np.bincount(codes, weights=self.flag[ranked.fake_rows], minlength=self.n_groups)
        degrees = self._group_degrees(codes, sizes)
        result = []
        for g, name in enumerate(self.group_names):
            low, high = wilson_interval(int(hits[g]), int(sizes[g]), o.level)
            recall = Estimate(float(hits[g] / sizes[g]), low, high)
            values = float(plain.auc[0, g]), float(plain.average_precision[0, g])
            if both and sizes[g] > 1:
                auc = interval(values[0], draws["auc"][:, g], o.level, degrees[g])
                ap = interval(values[1], draws["average_precision"][:, g], o.level, degrees[g])
            else:  # one image says nothing about its generator's spread
                auc, ap = Estimate(values[0]), Estimate(values[1])
            result.append(GroupEstimate(name, int(sizes[g]), auc, ap, recall))
        order = sorted(range(len(result)), key=lambda g: result[g].name)
        return tuple(result[g] for g in order), draws["auc"][:, order] if both else None

    def _group_degrees(self, codes: IntArray, sizes: IntArray) -> FloatArray:
        """Welch–Satterthwaite with the group's own images and the pooled set's reals, (groups,)."""
        first = np.bincount(codes, weights=self._won, minlength=self.n_groups)
        second = np.bincount(codes, weights=self._won**2, minlength=self.n_groups)
        v_fake = np.maximum(second / sizes - (first / sizes) ** 2, 0) / np.maximum(sizes - 1, 1)
        lost = self._lost - (self._lost.mean() if len(self._lost) else 0.0)
        deviations = np.bincount(self.real.codes, weights=lost, minlength=self.real.n)
        v_real = (deviations**2).sum() / max(len(self._lost), 1) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            below = v_fake**2 / np.maximum(sizes - 1, 1) + v_real**2 / max(self.real.n - 1, 1)
            return np.where(below > 0, (v_fake + v_real) ** 2 / below, np.inf)

    def _notes(self) -> tuple[str, ...]:
        o, notes = self.options, []
        if not self.ranked.n_real or not self.ranked.n_fake:
            notes.append("only one class is present, so nothing can be ranked")
            return tuple(notes)
        for fpr in o.fprs:
            if self.ranked.n_real * fpr < 1:
                notes.append(
                    f"{self.ranked.n_real} reals are fewer than 1/{fpr:g}: the rate at {fpr:.0%} false "
                    "positives is the rate at none"
                )
        if self.real.by_image and o.real_groups == "source":
            notes.append("reals of one source were resampled by image; the interval knows no other source")
        if self.fake.by_image:
            notes.append("fakes of one lineage were resampled by image; the interval knows no other lineage")
        return tuple(notes)


def tpr_name(fpr: float) -> str:
    """Name of the metric `true-positive rate at this false-positive rate`: ``tpr_at_0.01_fpr``."""
    return f"tpr_at_{fpr:g}_fpr"


def ppv_name(base_rate: float) -> str:
    """Name of the metric `predictive value at this share of generated images`."""
    return f"ppv_at_{base_rate:g}"


@dataclass(frozen=True)
class SourceEstimate:
    """One source of real images: how often it is called generated (probability > 0.5), Wilson's interval."""

    name: str
    n: int
    fpr: Estimate


def real_sources(predictions: Predictions, level: float = 0.9) -> tuple[SourceEstimate, ...]:
    """False-positive rate of each real source; images without a source stand under ``(unnamed)``."""
    codes, names = predictions.codes("source")
    real, flagged = predictions.labels == 0, predictions.probabilities > 0.5
    result = []
    for code in np.unique(codes[real]):
        rows = real & (codes == code)
        n, hits = int(rows.sum()), int((rows & flagged).sum())
        name = names[code] if code >= 0 else "(unnamed)"
        result.append(SourceEstimate(name, n, Estimate(hits / n, *wilson_interval(hits, n, level))))
    return tuple(sorted(result, key=lambda each: each.name))


__all__ = [
    "GroupEstimate",
    "MeasureOptions",
    "Measurement",
    "SourceEstimate",
    "measure",
    "ppv_name",
    "real_sources",
    "tpr_name",
]
