"""Sample weights that stop one large generator or one large photo collection from deciding everything."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError

GroupWeight = Literal["image", "sqrt", "equal"]


def balanced_weights(
    y: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    by_group: GroupWeight = "image",
    by_class: bool = True,
    sample_weight: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Weights (n,) with mean 1 that balance groups inside each class, and the classes.

    Args:
        y: (n,) labels of any type.
        groups: (n,) group of every row (lineage of a generator, source of a photograph).
        by_group: ``image`` – every row counts the same; ``sqrt`` – a group of m rows counts sqrt(m);
            ``equal`` – every group counts the same. A group that holds several classes is
            weighed inside each of them.
        by_class: give every class the same total.
        sample_weight: (n,) weights to start from, such as 1 / number of views of an image.

    >>> lineages = ["a", "b", "c", "c", "c", "d"]
    >>> balanced_weights([0, 0, 1, 1, 1, 1], lineages, by_group="equal").tolist()
    [1.5, 1.5, 0.5, 0.5, 0.5, 1.5]
    """
    labels = np.asarray(y)
    n = len(labels)
    weights = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64).copy()
    _, classes = np.unique(labels, return_inverse=True)
    if by_group not in ("image", "sqrt", "equal"):
        raise UsageError(f"by_group is {by_group!r}; choose 'image', 'sqrt' or 'equal'")
    if by_group != "image":
        if groups is None:
            raise UsageError(f"by_group={by_group!r} needs groups: pass the lineage or source of every row")
        _, codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        cell = codes * (classes.max() + 1) + classes
        totals = np.bincount(cell, weights=weights)
        share = totals[cell] ** (0.5 if by_group == "sqrt" else 1.0)
        weights = np.divide(weights, share, out=np.zeros(n), where=share > 0)
    if by_class:
        totals = np.bincount(classes, weights=weights)
        present = totals[classes]
        weights = np.divide(weights, present, out=np.zeros(n), where=present > 0)
    total = weights.sum()
    if not total > 0:
        raise UsageError("all sample weights are zero")
    return np.asarray(weights * (n / total), dtype=np.float64)


def draw_weights(
    y: ArrayLike,
    weights: ArrayLike,
    draws: ArrayLike,
    *,
    classes: tuple[str, str] = ("real images", "generated images"),
) -> NDArray[np.float64]:
    """Weights (n, B) of every row in every draw, in which each class counts half, whatever it holds of it.

    Args:
        y: (n,) classes, 0 or 1. weights: (n,) of the rows. draws: (n, B) how often each row counts in each
            draw; a fold is a draw that leaves rows out.
        classes: what the images of 0 and of 1 are called.

    Raises:
        UsageError: a draw holds no image of a class.

    >>> draw_weights([0, 1, 1], [1.0, 1.0, 1.0], [[1, 2], [1, 1], [1, 0]]).tolist()
    [[1.5, 1.5], [0.75, 1.5], [0.75, 0.0]]
    """
    labels = np.asarray(y)
    columns = np.asarray(draws, dtype=np.float64) * np.asarray(weights, dtype=np.float64)[:, None]
    for value, name in enumerate(classes):
        rows = labels == value
        total = columns[rows].sum(axis=0)
        if not (total > 0).all():
            raise UsageError(f"a draw or fold holds no {name}; use fewer folds, or more groups")
        columns[rows] *= len(labels) / 2 / total
    return columns
