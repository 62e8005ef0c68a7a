"""The pyramid: sums that add up, selections that equal a recount, additions that move nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morelli.atlas.cells import Grid, Pyramid, Rows, _sums
from morelli.atlas.cells._morton import DEPTH, ancestor, columns_and_rows
from morelli.atlas.cells._rows import Scoring
from morelli.detectors import Calibration
from morelli.errors import ArtifactError, UsageError

K = 5
COUNTS = ("count", "real", "fake", "unknown", "fp", "fn")


def collection(n: int, seed: int = 0) -> tuple[np.ndarray, Rows]:
    """Codes and rows of n images in a few crowds."""
    rng = np.random.default_rng(seed)
    crowd = rng.integers(0, 4, n)
    centre = np.array([[0.2, 0.2], [0.8, 0.3], [0.7, 0.8], [0.75, 0.75]])[crowd]
    xy = np.clip(centre + rng.normal(scale=0.05, size=(n, 2)), 0, 1)
    impacts = (rng.normal(size=(n, K)) + crowd[:, None] - 1.5).astype(np.float32)
    labels = rng.choice([-1, 0, 1], n, p=[0.1, 0.5, 0.4])
    return Grid.fit(xy).codes(xy), Rows.of(labels, impacts, impacts.sum(axis=1) + 0.3)


def vectors(table: pa.Table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(len(column), -1)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal, NaN and NaN counting as equal."""
    return (
        one.schema == other.schema
        and all(
            np.array_equal(vectors(one, name), vectors(other, name), equal_nan=True)
            if pa.types.is_fixed_size_list(one[name].type)
            else one[name].to_pandas().equals(other[name].to_pandas())
            for name in one.column_names
            if name != "exemplars"
        )
        and one["exemplars"].equals(other["exemplars"])
    )


def recount(codes: np.ndarray, rows: Rows, level: int, chosen: np.ndarray) -> dict[int, dict[str, object]]:
    """The slow way: every cell from its own images."""
    ix, iy = columns_and_rows(ancestor(codes, level))
    cell = iy.astype(int) * 2**level + ix
    p = 1 / (1 + np.exp(-rows.logits.astype(np.float64)))
    found = {}
    for number in np.unique(cell):
        here = chosen & (cell == number)
        label = rows.labels[here]
        found[int(number)] = {
            "count": int((cell == number).sum()),
            "selected": int(here.sum()),
            "real": int((label == 0).sum()),
            "fake": int((label == 1).sum()),
            "unknown": int((label == -1).sum()),
            "fp": int(((label == 0) & (p[here] >= 0.5)).sum()),
            "fn": int(((label == 1) & (p[here] < 0.5)).sum()),
            "probability": p[here].mean() if here.any() else np.nan,
            "impact": rows.impacts[here].mean(axis=0, dtype=float) if here.any() else np.full(K, np.nan),
            "spread": rows.impacts[here].std(axis=0, dtype=float) if here.any() else np.full(K, np.nan),
        }
    return found


def assert_recounted(table: pa.Table, expected: dict[int, dict[str, object]]) -> None:
    assert sorted(table["cell"].to_pylist()) == sorted(expected)
    impact, spread = vectors(table, "impact"), vectors(table, "spread")
    for i, row in enumerate(table.select([*COUNTS, "cell", "probability", "selected"]).to_pylist()):
        wanted = expected[row["cell"]]
        assert {name: row[name] for name in (*COUNTS, "selected")} == {
            name: wanted[name] for name in (*COUNTS, "selected")
        }
        assert np.allclose(row["probability"], wanted["probability"], atol=1e-5, equal_nan=True)
        assert np.allclose(impact[i], wanted["impact"], atol=1e-5, equal_nan=True)
        assert np.allclose(spread[i], wanted["spread"], atol=1e-4, equal_nan=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(0, 1000), st.integers(1, 6))
def test_every_level_holds_every_image_once_and_parents_are_the_sum_of_their_children(
    n: int, seed: int, levels: int
) -> None:
    codes, rows = collection(n, seed)
    pyramid = Pyramid.build(codes, rows, levels=levels)
    assert pyramid.levels == levels
    assert sorted(pyramid.order.tolist()) == list(range(n))
    for level in range(levels + 1):
        table = pyramid.table(level)
        assert sum(table["count"].to_pylist()) == n
        assert np.array_equal(table["end"].to_numpy() - table["start"].to_numpy(), table["count"].to_numpy())
        assert np.array_equal(table["cell"].to_numpy(), table["iy"].to_numpy() * 2**level + table["ix"])
        if level:
            parent = (table["iy"].to_numpy() // 2) * 2 ** (level - 1) + table["ix"].to_numpy() // 2
            above = pyramid.table(level - 1)
            for name in COUNTS:
                total = np.bincount(parent, table[name].to_numpy(), minlength=4 ** (level - 1))
                assert np.array_equal(total[above["cell"].to_numpy()], above[name].to_numpy())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 250), st.integers(0, 1000), st.floats(0, 1))
