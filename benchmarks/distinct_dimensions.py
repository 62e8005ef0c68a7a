"""How distinct, how stable and how good the distilled dimensions are: the earlier distiller against today's.

    python benchmarks/distinct_dimensions.py TABLE [TABLE …] [--seeds 0 1 2]

Each TABLE holds the features `final` of labelled images. Everything is held out by whole lineages and whole
real sources. Per distiller, mean over the seeds of folds and fits: AUC; mean and largest |r| between the
values of two dimensions over all images, each image's by the fit that did not see it; correlation of matched
dimensions over seeds of the fit to all images; the same with the fits of the folds, that is over which images
were left out; and the least and largest share that a dimension has in the logit's spread. It ends with status
1 where today's distiller misses what is promised: mean |r| of at most 0.2, largest of at most 0.5, an AUC at
most 0.01 below the earlier.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from morelli.atlas.distiller import Distiller, default_map_path
from morelli.atlas.distiller._cross import CrossDistilled, cross_distil
from morelli.atlas.distiller._matching import match_dimensions, standard_columns
from morelli.atlas.distiller._spelling import default_spelling
from morelli.features import FeatureTable
from morelli.metrics import two_sample_auc

MEAN, LARGEST, WORSE = 0.2, 0.5, 0.01
WAYS = {
    "earlier": {"orthogonality": 0.3, "distinctness": 0.0, "start": "clusters"},
    "today": {},
}


def correlations(values: np.ndarray) -> np.ndarray:
    """|r| of every pair of the columns of values (n, K)."""
    Z = standard_columns(values)
    r = np.abs(Z.T @ Z / len(Z))
    return np.asarray(r[np.triu_indices(len(r), 1)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    missed = False
    for path in options.tables:
        features = FeatureTable.open(path).load(kinds=["final"], where="label IS NOT NULL")
        X, y, groups = features.matrix("final"), features.labels.astype(int), features.groups()
        spelling = default_spelling(features.build, "final")
        print(
            f"{date.today()}, {platform.machine()}: {len(y):,} images of {path.name}, forget-to-spell "
            f"{'of ' + default_map_path().name if spelling else 'left out'}\n\n"
            "| distiller | AUC | mean \\|r\\| | largest \\|r\\| | over seeds | over folds | shares |\n"
            "|---|---|---|---|---|---|---|"
        )
        aucs = {}
        for name, more in WAYS.items():
            found = [
                cross_distil(Distiller(spelling=spelling, random_state=seed, **more), X, y, groups)
                for seed in options.seeds
            ]
            aucs[name] = np.mean([two_sample_auc(one.logits[y == 1], one.logits[y == 0]) for one in found])
            r = [correlations(one.values) for one in found]
            mean, largest = float(np.mean(r)), float(np.max(r))
            shares = np.concatenate([one.distiller.share_ for one in found])
            match = np.mean([one.match.mean() for one in found])
            print(
                f"| {name} | {aucs[name]:.3f} | {mean:.2f} | {largest:.2f} | {over_seeds(found, X)} | "
                f"{match:.2f} | {shares.min():.2f} to {shares.max():.2f} |",
                flush=True,
            )
        missed |= mean > MEAN or largest > LARGEST or aucs["today"] < aucs["earlier"] - WORSE
        print()
    if missed:
        sys.exit(1)


def over_seeds(found: Sequence[CrossDistilled], X: np.ndarray) -> str:
    """Mean correlation of matched dimensions with those of the first seed."""
    values = [one.distiller.transform(X) for one in found]
    pairs = [match_dimensions(values[0], other, signed=True).correlation for other in values[1:]]
    return f"{np.mean(pairs):.2f}" if pairs else "–"


if __name__ == "__main__":
    main()
