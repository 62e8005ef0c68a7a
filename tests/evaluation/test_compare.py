"""Paired tests between two detectors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from morelli.errors import UsageError
from morelli.evaluation import MeasureOptions, Predictions, compare_tables
from morelli.evaluation._compare import compare, compare_all, delong, mcnemar
from morelli.metrics import roc_auc


def _two(gap, seed=0, n=240, shuffle=False):
    rng = np.random.default_rng(seed)
    y = np.tile([0, 1], n // 2)
    shared = rng.normal(size=n) + y * 1.0
    scores = {"a": shared + gap * y + rng.normal(0, 0.3, n), "b": shared + rng.normal(0, 0.3, n)}
    parts = []
    for name, s in scores.items():
        order = rng.permutation(n) if shuffle else np.arange(n)
        parts.append(
            Predictions.from_columns(
                label=y[order],
                logit=s[order],
                uri=[str(i) for i in order],
                lineage=[f"l{i % 24}" if y[i] else None for i in order],
                source=[None if y[i] else f"s{i % 20}" for i in order],
                detector=name,
            )
        )
    return y, scores, Predictions.concat(parts)


def test_delong_agrees_with_its_definition():
    y, s, _ = _two(0.3, n=80)
    found = delong(y, s["a"], s["b"])
    parts = []
    for scores in s.values():
        f, r = scores[y == 1][:, None], scores[y == 0][None]
        psi = (f > r) + 0.5 * (f == r)
        parts.append((psi.mean(1), psi.mean(0)))
    m, n = (y == 1).sum(), (y == 0).sum()
    d10, d01 = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    variance = d10.var(ddof=1) / m + d01.var(ddof=1) / n
    assert found.auc_first == pytest.approx(roc_auc(y, s["a"]), abs=1e-12)
    assert found.difference == pytest.approx(roc_auc(y, s["a"]) - roc_auc(y, s["b"]), abs=1e-12)
    assert found.standard_error == pytest.approx(np.sqrt(variance), abs=1e-12)
    assert found.p_value == pytest.approx(chi2.sf(found.difference**2 / variance, 1), abs=1e-9)


def test_mcnemar_counts_only_disagreements():
    result = mcnemar([1, 1, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 1, 1, 0])
    assert (result.first_only, result.second_only) == (5, 1)
    assert result.p_value == pytest.approx(2 * 7 / 64)
    assert mcnemar([1, 0], [1, 0]).p_value == 1.0


def test_a_real_difference_is_found_and_order_of_rows_does_not_matter():
    y, s, table = _two(1.0)
    options = MeasureOptions(rounds=300)
    result = compare(table, "a", "b", options=options)
    difference = result.differences["auc"]
    assert difference.value == pytest.approx(roc_auc(y, s["a"]) - roc_auc(y, s["b"]), abs=1e-12)
    assert difference.low > 0
    assert result.p_values["auc"] < 0.02
    assert result.delong is not None
    shuffled = compare(_two(1.0, shuffle=True)[2], "a", "b", options=options)
    assert shuffled.n_images == 240
    assert compare(table, "b", "a", options=options).differences["auc"].value == -difference.value


def test_equal_detectors_are_seldom_told_apart():
    tables = [_two(0.0, seed=seed, n=120)[2] for seed in range(40)]
    options = MeasureOptions(rounds=100, threads=1)
    found = [compare(table, "a", "b", options=options) for table in tables]
    outside = [not f.differences["auc"].low <= 0 <= f.differences["auc"].high for f in found]
    assert sum(outside) <= 9  # 4 of 40 expected from 90 % intervals


def test_several_comparisons_are_adjusted():
    _, _, table = _two(0.4)
    third = table.select(detector="b")
    extra = Predictions.from_columns(
        label=third.labels, logit=third.logits * 2, uri=third.table.column("uri"), detector="c"
    )
    results = compare_all(Predictions.concat([table, extra]), options=MeasureOptions(rounds=100))
    assert [(r.first, r.second) for r in results] == [("a", "b"), ("a", "c"), ("b", "c")]
    for r in results:
        assert r.adjusted["auc"] >= r.p_values["auc"]


def test_detectors_without_common_images_are_refused():
    _, _, table = _two(0.0)
    other = Predictions.from_columns(label=[0, 1], logit=[0.0, 1.0], uri=["x", "y"], detector="c")
    with pytest.raises(UsageError, match="no image in common"):
        compare(Predictions.concat([table, other]), "a", "c")
    with pytest.raises(UsageError, match="two of the detectors"):
        compare(table, "a", "a")


def test_generators_eras_and_sources_have_rows_of_their_own():
    """Detector a is better on new generators alone, and no better than b on old ones."""
    rng = np.random.default_rng(4)
    n = 400
    y, new = np.arange(n) % 2, np.arange(n) % 4 == 1
    shared = rng.normal(size=n) + 1.0 * y
    parts = [
        Predictions.from_columns(
            label=y,
            logit=shared + (2.0 * new if name == "a" else 0.0) + rng.normal(0, 0.3, n),
            uri=[str(i) for i in range(n)],
            era=[None if not y[i] else "2025" if new[i] else "2019" for i in range(n)],
            generator=[None if not y[i] else f"g{i % 3}" for i in range(n)],
            lineage=[f"l{i % 40}" if y[i] else None for i in range(n)],
            source=[None if y[i] else "rare" if i < 8 else f"s{i % 10}" for i in range(n)],
            detector=name,
        )
        for name in ("a", "b")
    ]
    options = MeasureOptions(rounds=200)
    both = Predictions.concat(parts)
    found = {c.subset: c for c in compare_tables(both, by="era", options=options)}
    assert sorted(found) == ["2019", "2025"]
    assert found["2025"].n_images == 300
    assert found["2025"].differences["auc"].low > 0 > found["2019"].differences["auc"].low
    recent = np.array([era == "2025" for era in both.table.column("era").to_pylist()])
    rows = both.rows((both.labels == 0) | recent)
    assert found["2025"].differences["auc"] == compare(rows, "a", "b", options=options).differences["auc"]
    assert all(c.adjusted["auc"] >= c.p_values["auc"] for c in found.values())
    two = compare_tables(parts[0], parts[1], by="source", options=options)
    assert {c.subset for c in two} == {f"s{i}" for i in (0, 2, 4, 6, 8)}
    with pytest.raises(UsageError, match="no era has 10 images or more in the table"):
        compare_tables(both.rows(both.labels == 0), by="era", options=options)
    with pytest.raises(UsageError, match="choose one of generator"):
        compare_tables(both, by="colour")


def test_groups_that_one_table_lacks_have_no_row():
    _, _, table = _two(0.3)
    n = 240
    generators = [f"g{i % 3}" if i % 2 else None for i in range(n)]
    first, second = (
        Predictions.from_columns(
            label=part.labels,
            logit=part.logits,
            uri=part.table.column("uri"),
            generator=generators,
            detector=d,
        )
        for d, part in ((d, table.select(detector=d)) for d in ("a", "b"))
    )
    without = second.rows(np.array([name != "g1" for name in generators]))
    options = MeasureOptions(rounds=50)
    for one, two in ((first, without), (without, first)):
        found = compare_tables(one, two, by="generator", options=options)
        assert sorted(c.subset for c in found) == ["g0", "g2"]
        assert {c.n_images for c in found} == {160}
    reals = second.rows(second.labels == 0)
    with pytest.raises(UsageError, match="no generator has 10 images or more in both tables"):
        compare_tables(first, reals, by="generator", options=options)


def test_a_protocol_that_the_table_lacks_is_answered_with_those_it_has():
    _, _, table = _two(0.3)
    for by in (None, "lineage"):
        with pytest.raises(UsageError, match="no protocol 'nonsuch'; choose one of external"):
            compare_tables(table, protocol="nonsuch", by=by)
