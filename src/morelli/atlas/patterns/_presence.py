"""Which images carry a pattern of which dimension: few, by how much the dimension moves their logit.

Impacts are shares of one logit, so one threshold serves all dimensions: a dimension of small weight carries
few patterns, which is what it should do. Ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError

Array = NDArray[Any]
_ROWS = 200_000


@dataclass(frozen=True)
class Presence:
    """The rule that says whether an image carries a pattern of a dimension.

    Attributes:
        typical: (K,) the dimension's impact in an image that has nothing to say about it (median).
        threshold: smallest |impact − typical| of a pattern, in logits.
    """

    typical: NDArray[np.float32]
    threshold: float

    @classmethod
    def fit(
        cls, impacts: Array, *, per_image: float = 2.0, rng: np.random.Generator, sample: int = _ROWS
    ) -> Self:
        """The rule by which images carry `per_image` patterns on average, (n, K) impacts.

        The median is that of the collection; beyond `sample` rows it is that of a random sample.

        Raises:
            UsageError: no finite impacts, or `per_image` is not between 0 and K.
        """
        n, dimensions = impacts.shape
        if not n or not 0 < per_image <= dimensions:
            raise UsageError(
                f"{n} images of {dimensions} dimensions cannot carry {per_image} patterns each; per_image "
                "must lie between 0 and the number of dimensions."
            )
        rows = np.sort(rng.choice(n, sample, replace=False)) if n > sample else slice(None)
        some = np.asarray(impacts[rows], dtype=np.float32)
        if not np.isfinite(some).all():
            raise UsageError("Some impacts are not finite; distil the collection again.")
        typical = np.median(some, axis=0)
        threshold = np.quantile(np.abs(some - typical), 1 - per_image / dimensions)
        # Where most dimensions say nothing at all the quantile is 0, and 0 is no pattern.
        return cls(typical.astype(np.float32), max(float(threshold), 1e-9))

    def signs(self, impacts: Array) -> NDArray[np.int8]:
        """(n, K): 1 where a pattern speaks for generated, −1 for real, 0 where there is none."""
        deviation = np.asarray(impacts, dtype=np.float32) - self.typical
        return np.where(np.abs(deviation) >= self.threshold, np.sign(deviation), 0).astype(np.int8)
