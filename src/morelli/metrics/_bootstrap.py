"""Intervals that respect how images hang together: a two-way clustered bootstrap.

Images of one lineage share what gives them away and photographs of one source share a camera and a
codec, so resampling single images pretends to more evidence than there is. Here whole lineages of
generated images and, separately, whole sources of real ones are drawn with replacement, which is the
two-sample cluster bootstrap; the ranking metrics of each round come exactly from `Ranked`.

Two corrections keep the intervals honest with few clusters, where plain percentiles are too narrow:
C − 1 of C clusters are drawn per round (Rao & Wu 1988), so that the variance is unbiased, and the
percentiles are taken at the tail probability of Student's t with the design's degrees of freedom
(the expanded percentile interval of Hesterberg 2015, section 4.3), degrees from Welch–Satterthwaite
over the clusters' parts of the AUC.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import ArrayLike

from morelli.errors import UsageError
from morelli.metrics._arrays import FloatArray, IntArray
from morelli.metrics._estimate import Estimate

BLOCK_CELLS = 400_000  # weights in flight per thread: small enough for the cache, large enough for numpy


@dataclass(frozen=True)
class Resampling:
    """Which rows are drawn together within one class.

    codes: (rows of the class,) cluster of each row in 0..n-1, in an order that the caller chose.
    key: stays the same for the same set of clusters, so that two folds which share their real images
    draw the same ones in every round, and folds that share nothing draw independently.

    >>> sources = Resampling.of(np.array([7, 7, 9]), np.arange(3))
    >>> sources.codes.tolist(), sources.draw(range(2), seed=0, side=0).shape
    ([0, 0, 1], (2, 2))
    """

    codes: IntArray
    n: int
    key: int
    by_image: bool

    @classmethod
    def of(cls, clusters: IntArray, images: IntArray, *, least: int = 2) -> Resampling:
        """Resample by cluster, or by image when there are fewer than `least` clusters.

        clusters, images: (rows,) any integers.
        """
        names, codes = np.unique(clusters, return_inverse=True)
        by_image = len(names) < least
        if by_image:
            names, codes = np.unique(images, return_inverse=True)
        key = zlib.crc32(np.ascontiguousarray(names, dtype=np.int64).tobytes())
        return cls(codes.astype(np.int64), len(names), key, by_image)

    def draw(self, rounds: range, seed: int, side: int) -> FloatArray:
        """How often each cluster is drawn, (len(rounds), n); the same for a round in any block.

        n - 1 of the n clusters are drawn (Rao and Wu 1988). `seed` belongs to the analysis, `side` to the
        class: 0 real, 1 generated.
        """
        drawn = max(self.n - 1, 1)
        counts = np.empty((len(rounds), self.n))
        for row, number in enumerate(rounds):
            rng = np.random.Generator(np.random.SFC64([seed, side, self.key, number]))
            counts[row] = np.bincount(rng.integers(0, self.n, drawn), minlength=self.n)
        return counts


def blocks(rounds: int, width: int) -> Iterator[range]:
    """The rounds in blocks that keep `rounds x width` weights small."""
    size = max(1, min(64, BLOCK_CELLS // max(width, 1)))
    for start in range(0, rounds, size):
        yield range(start, min(rounds, start + size))


def replicate(
    one_block: Callable[[range], Mapping[str, FloatArray]],
    rounds: int,
    width: int,
    threads: int | None = None,
) -> dict[str, FloatArray]:
    """Evaluate `one_block` over all rounds and join its arrays (rounds, …) by name.

    The result does not depend on the number of threads where every round has its own random stream, as
    those of `Resampling.draw` have.

    Args:
        one_block: takes a range of rounds and gives arrays whose first axis is as long.
        rounds: number of rounds; 0 gives no arrays.
        width: weights that one round needs, which limits how many rounds a block holds.
        threads: at most 4 if None.

    >>> replicate(lambda block: {"square": np.array([r * r for r in block])}, 4, width=1)["square"].tolist()
    [0, 1, 4, 9]
    """
    threads = min(4, os.cpu_count() or 1) if threads is None else threads
    parts = list(blocks(rounds, width))
    if threads > 1 and len(parts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            results = list(pool.map(one_block, parts))
    else:
        results = [one_block(part) for part in parts]
    return {name: np.concatenate([r[name] for r in results]) for name in results[0]} if results else {}


def interval(
    value: float, replicates: FloatArray, level: float = 0.9, degrees: float = float("inf")
) -> Estimate:
    """Expanded percentile interval of the finite replicates (Hesterberg 2015, section 4.3).

    Args:
        value: the figure of the rows themselves.
        replicates: (rounds,) the same figure of each resampling; those that are not finite are left out.
        level: coverage.
        degrees: degrees of freedom of the design, see `auc_degrees`; infinite gives plain percentiles.

    Returns:
        The value with its ends; no ends when it is NaN or fewer than 20 replicates are finite.

    >>> print(interval(0.5, np.linspace(0, 1, 101)))
    0.500 [0.050, 0.950]
    """
    from scipy.special import ndtr, stdtrit

    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 20 or isnan(value):
        return Estimate(float(value))
    tail = (1 - level) / 2
    if np.isfinite(degrees):
        tail = float(ndtr(stdtrit(max(degrees, 1.0), tail)))
    low, high = percentile_interval(finite, tail)
    return Estimate(float(value), float(low), float(high))


def percentile_interval(draws: ArrayLike, tail: float = 0.05, axis: int = 0) -> FloatArray:
    """The ends between which the draws of a bootstrap lie, but for a share `tail` on each side.

    Args:
        draws: (b,) or more axes; NaN in a draw makes its ends NaN.
        tail: 0.05 leaves the middle 90 %, as every interval that Morelli states.
        axis: along which the draws lie.

    Returns:
        (2, …) lower and upper ends, between draws by linear interpolation.

    >>> percentile_interval(range(101)).tolist()
    [5.0, 95.0]
    """
    return np.asarray(np.quantile(np.asarray(draws), [tail, 1 - tail], axis=axis))


def auc_degrees(fake_parts: FloatArray, fake: Resampling, real_parts: FloatArray, real: Resampling) -> float:
    """Welch–Satterthwaite degrees of freedom of the two-sample design of an AUC.

    Args:
        fake_parts: (n_fake,) each generated image's share of the AUC, its placement among real ones (the
            structural components of DeLong et al. 1988), summed by cluster here as in Obuchowski 1997.
        fake: how generated images are resampled, in the same order.
        real_parts: (n_real,) the same of real images: one minus their placement among generated ones.
        real: how real images are resampled.

    Returns:
        At least 1; infinite where no cluster differs from another.

    >>> side = Resampling.of(np.arange(4), np.arange(4))
    >>> round(auc_degrees(np.array([0.5, 1, 1, 1]), side, np.array([0.5, 1, 1, 1]), side), 6)
    6.0
    """
    terms = []
    for parts, side in ((fake_parts, fake), (real_parts, real)):
        deviations = np.bincount(side.codes, weights=parts - parts.mean(), minlength=side.n)
        variance = float((deviations**2).sum()) * side.n / max(side.n - 1, 1) / max(len(parts), 1) ** 2
        terms.append((variance, side.n - 1))
    total = sum(v for v, _ in terms)
    below = sum(v * v / max(df, 1) for v, df in terms)
    return total * total / below if below > 0 else float("inf")


def clustered_interval(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    rounds: int = 1000,
    level: float = 0.9,
    seed: int = 0,
) -> Estimate:
    """A mean with a clustered bootstrap interval.

    Args:
        values: (n,) finite.
        clusters: (n,) any labels; with fewer than two of them single values are drawn.
        rounds: number of resamplings.
        level: coverage.
        seed: of the draws.

    Raises:
        UsageError: the lengths differ or there is no value.

    >>> found = clustered_interval([0.0, 1.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b", "c"], rounds=100)
    >>> round(found.value, 3), found.low <= found.value <= found.high
    (0.6, True)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != np.shape(clusters) or not len(values):
        raise UsageError("values and clusters must be two non-empty lists of the same length")
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    side = Resampling.of(codes.astype(np.int64), np.arange(len(values)))
    sums = np.bincount(side.codes, weights=values, minlength=side.n)
    sizes = np.bincount(side.codes, minlength=side.n)
    draws = side.draw(range(rounds), seed, 0)
    with np.errstate(invalid="ignore"):
        means = (draws @ sums) / (draws @ sizes)
    return interval(float(values.mean()), means, level, side.n - 1)
