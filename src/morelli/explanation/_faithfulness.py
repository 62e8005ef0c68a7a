"""Is an explanation true of the detector? Take the concept away and see whether the probability follows.

Additive evidence predicts what happens when a concept's part of an embedding is removed. Here it is
removed, the changed embeddings go through the detector as it is (scaling, calibration and all), and the
change is compared with the prediction and with the removal of random directions of the same length: a
concept to which the detector does not listen more than to anything else explains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._additive import ConceptSpace, head_rows

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.features import Features

Array = NDArray[Any]
Logits = Callable[[Array], Array]
Control = Literal["isotropic", "images"]


@dataclass(frozen=True)
class Faithfulness:
    """Outcome of removing one concept from n images.

    Attributes:
        name: the concept, its positive end.
        predicted, observed: mean change of the logit, by the evidence and by the detector.
        correlation: between predicted and observed changes over images; nan where none changes.
        error: largest difference between predicted and observed change of any image.
        probability_change: mean change of the probability, signed; `moved` mean absolute change.
        control_moved: (draws,) mean absolute change of the probability for random directions.
        p_value: (1 + controls that move it at least as much) / (1 + draws).
    """

    name: str
    predicted: float
    observed: float
    correlation: float
    error: float
    probability_change: float
    moved: float
    p_value: float
    control_moved: Array = field(repr=False)

    @property
    def faithful(self) -> bool:
        """Moved as predicted (correlation ≥ 0.9) and more than random directions do (p < 0.05)."""
        return bool(self.correlation >= 0.9 and self.p_value < 0.05)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the controls as mean and 95th percentile."""
        document = {k: v for k, v in asdict(self).items() if k != "control_moved"}
        document["correlation"] = None if np.isnan(self.correlation) else self.correlation
        document["control_mean"] = float(self.control_moved.mean())
        document["control_95"] = float(np.quantile(self.control_moved, 0.95))
        document["faithful"] = self.faithful
        return document

    def sentence(self) -> str:
        """One sentence with the numbers."""
        return (
            f"Without {self.name!r} the probability moves by {self.moved:.3f} on average (random directions "
            f"of the same length: {self.control_moved.mean():.3f}, p = {self.p_value:.2g}); the logit by "
            f"{self.observed:+.3f} where {self.predicted:+.3f} was predicted."
        )


def concept_faithfulness(
    X: Array,
    logits: Logits,
    weights: Array,
    space: ConceptSpace,
    name: str,
    *,
    probability: Callable[[Array], Array] | None = None,
    control: Control = "images",
    draws: int = 500,
    random_state: int = 0,
) -> Faithfulness:
    """Remove `name` from every row of X (n, d) and compare.

    Args:
        X: embeddings as the head takes them.
        logits: the detector itself, (k, d) → (k,); need not be linear.
        weights: (d,) of the linear head that the evidence was computed with, or (n, d), each row's own.
        probability: logits → probabilities; logistic if None.
        control: random directions: ``images``, differences of random pairs of images (what embeddings
            really vary along; the harder control), or ``isotropic``, all directions alike.
        draws: how many random directions.

    Each control moves every image by as much as removing the concept did, along one random direction.
    """
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or len(X) < 2:
        raise UsageError(f"Faithfulness needs embeddings of at least two images; got shape {X.shape}.")
    squash = probability if probability is not None else _logistic
    step = space.displacement(X, name)
    before = np.asarray(logits(X), dtype=np.float64)
    after = np.asarray(logits(X - step), dtype=np.float64)
    predicted, observed = -(step * np.asarray(weights, dtype=np.float64)).sum(axis=1), after - before
    p_before = squash(before)
    change = squash(after) - p_before
    moved = float(np.abs(change).mean())
    rng = np.random.default_rng(random_state)
    # A step keeps the size and sense it had for each image; only its direction is another.
    axis = step[np.argmax(np.linalg.norm(step, axis=1))]
    size = np.linalg.norm(step, axis=1) * np.sign(step @ axis)
    controls = np.empty(draws)
    for i, u in enumerate(_random_directions(X, draws, control, rng)):
        controls[i] = np.abs(squash(np.asarray(logits(X - size[:, None] * u))) - p_before).mean()
    varies = predicted.std() > 0 and observed.std() > 0
    return Faithfulness(
        name=name,
        predicted=float(predicted.mean()),
        observed=float(observed.mean()),
        correlation=float(np.corrcoef(predicted, observed)[0, 1]) if varies else float("nan"),
        error=float(np.abs(predicted - observed).max()),
        probability_change=float(change.mean()),
        moved=moved,
        p_value=float((1 + (controls >= moved).sum()) / (1 + draws)),
        control_moved=controls,
    )


def bundle_faithfulness(
    bundle: Bundle,
    features: Features,
    space: ConceptSpace,
    names: Sequence[str],
    *,
    control: Control = "images",
    draws: int = 500,
    random_state: int = 0,
) -> list[Faithfulness]:
    """Test concepts on a bundle: changed embeddings go through its own `logits` and calibration."""
    X = head_rows(bundle, features)
    assert bundle.head is not None
    splits = np.cumsum([features.vectors[kind].shape[1] for kind in bundle.head_kinds])[:-1]

    def logits(changed: Array) -> Array:
        vectors = dict(
            zip(bundle.head_kinds, np.split(changed.astype(np.float32), splits, axis=1), strict=True)
        )
        return bundle.logits(replace(features, vectors={**features.vectors, **vectors}))

    return [
        concept_faithfulness(
            X, logits, bundle.head.local(X)[0], space, name,
            probability=lambda z: bundle.calibration.probability(z, bundle.base_rate),
            control=control, draws=draws, random_state=random_state,
        )
        for name in names
    ]  # fmt: skip


def _logistic(z: Array) -> Array:
    from scipy.special import expit

    return np.asarray(expit(z))


def _random_directions(X: Array, draws: int, control: Control, rng: np.random.Generator) -> Array:
    """Unit rows (draws, d)."""
    if control == "isotropic":
        rows = rng.standard_normal((draws, X.shape[1]))
    elif control == "images":
        first = rng.integers(len(X), size=draws)
        second = (first + rng.integers(1, len(X), size=draws)) % len(X)
        rows = X[first] - X[second]
    else:
        raise UsageError(f"control is 'images' or 'isotropic', not {control!r}.")
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))
