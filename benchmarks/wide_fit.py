"""Many heads on wide features: ours beside scikit-learn's LogisticRegression, and beside a full rotation.

    python benchmarks/wide_fit.py [--images 12000] [--width 8192] [--heads 24] [--peer-heads 2]

A detector of 11,000 values an image is fitted a hundred times over, once for each fold and bootstrap draw.
The features are planted: correlated as embeddings are (variances fall with the square root of the axis), with
a trace of the label on some axes. Ours solves all heads together. scikit-learn's take the same standardised
rows and weights one after the other, and `--peer-heads` of them are run and counted for all. Printed are
seconds, ratios and the largest difference of a held-out logit.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from morelli.detectors import LinearProbe, _logistic

C = 1e-3


def main() -> None:
    """Fit all three ways and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--width", type=int, default=8192)
    parser.add_argument("--heads", type=int, default=24)
    parser.add_argument("--peer-heads", type=int, default=2)
    options = parser.parse_args()
    X, y = planted(options.images, options.width)
    kept = np.random.default_rng(1).random((options.images, options.heads)) > 1 / options.heads
    draws = kept.astype(float)
    held = np.flatnonzero(~kept[:, 0])

    logits, seconds = {}, {}
    for name, most in (("leading directions", _logistic.MOST_AXES), ("full rotation", 10**9)):
        before, _logistic.MOST_AXES = _logistic.MOST_AXES, most
        started = time.perf_counter()
        weights, biases = LinearProbe(C=C, class_weight=None).fit_heads(X, y, draws, C=C)
        seconds[name] = time.perf_counter() - started
        _logistic.MOST_AXES = before
        logits[name] = X[held].astype(np.float64) @ weights[0] + biases[0]

    Z = StandardScaler().fit_transform(X)
    started = time.perf_counter()
    for head in range(options.peer_heads):
        peer = LogisticRegression(C=C, max_iter=1000).fit(Z, y, sample_weight=draws[:, head])
        if not head:
            logits["scikit-learn"] = peer.decision_function(Z[held])
    seconds["scikit-learn"] = (time.perf_counter() - started) * options.heads / options.peer_heads

    ours = "leading directions"
    print(f"{options.images:,} images, {options.width:,} values each, {options.heads} heads")
    for name, each in seconds.items():
        off = np.abs(logits[name] - logits[ours]).max()
        print(f"{name:20}{each:8.1f} s  {each / seconds[ours]:6.1f} x ours  largest difference {off:.1e}")


def planted(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) float32 and labels (n,)."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, d)).astype(np.float32)
    y = rng.integers(0, 2, n)
    hidden[:, 20:60] += 0.3 * y[:, None]
    hidden /= np.sqrt(np.arange(1, d + 1, dtype=np.float32))
    # Householder reflections mix the axes without a d x d product.
    for _ in range(8):
        v = rng.normal(size=d).astype(np.float32)
        v /= np.linalg.norm(v)
        hidden -= 2 * np.outer(hidden @ v, v)
    return hidden, y


if __name__ == "__main__":
    main()
