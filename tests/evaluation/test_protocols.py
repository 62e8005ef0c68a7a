"""Protocols: who may be trained on, who is tested, and that fast refits equal plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from morelli.audit import leak_report
from morelli.detectors import LinearProbe, NearestNeighborDetector
from morelli.errors import UsageError
from morelli.evaluation import Candidate, Predictions, evaluate, summarize
from morelli.evaluation._protocols import leave_one_lineage_out, score_fixed, transfer_matrix
from morelli.evaluation._splits import (
    era_splits,
    family_splits,
    lineage_splits,
    source_splits,
    transfer_splits,
)
from morelli.evaluation.protocols import EVALUATED
from morelli.features import Features
from morelli.reports._summary_tables import summary_markdown, summary_rows

FAMILY = {"l0": "gan", "l1": "gan", "l2": "diffusion", "l3": "diffusion", "l4": "diffusion", "l5": "other"}
ERA = {"l0": "2018", "l1": "2018", "l2": "2021", "l3": "2021", "l4": "2024", "l5": "2024"}


@pytest.fixture(scope="module")
def features():
    """180 images: six lineages of 15, four sources; a shift per class, lineage and source."""
    rng = np.random.default_rng(0)
    lineage = [f"l{i // 15}" for i in range(90)] + [None] * 90
    source = [None] * 90 + [f"s{i % 4}" for i in range(90)]
    shift = {name: rng.normal(0, 0.7, 24) for name in {*lineage, *source}}
    y = np.array([1] * 90 + [0] * 90)
    X = rng.normal(size=(180, 24))
    X[:, 0] += 1.5 * y
    X += np.array([shift[a or b] for a, b in zip(lineage, source, strict=True)])
    hashes = rng.integers(0, 2**63, 180, dtype=np.uint64)
    return Features.from_arrays(
        {"final": X, "layer:1": X[:, :12] * 2},
        labels=y,
        lineage=lineage,
        generator=[f"{name}-{i % 2}" if name else None for i, name in enumerate(lineage)],
        source=source,
        family=[FAMILY.get(name) for name in lineage],
        era=[ERA.get(name) for name in lineage],
        phash=[int(h) for h in hashes],
        format=["PNG"] * 90 + ["JPEG"] * 90,
        width=[512] * 90 + [640] * 90,
        height=[512] * 90 + [480] * 90,
    )


@pytest.mark.parametrize("builder", [lineage_splits, source_splits, family_splits, era_splits])
def test_no_split_has_a_leak(features, builder):
    for split in builder(features):
        report = leak_report(features, split.train, split.test, source=True)
        assert report.clean, str(report)
        assert set(features.labels[split.train]) == {0, 1}


def test_each_image_is_scored_once_without_its_lineage_and_source(features):
    splits = lineage_splits(features)
    assert {s.fold for s in splits} == {f"l{i}" for i in range(6)}
    tested = np.concatenate([s.test for s in splits])
    assert sorted(tested.tolist()) == list(range(len(features)))


def test_near_duplicates_join_lineages(features):
    hashes = features.column("phash")
    hashes[20] = hashes[0] ^ 1  # an image of l1 is almost one of l0
    columns = {n: features.column(n) for n in ("lineage", "generator", "source")}
    joined = Features.from_arrays(
        features.vectors, labels=features.labels, **columns, phash=[int(h) for h in hashes]
    )
    folds = {s.fold for s in lineage_splits(joined)}
    assert folds == {"l0", "l2", "l3", "l4", "l5"}
    for split in lineage_splits(joined):
        assert leak_report(joined, split.train, split.test).clean


def test_family_and_era_train_on_what_they_say(features):
    family, era = features.column("family"), features.column("era")
    for split in family_splits(features):
        name = split.fold.removeprefix("without ")
        fake = features.labels == 1
        assert name not in set(family[split.train])
        # A half may hold no lineage of the family; it tests reals alone then.
        assert {f for f, y in zip(family[split.test], fake[split.test], strict=True) if y} <= {name}
    tested = np.concatenate([s.test for s in family_splits(features)])
    assert np.bincount(tested)[features.labels == 1].tolist() == [1] * 90
    for split in era_splits(features):
        past, later = split.fold.removeprefix("to ").split(" → ")
        assert {e for e in era[split.train] if e} <= {e for e in set(ERA.values()) if e <= past}
        assert {e for e in era[split.test] if e} <= {later}


def test_transfer_tests_each_image_once_per_row_and_never_trains_on_it(features):
    splits = transfer_splits(features, least=10)
    for name in {s.fold for s in splits}:
        own = [s for s in splits if s.fold == name]
        tested = np.concatenate([s.test for s in own])
        assert len(tested) == len(set(tested.tolist())) == len(features)
        for split in own:
            assert not set(split.train.tolist()) & set(split.test.tolist())
            assert {v for v in features.column("lineage")[split.train] if v} == {name}
            sources = features.column("source")
            assert not {v for v in sources[split.train] if v} & {v for v in sources[split.test] if v}


def test_transfer_by_generator_leaves_relatives_out(features):
    generator, lineage = features.column("generator"), features.column("lineage")
    for split in transfer_splits(features, by="generator", least=5):
        relatives = {g for g, v in zip(generator, lineage, strict=True) if v == split.fold[:2]} - {split.fold}
        assert not relatives & set(generator[split.test])


def test_fast_neighbours_equal_one_bank_after_another(features):
    splits = lineage_splits(features)
    for k in (1, 3, 5, 9):
        found = leave_one_lineage_out(features, [Candidate("knn", NearestNeighborDetector(k))])
        expected = []
        X, y = features.vectors["final"], features.labels
        for split in splits:
            fitted = NearestNeighborDetector(k).fit(X[split.train], y[split.train])
            expected.append(fitted.decision_function(X[split.test]))
        np.testing.assert_allclose(found.logits, np.concatenate(expected), atol=1e-6)


def test_fast_probes_follow_one_fit_after_another(features):
    probe = LinearProbe(C=0.01)
    splits = lineage_splits(features, real_folds=2)
    from morelli.evaluation._protocols import run_splits

    found = run_splits("leave-one-lineage-out", features, splits, [Candidate("probe", probe)]).logits
    X, y = features.vectors["final"], features.labels
    expected = np.concatenate(
        [LinearProbe(C=0.01).fit(X[s.train], y[s.train]).decision_function(X[s.test]) for s in splits]
    )
    assert np.corrcoef(found, expected)[0, 1] > 0.99
    # Without standardisation nothing is shared but the solve, and the scores are the same.
    plain = LinearProbe(C=0.01, standardize=False, tol=1e-8)
    found = run_splits("leave-one-lineage-out", features, splits, [Candidate("probe", plain)]).logits
    expected = np.concatenate(
        [
            LinearProbe(C=0.01, standardize=False, tol=1e-8)
            .fit(X[s.train], y[s.train])
            .decision_function(X[s.test])
            for s in splits
        ]
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_two_runs_write_equal_bytes_and_another_seed_does_not(features, tmp_path):
    candidates = [
        Candidate("knn", NearestNeighborDetector(3)),
        Candidate("probe", LinearProbe(C=0.01), ("final", "layer:1")),
    ]
    digests = []
    for number, seed in enumerate((0, 0, 1)):
        predictions = evaluate(features, candidates, EVALUATED, seed=seed)
        digests.append(predictions.write(tmp_path / f"{number}.parquet"))
    assert digests[0] == digests[1] != digests[2]
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    read = Predictions.read(tmp_path / "0.parquet")
    assert read.run["seed"] == 0
    assert set(read.names("protocol")) == set(EVALUATED)
    assert read.table.column("seconds").null_count == len(read)


def test_summary_tells_images_intervals_and_what_file_facts_reach(features):
    candidates = [Candidate("knn", NearestNeighborDetector(3)), Candidate("probe", LinearProbe(C=0.01))]
    predictions = evaluate(features, candidates, ["leave-one-lineage-out", "transfer"])
    from morelli.evaluation import MeasureOptions

    summary = summarize(predictions, MeasureOptions(rounds=60), fold_rounds=40)
    first = summary.results[0]
    assert (first.n_images, first.n_real, first.n_fake, first.n_lineages, first.n_sources) == (
        180,
        90,
        90,
        6,
        4,
    )
    assert first.metrics["auc"].low <= first.metrics["auc"].value <= first.metrics["auc"].high
    assert first.metadata_only is not None
    assert first.metadata_only.value == 1.0  # PNG against JPEG
    assert len(first.sources) == 4
    transfer = next(r for r in summary.results if r.protocol == "transfer")
    assert len(transfer.folds) == 6
    cells = [g.auc.value for f in transfer.folds for g in f.generators if g.name != f.name]
    assert len(cells) == 30
    assert transfer.metrics["ood_auc"].value == pytest.approx(np.mean(cells))
    import json

    text = json.dumps(summary.to_json(), allow_nan=False)
    assert json.loads(text)["results"][0]["detector"] == "knn"
    markdown = summary_markdown(summary)
    assert "180 (90 + 90)" in markdown
    assert "1.000 [1.000, 1.000]" in markdown
    rows = summary_rows(summary)
    assert {"all", "generator", "source", "fold"} <= {r["scope"].split()[0] for r in rows}


def test_impossible_requests_say_what_is_missing(features):
    reals = features.take(features.labels == 0)
    with pytest.raises(UsageError, match="real and generated"):
        lineage_splits(reals)
    with pytest.raises(UsageError, match="lower `least`"):
        transfer_splits(features, least=500)
    with pytest.raises(UsageError, match="unknown protocols"):
        evaluate(features, [Candidate("p", LinearProbe())], ["random"])
    with pytest.raises(UsageError, match="share a name"):
        transfer_matrix(features, [Candidate("p", LinearProbe()), Candidate("p", LinearProbe())])
    with pytest.raises(UsageError, match="fitted first"):
        score_fixed(features, [Candidate("p", LinearProbe())])


def test_short_names_of_protocols_are_those_of_the_command_line(features):
    candidates = [Candidate("probe", LinearProbe(C=1.0))]
    short, long = (evaluate(features, candidates, [name]) for name in ("source", "by-real-source"))
    assert short.table.equals(long.table) and short.run == long.run
