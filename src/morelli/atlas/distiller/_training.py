"""Training of the distiller layer and its head: full-batch Adam on an explicit gradient.

Loss = weighted binary cross-entropy + ν · mean over pairs of max(0, |r(z_i, z_j)| − t)² + ½ decay (|D|² +
|w|²) + μ · mean over pictures of Σ_i w_i² (z_i with words - z_i without)² [+ λ · mean over pairs of cos²(z_i,
z_j)], z_i the (n,) column of values of dimension i, r the correlation over images; the term with μ only where
pictures with and without words are given.

The second term keeps dimensions distinct: below t it asks nothing, since forcing correlations to 0 costs
ranking and makes a fit depend on which images were left out; beyond t it grows with the square. The last, off
by default, is the activation orthogonality of CUES, ‖I − G‖² with G the Gram matrix of the column-normalised
activations (clip-cues, MIT), per pair. It is of cosines, and values that are never negative have large
cosines without being correlated. Whether ASAP has such a term was not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from morelli.atlas.distiller._activation import activate, slope

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Layers:
    """The trained numbers: D (p, K) and c (K,) of the distiller layer, w (K,) and bias of the head."""

    D: Array
    c: Array
    w: Array
    bias: Array

    def values(self, activation: str, X: Array) -> Array:
        """z (n, K) of X (n, p)."""
        return activate(activation, X @ self.D + self.c)

    def logits(self, activation: str, X: Array) -> Array:
        """Logits (n,) of X (n, p)."""
        return np.asarray(self.values(activation, X) @ self.w + self.bias)

    def parts(self) -> tuple[Array, ...]:
        """The arrays in a fixed order."""
        return self.D, self.c, self.w, self.bias


@dataclass(frozen=True)
class Objective:
    """What is minimised. orthogonality: λ. decay: of D and w. invariance: μ. pairs: (m, p) prepared rows
    of pictures without and with words. distinctness: ν. tolerated: t.
    """

    activation: str
    orthogonality: float
    decay: float
    invariance: float = 0.0
    pairs: tuple[Array, Array] | None = None
    distinctness: float = 0.0
    tolerated: float = 0.2

    def gradient(self, layers: Layers, X: Array, y: Array, weights: Array) -> tuple[float, Layers]:
        """Loss and its gradient at `layers`, over X (n, p), y (n,) in 0 … 1 and weights (n,) of sum 1."""
        D, _c, w, bias = layers.parts()
        z = layers.values(self.activation, X)
        logits = z @ w + bias
        loss = float(weights @ (np.logaddexp(0, logits) - y * logits))
        residual = weights * (expit(logits) - y)
        dz = residual[:, None] * w
        if self.orthogonality and len(w) > 1:
            penalty, dpenalty = overlap(z)
            loss += self.orthogonality * penalty
            dz = dz + self.orthogonality * dpenalty
        if self.distinctness and len(w) > 1:
            penalty, dpenalty = excess_correlation(z, self.tolerated)
            loss += self.distinctness * penalty
            dz = dz + self.distinctness * dpenalty
        loss += 0.5 * self.decay * float((D * D).sum() + w @ w)
        dh = dz * slope(self.activation, z)
        found = Layers(
            X.T @ dh + self.decay * D,
            dh.sum(axis=0),
            z.T @ residual + self.decay * w,
            np.asarray(residual.sum()),
        )
        if self.invariance and self.pairs is not None:
            moved, more = self._moves(layers, *self.pairs)
            loss += self.invariance * moved
            found = Layers(
                *(a + self.invariance * b for a, b in zip(found.parts(), more.parts(), strict=True))
            )
        return loss, found

    def invariance_loss(self, layers: Layers) -> float:
        """The term of the pairs; 0 where there are none."""
        if not self.invariance or self.pairs is None:
            return 0.0
        return self.invariance * self._moves(layers, *self.pairs)[0]

    def _moves(self, layers: Layers, before: Array, after: Array) -> tuple[float, Layers]:
        """Mean over pairs of the summed squared moves of impacts, and its gradient."""
        _D, _c, w, _bias = layers.parts()
        z0, z1 = layers.values(self.activation, before), layers.values(self.activation, after)
        moves = z1 - z0
        pull = 2 / len(moves) * moves * w * w
        dh0, dh1 = -pull * slope(self.activation, z0), pull * slope(self.activation, z1)
        return float((moves * moves * (w * w)).sum() / len(moves)), Layers(
            before.T @ dh0 + after.T @ dh1,
            (dh0 + dh1).sum(axis=0),
            2 / len(moves) * w * (moves * moves).sum(axis=0),
            np.zeros_like(layers.bias),
        )


def overlap(z: Array) -> tuple[float, Array]:
    """Mean squared cosine between the columns of z (n, K), and its gradient (n, K)."""
    k = z.shape[1]
    lengths = np.maximum(np.linalg.norm(z, axis=0), 1e-12)
    unit = z / lengths
    gram = unit.T @ unit
    np.fill_diagonal(gram, 0)
    pairs = k * (k - 1)
    inner = (gram * gram).sum(axis=0)
    return float(inner.sum() / pairs), 4 / pairs * (unit @ gram - unit * inner) / lengths


def excess_correlation(z: Array, tolerated: float) -> tuple[float, Array]:
    """Mean over pairs of max(0, |r| − tolerated)², r the correlation of two columns of z (n, K); its
    gradient.

    >>> round(excess_correlation(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), 0.2)[0], 6)  # r = 1
    0.64
    """
    k = z.shape[1]
    centred = z - z.mean(axis=0)
    lengths = np.maximum(np.linalg.norm(centred, axis=0), 1e-12)
    unit = centred / lengths
    r = unit.T @ unit
    np.fill_diagonal(r, 0)
    excess = np.sign(r) * np.maximum(np.abs(r) - tolerated, 0)
    pairs = k * (k - 1)
    slopes = 4 / pairs * (unit @ excess - unit * (r * excess).sum(axis=0)) / lengths
    return float((excess * excess).sum() / pairs), slopes - slopes.mean(axis=0)


class Adam:
    """Kingma and Ba 2015, as torch.optim.Adam with its defaults."""

    def __init__(self, start: Sequence[Array], rate: float) -> None:
        self.values, self.rate, self.steps = list(start), rate, 0
        self._mean = [np.zeros_like(part) for part in start]
        self._square = [np.zeros_like(part) for part in start]

    def step(self, gradients: Sequence[Array]) -> list[Array]:
        """Move each array along its gradient, downwards; the new arrays."""
        self.steps += 1
        for i, g in enumerate(gradients):
            self._mean[i] = 0.9 * self._mean[i] + 0.1 * g
            self._square[i] = 0.999 * self._square[i] + 0.001 * g * g
            size = np.sqrt(self._square[i] / (1 - 0.999**self.steps)) + 1e-8
            self.values[i] = self.values[i] - self.rate * (self._mean[i] / (1 - 0.9**self.steps)) / size
        return self.values


def train(
    start: Layers,
    objective: Objective,
    X: Array,
    y: Array,
    weights: Array,
    *,
    rate: float,
    steps: int,
    held_out: tuple[Array, Array, Array] | None = None,
    every: int = 5,
    patience: int | None = None,
) -> tuple[Layers, Array]:
    """Train from `start`; the layers after the last step, and the curve of held-out losses.

    A held-out loss is the cross-entropy of the rows that judge, plus the term of the pairs: otherwise words
    that tell the classes apart would end training before they are forgotten.

    held_out: X, y and weights of the rows that judge. every: steps between two looks at them, the first
    after `every` steps. patience: looks without a better loss before training ends (None: never).
    """
    adam = Adam(start.parts(), rate)
    layers, curve, best, waited = start, [], np.inf, 0
    for step in range(1, steps + 1):
        _, gradient = objective.gradient(layers, X, y, weights)
        layers = Layers(*adam.step(gradient.parts()))
        if held_out is not None and step % every == 0:
            curve.append(
                cross_entropy(layers, objective.activation, *held_out) + objective.invariance_loss(layers)
            )
            waited = 0 if curve[-1] < best else waited + 1
            best = min(best, curve[-1])
            if patience is not None and waited >= patience:
                break
    return layers, np.asarray(curve)


def cross_entropy(layers: Layers, activation: str, X: Array, y: Array, weights: Array) -> float:
    """Weighted mean cross-entropy over X (n, p)."""
    logits = layers.logits(activation, X)
    return float(weights @ (np.logaddexp(0, logits) - y * logits) / weights.sum())
