"""Ranking metrics of one labelled set of scores under many row weights at once.

The scores are sorted once. After that, every weighting (a bootstrap round, or the plain one where
all weights are 1) costs a gather and a cumulative sum, so AUC, average precision and the true-positive
rate at a false-positive rate are exact for each of a thousand rounds over a million rows.

Ties are treated as scikit-learn treats them: a tied pair counts one half in the AUC, and a tied
block of scores is one threshold of the precision-recall curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from morelli.metrics._arrays import FloatArray, IntArray


def _last_of_ties(values: FloatArray) -> IntArray | None:
    """Index of the last element of each element's block of equal values; None without ties.

    `values` (n,) must be sorted in either direction.
    """
    if len(values) < 2:
        return None
    change = np.flatnonzero(values[1:] != values[:-1])
    if len(change) == len(values) - 1:
        return None
    ends = np.append(change, len(values) - 1)
    return np.repeat(ends, np.diff(np.concatenate([[-1], ends])))


@dataclass(frozen=True)
class PooledRanking:
    """Ranking metrics of b weightings over the whole set; each array is (b,)."""

    auc: FloatArray
    average_precision: FloatArray
    tpr_at_fpr: dict[float, FloatArray]


@dataclass(frozen=True)
class GroupRanking:
    """Ranking metrics of each group's fakes against all reals; each array is (b, groups).

    `weight` is the mean weight of the group's images, the number of times it was drawn.
    """

    auc: FloatArray
    average_precision: FloatArray
    weight: FloatArray


class Ranked:
    """One labelled set of scores, sorted once.

    labels (n,) in {0, 1} with 1 = generated; scores (n,), higher = more likely generated;
    `groups` (n,) integer codes of the generated images' groups (generators) in 0..g-1, read only
    where the label is 1. Weights are handed over in parts: reals in `real_rows` order (ascending
    score), fakes in `fake_rows` order (descending score) or, for metrics per group, in `grouped_rows`
    order (by group, then descending score).

    >>> ranked = Ranked([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    >>> reals = ranked.cumulative_reals(np.array([[1.0, 1.0], [2.0, 0.0]]))
    >>> ranked.pooled(reals, np.ones((2, 2))).auc.tolist()  # all once, then the lower real twice
    [0.875, 1.0]
    """

    def __init__(
        self, labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None, n_groups: int = 0
    ) -> None:
        labels = np.asarray(labels)
        scores = np.asarray(scores, dtype=np.float64)
        reals = np.flatnonzero(labels == 0)
        fakes = np.flatnonzero(labels == 1)
        self.real_rows: IntArray = reals[np.argsort(scores[reals], kind="stable")]
        self.fake_rows: IntArray = fakes[np.argsort(-scores[fakes], kind="stable")]
        self.real_scores: FloatArray = scores[self.real_rows]
        self.fake_scores: FloatArray = scores[self.fake_rows]
        self._below: IntArray = np.searchsorted(self.real_scores, self.fake_scores, side="left")
        upto = np.searchsorted(self.real_scores, self.fake_scores, side="right")
        self._upto: IntArray | None = None if np.array_equal(upto, self._below) else upto
        self._fake_ties = _last_of_ties(self.fake_scores)
        self._real_ties = _last_of_ties(self.real_scores)
        self.n_groups = n_groups
        if n_groups:
            if groups is None:
                raise ValueError("n_groups given without groups")
            codes = np.asarray(groups)[self.fake_rows]
            # Stable, so that inside a group the scores stay descending.
            by_group = np.argsort(codes, kind="stable")
            codes = codes[by_group]
            self.grouped_rows: IntArray = self.fake_rows[by_group]
            self.group_sizes: IntArray = np.bincount(codes, minlength=n_groups)
            self._bounds: IntArray = np.concatenate([[0], np.cumsum(self.group_sizes)])
            self._group_below: IntArray = self._below[by_group]
            self._group_upto: IntArray | None = None if self._upto is None else self._upto[by_group]
            scores = self.fake_scores[by_group]
            new = (scores[1:] != scores[:-1]) | (codes[1:] != codes[:-1])
            ends = np.append(np.flatnonzero(new), len(scores) - 1)
            last = np.repeat(ends, np.diff(np.concatenate([[-1], ends]))) if len(scores) else ends
            self._group_ties: IntArray | None = None if len(ends) == len(scores) else last

    @property
    def n_real(self) -> int:
        """Number of real rows."""
        return len(self.real_rows)

    @property
    def n_fake(self) -> int:
        """Number of generated rows."""
        return len(self.fake_rows)

    def _threshold_index(self, cumulative: FloatArray, fpr: float) -> IntArray:
        """How many reals (ascending) must lie below the threshold so that FPR <= `fpr`; (b,)."""
        total = cumulative[:, -1:]
        # A hair of slack: fpr * total is not exact in binary (0.05 * 20 must count as one image).
        needed = total * (1.0 - fpr) - total * 1e-12
        below = (cumulative < needed).sum(axis=1) if cumulative.shape[0] > 1 else None
        if below is None:
            below = np.array([np.searchsorted(cumulative[0], needed[0, 0], side="left")])
        below = np.minimum(below, self.n_real)
        if self._real_ties is not None:
            # A threshold cannot cut through a block of equal scores.
            below = np.where(below > 0, self._real_ties[np.maximum(below - 1, 0)] + 1, 0)
        return np.asarray(below, dtype=np.int64)

    def threshold_at_fpr(self, fpr: float) -> float:
        """The score s such that flagging `score > s` keeps the false-positive rate at or under `fpr`."""
        if not self.n_real:
            return float("nan")
        index = self._threshold_index(np.arange(self.n_real + 1, dtype=np.float64)[None], fpr)[0]
        return float(self.real_scores[index - 1]) if index else float("-inf")

    def cumulative_reals(self, real_weights: FloatArray) -> FloatArray:
        """Weight of the reals below each rank, (b, n_real + 1), from weights (b, n_real)."""
        cumulative = np.empty((real_weights.shape[0], self.n_real + 1))
        cumulative[:, 0] = 0.0
        np.cumsum(real_weights, axis=1, out=cumulative[:, 1:])
        return cumulative

    def pooled(
        self, cumulative: FloatArray, fake_weights: FloatArray, fprs: tuple[float, ...] = ()
    ) -> PooledRanking:
        """Metrics of b weightings: `cumulative_reals` (b, n_real + 1), `fake_weights` (b, n_fake).

        Each class's weights are scaled to the class's number of rows first, so average precision is
        taken at the observed share of generated images in every round.
        """
        b = cumulative.shape[0]
        if not self.n_real or not self.n_fake:
            nan = np.full(b, np.nan)
            return PooledRanking(nan, nan, dict.fromkeys(fprs, nan))
        total_real = cumulative[:, -1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            running = np.cumsum(fake_weights, axis=1)
            total_fake = running[:, -1:]
            below = cumulative.take(self._below, axis=1)
            won = below if self._upto is None else 0.5 * (below + cumulative.take(self._upto, axis=1))
            auc = np.einsum("bi,bi->b", fake_weights, won) / (total_fake * total_real)[:, 0]
            true = running if self._fake_ties is None else running.take(self._fake_ties, axis=1)
            np.subtract(total_real, below, out=below)
            # Reals at or above the fake's score, in units of the fakes' weights.
            below *= total_fake * self.n_real / (self.n_fake * total_real)
            ap = _precision_terms(fake_weights, true, below).sum(axis=1) / total_fake[:, 0]
            tpr = {}
            for fpr in fprs:
                index = self._threshold_index(cumulative, fpr)
                cut = np.where(index > 0, self.real_scores[np.maximum(index - 1, 0)], -np.inf)
                above = self.n_fake - np.searchsorted(self.fake_scores[::-1], cut, side="right")
                found = np.where(above > 0, running[np.arange(b), np.maximum(above - 1, 0)], 0.0)
                tpr[fpr] = found / total_fake[:, 0]
        return PooledRanking(np.asarray(auc), np.asarray(ap), tpr)

    def grouped(self, cumulative: FloatArray, weights: FloatArray) -> GroupRanking:
        """Metrics of b weightings per group; `weights` (b, n_fake) in `grouped_rows` order.

        Average precision weighs each group's fakes and all reals equally (a base rate of one half),
        since groups of different size could not be compared otherwise.
        """
        shape = (cumulative.shape[0], self.n_groups)
        auc, ap, sums = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
        if not self.n_real or not self.n_fake:
            return GroupRanking(auc, ap, sums)
        total_real = cumulative[:, -1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            running = np.cumsum(weights, axis=1)
            below = cumulative.take(self._group_below, axis=1)
            upto = None if self._group_upto is None else cumulative.take(self._group_upto, axis=1)
            true = running if self._group_ties is None else running.take(self._group_ties, axis=1)
            # Group by group: slices are views, and their temporaries stay in the processor's cache.
            for g in np.flatnonzero(self.group_sizes):
                part = slice(self._bounds[g], self._bounds[g + 1])
                before = running[:, part.start - 1, None] if part.start else np.zeros((shape[0], 1))
                w, low = weights[:, part], below[:, part]
                total = running[:, part.stop - 1, None] - before
                won = np.einsum("bi,bi->b", w, low)
                if upto is not None:
                    won = 0.5 * (won + np.einsum("bi,bi->b", w, upto[:, part]))
                false = (total_real - low) * (total / total_real)
                terms = _precision_terms(w, true[:, part] - before, false)
                sums[:, g] = total[:, 0]
                auc[:, g] = won / (total * total_real)[:, 0]
                ap[:, g] = terms.sum(axis=1) / total[:, 0]
        return GroupRanking(auc, ap, sums / np.maximum(self.group_sizes, 1))


def _precision_terms(weights: FloatArray, true: FloatArray, false: FloatArray) -> FloatArray:
    """weight * true / (true + false), 0 where nothing has been flagged yet; overwrites `false`."""
    false += true
    # Weightless rows above the first weighted one give 0 / 0; their weight makes the term 0.
    np.maximum(false, np.finfo(np.float64).tiny, out=false)
    np.divide(true, false, out=false)
    false *= weights
    return false
