"""UnivFD's training recipe: torch's AdamW step by step, grouped validation, the best epoch kept."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from morelli.detectors import UnivFDProbe
from morelli.detectors._univfd_probe import _AdamW
from morelli.images import perturbation


def test_the_optimiser_takes_torchs_steps() -> None:
    import torch

    rng = np.random.default_rng(0)
    theta = rng.normal(size=7)
    parameter = torch.nn.Parameter(torch.tensor(theta))
    theirs = torch.optim.AdamW([parameter], lr=1e-3, betas=(0.9, 0.999), weight_decay=0.1)
    ours = _AdamW(theta, (0.9, 0.999), 0.1)
    for _ in range(20):
        gradient = rng.normal(size=7)
        parameter.grad = torch.tensor(gradient)
        theirs.step()
        ours.step(gradient, 1e-3)
    np.testing.assert_allclose(theta, parameter.detach().numpy(), atol=1e-12)


def test_it_learns_and_keeps_its_best_epoch() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(1200) % 2
    X = rng.normal(size=(1200, 16)) + 1.5 * y[:, None] * (np.arange(16) < 2)
    groups = np.arange(1200) // 20
    probe = UnivFDProbe(learning_rate=1e-2).fit(X, y, groups=groups)
    held_out = probe._held_out(y.astype(float), groups)
    assert 0 < held_out.mean() < 0.25
    assert not set(groups[held_out]) & set(groups[~held_out])
    assert probe.score(X[held_out], y[held_out]) == probe.best_accuracy_
    assert probe.best_accuracy_ > 0.8
    assert probe.n_epochs_ < 100, "patience and the falling rate end the training"
    again = UnivFDProbe(learning_rate=1e-2).fit(X, y, groups=groups)
    np.testing.assert_array_equal(probe.coef_, again.coef_)


def test_it_says_when_it_did_not_learn() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(200) % 2
    with pytest.warns(ConvergenceWarning, match=r"did not learn.*learning_rate"):
        probe = UnivFDProbe(max_epochs=3).fit(rng.normal(size=(200, 16)), y, groups=np.arange(200) // 5)
    assert not probe.learned_
    X = rng.normal(size=(400, 16)) + 3.0 * (np.arange(400) % 2)[:, None] * (np.arange(16) < 2)
    assert UnivFDProbe(learning_rate=1e-2).fit(X, np.arange(400) % 2).learned_


def test_views_follow_the_papers_probabilities_and_are_perturbations() -> None:
    views = UnivFDProbe.training_views(2000, np.random.default_rng(0))
    blurred = np.mean(["blur" in view for view in views])
    pressed = np.mean(["jpeg" in view for view in views])
    both = np.mean(["blur" in view and "jpeg" in view for view in views])
    assert abs(blurred - 0.5) < 0.05
    assert abs(pressed - 0.5) < 0.05
    assert abs(both - 0.25) < 0.05
    for view in [view for view in views if view][:20]:
        assert perturbation(view).id
