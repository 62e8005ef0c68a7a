"""The slow step of an atlas: maps, patch features and thumbnails of all images, with one basis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import write_file
from morelli.artefacts.tensors import pack_tensors
from morelli.atlas._digests import map_digest
from morelli.atlas._held_out import HeldOut
from morelli.atlas._pixels import (
    REDUCED,
    Pictures,
    PixelSource,
    PixelSpec,
    PixelTable,
    Progress,
    fill_pixels,
    reduction_basis,
)

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.encoders import Encoder
    from morelli.features import FeatureTable

Floats = NDArray[np.float32]
BASIS_ROWS = 512


def write_pixels(
    folder: Path,
    table: FeatureTable,
    where: str | None,
    distilled: DistilledMap,
    held: HeldOut,
    *,
    encoder: Encoder,
    pictures: Pictures,
    total: int,
    workers: int,
    seed: int,
    on_progress: Progress,
) -> list[tuple[str, str]]:
    """Maps, patch features, thumbnails of all images that lack them; (uri, reason) of unreadable ones.

    The map of the fold that did not see an image shows where it looks.
    """
    from safetensors.numpy import load_file

    from morelli.encoders import LastBlock

    last = LastBlock(encoder, distilled.kind)
    stored = set(last.inputs) <= set(table.kinds)
    source = PixelSource(encoder, distilled, held, pictures, last.inputs, stored)
    basis_path = folder / "pattern-basis.safetensors"
    if basis_path.is_file():
        basis = load_file(basis_path)["basis"]
    else:
        rng = np.random.default_rng(seed)
        basis = reduction_basis(sample_tokens(source, table, where, total, rng), REDUCED, rng)
        write_file(basis_path, pack_tensors({"basis": basis}))
    spec = PixelSpec(distilled.n_dimensions, last.patches, basis.shape[1], map_digest(distilled))
    pixels = open_or_create(folder / "pixels.lance", spec)
    return fill_pixels(
        pixels, source, table, where=where, basis=basis, total=total, workers=workers, progress=on_progress
    )


def open_or_create(path: Path, spec: PixelSpec) -> PixelTable:
    """The pixel table to go on with, or a new one where there is none of this spec."""
    from morelli.errors import ArtifactError

    try:
        found = PixelTable.open(path)
    except ArtifactError:
        return PixelTable.create(path, spec)
    return found if found.spec == spec else PixelTable.create(path, spec)


def sample_tokens(
    source: PixelSource, table: FeatureTable, where: str | None, total: int, rng: np.random.Generator
) -> list[Floats]:
    """Patch tokens (m, P, D) of at most `BASIS_ROWS` images from all over the table.

    Raises:
        UsageError: no image could be read.
    """
    chosen = np.sort(rng.choice(total, min(total, BASIS_ROWS if source.stored else 64), replace=False))
    kind = source.inputs[1]
    if source.stored and where is None:
        return [table.vectors(kind, chosen[i : i + 64]) for i in range(0, len(chosen), 64)]
    found = []
    at = 0
    for part in source.rows(table, where, 0):
        own = chosen[(chosen >= at) & (chosen < at + len(part))] - at
        at += len(part)
        if len(own):
            found.append(source.tokens(part.take(own)))
    return found
