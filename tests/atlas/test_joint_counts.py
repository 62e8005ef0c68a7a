"""Counts that are taken of many columns at once equal those of each column by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morelli.atlas import Atlas
from morelli.atlas._joint_counts import MOST_CODES, JointCounts
from morelli.atlas._views import BINS, OUTER, lowest
from morelli.metrics import roc_auc

few = st.integers(0, 6).map(float)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=9), st.integers(0, 60), st.integers(0, 1000))
def test_joint_counts_are_those_of_each_column(sizes: list[int], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, size, n) for size in sizes]
    joint = JointCounts.of(columns, sizes)
    some = np.flatnonzero(rng.random(n) < 0.4)
    for rows in (None, some):
        for column, size, counts in zip(columns, sizes, joint.count(rows), strict=True):
            chosen = column if rows is None else column[rows]
            assert counts.tolist() == [int((chosen == code).sum()) for code in range(size)]


def test_columns_are_packed_as_far_as_their_codes_stay_few() -> None:
    joint = JointCounts.of([np.zeros(3, int)] * 6, [48, 48, 48, 5000, 2, 3])
    assert joint.sizes == ((48, 48), (48,), (5000,), (2, 3))
    assert all(np.prod(sizes) <= max(MOST_CODES, *sizes) for sizes in joint.sizes)
    assert [column.itemsize for column in joint.packed] == [2, 1, 2, 1]


@given(st.lists(few, min_size=1, max_size=30), st.integers(1, 8))
def test_the_lowest_come_in_order_and_of_equal_ones_the_first(values: list[float], most: int) -> None:
    assert lowest(np.array(values), most).tolist() == np.argsort(values, kind="stable")[:most].tolist()


def test_dimensions_without_and_with_a_selection_are_those_of_the_images(atlas: Atlas) -> None:
    """The slow way, column by column and image by image."""
    impacts, labels = atlas.collection.impacts, atlas.collection.labels
    known = labels >= 0
    assert np.array_equal(atlas.collection.impact_columns, impacts.T)
    low, high = np.quantile(impacts, [OUTER, 1 - OUTER], axis=0)
    edges = atlas.histograms.edges
    assert edges[:, 0] == pytest.approx(np.minimum(low, 0), abs=1e-6)
    assert edges[:, -1] == pytest.approx(np.maximum(high, 0), abs=2e-6)
    chosen = atlas.select({"rect": [0, 0, 0.6, 1]})
    for k, item in enumerate(atlas.dimensions(chosen)):
        width = (edges[k, -1] - edges[k, 0]) / BINS
        bins = ((impacts[:, k] - edges[k, 0]) / width).clip(0, BINS - 1).astype(int)
        for name, mask in {"real": labels == 0, "fake": labels == 1, "selected": chosen.mask}.items():
            assert item[name] == np.bincount(bins[mask], minlength=BINS).tolist()
        assert item["selected_mean"] == pytest.approx(impacts[chosen.mask, k].mean(dtype=float))
        left = atlas.logits((k,))
        assert item["auc_without"] == pytest.approx(roc_auc(labels[known], left[known]), abs=1e-12)
        assert item["quiet"] == int((impacts[:, k] == 0).sum())
        for name, order in (("lowest", impacts[:, k]), ("highest", -impacts[:, k])):
            rows = np.argsort(order, kind="stable")
            # Where a dimension is silent about images, an end holds those of its own sign alone.
            speaking = rows[order[rows] < 0] if item["quiet"] else rows
            assert item[name] == speaking[:6].tolist()


def test_prototypes_of_a_selection_are_counted_image_by_image(atlas: Atlas) -> None:
    table = atlas.collection.prototypes
    chosen = atlas.select({"column": "label", "in": ["fake"]})
    for item in atlas.prototypes(chosen):
        assert item["images"] == int((table == item["id"]).sum())
        assert item["selected"] == int((table[chosen.mask] == item["id"]).sum())
        mask = atlas.select({"prototype": item["id"]}).mask
        assert np.array_equal(mask, (table == item["id"]).any(axis=1))
