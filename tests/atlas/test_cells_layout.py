"""Layouts: deterministic, on the unit square, open to new rows without moving old ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from morelli.atlas.cells import project
from morelli.atlas.cells._layout import Layout, Method
from morelli.atlas.cells._placement import Landmarks
from morelli.errors import ArtifactError, UsageError

K = 6


def crowds(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three well-parted crowds of unequal size, and which each row is of."""
    rng = np.random.default_rng(seed)
    of = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    centres = 6 * np.eye(3, K)
    return (rng.normal(size=(n, K)) + centres[of]).astype(np.float32), of


@pytest.mark.parametrize("method", [pytest.param("umap", marks=pytest.mark.slow), "tsne", "pca"])
def test_crowds_stay_together_and_new_rows_join_their_own(method: Method) -> None:
    Z, of = crowds(700)
    layout = project(Z[:500], method, seed=3, landmarks=200)
    assert layout.xy.shape == (500, 2)
    assert layout.xy.dtype == np.float32
    assert ((layout.xy >= 0) & (layout.xy <= 1)).all()
    placed = layout.place(Z[500:])
    distance = np.linalg.norm(placed[:, None] - layout.xy[None], axis=2)
    nearest = np.argpartition(distance, 5, axis=1)[:, :5]
    assert (of[:500][nearest] == of[500:, None]).mean() > 0.95


@pytest.mark.parametrize("method", [pytest.param("umap", marks=pytest.mark.slow), "tsne", "pca"])
def test_one_seed_gives_one_layout_down_to_the_bytes(method: Method, tmp_path: Path) -> None:
    Z, _ = crowds(120)
    for name in ("a", "b"):
        project(Z, method, seed=1, landmarks=80).save(tmp_path / name)
    for file in ("layout.safetensors", "xy.npy"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_reloaded_layout_places_new_rows_where_the_first_one_did(method: Method, tmp_path: Path) -> None:
    Z, _ = crowds(200)
    layout = project(Z[:150], method, landmarks=60)
    layout.save(tmp_path)
    again = Layout.load(tmp_path)
    assert np.array_equal(again.xy, layout.xy)
    assert np.array_equal(again.place(Z[150:]), layout.place(Z[150:]))
    grown = again.extended(Z[150:])
    assert np.array_equal(grown.xy[:150], layout.xy)
    assert np.array_equal(grown.xy[150:], layout.place(Z[150:]))


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_rows_place_does_not_depend_on_what_is_placed_with_it(method: Method) -> None:
    Z, _ = crowds(5200)
    layout = project(Z[:200], method, landmarks=150)
    together = layout.place(Z[200:])
    alone = np.concatenate([layout.place(Z[200 + i : 201 + i]) for i in range(40)])
    assert np.array_equal(together[:40], alone)


def test_landmarks_keep_their_places_and_rows_placed_later_land_where_they_were() -> None:
    Z, _ = crowds(400)
    layout = project(Z, "tsne", landmarks=100)
    assert np.allclose(layout.place(Z), layout.xy, atol=1e-5)


def test_a_row_between_two_crowds_joins_one_of_them() -> None:
    rng = np.random.default_rng(0)
    Z = np.concatenate([rng.normal(scale=0.05, size=(60, 3)) + c for c in ([0, 0, 0], [1, 0, 0])])
    layout = project(Z, "tsne", standardise=False)
    between = np.stack([np.linspace(0, 1, 40), np.zeros(40), np.zeros(40)], axis=1)
    distance = np.linalg.norm(layout.place(between)[:, None] - layout.xy[None], axis=2).min(axis=1)
    assert distance.max() < 0.1


def test_a_small_crowd_far_away_is_among_the_landmarks_in_more_than_its_share() -> None:
    rng = np.random.default_rng(0)
    Z = np.concatenate([rng.normal(size=(5000, K)), rng.normal(size=(25, K)) + 12]).astype(np.float32)
    layout = project(Z, "tsne", landmarks=200, standardise=False)
    landmarks = layout.frame.rows  # type: ignore[union-attr]
    assert len(landmarks) == 200
    assert (landmarks.mean(axis=1) > 6).sum() > 200 * 25 / 5025 * 2


def test_the_nearest_of_many_landmarks_are_found_however_many_rows_ask() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6000, 16)).astype(np.float32)
    asked = rng.normal(size=(300, 16)).astype(np.float32)
    landmarks = Landmarks(rows, rng.random((6000, 2)))
    near, distance = landmarks.nearest(asked, 8)
    exact = np.linalg.norm(asked[:, None].astype(float) - rows[None], axis=2)
    truth = np.argsort(exact, axis=1)[:, :8]
    assert np.array_equal(near, truth)
    assert np.allclose(distance, np.take_along_axis(exact, near, axis=1), atol=1e-5)
    alone = np.concatenate([landmarks.place(asked[i : i + 1]) for i in range(50)])
    assert np.array_equal(landmarks.place(asked)[:50], alone)


def test_a_pca_does_not_depend_on_the_order_of_rows_nor_flip() -> None:
    Z, _ = crowds(300)
    order = np.random.default_rng(1).permutation(300)
    assert np.allclose(project(Z, "pca").xy[order], project(Z[order], "pca").xy, atol=1e-5)
    directions = project(Z, "pca").frame.directions  # type: ignore[union-attr]
    assert (directions[np.abs(directions).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize("method", [pytest.param("umap", marks=pytest.mark.slow), "tsne", "pca"])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_handful_of_images_is_laid_out_too(method: Method, n: int) -> None:
    layout = project(crowds(n)[0], method)
    assert layout.xy.shape == (n, 2)
    assert np.isfinite(layout.xy).all()
    assert layout.place(np.zeros((2, K))).shape == (2, 2)


@pytest.mark.parametrize("method", [pytest.param("umap", marks=pytest.mark.slow), "tsne"])
def test_copies_of_one_image_are_no_obstacle(method: Method) -> None:
    Z = np.concatenate([np.zeros((60, K)), crowds(60)[0]])
    layout = project(Z, method, seed=0)
    assert np.isfinite(layout.xy).all()
    assert np.isfinite(project(Z[:60, :1], method).xy).all()


def test_columns_without_spread_and_single_columns_are_laid_out() -> None:
    Z = np.concatenate([crowds(40)[0], np.full((40, 1), 7.0)], axis=1)
    assert np.isfinite(project(Z, "pca").xy).all()
    assert np.isfinite(project(Z[:, :1], "pca").xy).all()


def test_wrong_requests_say_what_to_give() -> None:
    Z, _ = crowds(30)
    with pytest.raises(UsageError, match="tsne, umap, pca"):
        project(Z, "som")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not finite"):
        project(np.full((5, 2), np.nan), "pca")
    with pytest.raises(UsageError, match="6 values"):
        project(Z, "pca").place(Z[:, :5])
    with pytest.raises(UsageError, match="rows of values"):
        project(Z[:0], "pca")


def test_a_damaged_layout_says_what_to_do(tmp_path: Path) -> None:
    project(crowds(30)[0], "pca").save(tmp_path)
    (tmp_path / "xy.npy").write_bytes(b"no array")
    with pytest.raises(ArtifactError, match="build the atlas again"):
        Layout.load(tmp_path)
    (tmp_path / "layout.safetensors").unlink()
    with pytest.raises(ArtifactError, match="build the atlas again"):
        Layout.load(tmp_path)
