"""What a map keeps, and how many cells it fills, for the ways of laying out and stretching an atlas's images.

    python benchmarks/cell_layouts.py ATLAS [--level 5] [--projection tsne]

For every projection: which share of an image's ten nearest neighbours in the distilled space (columns of unit
spread) are among its ten nearest on the map, before and after the grid stretches it. Then, for one
projection, how many cells of the level hold images and the share of images in the fullest, by `equalise`.
Needs `morelli[umap]`.
"""

from __future__ import annotations

import argparse
import platform
from datetime import date

import numpy as np
from sklearn.neighbors import NearestNeighbors

from morelli.atlas import Atlas
from morelli.atlas.cells import Grid, project
from morelli.atlas.cells._morton import ancestor


def nearest(X: np.ndarray, k: int = 10) -> np.ndarray:
    """(n, k) nearest other rows."""
    return NearestNeighbors(n_neighbors=k + 1).fit(X).kneighbors(X, return_distance=False)[:, 1:]


def kept(near: np.ndarray, places: np.ndarray) -> float:
    on_map = nearest(places)
    return float(
        np.mean([len(np.intersect1d(a, b)) / near.shape[1] for a, b in zip(near, on_map, strict=True)])
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("atlas")
    parser.add_argument("--level", type=int, default=5)
    parser.add_argument("--projection", default="tsne", choices=["tsne", "umap", "pca"])
    args = parser.parse_args()
    values = np.asarray(Atlas.open(args.atlas).collection.values, np.float64)
    spread = values.std(axis=0)
    near = nearest((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))
    print(f"{date.today()}, {platform.machine()}: {len(values):,} images, {values.shape[1]} dimensions")
    print(f"{'projection':<22}{'neighbours kept':>18}{'on the grid':>14}{'cells':>8}")
    ways = {
        "umap": project(values, "umap"),
        "umap, min_dist 0.1": project(values, "umap", min_dist=0.1),
        "tsne": project(values, "tsne"),
        "pca": project(values, "pca"),
    }
    for name, layout in ways.items():
        grid = Grid.fit(layout.xy)
        cells = len(np.unique(ancestor(grid.codes(layout.xy), args.level)))
        print(
            f"{name:<22}{kept(near, layout.xy):>18.2f}{kept(near, grid.spread(layout.xy)):>14.2f}{cells:>8}"
        )
    xy = ways[args.projection].xy
    print(f"\n{args.projection + ', equalise':<22}{'cells of ' + str(4**args.level):>18}{'fullest':>14}")
    for equalise in (0.0, 0.25, 0.5, 0.6, 0.75, 0.9, 1.0):
        cells = ancestor(Grid.fit(xy, equalise=equalise).codes(xy), args.level)
        counts = np.unique(cells, return_counts=True)[1]
        print(f"{equalise:<22}{len(counts):>18}{counts.max() / len(xy):>14.3f}")
    side = 1 << args.level
    plain = np.minimum((xy * side).astype(int), side - 1)
    counts = np.unique(plain[:, 1] * side + plain[:, 0], return_counts=True)[1]
    print(f"{'not stretched':<22}{len(counts):>18}{counts.max() / len(xy):>14.3f}")


if __name__ == "__main__":
    main()
