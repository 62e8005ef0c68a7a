"""Metrics of more scores than memory holds: counted by the leading bits of each score, with exact bounds.

The bits of a float32, read as an integer, are in the order of the numbers. Scores that share the leading
`BITS` bits fall into one bin, at most 1/8192 of their size wide. Pairs in different bins are counted exactly;
what the pairs within bins can change is known exactly, too, and is given as bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from morelli.errors import UsageError
from morelli.metrics._arrays import AnyArray
from morelli.metrics._labelled import labelled_scores
from morelli.metrics._scores import Rates

BITS = 22
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bounds:
    """A value that lies between two bounds, ends included; NaN three times where a class is absent."""

    low: float
    value: float
    high: float


class StreamedScores:
    """Scores in parts, added one after the other or on several machines and merged.

    Memory does not grow with the scores: two arrays of 2^22 counts, of which the system gives out the parts
    that are touched.

    Args:
        thresholds: where error rates are wanted; they are counted exactly, as by `morelli.metrics.rates_at`.

    Example:
        >>> streamed = StreamedScores(thresholds=(0.5,))
        >>> streamed.add([0, 0], [0.1, 0.6])
        >>> streamed.add([1, 1], [0.5, 0.8])
        >>> streamed.auc()
        Bounds(low=0.75, value=0.75, high=0.75)
        >>> streamed.rates_at(0.5).fake_accuracy
        0.5
    """

    def __init__(self, thresholds: tuple[float, ...] = ()) -> None:
        self._thresholds = thresholds
        self._counts: tuple[Counts, Counts] = (_bins(), _bins())
        self._above = np.zeros((2, len(thresholds)), dtype=np.int64)
        self._n = np.zeros(2, dtype=np.int64)

    @property
    def n_real(self) -> int:
        """Real images so far."""
        return int(self._n[0])

    @property
    def n_fake(self) -> int:
        """Generated images so far."""
        return int(self._n[1])

    def add(self, labels: ArrayLike, scores: ArrayLike) -> None:
        """Count a part.

        Args:
            labels: (n,) 0 real, 1 generated.
            scores: (n,) finite, larger means more likely generated.

        Raises:
            UsageError: lengths differ, labels are neither 0 nor 1, or scores are not finite.
        """
        y, s = labelled_scores(labels, scores)
        for label, counts in enumerate(self._counts):
            side = s[y == label]
            found, many = np.unique(_bin_of(side), return_counts=True)
            counts[found] += many
            self._above[label] += [(side > threshold).sum() for threshold in self._thresholds]
            self._n[label] += len(side)

    def merge(self, other: StreamedScores) -> None:
        """Count what `other` counted.

        Raises:
            UsageError: it has other thresholds.
        """
        if other._thresholds != self._thresholds:
            raise UsageError("streamed scores with different thresholds cannot be merged")
        for mine, theirs in zip(self._counts, other._counts, strict=True):
            np.add(mine, theirs, out=mine)
        self._above += other._above
        self._n += other._n

    def auc(self, reals: StreamedScores | None = None) -> Bounds:
        """Area under the ROC curve; its value counts a pair within a bin one half.

        Args:
            reals: whose real images to use, for a generator that is counted apart; the own ones if None.
        """
        counted = reals or self
        real, fake = _together(counted._counts[0], self._counts[1])
        # Python's integers: 10^8 reals by 10^9 fakes are more pairs than 64 bits sum safely.
        pairs = counted.n_real * self.n_fake
        if not pairs:
            return Bounds(*[float("nan")] * 3)
        below = np.cumsum(real) - real
        won = int(np.multiply(fake, below, dtype=object).sum())
        within = int(np.multiply(fake, real, dtype=object).sum())
        return Bounds(won / pairs, (2 * won + within) / (2 * pairs), (won + within) / pairs)

    def tpr_at_fpr(self, fpr: float, reals: StreamedScores | None = None) -> Bounds:
        """The largest true-positive rate that a threshold with false-positive rate <= `fpr` reaches.

        Its value is that of the best threshold between two bins, and so the lower bound.

        Args:
            fpr: in [0, 1].
            reals: as for `auc`.
        """
        if not 0.0 <= fpr <= 1.0:
            raise UsageError(f"a false-positive rate lies between 0 and 1, not {fpr}")
        counted = reals or self
        if not counted.n_real or not self.n_fake:
            return Bounds(*[float("nan")] * 3)
        real, fake = _together(counted._counts[0], self._counts[1])
        alarms, hits = np.cumsum(real[::-1]), np.cumsum(fake[::-1])
        allowed = int(np.floor(fpr * counted.n_real + 1e-9))
        whole = int(np.searchsorted(alarms, allowed, side="right"))  # bins that can be flagged entirely
        low = int(hits[whole - 1]) if whole else 0
        # In the next bin, fakes may all lie above the real image that is one too many.
        high = int(hits[whole]) if whole < len(hits) else low
        return Bounds(low / self.n_fake, low / self.n_fake, high / self.n_fake)

    def rates_at(self, threshold: float) -> Rates:
        """Error rates at one of the thresholds, exact.

        Raises:
            UsageError: it was not among the thresholds from the start.
        """
        if threshold not in self._thresholds:
            raise UsageError(f"{threshold} is none of the thresholds that were counted: {self._thresholds}")
        at = self._thresholds.index(threshold)
        right = np.array([self._n[0] - self._above[0, at], self._above[1, at]])
        real, fake = (float(hits / n) if n else float("nan") for hits, n in zip(right, self._n, strict=True))
        every = int(self._n.sum())
        accuracy = float(right.sum() / every) if every else float("nan")
        return Rates(threshold, accuracy, real, fake, (real + fake) / 2, self.n_real, self.n_fake)


def _bins() -> Counts:
    return np.zeros(1 << BITS, dtype=np.int64)


def _bin_of(scores: AnyArray) -> npt.NDArray[np.uint32]:
    """Bins (n,) of scores (n,), in the scores' order."""
    with np.errstate(over="ignore"):  # beyond float32 is the last bin
        bits = (np.asarray(scores).astype(np.float32) + np.float32(0)).view(np.uint32)  # -0 is 0
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return np.asarray(ordered >> np.uint32(32 - BITS), dtype=np.uint32)


def _together(real: Counts, fake: Counts) -> tuple[Counts, Counts]:
    """Counts of both classes in the bins that are not empty."""
    used = np.flatnonzero(real | fake)
    return real[used], fake[used]
