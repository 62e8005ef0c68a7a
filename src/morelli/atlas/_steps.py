"""The steps of building an atlas, each from what the earlier ones wrote to what the next one reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import UNKNOWN, Collection
from morelli.atlas._held_out import HeldOut, held_out_groups, labels_of, picture_copies
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
from morelli.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas.cells import Grid, Layout
    from morelli.atlas.distiller import DistilledMap
    from morelli.encoders import Encoder
    from morelli.explanation import ConceptBank
    from morelli.features import Features, FeatureTable

Floats = NDArray[np.float32]
Projection = Literal["umap", "tsne", "pca"]

MISSED, FALSE_ALARMS = 0.05, 0.05
"""Error rates of the thresholds on held-out scores: generated images called real, real ones called AI."""
IN_MEMORY = 50_000
"""Up to so many images patterns are held in memory, beyond they are read when they are needed."""
BASIS_ROWS = 512
KEPT = timedelta(days=1)


@dataclass(frozen=True)
class AtlasOptions:
    """How an atlas is built.

    kind: feature kind that is distilled; with `final` the maps are ASAP's. dimensions: K. projection: of
    the overview. where: Lance filter over the table's rows. perturbation: which delivery, where the table
    holds several (empty: as they are). spelling: whether what a rendered word does to an embedding is
    projected away first, where that is known for the build. seed: of distiller, prototypes and projection.
    """

    kind: str = "final"
    dimensions: int = 16
    projection: Projection = "umap"
    where: str | None = None
    perturbation: str | None = None
    spelling: bool = True
    seed: int = 0


def delivery_filter(table: FeatureTable, options: AtlasOptions) -> str | None:
    """The Lance filter of the rows that an atlas takes.

    Raises:
        UsageError: several deliveries of the images, and none was chosen.
    """
    there = sorted(set(table.metadata(["perturbation"]).column("perturbation").to_pylist()))
    parts = [] if options.where is None else [f"({options.where})"]
    if options.perturbation is None:
        if len(there) > 1:
            named = ", ".join(name or "clean" for name in there)
            raise UsageError(f"{table.path} holds several deliveries ({named}); choose one with --delivery.")
    else:
        quoted = options.perturbation.replace("'", "''")
        parts.append(f"perturbation = '{quoted}'")
    return " AND ".join(parts) or None


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
    tell: Progress,
) -> list[tuple[str, str]]:
    """Maps, patch features, thumbnails of all images that lack them; (uri, reason) of unreadable ones.

    The map of the fold that did not see an image shows where it looks.
    """
    from safetensors.numpy import load_file, save_file

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
        save_file({"basis": basis}, basis_path)
    spec = PixelSpec(distilled.n_dimensions, last.patches, basis.shape[1], map_digest(distilled))
    pixels = open_or_create(folder / "pixels.lance", spec)
    return fill_pixels(
        pixels, source, table, where=where, basis=basis, total=total, workers=workers, progress=tell
    )


def open_or_create(path: Path, spec: PixelSpec) -> PixelTable:
    """The pixel table to go on with, or a new one where there is none of this spec."""
    from morelli.errors import ArtifactError

    try:
        found = PixelTable.open(path)
    except ArtifactError:
        return PixelTable.create(path, spec)
    return found if found.spec == spec else PixelTable.create(path, spec)


def append_pixels(path: Path, behind: int, fresh: PixelTable) -> int:
    """Copy the rows of another pixel table behind version `behind` of the one at `path`; the new version."""
    import lance

    at_version(path, behind)
    lance.write_dataset(fresh.reader(), path, schema=fresh.spec.schema(), mode="append")
    return int(lance.dataset(path).version)


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


def find_patterns(
    folder: Path,
    features: Features,
    held: HeldOut,
    concepts: Sequence[ConceptBank],
    seed: int,
) -> NDArray[np.int16]:
    """Find and save prototypes; returns the prototype of each image's patterns (n, K), −1 for none."""
    from morelli.atlas.patterns import file_facts, find_prototypes, suggest_names

    n, k = held.impacts.shape
    if not (folder / "pixels.lance").is_dir():
        return np.full((n, k), -1, dtype=np.int16)
    pixels = PixelTable.open(folder / "pixels.lance")
    pooled: Any = pixels.pooled_of
    maps: Any = pixels.maps_of
    if n <= IN_MEMORY:
        pooled, maps = pixels.everything()
    found = find_prototypes(
        held.impacts,
        pooled,
        maps,
        labels_of(features),
        generator=np.where(labels_of(features) == 1, features.column("generator"), features.column("source")),
        groups=held_out_groups(features)[0],
        copies=picture_copies(features),
        facts=file_facts(features.meta),
        random_state=seed,
    )
    suggested = suggest_names(
        found.prototypes,
        found.assignment,
        features.matrix(features.kinds[0]),
        labels_of(features),
        [bank for bank in concepts if bank.kind == features.kinds[0]],
        random_state=seed,
    )
    names = [one.name for one in suggested]
    found.prototypes.with_columns(name=names).save(folder / "prototypes")
    return found.assignment


