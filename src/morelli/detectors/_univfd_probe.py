"""UnivFD's linear classifier trained as its authors did (Ojha et al. 2023; official code, commit 76a0e3e).

Binary cross-entropy by AdamW, early stopping on validation accuracy, then a tenth of the learning
rate until it is below 1e-6. Three traps of the published code are left out: validation is a held-out
share of the *training* groups (there: a test folder), the best epoch is kept (there: the last one),
and the early stopping exists (there: the file is missing).
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from morelli.detectors._folds import grouped_folds
from morelli.detectors._linear_decision import LinearDecision
from morelli.detectors._probe import binary_data, row_weights
from morelli.errors import UsageError

BLUR_SIGMA = (0.0, 3.0)
JPEG_QUALITY = (30, 100)


class UnivFDProbe(LinearDecision, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear(d, 1) under binary cross-entropy, trained with UnivFD's recipe; raw features.

    Args:
        learning_rate, betas, weight_decay, batch_size, init_std: of AdamW and the N(0, init_std) start.
            The paper's rate suits its 720 000 images; on a few thousand, give a larger one.
        max_epochs: in all. patience, min_delta: epochs without `min_delta` more validation accuracy
            before the learning rate is divided by ten; training ends when it is below `min_rate`.
        validation: share of the groups held out for early stopping.

    Learnt: `coef_` (1, d), `intercept_` (1,), `best_accuracy_`, `n_epochs_`, `classes_`, and `learned_`:
    whether the best accuracy is above that of answering the larger class always. Where it is not, fitting
    warns with scikit-learn's ConvergenceWarning.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        batch_size: int = 256,
        init_std: float = 0.02,
        max_epochs: int = 100,
        patience: int = 5,
        min_delta: float = 0.001,
        min_rate: float = 1e-6,
        validation: float = 0.1,
        random_state: int | None = 0,
    ) -> None:
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.init_std = init_std
        self.max_epochs = max_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.min_rate = min_rate
        self.validation = validation
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # One small step per batch: a hundred epochs over twenty rows do not move the weights far.
        tags.classifier_tags.poor_score = True
        return tags

    @staticmethod
    def training_views(n_views: int, rng: np.random.Generator) -> tuple[str, ...]:
        """Perturbations of the training augmentation, to extract `n_views` views of a set of images.

        Each view is blurred with probability 0.5 (sigma uniform in 0 … 3) and, independently, JPEG
        compressed with probability 0.5 (quality 30 … 100); "" is the image as it is. Extract each and
        put the rows together (`Features.concat`): views of one image share its group and its weight.

        >>> UnivFDProbe.training_views(4, np.random.default_rng(0))
        ('jpeg:35', '', '', 'blur:2.57+jpeg:87')
        """
        views = []
        for _ in range(n_views):
            blurred, sigma = rng.random() < 0.5, rng.uniform(*BLUR_SIGMA)
            pressed, quality = rng.random() < 0.5, int(rng.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1))
            parts = [f"blur:{sigma:.2f}"] * blurred + [f"jpeg:{quality}"] * pressed
            views.append("+".join(parts))
        return tuple(views)

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on X (n, d), y (n,); whole groups (n,) are held out for early stopping."""
        data, _, target = binary_data(self, X, y)
        data = data.astype(np.float64)
        weights = row_weights(sample_weight, len(target))
        rng = np.random.default_rng(self.random_state)
        held_out = self._held_out(target, groups)
        train = np.flatnonzero(~held_out)
        check = np.flatnonzero(held_out) if held_out.any() else train
        # The bias starts at zero as in the authors' init; it is the last entry of `theta`.
        theta = np.concatenate([rng.normal(0.0, self.init_std, data.shape[1]), [0.0]])
        rows = np.concatenate([data, np.ones((len(data), 1))], axis=1)
        optimiser = _AdamW(theta, self.betas, self.weight_decay)
        rate, best, best_theta = self.learning_rate, -np.inf, theta.copy()
        reference, waited = -np.inf, 0
        self.n_epochs_ = 0
        while self.n_epochs_ < self.max_epochs and rate >= self.min_rate:
            order = rng.permutation(train)
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                residual = weights[batch] * (expit(rows[batch] @ theta) - target[batch])
                optimiser.step(rows[batch].T @ residual / len(batch), rate)
            self.n_epochs_ += 1
            right = (rows[check] @ theta > 0) == (target[check] == 1)
            accuracy = float(
                np.average(right, weights=weights[check]) if weights[check].sum() > 0 else right.mean()
            )
            if accuracy > best:
                best, best_theta = accuracy, theta.copy()
            if accuracy > reference + self.min_delta:
                reference, waited = accuracy, 0
            else:
                waited += 1
            if waited >= self.patience:
                rate, waited = rate / 10, 0
        self.best_accuracy_ = best
        share = float(
            np.average(target[check] == 1, weights=weights[check] if weights[check].sum() else None)
        )
        self.learned_ = best > max(share, 1 - share) + self.min_delta
        if not self.learned_:
            warnings.warn(
                f"UnivFDProbe did not learn: in {self.n_epochs_} epochs its accuracy on held-out images came "
                f"to {best:.2f}, and the larger class alone gives {max(share, 1 - share):.2f}; give it a "
                "larger learning_rate, which the paper's of 1e-4 needs on fewer images than its 720,000",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.coef_, self.intercept_ = best_theta[None, :-1], best_theta[-1:]
        return self

    def _held_out(self, target: NDArray[np.float64], groups: ArrayLike | None) -> NDArray[np.bool_]:
        if not 0 < self.validation < 1:
            raise UsageError(f"validation is {self.validation}; give a share between 0 and 1")
        try:
            folds = grouped_folds(target, groups, max(2, round(1 / self.validation)), self.random_state)
        except UsageError:
            if groups is not None:
                raise
            return np.zeros(len(target), dtype=bool)
        return np.asarray(folds == 0)


class _AdamW:
    """Loshchilov and Hutter 2019, as torch.optim.AdamW with eps 1e-8; changes `theta` in place."""

    def __init__(self, theta: NDArray[np.float64], betas: tuple[float, float], weight_decay: float) -> None:
        self.theta, self.betas, self.weight_decay = theta, betas, weight_decay
        self.mean, self.square = np.zeros_like(theta), np.zeros_like(theta)
        self.steps = 0

    def step(self, gradient: NDArray[np.float64], rate: float) -> None:
        self.steps += 1
        first, second = self.betas
        self.theta *= 1 - rate * self.weight_decay
        self.mean += (1 - first) * (gradient - self.mean)
        self.square += (1 - second) * (gradient**2 - self.square)
        scale = np.sqrt(self.square / (1 - second**self.steps)) + 1e-8
        self.theta -= rate * (self.mean / (1 - first**self.steps)) / scale
