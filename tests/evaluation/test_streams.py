"""Metrics counted part by part lie where those of the whole table do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from morelli.errors import ArtifactError, UsageError
from morelli.evaluation import Predictions
from morelli.evaluation.streams import stream_metrics
from morelli.metrics import rates_at, roc_auc, tpr_at_fpr
from morelli.metrics.streams import StreamedScores


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    n = 40_000
    label = rng.integers(0, 2, n)
    logit = rng.normal(size=n) * np.exp(rng.normal(size=n)) + 1.2 * label
    logit[::7] = np.round(logit[::7], 1)  # ties
    logit[:4] = [0.0, -0.0, 1e300, -1e300]
    names = np.where(label == 1, np.array(["sdxl", "flux"])[rng.integers(0, 2, n)], None)
    part = np.where(rng.random(n) < 0.1, "held_in", "test")
    return Predictions.from_columns(label=label, logit=logit, generator=names, part=part)


def test_bounds_hold_what_the_whole_table_gives(predictions: Predictions, tmp_path: Path) -> None:
    predictions.write(tmp_path / "p.parquet")
    found = stream_metrics(tmp_path / "p.parquet", rows=1001)
    test = np.asarray(predictions.table.column("part").cast(pa.string())) == "test"
    labels, logits = predictions.labels[test], predictions.logits[test]
    names = np.asarray(predictions.table.column("generator").cast(pa.string()))[test]
    for name in (None, "sdxl", "flux"):
        rows = np.full(len(labels), True) if name is None else (labels == 0) | (names == name)
        exact = roc_auc(labels[rows], logits[rows])
        auc = found.auc(name)
        assert auc.low <= exact <= auc.high and auc.high - auc.low < 0.002
        assert auc.value == pytest.approx(exact, abs=1e-5)
        for fpr in (0.0, 0.001, 0.01, 0.1, 1.0):
            exact = tpr_at_fpr(labels[rows], logits[rows], fpr)
            rate = found.tpr_at_fpr(fpr, name)
            assert rate.low <= exact <= rate.high and rate.high - rate.low < 0.05
    assert found.scores.rates_at(0.0) == rates_at(labels, logits, 0.0)
    assert set(found.generators) == {"sdxl", "flux"}


def test_parts_of_several_machines_are_one(predictions: Predictions) -> None:
    labels, logits = predictions.labels, predictions.logits
    whole, first, second = (StreamedScores((0.5,)) for _ in range(3))
    whole.add(labels, logits)
    first.add(labels[:1000], logits[:1000])
    second.add(labels[1000:], logits[1000:])
    second.merge(first)
    assert (second.auc(), second.tpr_at_fpr(0.05)) == (whole.auc(), whole.tpr_at_fpr(0.05))
    assert second.rates_at(0.5) == whole.rates_at(0.5)
    with pytest.raises(UsageError, match="thresholds"):
        first.merge(StreamedScores())
    with pytest.raises(UsageError, match="counted"):
        first.rates_at(0.1)
    assert np.isnan(StreamedScores().auc().value)


def test_tables_of_others(tmp_path: Path) -> None:
    theirs = pa.table({"label": [0, 1, 1, 0], "probability": [0.2, 0.9, 0.4, 0.4]})
    parquet.write_table(theirs, tmp_path / "a.parquet")
    found = stream_metrics([tmp_path / "a.parquet"] * 2)
    assert (found.auc().value, found.threshold, found.scores.n_real) == (0.875, 0.5, 4)
    assert found.scores.rates_at(0.5).fake_accuracy == 0.5
    parquet.write_table(pa.table({"label": [0, 1], "logit": [0.0, float("nan")]}), tmp_path / "nan.parquet")
    with pytest.raises(UsageError, match="finite"):
        stream_metrics(tmp_path / "nan.parquet")
    with pytest.raises(ArtifactError, match="another kind"):
        stream_metrics([tmp_path / "a.parquet", tmp_path / "nan.parquet"])
    parquet.write_table(pa.table({"label": [0]}), tmp_path / "none.parquet")
    with pytest.raises(ArtifactError, match="probability"):
        stream_metrics(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(ArtifactError, match="text"):
        stream_metrics(tmp_path / "text.parquet")
    with pytest.raises(ArtifactError, match="does not exist"):
        stream_metrics(tmp_path / "gone.parquet")
