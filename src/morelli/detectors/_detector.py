"""What a bundle and an ensemble have in common: calibrated probabilities, thresholds, and their folder."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.artefacts import Format
from morelli.artefacts.targets import check_folder_target
from morelli.detectors._bundle_parts import HeldOut
from morelli.detectors._calibration import Calibration
from morelli.detectors._thresholds import Threshold, conformal_miss_threshold, conformal_threshold
from morelli.errors import ArtifactError, UsageError
from morelli.features import Features


class Detector(ABC):
    """A calibrated detector in a folder of its own: base of the dataclasses `Bundle` and `Ensemble`."""

    name: str
    ai: Threshold
    real: Threshold
    calibration: Calibration
    held_out: HeldOut | None
    base_rate: float
    digest: str | None

    form: ClassVar[Format]
    """Of its folder."""
    recalibration: ClassVar[str] = ""
    """How held-out scores are had where there are none, for the error of `with_fpr`."""

    @abstractmethod
    def logits(self, features: Features) -> NDArray[np.float64]:
        """Scores (n,) before calibration."""

    @abstractmethod
    def get_ready(self) -> None:
        """Make what else the first verdict would make, such as the index of a bank."""

    def probabilities(self, features: Features, base_rate: float | None = None) -> NDArray[np.float64]:
        """Calibrated probabilities (n,) of "generated" at `base_rate` (None: the detector's own)."""
        return self.calibration.probability(self.logits(features), self._rate(base_rate))

    def with_base_rate(self, base_rate: float) -> Self:
        """This detector with probabilities for a world where this share of images is generated."""
        self.calibration.log_odds([0.0], base_rate)
        return self._changed(base_rate=float(base_rate))

    def with_fpr(self, fpr: float, miss_rate: float | None = None) -> Self:
        """This detector with thresholds for other error rates, from its own held-out scores.

        The thresholds of an ensemble's members, and with them what counts as a contradiction, stay.

        Raises:
            UsageError: it carries no held-out scores (an imported head); `Bundle.recalibrated` gives it some.
        """
        if self.held_out is None:
            raise UsageError(
                f"{self.form.what} {self.name} has no held-out scores to take a threshold from"
                f"{self.recalibration}"
            )
        ai, real = verdict_thresholds(
            self.held_out.logits,
            self.held_out.labels,
            self.calibration,
            fpr=fpr,
            miss_rate=self.real.rate if miss_rate is None else miss_rate,
            groups=self.held_out.groups,
        )
        return self._changed(ai=ai, real=real)

    @classmethod
    def check_target(cls, path: str | Path) -> None:
        """Raise UsageError where `save` could not write: ask before fitting, not after it."""
        check_folder_target(path, cls.form)

    @classmethod
    def restored(cls, stored: Mapping[str, Any], digest: str | None, place: str | Path) -> Self:
        """The detector of these fields, read at `place` from a folder of this digest.

        Raises:
            ArtifactError: the fields do not fit together.
        """
        try:
            detector = cls(**stored)
        except UsageError as error:
            raise ArtifactError(f"{place}: {error}") from error
        # A field that `replace` does not carry over: a changed detector is no longer the one of this hash.
        object.__setattr__(detector, "digest", digest)
        return detector

    def _changed(self, **fields: Any) -> Self:
        changed: Self = replace(self, **fields)  # type: ignore[type-var]
        return changed

    def _rate(self, base_rate: float | None) -> float:
        return self.base_rate if base_rate is None else base_rate


def verdict_thresholds(
    logits: ArrayLike,
    labels: ArrayLike,
    calibration: Calibration,
    *,
    fpr: float,
    miss_rate: float,
    groups: ArrayLike | None = None,
) -> tuple[Threshold, Threshold]:
    """The thresholds (ai, real) on held-out logits (n,): false alarms on reals, misses on generated.

    With `groups` (n,) the rates hold both for a new image and for an image of a lineage or source that is
    not among them: the stricter of the two thresholds. Both stay on their side of even odds: an image of
    probability under one half is never called generated however rare such reals are, and the other way
    round.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    even = _even_logit(calibration, z)
    # Without a miss rate (an imported head) the lower threshold asks for the same rate as the upper one.
    miss_rate = fpr if math.isnan(miss_rate) else miss_rate
    ai = conformal_threshold(z[y == 0], fpr)
    real = conformal_miss_threshold(z[y == 1], miss_rate)
    if groups is not None:
        of = np.asarray(groups)
        ai = max(ai, conformal_threshold(z[y == 0], fpr, groups=of[y == 0]), key=_logit)
        real = min(real, conformal_miss_threshold(z[y == 1], miss_rate, groups=of[y == 1]), key=_logit)
    if ai.logit < even:
        ai = _moved(ai, even, float((z[y == 0] > even).mean()))
    if real.logit > even:
        real = _moved(real, even, float((z[y == 1] <= even).mean()))
    return ai, real


def _logit(threshold: Threshold) -> float:
    return threshold.logit


def _moved(threshold: Threshold, even: float, observed: float) -> Threshold:
    note = f"{threshold.note}; " if threshold.note else ""
    return replace(
        threshold, logit=even, observed=observed, note=f"{note}moved to even odds, which is stricter"
    )


def _even_logit(calibration: Calibration, logits: NDArray[np.float64]) -> float:
    """The logit at which the calibrated probability is one half at even odds, by bisection."""
    low, high = float(logits.min()), float(logits.max())
    if calibration.log_odds([high], 0.5)[0] <= 0:
        return high
    if calibration.log_odds([low], 0.5)[0] >= 0:
        return low
    for _ in range(200):
        middle = 0.5 * (low + high)
        if calibration.log_odds([middle], 0.5)[0] < 0:
            low = middle
        else:
            high = middle
    return high
