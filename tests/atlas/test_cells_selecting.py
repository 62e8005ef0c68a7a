"""Lassos and rectangles against the plain definition, names of regions, and the drawn overview."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from morelli.atlas.cells import Grid, Pyramid, Rows, draw_cells
from morelli.atlas.cells._glyphs import FAKE, GREY, REAL, snake, tones
from morelli.atlas.cells._labels import regions
from morelli.atlas.cells._polygon import rows_in_polygon, rows_in_rect
from morelli.errors import UsageError

# Coarse coordinates, so that places on edges, vertices and level with vertices are frequent.
coarse = st.integers(0, 8).map(lambda v: v / 8)
fine = st.floats(0, 1, allow_nan=False)


def even_odd(xy: np.ndarray, polygon: np.ndarray) -> list[int]:
    """Row by row and edge by edge (Franklin's pnpoly); beyond the bounding box is outside."""
    found = []
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    for row, (x, y) in enumerate(xy.astype(float)):
        inside = False
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
                inside = not inside
        if inside and (low <= (x, y)).all() and ((x, y) <= high).all():
            found.append(row)
    return found


@given(
    arrays(np.float64, st.tuples(st.integers(0, 80), st.just(2)), elements=coarse | fine),
    arrays(np.float64, st.tuples(st.integers(3, 12), st.just(2)), elements=coarse | fine),
)
def test_a_lasso_selects_what_the_even_odd_rule_says(xy: np.ndarray, polygon: np.ndarray) -> None:
    assert rows_in_polygon(xy, polygon).tolist() == even_odd(xy, polygon)


@given(
    arrays(np.float32, (50, 2), elements=st.floats(0, 1, width=32, allow_nan=False)),
    arrays(np.float64, 4, elements=fine),
)
def test_a_rectangle_includes_its_edges_whichever_corner_comes_first(
    xy: np.ndarray, rect: np.ndarray
) -> None:
    x0, y0, x1, y1 = rect
    low, high = np.minimum([x0, y0], [x1, y1]), np.maximum([x0, y0], [x1, y1])
    wanted = [i for i, p in enumerate(xy) if (p >= low).all() and (p <= high).all()]
    assert rows_in_rect(xy, rect).tolist() == wanted == rows_in_rect(xy, rect[[2, 3, 0, 1]]).tolist()


def test_shapes_that_are_none_are_refused() -> None:
    xy = np.zeros((3, 2))
    with pytest.raises(UsageError, match="three points"):
        rows_in_polygon(xy, [[0, 0], [1, 1]])
    with pytest.raises(UsageError, match="three points"):
        rows_in_polygon(xy, [[0, 0], [1, 1], [np.nan, 0]])
    with pytest.raises(UsageError, match="x0, y0, x1, y1"):
        rows_in_rect(xy, [0, 1])


def small() -> Pyramid:
    rng = np.random.default_rng(0)
    impacts = rng.normal(size=(200, 16))
    xy = rng.random((200, 2))
    return Pyramid.build(Grid.fit(xy).codes(xy), Rows.of(rng.integers(0, 2, 200), impacts, impacts.sum(1)))


def test_regions_are_named_after_what_stands_out_in_them_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    xy = rng.random((4000, 2))
    group = rng.integers(0, 3, 4000)
    corner = (xy < 0.25).all(axis=1)
    group[corner & (rng.random(4000) < 0.9)] = 3
    group[(xy > 0.76).all(axis=1) & (rng.random(4000) < 0.9)] = 3
    rows = Rows.of(np.zeros(4000), np.zeros((4000, 2)), np.zeros(4000))
    pyramid = Pyramid.build(Grid.fit(xy).codes(xy), rows, levels=4)
    found = regions(pyramid, 3, group, ["a", "b", "c", "corner"])
    assert [region.name for region in found] == ["corner", "corner"]
    assert all(max(r.x, r.y) < 0.25 or min(r.x, r.y) > 0.75 for r in found)
    assert all(r.lift > 4 and r.share > 0.7 for r in found)
    only = regions(pyramid, 3, group, ["a", "b", "c", "corner"], selection=(xy < 0.5).all(axis=1))
    assert [region.name for region in only] == ["corner"]


def test_neighbours_in_the_order_touch_in_the_texture() -> None:
    for k in (1, 2, 5, 8, 16, 20):
        texture = snake(k)
        at = np.array([np.argwhere(texture == place)[0] for place in range(k)])
        assert (np.abs(np.diff(at, axis=0)).sum(axis=1) == 1).all()


def test_tones_run_from_real_to_generated_and_darken_evenly_with_size() -> None:
    colour = tones(np.array([-1.0, 1.0, -5.0, np.nan]))
    assert colour[0].tolist() == colour[2].tolist() == list(REAL)
    assert colour[1].tolist() == list(FAKE)
    lightness = tones(np.linspace(0, 1, 20)).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize("size", [8, 18, 40])
def test_a_drawn_level_shows_its_cells_at_their_places(size: int) -> None:
    pyramid = small()
    picture = np.asarray(draw_cells(pyramid.table(3), 3, size=size))
    board = picture[24 : 24 + 8 * size, 24 : 24 + 8 * size].reshape(8, size, 8, size, 3)
    drawn = (board != (247, 247, 245)).any(axis=(1, 3, 4))
    wanted = np.zeros((8, 8), bool)
    wanted[pyramid.table(3)["iy"].to_numpy(), pyramid.table(3)["ix"].to_numpy()] = True
    assert np.array_equal(drawn, wanted)


def test_cells_without_a_selected_image_are_drawn_grey() -> None:
    pyramid = small()
    table = pyramid.aggregate(3, pyramid.rows_in_cells(3, [0]))
    picture = np.asarray(draw_cells(table, 3, size=20, names=[f"name {k}" for k in range(16)], title="T"))
    top = 24 + 40
    coloured = picture[top : top + 160, 24 : 24 + 160].reshape(8, 20, 8, 20, 3)
    assert (coloured[4, 3, 4, 3] == GREY).all()
    assert len(np.unique(coloured[0, :, 0].reshape(-1, 3), axis=0)) > 5


def test_what_cannot_be_drawn_is_refused() -> None:
    table = small().table(3)
    with pytest.raises(UsageError, match="too small"):
        draw_cells(table, 3, size=4)
    with pytest.raises(UsageError, match="head weights"):
        draw_cells(table, 3, head_weights=[1.0])
