"""Calibration: from a detector's logit to a probability that means a frequency.

Every map is fitted on out-of-fold logits with both classes weighted to a stated prior (0.5 unless
told), so class counts of a data set never leak into a probability; another base rate is a shift of
the log-odds at prediction time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import ArtifactError, UsageError
from morelli.metrics.odds import expit, logit

Method = Literal["none", "platt", "temperature", "beta", "isotonic"]
_BACKWARDS = (
    "the held-out logits rank real images above generated ones: either the labels are swapped, or what "
    "the detector learns does not carry over from group to group, as where one class alone holds faces. Look "
    "at what the groups show, add groups that both classes have in common, or try fewer kinds (--kinds final)"
)
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "platt": ("slope", "offset"),
    "temperature": ("temperature",),
    "beta": ("a", "b", "c"),
    "isotonic": ("knots", "log_odds"),
}


@dataclass(frozen=True)
class Calibration:
    """A monotone map from logits to log-odds at the base rate `prior`.

    ``none``: the logit itself. ``platt``: slope * z + offset (Platt 1999). ``temperature``:
    z / temperature (Guo et al. 2017). ``beta``: a ln p - b ln(1 - p) + c with p = sigmoid(z)
    (Kull et al. 2017). ``isotonic``: pool-adjacent-violators, interpolated between `knots`.
    """

    method: Method = "none"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prior: float = 0.5

    def log_odds(self, logits: ArrayLike, base_rate: float | None = None) -> NDArray[np.float64]:
        """Calibrated log-odds, same shape as `logits`, at `base_rate` (None: at `prior`)."""
        z = np.asarray(logits, dtype=np.float64)
        p = self.parameters
        if self.method == "platt":
            z = p["slope"] * z + p["offset"]
        elif self.method == "temperature":
            z = z / p["temperature"]
        elif self.method == "beta":
            z = -p["a"] * np.logaddexp(0, -z) + p["b"] * np.logaddexp(0, z) + p["c"]
        elif self.method == "isotonic":
            z = np.interp(z, p["knots"], p["log_odds"])
        if base_rate is None:
            return z
        return np.asarray(z + logit(_proper_rate(base_rate)) - logit(self.prior))

    def probability(self, logits: ArrayLike, base_rate: float | None = None) -> NDArray[np.float64]:
        """Probability of "generated", same shape as `logits`, where a share `base_rate` is generated.

        >>> [round(float(p), 3) for p in Calibration().probability([0.0, 0.0])]
        [0.5, 0.5]
        >>> float(Calibration().probability([0.0], base_rate=0.1)[0]).__round__(3)
        0.1
        """
        return np.asarray(expit(self.log_odds(logits, base_rate)))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `bundle.json`."""
        return {"method": self.method, "prior": self.prior, "parameters": dict(self.parameters)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            ArtifactError: unknown method, missing or non-finite parameters.
        """
        method, parameters, prior = data.get("method"), data.get("parameters"), data.get("prior")
        if method not in _PARAMETERS or not isinstance(parameters, Mapping):
            raise ArtifactError(
                f"calibration method {method!r} is unknown; known are {', '.join(_PARAMETERS)}"
            )
        if set(parameters) != set(_PARAMETERS[method]):
            raise ArtifactError(
                f"{method} calibration needs {_PARAMETERS[method]}, found {tuple(parameters)}"
            )
        try:
            values = [np.asarray(v, dtype=np.float64) for v in [*parameters.values(), prior]]
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"the calibration holds something that is not a number: {error}") from error
        if not all(np.isfinite(v).all() for v in values) or not 0 < float(values[-1]) < 1:
            raise ArtifactError(
                "the calibration holds a number that is not finite, or a prior outside (0, 1)"
            )
        if method == "isotonic" and (
            values[0].shape != values[1].shape or not values[0].size or (np.diff(values[0]) < 0).any()
        ):
            raise ArtifactError("isotonic calibration needs rising knots, one log-odds each")
        if method == "temperature" and not float(values[0]) > 0:
            raise ArtifactError("the calibration's temperature is not positive")
        return cls(method, dict(parameters), float(values[-1]))


def fit_calibration(
    logits: ArrayLike,
    y: ArrayLike,
    method: Method = "platt",
    *,
    prior: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> Calibration:
    """Fit a calibration to held-out logits (n,) and labels (n,), real 0 and fake 1.

    Each class is weighted to the share that `prior` gives it, whatever the counts.

    Raises:
        UsageError: one class only, or logits that rank real images above generated ones.
    """
    if method not in get_args(Method):
        raise UsageError(f"calibration is {method!r}; choose one of {', '.join(get_args(Method))}")
    z = np.asarray(logits, dtype=np.float64)
    target = np.asarray(y, dtype=np.float64)
    counts = np.ones(len(z)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    of_class = np.array([counts[target == 0].sum(), counts[target == 1].sum()])
    if not (of_class > 0).all():
        raise UsageError("calibration needs held-out logits of real and of generated images")
    rate = _proper_rate(prior)
    weights = counts * np.where(target == 1, rate / of_class[1], (1 - rate) / of_class[0])
    # Platt's smoothed targets: separable logits must not give infinite slopes.
    soft = np.where(target == 1, (of_class[1] + 1) / (of_class[1] + 2), 1 / (of_class[0] + 2))
    # The optimiser works on logits of unit spread; nearest-neighbour scores vary by hundredths.
    spread = float(np.sqrt(np.average((z - np.average(z, weights=weights)) ** 2, weights=weights))) or 1.0
    if method == "none":
        return Calibration(prior=rate)
    if method == "isotonic":
        return _isotonic(z, target, weights, len(z), rate)
    offset = float(logit(rate))
    if method == "platt":
        slope, shift = _minimise(np.stack([z / spread, np.ones_like(z)]), soft, weights, [1.0, offset])
        if slope <= 0:
            raise UsageError(_BACKWARDS)
        return Calibration("platt", {"slope": slope / spread, "offset": shift}, rate)
    if method == "temperature":
        (slope,) = _minimise(np.stack([z / spread]), soft, weights, [1.0], fixed=np.full_like(z, offset))
        if slope <= 0:
            raise UsageError(_BACKWARDS)
        return Calibration("temperature", {"temperature": spread / slope}, rate)
    parts = np.stack([-np.logaddexp(0, -z), np.logaddexp(0, z), np.ones_like(z)])
    a, b, c = _minimise(parts, soft, weights, [1.0, 1.0, offset], bounds=[(0, None), (0, None), (None, None)])
    if a + b <= 0:
        raise UsageError(_BACKWARDS)
    return Calibration("beta", {"a": a, "b": b, "c": c}, rate)


def cross_fitted_log_odds(
    logits: ArrayLike,
    y: ArrayLike,
    folds: ArrayLike,
    method: Method = "platt",
    *,
    prior: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Log-odds (n,) at `prior` where each fold is mapped by a calibration fitted on the other folds."""
    z, target, parts = np.asarray(logits), np.asarray(y), np.asarray(folds)
    weights = None if sample_weight is None else np.asarray(sample_weight)
    result = np.full(len(z), np.nan)
    for fold in np.unique(parts):
        rest = parts != fold
        if len(np.unique(target[rest])) < 2:
            rest = np.ones(len(z), dtype=bool)
        weight = None if weights is None else weights[rest]
        fitted = fit_calibration(z[rest], target[rest], method, prior=prior, sample_weight=weight)
        result[parts == fold] = fitted.log_odds(z[parts == fold])
    return result


def cross_fitted_probabilities(
    logits: ArrayLike,
    y: ArrayLike,
    folds: ArrayLike,
    method: Method = "platt",
    *,
    prior: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Probabilities (n,) where each fold is mapped by a calibration fitted on the other folds."""
    found = cross_fitted_log_odds(logits, y, folds, method, prior=prior, sample_weight=sample_weight)
    return np.asarray(expit(found))


def fit_mixture(
    log_odds: NDArray[np.float64], y: ArrayLike, sample_weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Weights (m,) ≥ 0 with sum 1 of detectors' log-odds (n, m) in units of `spreads`: logistic regression.

    In these units a weight is a share: a detector that sees nothing has hardly any spread, and would need a
    large factor to count. Both classes weigh the same, and the intercept is left to the calibration of what
    is joined.

    Raises:
        UsageError: no detector ranks generated images above real ones.
    """
    target = np.asarray(y, dtype=np.float64)
    counts = np.ones(len(target)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    of_class = np.array([counts[target == 0].sum(), counts[target == 1].sum()])
    soft = np.where(target == 1, (of_class[1] + 1) / (of_class[1] + 2), 1 / (of_class[0] + 2))
    weights = 0.5 * counts / np.where(target == 1, of_class[1], of_class[0])
    m = log_odds.shape[1]
    parts = np.vstack([(log_odds / spreads(log_odds)).T, np.ones(len(target))])
    bounds = [(0, None)] * m + [(None, None)]
    found = np.array(_minimise(parts, soft, weights, [1 / m] * m + [0.0], bounds=bounds)[:m])
    if not found.sum() > 0:
        raise UsageError(_BACKWARDS)
    return np.asarray(found / found.sum())


def spreads(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations (m,) of log-odds (n, m); 1 where all are equal."""
    found = log_odds.std(axis=0)
    return np.where(found > 0, found, 1.0)


def _minimise(
    parts: NDArray[np.float64],
    soft: NDArray[np.float64],
    weights: NDArray[np.float64],
    start: list[float],
    *,
    bounds: Any = None,
    fixed: NDArray[np.float64] | float = 0.0,
) -> list[float]:
    """Weighted cross-entropy of ``x @ parts + fixed`` (parts: (m, n)) against soft targets."""
    from scipy.optimize import minimize  # fitting alone needs it, and it is slow to load

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        f = x @ parts + fixed
        return float(weights @ (np.logaddexp(0, f) - soft * f)), parts @ (weights * (expit(f) - soft))

    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9, "ftol": 1e-14}
    )
    return [float(value) for value in found.x]


def _isotonic(
    z: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64], n: int, prior: float
) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(z, target, sample_weight=weights)
    # A block of one class alone would mean certainty; n images cannot give odds beyond about n to 1.
    shares = np.clip(fitted.y_thresholds_, 1 / (n + 2), 1 - 1 / (n + 2))
    values = [float(v) for v in logit(shares)]
    return Calibration(
        "isotonic", {"knots": [float(x) for x in fitted.X_thresholds_], "log_odds": values}, prior
    )


def _proper_rate(rate: float) -> float:
    if not 0 < rate < 1:
        raise UsageError(f"the base rate is {rate}; give a share between 0 and 1, both excluded")
    return float(rate)
