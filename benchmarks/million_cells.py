"""A million images in cells: the time and memory of laying out, tiling, adding and selecting.

    python benchmarks/million_cells.py [--images 1000000] [--added 1000] [--dimensions 16] [--method tsne]

Images are synthetic: forty overlapping crowds of unequal size in the space of the distilled values, with
impacts, labels and logits to match. The projection and the cells run in a process each, whose own peak of
resident memory is printed, Python and libraries included; making the data is in neither time but in both
peaks. Latencies are the best of five.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from morelli.atlas.cells import Grid, Pyramid, Rows, project
from morelli.atlas.cells._layout import Layout
from morelli.atlas.cells._polygon import rows_in_polygon


def images(n: int, k: int) -> tuple[np.ndarray, Rows]:
    """Values (n, k) in crowds, and the columns that the cells sum up."""
    rng = np.random.default_rng(0)
    crowds = 40
    share = rng.dirichlet(np.full(crowds, 0.7))
    crowd = rng.choice(crowds, n, p=share)
    centres = rng.normal(size=(crowds, k)).astype(np.float32)
    spreads = rng.uniform(0.3, 1.2, size=(crowds, 1)).astype(np.float32)
    Z = rng.standard_normal((n, k), np.float32) * spreads[crowd] + centres[crowd]
    impacts = Z * rng.normal(size=k).astype(np.float32)
    logits = impacts.sum(axis=1)
    labels = (logits + rng.normal(scale=2, size=n) > 0).astype(np.int8)
    return Z, Rows.of(labels, impacts, logits, values=Z)


def timed(work: Callable[[], object], rounds: int = 5) -> float:
    """Milliseconds, the best of some rounds."""
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def lay_out(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    Z, _ = images(args.images + args.added, args.dimensions)
    project(Z[:300], args.method, seed=0)  # compiles UMAP's loops, once a process
    start = time.perf_counter()
    layout = project(Z[: args.images], args.method, seed=0)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    grown = layout.extended(Z[args.images :])
    added = time.perf_counter() - start
    assert np.array_equal(grown.xy[: args.images], layout.xy)
    grown.save(folder / "layout")
    return {"project, seconds": seconds, f"place {args.added:,} more, seconds": added}


def tile(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    n = args.images
    _, rows = images(n + args.added, args.dimensions)
    xy = Layout.load(folder / "layout").xy
    old = rows.take(np.arange(n))
    start = time.perf_counter()
    grid = Grid.fit(xy[:n])
    codes = grid.codes(xy[:n])
    pyramid = Pyramid.build(codes, old)
    built = time.perf_counter()
    pyramid.save(folder / "cells")
    saved = time.perf_counter()
    found: dict[str, object] = {"tile, seconds": built - start, "save, seconds": saved - built}
    found["files, MB"] = sum(path.stat().st_size for path in (folder / "cells").iterdir()) / 1e6
    found["cells per level"] = [table.num_rows for table in pyramid.tables]

    start = time.perf_counter()
    grown = pyramid.extended(grid.codes(xy[n:]), rows.take(np.arange(n, n + args.added)))
    found[f"tables with {args.added:,} more, seconds"] = time.perf_counter() - start
    moved = sum(
        int((grown.cells_of(level)[:n] != pyramid.cells_of(level)).sum())
        for level in range(pyramid.levels + 1)
    )
    found["existing images in another cell"] = moved
    del grown

    start = time.perf_counter()
    pyramid = Pyramid.load(folder / "cells")
    found["load, milliseconds"] = (time.perf_counter() - start) * 1e3
    rng = np.random.default_rng(1)
    mask = np.zeros(n, bool)
    mask[rng.permutation(n)[: n // 5]] = True
    region = np.zeros(n, bool)
    region[pyramid.order[n // 2 : n // 2 + n // 5]] = True
    levels = range(pyramid.levels + 1)
    for name, chosen in (("scattered", mask), ("one region", region)):
        found[f"{n // 5:,} selected, {name}, ms per level"] = [
            timed(lambda level=level, chosen=chosen: pyramid.aggregate(level, chosen)) for level in levels
        ]
    first = time.perf_counter()
    pyramid.aggregate(5, off=[1, 4])
    found["dimensions off, first time, ms"] = (time.perf_counter() - first) * 1e3
    found["dimensions off, all images, ms per level"] = [
        timed(lambda level=level: pyramid.aggregate(level, off=[1, 4])) for level in levels
    ]
    places = pyramid.table(pyramid.levels)
    full = int(np.argmax(places["count"].to_numpy()))
    at = (places["ix"][full].as_py() // 32, places["iy"][full].as_py() // 32)
    found["fullest tile of the finest level, ms"] = timed(lambda: pyramid.tile(pyramid.levels, *at))
    found["the same with one region selected, ms"] = timed(
        lambda: pyramid.aggregate(pyramid.levels, region, tile=at)
    )
    uv = grid.spread(xy[:n])
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    reach = 0.3 + 0.05 * np.sin(9 * angle)
    lasso = 0.5 + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
    found["lasso of 300 vertices, ms"] = timed(lambda: rows_in_polygon(uv, lasso))
    found["images in the lasso"] = len(rows_in_polygon(uv, lasso))
    finest = pyramid.table(pyramid.levels)["cell"].to_numpy()
    some = rng.choice(finest, min(2000, len(finest)), replace=False)
    found["rows of 2,000 finest cells, ms"] = timed(lambda: pyramid.rows_in_cells(pyramid.levels, some))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--added", type=int, default=1_000)
    parser.add_argument("--dimensions", type=int, default=16)
    parser.add_argument("--method", default="tsne", choices=["tsne", "umap", "pca"])
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        found = {"lay out": lay_out, "tile": tile}[args.part](args, Path(args.folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(found | {"peak resident memory, GB": peak}))
        return
    print(
        f"{args.images:,} images, {args.dimensions} dimensions, {args.method}; {os.cpu_count()} cores, "
        f"{platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for part in ("lay out", "tile"):
            print(f"\n{part}")
            command = [sys.executable, __file__, *sys.argv[1:], "--part", part, "--folder", folder]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            for name, value in json.loads(printed.splitlines()[-1]).items():
                shown = (
                    " ".join(f"{v:,.0f}" for v in value)
                    if isinstance(value, list)
                    else (f"{value:,.2f}" if isinstance(value, float) else f"{value:,}")
                )
                print(f"  {name:<48} {shown}")


if __name__ == "__main__":
    main()
