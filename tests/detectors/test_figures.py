"""The model card's figures equal scikit-learn's, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from morelli.detectors._held_out_figures import held_out_figures
from morelli.metrics.resampling import group_draws, probability_bins


@pytest.mark.parametrize("ties", [False, True])
def test_figures_and_their_intervals_equal_scikit_learns(ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("morelli.detectors._held_out_figures.N_DRAWS", 40)
    rng = np.random.default_rng(0)
    y = (np.arange(300) % 3 == 0).astype(int)
    z = rng.normal(size=300) + 1.2 * y
    z = np.round(z) if ties else z
    groups = np.array([f"{label}/{i % 20}" for i, label in enumerate(y)])
    p = expit(z / 2)
    figures = held_out_figures(z, y, groups, p, 1.0, np.random.default_rng(5))
    draws = group_draws(y, groups, 40, np.random.default_rng(5)).T.astype(float)
    for name, measure in (("auc", roc_auc_score), ("ap", average_precision_score)):
        assert figures[name]["value"] == pytest.approx(measure(y, z))
        drawn = np.quantile([measure(y, z, sample_weight=draw) for draw in draws], [0.05, 0.95])
        assert (figures[name]["low"], figures[name]["high"]) == pytest.approx(tuple(drawn))
        assert figures[name]["level"] == 0.9
    even = np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    gaps = np.bincount(probability_bins(p, 15, "width"), even * (y - p))
    assert figures["ece"]["value"] == pytest.approx(np.abs(gaps).sum())
    assert figures["tpr_at_ai_threshold"]["value"] == pytest.approx((z[y == 1] > 1).mean())
    reach = np.sort(np.unique(z))
    best = max(((z[y == 1] >= t).mean() for t in reach if (z[y == 0] >= t).mean() <= 0.05), default=0.0)
    assert figures["tpr_at_5_percent_fpr"]["value"] == pytest.approx(best)
