"""What estimators of two classes have in common, and every fitted linear probe, however it was fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from morelli.metrics.odds import expit


class TwoClasses:
    """An estimator of two classes, for scikit-learn's checks."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]  # of scikit-learn's bases, which stand behind it
        tags.classifier_tags.multi_class = False
        return tags


class LinearDecision(TwoClasses):
    """Scores by `coef_` (1, d) and `intercept_` (1,), and labels out of `classes_` (2,)."""

    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    classes_: NDArray[Any]

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits (n,), positive for `classes_[1]`."""
        check_is_fitted(self)
        data: NDArray[Any] = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return np.asarray(data.astype(np.float64) @ self.coef_[0] + self.intercept_[0])

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, 2) in the order of `classes_`."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels (n,); a logit of exactly 0 is real."""
        above = self.decision_function(X) > 0
        return np.asarray(self.classes_[above.astype(int)])
