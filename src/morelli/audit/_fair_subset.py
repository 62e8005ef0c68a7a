"""A subset in which both classes are delivered alike: matched by format, size, shape and JPEG quality."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from morelli.audit._metadata_baseline import MetadataBaseline

QUALITY_EDGES = (50, 70, 80, 88, 93, 97)


@dataclass(frozen=True)
class FairSubset:
    """Equally many real and generated images in each cell of format × size × shape × quality.

    `rows` index the audit's table, sorted. `cells` counts the images of one class in each cell kept.
    `baseline` is the metadata-only classifier on the subset, None where it is too small to be scored.
    """

    rows: tuple[int, ...]
    cells: dict[str, int]
    generators: int
    sources: int
    baseline: MetadataBaseline | None


def matched_rows(
    table: pa.Table, y: npt.NDArray[Any], rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
    """Rows of the largest subset with equal joint distributions, and the images a class in each cell.

    Inside a cell the larger class is thinned in turn over its generators (or sources), so that none is lost
    to a commoner one. Sizes are binned by half octaves of the short side (two bins double it).
    """
    cells: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for row, name in enumerate(cell_names(table)):
        cells[name][int(y[row])].append(row)
    origin = np.asarray(
        [
            f"{g or ''}|{s or ''}"
            for g, s in zip(*(table.column(c).to_pylist() for c in ("generator", "source")), strict=True)
        ]
    )
    kept: list[int] = []
    sizes: dict[str, int] = {}
    for name in sorted(cells):
        real, fake = cells[name]
        count = min(len(real), len(fake))
        if count:
            sizes[name] = count
            kept += _in_turn(real, origin, count, rng) + _in_turn(fake, origin, count, rng)
    return np.sort(np.asarray(kept, np.int64)), sizes


def cell_names(table: pa.Table) -> list[str]:
    """The cell of each image, such as ``JPEG, short side 431–609, landscape, quality 88–92``."""
    width, height = (table.column(name).to_numpy() for name in ("width", "height"))
    short = np.maximum(np.minimum(width, height), 1)
    step = np.floor(2 * np.log2(short) + 0.5)
    low, high = np.ceil(2 ** ((step - 0.5) / 2)).astype(int), np.ceil(2 ** ((step + 0.5) / 2)).astype(int) - 1
    ratio = width / np.maximum(height, 1)
    shape = np.select([np.abs(ratio - 1) < 0.02, ratio > 1], ["square", "landscape"], "portrait")
    edges = np.asarray((0, *QUALITY_EDGES, 101))
    names = []
    for row, (form, quality) in enumerate(
        zip(*(table.column(name).to_pylist() for name in ("format", "jpeg_quality")), strict=True)
    ):
        text = f"{form}, short side {low[row]}–{high[row]}, {shape[row]}"
        if quality is not None:
            k = int(np.searchsorted(edges, quality, side="right"))
            text += f", quality {edges[k - 1]}–{edges[k] - 1}"
        names.append(text)
    return names


def _in_turn(
    rows: list[int], origin: npt.NDArray[np.str_], count: int, rng: np.random.Generator
) -> list[int]:
    """`count` of `rows`, drawn in turn from every origin."""
    shuffled = rng.permutation(rows)
    turn: dict[str, int] = defaultdict(int)
    rank = []
    for row in shuffled:
        rank.append(turn[origin[row]])
        turn[origin[row]] += 1
    return [int(row) for row in shuffled[np.argsort(rank, kind="stable")][:count]]