def test_a_selection_is_summed_up_as_if_counted_image_by_image(n: int, seed: int, share: float) -> None:
    codes, rows = collection(n, seed)
    pyramid = Pyramid.build(codes, rows, levels=4)
    chosen = np.random.default_rng(seed).random(n) < share
    for level in (0, 2, 4):
        by_mask = pyramid.aggregate(level, chosen)
        assert_recounted(by_mask, recount(codes, rows, level, chosen))
        assert same(by_mask, pyramid.aggregate(level, np.flatnonzero(chosen)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 50), st.integers(0, 1000))
def test_rows_are_summed_up_alike_however_they_are_cut_into_blocks(
    counts: list[int], block: int, seed: int
) -> None:
    """So a tile equals its part of the whole level to the last bit."""
    bounds = np.concatenate([[0], np.cumsum(counts)])
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(bounds[-1] + 7, 3)).astype(np.float32)
    at = np.sort(rng.choice(len(X), bounds[-1], replace=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sums, "BLOCK", block)
        sums, squares = _sums.segment_sums(X, bounds, at)
        for i, (low, high) in enumerate(itertools.pairwise(bounds)):
            rows = X[at[low:high]].astype(np.float64)
            assert np.allclose(sums[i], rows.sum(axis=0), atol=1e-12)
            assert np.allclose(squares[i], (rows**2).sum(axis=0), atol=1e-12)
            alone = _sums.segment_sums(X, np.array([0, high - low]), at[low:high])
            assert np.array_equal(alone[0][0], sums[i]) and np.array_equal(alone[1][0], squares[i])


def test_selecting_every_image_gives_the_stored_tables() -> None:
    codes, rows = collection(2000)
    pyramid = Pyramid.build(codes, rows)
    for level in range(pyramid.levels + 1):
        stored = pyramid.table(level)
        every = pyramid.aggregate(level, np.ones(2000, bool))
        assert every.drop_columns(["selected"]).schema == stored.schema
        for name in ("impact", "spread", "probability"):
            of = vectors if name != "probability" else lambda table, column: table[column].to_numpy()
            assert np.allclose(of(every, name), of(stored, name), atol=1e-5)
        same = [name for name in stored.column_names if name not in ("impact", "spread", "probability")]
        assert every.select(same).equals(stored.select(same))
        assert every["selected"].equals(stored["count"])
        assert pyramid.aggregate(level).drop_columns(["selected"]).equals(stored)


def test_switching_dimensions_off_rescores_probabilities_and_errors() -> None:
    codes, rows = collection(800)
    pyramid = Pyramid.build(codes, rows, levels=3)
    rest = rows.impacts.copy()
    rest[:, [1, 3]] = 0
    less = Rows.of(rows.labels, rest, rows.logits - rows.impacts[:, [1, 3]].sum(axis=1))
    chosen = np.arange(800) % 3 == 0
    assert_recounted(pyramid.aggregate(3, chosen, off=(3, 1)), recount(codes, less, 3, chosen))
    assert_recounted(pyramid.aggregate(2, off=[1, 3]), recount(codes, less, 2, np.ones(800, bool)))
    assert pyramid.aggregate(2).equals(pyramid.aggregate(2, off=[]))


def test_errors_follow_both_thresholds_and_given_errors_come_first() -> None:
    logits = np.array([-3.0, 0.0, 3.0, -3.0, 0.0, 3.0])
    rows = Rows.of([0, 0, 0, 1, 1, 1], np.zeros((6, 2)), logits)
    scoring = Scoring(Calibration("platt", {"slope": 2.0, "offset": 0.0}), real=0.2, ai=0.8)
    table = Pyramid.build(np.zeros(6, np.uint32), rows, scoring=scoring, levels=1).table(0)
    assert (table["fp"][0].as_py(), table["fn"][0].as_py()) == (1, 1)
    told = Pyramid.build(np.zeros(6, np.uint32), replace(rows, errors=np.array([1, 1, 1, 0, 0, 2], np.int8)))
    assert (told.table(0)["fp"][0].as_py(), told.table(0)["fn"][0].as_py()) == (3, 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 200), st.integers(1, 100), st.integers(0, 1000))