def lay_out(impacts: NDArray[Any], options: AtlasOptions) -> tuple[Layout, Grid]:
    """Project held-out impacts (n, K) and fit the grid of cells.

    Values of the full fit would draw two crowds wherever it has learnt its own images by heart.
    """
    from morelli.atlas.cells import Grid, project

    layout = project(impacts, options.projection, seed=options.seed)
    return layout, Grid.fit(layout.xy)


def write_images(folder: Path, rows: pa.Table, *, behind: int | None = None) -> int:
    """Write `images.lance` anew, or rows behind its version `behind`; returns the new version."""
    import lance

    path = folder / "images.lance"
    if behind is None:
        mode = "overwrite" if path.is_dir() else "create"
        return int(lance.write_dataset(rows, path, schema=rows.schema, mode=mode).version)
    dataset = at_version(path, behind)
    dataset = lance.write_dataset(rows, dataset, schema=rows.schema, mode="append")
    dataset.optimize.compact_files(target_rows_per_fragment=1024 * 1024, num_threads=1)
    return int(lance.dataset(path).version)


def at_version(path: Path, version: int) -> Any:
    """A Lance dataset whose latest version is `version`, or equal to it: what came later is taken back."""
    import lance

    dataset = lance.dataset(path)
    if dataset.version != version:
        dataset = lance.dataset(path, version=version)
        dataset.restore()
    return lance.dataset(path)


def drop_old_versions(folder: Path, current: str) -> None:
    """Remove what only older versions of an atlas's tables refer to, and cells other than the `current` ones.

    Those of the last day stay, for whoever has the atlas open still reads them.
    """
    import shutil
    import time

    import lance

    for name in ("images.lance", "pixels.lance"):
        if (folder / name).is_dir():
            lance.dataset(folder / name).cleanup_old_versions(older_than=KEPT)
    for cells in folder.glob("cells-*"):
        if cells.name != current and time.time() - cells.stat().st_mtime > KEPT.total_seconds():
            shutil.rmtree(cells)


def write_cells(folder: Path, collection: Collection, copies: NDArray[Any]) -> int:
    """Sum up and save the cells into a new folder; returns the finest level."""
    from morelli.atlas.cells import Pyramid, Rows, Scoring

    rows = Rows.of(
        collection.labels,
        collection.held_impacts,
        collection.held_logits,
        copies=copies,
    )
    pyramid = Pyramid.build(collection.codes, rows, scoring=Scoring(collection.distilled.calibration))
    pyramid.save(folder)
    return pyramid.levels


def thresholds_of(distilled: DistilledMap, held: HeldOut, labels: NDArray[np.int8]) -> tuple[float, float]:
    """Probabilities (real, ai): beyond them at most 5 % of held-out fakes and reals lie on the wrong side.

    Without labels of both classes 0.5 and 0.5: then nothing is inconclusive, as nothing can be promised.
    """
    from morelli.detectors import conformal_miss_threshold, conformal_threshold

    logits = held.impacts.sum(axis=1) + held.bias
    if not {0, 1} <= set(labels.tolist()):
        return 0.5, 0.5
    ai = conformal_threshold(logits[labels == 0], FALSE_ALARMS).logit
    real = conformal_miss_threshold(logits[labels == 1], MISSED).logit
    low, high = distilled.calibration.probability([real, ai]).tolist()
    return (low, high) if low <= high else (0.5, 0.5)


def audit_of(features: Features) -> dict[str, Any]:
    """What format, size and shape of the files alone would score; empty where that cannot be said."""
    from morelli.audit import metadata_only_auc

    y = labels_of(features)
    known = np.flatnonzero(y != UNKNOWN)
    if len(np.unique(y[known])) < 2 or min(np.bincount(y[known])) < 8:
        return {}
    groups = features.groups()[known]
    return metadata_only_auc(features.meta.take(known), groups, labels=y[known]).to_json()


def map_digest(distilled: DistilledMap) -> str:
    """SHA-256 (hex) of a map's numbers."""
    state = hashlib.sha256()
    for part in (distilled.A, distilled.b, distilled.w, np.array([distilled.bias])):
        state.update(np.ascontiguousarray(part, dtype=np.float64).tobytes())
    return state.hexdigest()


def rows_digest(features: Features) -> str:
    """SHA-256 (hex) of which images, under which perturbation, in which order."""
    state = hashlib.sha256()
    for name in ("sha256", "perturbation"):
        for value in features.meta.column(name).to_pylist():
            state.update(f"{value}\n".encode())
    return state.hexdigest()
