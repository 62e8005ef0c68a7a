"""What the cells summarise of every image, and how a score follows from it when dimensions are off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.detectors import Calibration
from morelli.errors import UsageError

RIGHT, FALSE_POSITIVE, FALSE_NEGATIVE = 0, 1, 2


@dataclass(frozen=True)
class Scoring:
    """From a logit to a probability, and from there to an error.

    A real image at or above the probability `ai` is a false positive, a generated one at or below `real` a
    false negative; between the two nothing was claimed, and no error made.
    """

    calibration: Calibration = field(default_factory=Calibration)
    real: float = 0.5
    ai: float = 0.5

    def probability(self, logits: ArrayLike) -> NDArray[np.float32]:
        """Probability of "generated" (n,) of logits (n,)."""
        return self.calibration.probability(logits).astype(np.float32)

    def errors(self, probability: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int8]:
        """0, or 1 for a false positive, or 2 for a false negative, (n,); unknown labels have no error."""
        false_positive = (labels == 0) & (probability >= self.ai)
        # Where both thresholds are one, that probability counts as "ai", so that no image is wrong both ways.
        missed = probability < self.real if self.real == self.ai else probability <= self.real
        return np.asarray(
            np.where(false_positive, FALSE_POSITIVE, np.where((labels == 1) & missed, FALSE_NEGATIVE, RIGHT)),
            np.int8,
        )


@dataclass(frozen=True)
class Rows:
    """Columns of n images that the cells summarise, one entry per image.

    labels: (n,) int8, real 0, fake 1, unknown -1. impacts: (n, K) float32, signed shares of the logit.
    logits: (n,) float32, held out where that can be had, the impacts' sum and the bias. values: (n, K)
    float32 that exemplars are typical in; the impacts if None. errors: (n,) int8 as in `Scoring.errors` where
    the verdict hangs on more than a threshold; from `Scoring` if None. copies: (n,) int32, one number for all
    near-duplicates of one image, of which a cell shows one; none known if None.
    """

    labels: NDArray[np.int8]
    impacts: NDArray[np.float32]
    logits: NDArray[np.float32]
    values: NDArray[np.float32] | None = None
    errors: NDArray[np.int8] | None = None
    copies: NDArray[np.int32] | None = None

    @classmethod
    def of(
        cls,
        labels: ArrayLike,
        impacts: ArrayLike,
        logits: ArrayLike,
        *,
        values: ArrayLike | None = None,
        errors: ArrayLike | None = None,
        copies: ArrayLike | None = None,
    ) -> Rows:
        """Rows of anything array-like.

        Raises:
            UsageError: columns of different lengths, labels other than -1, 0, 1, or numbers not finite.
        """
        rows = cls(
            np.asarray(labels, np.int8),
            np.ascontiguousarray(impacts, np.float32),  # rows are gathered and summed up as wholes
            np.asarray(logits, np.float32),
            None if values is None else np.ascontiguousarray(values, np.float32),
            None if errors is None else np.asarray(errors, np.int8),
            None if copies is None else np.asarray(copies, np.int32),
        )
        n = len(rows.labels)
        for name, column in rows.columns().items():
            wanted = 2 if name in ("impacts", "values") else 1
            if column.ndim != wanted or len(column) != n:
                raise UsageError(f"{name} has the shape {column.shape} beside {n} labels")
            if not np.isfinite(column).all():
                raise UsageError(f"{name} holds values that are not finite")
        if not np.isin(rows.labels, (-1, 0, 1)).all():
            raise UsageError("labels are 0 (real), 1 (fake) or -1 (unknown)")
        if rows.errors is not None and not np.isin(rows.errors, (0, 1, 2)).all():
            raise UsageError("errors are 0 (none), 1 (false positive) or 2 (false negative)")
        return rows

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dimensions(self) -> int:
        """K."""
        return int(self.impacts.shape[1])

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns that are there, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def take(self, order: NDArray[np.integer]) -> Rows:
        """The rows in another order."""
        return Rows(**{name: column[order] for name, column in self.columns().items()})

    def concat(self, other: Rows) -> Rows:
        """These rows and then the others.

        Raises:
            UsageError: the two do not have the same columns, or not as many dimensions.
        """
        mine, theirs = self.columns(), other.columns()
        if mine.keys() != theirs.keys() or self.dimensions != other.dimensions:
            raise UsageError(
                f"rows with {', '.join(mine)} and {self.dimensions} dimensions cannot grow by rows with "
                f"{', '.join(theirs)} and {other.dimensions}"
            )
        return Rows(**{name: np.concatenate([mine[name], theirs[name]]) for name in mine})

    def without(self, off: Sequence[int]) -> Rows:
        """The rows with dimensions switched off: impacts 0, logits less their impacts, errors by threshold.

        Raises:
            UsageError: no such dimension.
        """
        dimensions = sorted(set(off))
        if not dimensions:
            return self
        if dimensions[0] < 0 or dimensions[-1] >= self.dimensions:
            raise UsageError(f"dimensions are 0 to {self.dimensions - 1}; asked to switch off {dimensions}")
        impacts = np.array(self.impacts)
        logits = self.logits - impacts[:, dimensions].sum(axis=1)
        impacts[:, dimensions] = 0
        return replace(self, impacts=impacts, logits=logits, errors=None)


@dataclass(frozen=True)
class Scored:
    """What is summed up of n images: labels, errors, probabilities (n,) and impacts (n, K)."""

    labels: NDArray[np.int8]
    errors: NDArray[np.int8]
    probability: NDArray[np.float32]
    impacts: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Rows, scoring: Scoring) -> Scored:
        """Judge the rows' logits."""
        probability = scoring.probability(rows.logits)
        errors = scoring.errors(probability, rows.labels) if rows.errors is None else rows.errors
        return cls(rows.labels, errors, probability, rows.impacts)
