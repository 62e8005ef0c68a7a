"""More images into an atlas that is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.atlas._atlas import Atlas
from morelli.atlas._building import (
    HASHED,
    MOST_LISTED,
    default_workers,
    held_folder,
    silent,
    source_record,
)
from morelli.atlas._cell_step import placed_rows, write_cells
from morelli.atlas._collection import UNKNOWN, Collection, open_images
from morelli.atlas._embeddings import append_embeddings
from morelli.atlas._held_out import in_sample_scores
from morelli.atlas._integrity import file_hashes, table_hashes, verify_atlas
from morelli.atlas._pixel_step import write_pixels
from morelli.atlas._pixels import Pictures, PixelTable, Progress
from morelli.atlas._record import AtlasRecord
from morelli.atlas._versions import append_pixels, drop_old_versions, write_images
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders import Encoder
    from morelli.features import Features, FeatureTable


def add_images(
    folder: Path | str,
    table: FeatureTable,
    *,
    encoder: Encoder | None = None,
    images: Sequence[Path | str] = (),
    workers: int | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Atlas:
    """Add the images of a table that an atlas does not hold yet; those that it holds keep place and patterns.

    Map, prototypes and layout stay as they are, and no fit saw the new images, so their scores are held out
    as they come. Arguments as for `build_atlas`.

    Raises:
        ArtifactError: a file of the atlas is damaged; all are checked first.
        UsageError: an atlas with maps, and no encoder.
        BuildMismatchError: features or encoder of another build than the atlas.
    """
    from morelli.atlas.cells import Grid
    from morelli.atlas.cells._layout import Layout
    from morelli.atlas.patterns._prototypes import Prototypes

    folder, on_progress = Path(folder), progress or silent
    AtlasRecord.read(folder)  # nothing is made where there is no atlas
    with held_folder(folder):
        verify_atlas(folder)  # damage would be summed up into the new cells, and its digest be recorded
        before = Atlas.open(folder)
        record, distilled = before.record, before.distilled
        if record.patches and encoder is None:
            raise UsageError("This atlas has maps; adding images to it needs the encoder.")
        where = table.one_perturbation(record.perturbation)
        features = table.load([record.kind], where=where)
        record.build.require_same(features.build, what="the table of features")
        known = set(before.collection.dataset.to_table(columns=["sha256"]).column("sha256").to_pylist())
        new = np.flatnonzero([sha not in known for sha in features.column("sha256")])
        if not len(new):
            return before
        added = features.take(new)
        held = in_sample_scores(distilled, added.matrix(record.kind), "")
        unreadable = list(record.unreadable)
        prototypes = np.full(held.impacts.shape, -1, dtype=np.int16)
        versions = dict(record.versions)
        if encoder is not None and record.patches:
            with _scratch_pixels(folder) as scratch:
                unreadable += write_pixels(
                    scratch,
                    table,
                    _only(added, where),
                    distilled,
                    held,
                    encoder=encoder,
                    pictures=Pictures(tuple(Path(one) for one in images)),
                    total=len(added),
                    workers=workers or default_workers(),
                    seed=record.seed,
                    on_progress=on_progress,
                )
                fresh = PixelTable.open(scratch / "pixels.lance")
                if (folder / "prototypes").is_dir():
                    prototypes = Prototypes.load(folder / "prototypes").assign(held.impacts, fresh.pooled_of)
                versions["pixels"] = append_pixels(folder / "pixels.lance", versions["pixels"], fresh)
        on_progress("cells", 0, 1)
        layout, grid = Layout.load(folder / "layout"), Grid.load(folder / "layout" / "grid.safetensors")
        xy = layout.place(held.impacts)
        rows = placed_rows(added, distilled, held, prototypes=prototypes, grid=grid, xy=xy)
        versions["images"] = write_images(folder, rows, behind=record.versions["images"])
        append_embeddings(folder, added.matrix(record.kind), record.images)
        written = open_images(folder / "images.lance", record.dimensions, versions["images"])
        collection = Collection(written, distilled, record.thresholds)
        levels = write_cells(folder / f"cells-{len(collection)}", collection, _copies_of_column(collection))
        on_progress("cells", 1, 1)
        grown = replace(
            record,
            images=len(collection),
            labelled=int((collection.labels != UNKNOWN).sum()),
            added=record.added + len(added),
            levels=levels,
            versions=versions,
            sources=(*record.sources, source_record(table, added)),
            command=f"{record.command}\n{command}".strip(),
            unreadable=tuple(unreadable[:MOST_LISTED]),
        )
        kept = (*(p for p in HASHED if p != "cells-*/*"), f"{grown.cells}/*")
        files = file_hashes(folder, kept) | table_hashes(folder, grown.versions, known=record.files)
        replace(grown, files=files).write(folder)
        drop_old_versions(folder, grown.cells)
        return Atlas.open(folder, images=images)


@contextmanager
def _scratch_pixels(folder: Path) -> Iterator[Path]:
    """A folder inside the atlas for thumbnails and maps of the added images, until they are in its table."""
    scratch = folder / "adding"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shutil.copy(folder / "pattern-basis.safetensors", scratch)
    yield scratch
    shutil.rmtree(scratch)


def _only(added: Features, where: str | None) -> str:
    """The filter of a table that gives the added images and no others."""
    quoted = (str(sha).replace("'", "''") for sha in added.column("sha256"))
    only = "sha256 IN ({})".format(", ".join(f"'{sha}'" for sha in quoted))
    return f"({where}) AND {only}" if where else only


def _copies_of_column(collection: Collection) -> Any:
    from morelli.atlas.patterns._exemplars import copies_of

    return copies_of(
        np.array(collection.dataset.to_table(columns=["phash"]).column("phash").to_pylist(), object)
    )