def test_added_images_get_their_cells_and_move_no_other(old: int, new: int, seed: int) -> None:
    codes, rows = collection(old + new, seed)
    first = Pyramid.build(codes[:old], rows.take(np.arange(old)), levels=4)
    grown = first.extended(codes[old:], rows.take(np.arange(old, old + new)), levels=4)
    at_once = Pyramid.build(codes, rows, levels=4)
    for level in range(5):
        assert np.array_equal(grown.cells_of(level)[:old], first.cells_of(level))
        assert grown.table(level).equals(at_once.table(level))
    assert np.array_equal(grown.order, at_once.order)


def test_tiles_cover_a_level_without_overlap_and_hold_their_own_square() -> None:
    codes, rows = collection(3000)
    pyramid = Pyramid.build(codes, rows, levels=6)
    chosen = pyramid.aggregate(6, np.arange(3000) % 2 == 0)
    parts, selected = [], []
    for ty in range(4):
        for tx in range(4):
            tile = pyramid.tile(6, tx, ty, size=16)
            assert (np.array(tile["ix"].to_pylist()) // 16 == tx).all()
            assert (np.array(tile["iy"].to_pylist()) // 16 == ty).all()
            parts.append(tile)
            selected += pyramid.tile(6, tx, ty, size=16, table=chosen)["selected"].to_pylist()
    assert sorted(pa.concat_tables(parts)["cell"].to_pylist()) == sorted(pyramid.table(6)["cell"].to_pylist())
    assert sum(selected) == 1500
    for off in ([], [0]):
        for chosen_rows in (None, np.arange(3000) % 2 == 0):
            whole = pyramid.aggregate(6, chosen_rows, off=off)
            for tx, ty in ((0, 0), (1, 3), (3, 3)):
                wanted = pyramid.tile(6, tx, ty, size=16, table=whole)
                assert same(pyramid.aggregate(6, chosen_rows, off=off, tile=(tx, ty), size=16), wanted)
    assert pyramid.tile(3, 0, 0).equals(pyramid.table(3))


def test_rows_in_cells_are_the_images_with_those_codes() -> None:
    codes, rows = collection(1000)
    pyramid = Pyramid.build(codes, rows, levels=5)
    for level in (0, 3, 5):
        cell = pyramid.cells_of(level)
        wanted = np.unique(cell)[::2]
        assert np.array_equal(pyramid.rows_in_cells(level, wanted), np.flatnonzero(np.isin(cell, wanted)))
    assert len(pyramid.rows_in_cells(5, [])) == 0


def test_the_last_code_of_the_deepest_corner_is_found() -> None:
    codes = np.array([0, 2 ** (2 * DEPTH) - 1], np.uint32)
    pyramid = Pyramid.build(codes, Rows.of([0, 1], np.zeros((2, 3)), [0, 0]), levels=2)
    assert pyramid.rows_in_cells(2, [15]).tolist() == [1]
    assert pyramid.rows_in_cells(0, [0]).tolist() == [0, 1]


def test_means_and_group_counts_match_a_recount() -> None:
    codes, rows = collection(500)
    rng = np.random.default_rng(1)
    group, value, chosen = rng.integers(-1, 3, 500), rng.normal(size=500), rng.random(500) < 0.3
    pyramid = Pyramid.build(codes, rows, levels=3)
    cell = pyramid.cells_of(3)
    counts = pyramid.counts_by(3, group, 3, chosen)
    means = pyramid.means(3, value, chosen)
    for i, number in enumerate(pyramid.table(3)["cell"].to_pylist()):
        here = (cell == number) & chosen
        assert counts[i].tolist() == [int((group[here] == g).sum()) for g in range(3)]
        assert np.isclose(means[i], value[here].mean()) if here.any() else np.isnan(means[i])


def test_exemplars_are_typical_and_never_near_duplicates() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, K)).astype(np.float32)
    # Thirty copies of one image, re-saved, in the middle of everything.
    values[100:130] = values.mean(axis=0) + rng.normal(scale=1e-3, size=(30, K))
    rows = Rows.of(np.zeros(400), values, np.zeros(400), values=values)
    shown = Pyramid.build(np.zeros(400, np.uint32), rows, levels=1).table(0)["exemplars"][0].as_py()
    assert len(shown) <= 9
    assert sum(100 <= row < 130 for row in shown) == 1
    far = np.linalg.norm((values - values.mean(axis=0)) / values.std(axis=0), axis=1)
    assert np.array_equal(np.argsort(far[shown]), np.arange(len(shown)))
    assert far[shown].max() < np.quantile(far, 0.2)


