"""Intervals: coverage in a simulation with clusters, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from morelli.evaluation import MeasureOptions, Predictions, measure
from morelli.metrics.resampling import clustered_interval


def _clustered(rng, lineages, sources, n):
    """Scores with a shift per lineage and per source (SD one half) around a distance of 1.5."""
    lineage, source = rng.integers(0, lineages, n), rng.integers(0, sources, n)
    fake = 0.75 + rng.normal(0, 0.5, lineages)[lineage] + rng.normal(size=n)
    real = -0.75 + rng.normal(0, 0.5, sources)[source] + rng.normal(size=n)
    nobody = [None] * n
    return Predictions.from_columns(
        label=[1] * n + [0] * n,
        logit=np.concatenate([fake, real]),
        uri=[str(i) for i in range(2 * n)],
        generator=[f"g{v % 3}" for v in lineage] + nobody,
        lineage=[f"l{v}" for v in lineage] + nobody,
        source=nobody + [f"s{v}" for v in source],
    )


@pytest.mark.parametrize(("lineages", "sources"), [(40, 30), (60, 8)])
def test_ninety_percent_intervals_cover_the_truth(lineages, sources):
    truth = norm.cdf(1.5 / np.sqrt(2 * 1.25))
    rng = np.random.default_rng(7)
    hits = 0
    for number in range(200):
        predictions = _clustered(rng, lineages, sources, 150)
        options = MeasureOptions(rounds=200, seed=number, threads=1)
        auc = measure(predictions, options, each_group=False).metrics["auc"]
        hits += auc.low <= truth <= auc.high
    assert 0.86 <= hits / 200 <= 0.94


def test_resampling_images_instead_of_clusters_would_be_too_sure():
    predictions = _clustered(np.random.default_rng(1), 20, 8, 1000)
    strict, loose = (
        measure(predictions, MeasureOptions(rounds=200, real_groups=g), each_group=False).metrics["auc"]
        for g in ("source", "image")
    )
    assert strict.high - strict.low > loose.high - loose.low


def test_rounds_do_not_depend_on_threads_or_blocks(monkeypatch):
    predictions = _clustered(np.random.default_rng(2), 10, 5, 300)
    one = measure(predictions, MeasureOptions(rounds=60, threads=1))
    monkeypatch.setattr("morelli.metrics._bootstrap.BLOCK_CELLS", 1800)
    two = measure(predictions, MeasureOptions(rounds=60, threads=3))
    for name in one.replicates:
        np.testing.assert_allclose(one.replicates[name], two.replicates[name], rtol=1e-12)
    assert one.metrics["auc"] == two.metrics["auc"]


def test_macro_and_group_values_are_plain_means():
    predictions = _clustered(np.random.default_rng(3), 12, 6, 200)
    result = measure(predictions, MeasureOptions(rounds=30))
    assert {g.name for g in result.groups} == {"g0", "g1", "g2"}
    assert result.metrics["macro_auc"].value == pytest.approx(np.mean([g.auc.value for g in result.groups]))
    recalls = [g.recall.value for g in result.groups]
    assert result.metrics["macro_recall"].value == pytest.approx(np.mean(recalls))
    assert sum(g.n for g in result.groups) == 200


def test_interval_of_a_mean_widens_with_clusters():
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(20), 50)
    values = rng.normal(0, 1, 20)[clusters] + rng.normal(size=1000)
    by_cluster = clustered_interval(values, clusters)
    by_image = clustered_interval(values, np.arange(1000))
    assert by_cluster.value == by_image.value == pytest.approx(values.mean())
    assert by_cluster.high - by_cluster.low > 2 * (by_image.high - by_image.low)
