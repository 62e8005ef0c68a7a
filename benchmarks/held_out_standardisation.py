"""What it flatters held-out figures of experts that features are standardised by all images.

`ExpertProbe.fit_folds` rotates and standardises the features once, by the images of all folds, since that
makes every fold and every bootstrap draw a column of one solve. No label plays a part in it, but the held-out
images do. This fits the experts in folds both ways and prints the figures of either:

    python benchmarks/held_out_standardisation.py std.lance

The table holds labelled images under one perturbation, with the shipped detector's feature kinds and the
column era.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from scipy.special import logsumexp

from morelli.detectors import Bundle, ExpertProbe, default_bundle_path, grouped_folds
from morelli.features import FeatureTable
from morelli.metrics import roc_auc, tpr_at_fpr

FIRST_OF_LATE = 2023


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--C", type=float, default=5e-4)
    options = parser.parse_args()
    kinds = list(Bundle.load(default_bundle_path()).head_kinds)
    table = FeatureTable.open(options.table)
    features = table.load(kinds=kinds, where=table.one_perturbation(where="label IS NOT NULL"))
    X, y, groups = features.matrix(kinds), features.labels, features.groups()
    codes = np.array([expert(label, era) for label, era in zip(y, features.column("era"), strict=True)])
    folds = grouped_folds(y, groups, options.folds, 0)
    probe = ExpertProbe(C=options.C)
    scores = {"all images": np.empty(len(y)), "images of the other folds": np.empty(len(y))}
    weights, biases = probe.fit_heads(X, codes, groups, folds[:, None] != np.arange(folds.max() + 1))
    for fold in range(int(folds.max()) + 1):
        train, test = folds != fold, folds == fold
        one, bias = probe.fit_heads(X[train], codes[train], groups[train], np.ones((int(train.sum()), 1)))
        for name, w, b in (
            ("all images", weights[fold], biases[fold]),
            ("images of the other folds", one[0], bias[0]),
        ):
            scores[name][test] = logsumexp(X[test].astype(np.float64) @ w.T + b, axis=1)
    for name, logits in scores.items():
        found = [tpr_at_fpr(y, logits, rate) for rate in (0.01, 0.05)]
        print(
            f"standardised by {name}: AUC {roc_auc(y, logits):.4f}, found at 1 and 5 % false alarms "
            f"{found[0]:.3f}, {found[1]:.3f} ({len(y):,} images, {options.folds} folds)"
        )


def expert(label: int, era: str | None) -> int:
    """0 for a real image, 1 for a generator until 2022, 2 for a later one or one of an unknown year."""
    years = re.findall(r"\d{4}", str(era))
    return 0 if label == 0 else 1 + (not years or int(years[-1]) >= FIRST_OF_LATE)


if __name__ == "__main__":
    main()