def test_of_known_copies_a_cell_shows_one() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, K))
    rows = Rows.of(np.zeros(60), values, np.zeros(60), copies=np.arange(60) // 20)
    shown = Pyramid.build(np.zeros(60, np.uint32), rows, levels=1).table(0)["exemplars"][0].as_py()
    assert sorted(row // 20 for row in shown) == sorted({row // 20 for row in shown})


def test_every_cell_shows_images_of_its_own_and_of_the_selection() -> None:
    codes, rows = collection(1500)
    pyramid = Pyramid.build(codes, rows, levels=5)
    chosen = np.random.default_rng(2).random(1500) < 0.1
    for level in range(6):
        cell = pyramid.cells_of(level)
        for row in pyramid.table(level).select(["cell", "exemplars"]).to_pylist():
            assert row["exemplars"]
            assert (cell[row["exemplars"]] == row["cell"]).all()
        for row in pyramid.aggregate(level, chosen).select(["cell", "exemplars", "selected"]).to_pylist():
            assert bool(row["exemplars"]) == bool(row["selected"])
            assert chosen[row["exemplars"]].all()
            assert (cell[row["exemplars"]] == row["cell"]).all()


def test_a_saved_pyramid_reads_back_and_the_same_pyramid_gives_the_same_bytes(tmp_path: Path) -> None:
    codes, rows = collection(700)
    scoring = Scoring(Calibration("platt", {"slope": 0.8, "offset": 0.1}), real=0.3, ai=0.7)
    pyramid = Pyramid.build(codes, replace(rows, values=rows.impacts), scoring=scoring)
    pyramid.save(tmp_path / "a")
    Pyramid.build(codes, replace(rows, values=rows.impacts), scoring=scoring).save(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert not [name for name in names if name.endswith(".part")]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    again = Pyramid.load(tmp_path / "a")
    chosen = np.arange(700) % 5 == 0
    assert all(x.equals(y) for x, y in zip(again.tables, pyramid.tables, strict=True))
    assert again.scoring == scoring
    assert again.aggregate(2, chosen, off=[0]).equals(pyramid.aggregate(2, chosen, off=[0]))
    assert again.extended(codes[:5], replace(rows, values=rows.impacts).take(np.arange(5))).levels


def test_saving_over_a_deeper_pyramid_leaves_nothing_of_it(tmp_path: Path) -> None:
    codes, rows = collection(300)
    Pyramid.build(codes, replace(rows, values=rows.impacts), levels=6).save(tmp_path)
    Pyramid.build(codes, rows, levels=2).save(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.arrow")) == [f"level-0{k}.arrow" for k in range(3)]
    assert Pyramid.load(tmp_path).rows.values is None


def test_a_folder_that_lost_or_mixed_files_is_refused(tmp_path: Path) -> None:
    codes, rows = collection(300)
    Pyramid.build(codes, rows, levels=3).save(tmp_path / "a")
    Pyramid.build(codes[:200], rows.take(np.arange(200)), levels=3).save(tmp_path / "b")
    (tmp_path / "a" / "level-02.arrow").write_bytes((tmp_path / "b" / "level-02.arrow").read_bytes())
    with pytest.raises(ArtifactError, match="level 2"):
        Pyramid.load(tmp_path / "a")
    (tmp_path / "b" / "cells.json").unlink()
    with pytest.raises(ArtifactError, match="build the atlas again"):
        Pyramid.load(tmp_path / "b")


def test_requests_that_cannot_be_met_say_so() -> None:
    codes, rows = collection(50)
    pyramid = Pyramid.build(codes, rows, levels=3)
    with pytest.raises(UsageError, match="levels 0 to 3"):
        pyramid.table(4)
    with pytest.raises(UsageError, match="power of two"):
        pyramid.tile(3, 0, 0, size=3)
    with pytest.raises(UsageError, match="no tile"):
        pyramid.tile(3, 4, 0, size=2)
    with pytest.raises(UsageError, match="mask"):
        pyramid.aggregate(1, np.ones(49, bool))
    with pytest.raises(UsageError, match="numbered"):
        pyramid.aggregate(1, [50])
    with pytest.raises(UsageError, match="switch off"):
        pyramid.aggregate(1, off=[K])
    with pytest.raises(UsageError, match="cells of level 1"):
        pyramid.rows_in_cells(1, [4])
    with pytest.raises(UsageError, match="labels"):
        Rows.of([2], [[0.0]], [0])
    with pytest.raises(UsageError, match="impacts"):
        Rows.of([1], [[np.nan]], [0])
    with pytest.raises(UsageError, match="cannot grow"):
        pyramid.extended(codes[:1], replace(rows.take(np.arange(1)), values=rows.impacts[:1]))
