"""The grid and its codes: order, stability, the inverse, and a file that comes back the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from morelli.atlas.cells import Grid
from morelli.atlas.cells._morton import DEPTH, ancestor, columns_and_rows, morton
from morelli.errors import ArtifactError, UsageError

places = arrays(
    np.float32, st.tuples(st.integers(1, 60), st.just(2)), elements=st.floats(0, 1, width=32, allow_nan=False)
)
shares = st.floats(0, 1, allow_nan=False)


def crowded(n: int, seed: int = 0) -> np.ndarray:
    """Two crowds and an island far away, as UMAP lays them out."""
    rng = np.random.default_rng(seed)
    at = rng.choice(3, n, p=[0.55, 0.4, 0.05])
    centre = np.array([[0.85, 0.4], [0.8, 0.7], [0.03, 0.05]])[at]
    return np.clip(centre + rng.normal(scale=0.03, size=(n, 2)), 0, 1).astype(np.float32)


@given(arrays(np.uint32, (40, 2), elements=st.integers(0, 2**DEPTH - 1)))
def test_morton_codes_come_apart_again_and_every_ancestor_is_the_halved_cell(cells: np.ndarray) -> None:
    codes = morton(cells[:, 0], cells[:, 1])
    assert np.array_equal(np.stack(columns_and_rows(codes), axis=1), cells)
    for level in (0, 1, 5, DEPTH):
        ix, iy = columns_and_rows(ancestor(codes, level))
        assert np.array_equal(ix, cells[:, 0] >> (DEPTH - level))
        assert np.array_equal(iy, cells[:, 1] >> (DEPTH - level))


@given(places, places, shares)
def test_the_grid_keeps_left_of_and_above_for_images_it_was_and_was_not_fitted_on(
    fitted: np.ndarray, others: np.ndarray, equalise: float
) -> None:
    grid = Grid.fit(fitted, equalise=equalise)
    every = np.concatenate([fitted, others])
    spread = grid.spread(every)
    ix, iy = columns_and_rows(grid.codes(every))
    assert ((spread >= 0) & (spread <= 1)).all()
    for axis, cell in ((0, ix), (1, iy)):
        order = np.argsort(every[:, axis], kind="stable")
        assert (np.diff(spread[order, axis]) >= 0).all()
        assert (np.diff(cell[order].astype(np.int64)) >= 0).all()


@given(places, places, shares)
def test_an_images_code_depends_on_its_place_alone(
    fitted: np.ndarray, others: np.ndarray, equalise: float
) -> None:
    grid = Grid.fit(fitted, equalise=equalise)
    together = grid.codes(np.concatenate([fitted, others]))
    assert np.array_equal(together[: len(fitted)], grid.codes(fitted))
    assert np.array_equal(together[len(fitted) :], grid.codes(others))


def test_equalising_uses_more_cells_and_leaves_room_between_groups() -> None:
    xy = crowded(4000)
    used = {}
    for equalise in (0.0, 0.75, 1.0):
        cells = ancestor(Grid.fit(xy, equalise=equalise).codes(xy), 5)
        used[equalise] = len(np.unique(cells))
    assert used[0.0] < used[0.75] < used[1.0]
    plain = np.minimum((xy * 32).astype(int), 31)
    assert used[0.75] > 3 * len(np.unique(plain[:, 1] * 32 + plain[:, 0]))
    # The island stays an island: between it and the crowds lie columns without an image.
    ix, _ = columns_and_rows(ancestor(Grid.fit(xy).codes(xy), 5))
    columns = np.unique(ix)
    assert np.diff(columns).max() > 1


def test_full_equalising_gives_every_column_the_same_number_of_images() -> None:
    xy = crowded(20_000)
    ix, iy = columns_and_rows(ancestor(Grid.fit(xy, equalise=1).codes(xy), 4))
    for cells in (ix, iy):
        assert np.allclose(np.bincount(cells, minlength=16) / len(xy), 1 / 16, atol=0.01)


def test_copies_of_one_image_share_a_cell_and_do_not_break_the_grid() -> None:
    xy = np.concatenate([np.full((500, 2), 0.5), crowded(500)]).astype(np.float32)
    codes = Grid.fit(xy, equalise=1).codes(xy)
    assert len(np.unique(codes[:500])) == 1


def test_a_saved_grid_gives_the_same_codes_and_the_same_bytes(tmp_path: Path) -> None:
    xy = crowded(300)
    grid = Grid.fit(xy)
    for name in ("a", "b"):
        grid.save(tmp_path / name)
    again = Grid.load(tmp_path / "a")
    assert np.array_equal(again.codes(xy), grid.codes(xy))
    assert again.equalise == grid.equalise
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_damaged_grid_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "grid").write_bytes(b"\x00" * 40)
    with pytest.raises(ArtifactError, match="build the atlas again"):
        Grid.load(tmp_path / "grid")


def test_places_outside_the_map_are_refused() -> None:
    with pytest.raises(UsageError, match="project"):
        Grid.fit(crowded(10)).codes([[1.2, 0.5]])
    with pytest.raises(UsageError, match="project"):
        Grid.fit([[np.nan, 0.5]])
    with pytest.raises(UsageError, match="equalise"):
        Grid.fit(crowded(10), equalise=2)
