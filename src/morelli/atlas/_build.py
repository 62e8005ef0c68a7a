"""From a feature table to an atlas, and more images into one.

    features ▸ distiller (held out by group) ▸ maps, patch features, thumbnails ▸ prototypes ▸ layout, cells

The slow step, maps and thumbnails, is written piece by piece; an interrupted build goes on behind the last
piece. `atlas.json` comes last, so a folder with it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from morelli.artefacts import locked, read_json, write_file
from morelli.atlas._atlas import Atlas
from morelli.atlas._cell_step import lay_out, write_cells
from morelli.atlas._collection import UNKNOWN, Collection, image_rows, open_images
from morelli.atlas._digests import map_digest, rows_digest
from morelli.atlas._embeddings import FOLDER as EMBEDDINGS
from morelli.atlas._embeddings import append_embeddings, write_embeddings
from morelli.atlas._held_out import HeldOut, as_they_are, distil, labels_of, picture_copies
from morelli.atlas._integrity import file_hashes, table_hashes, verify_atlas
from morelli.atlas._options import AtlasOptions, delivery_filter
from morelli.atlas._pattern_step import find_patterns
from morelli.atlas._pixel_step import write_pixels
from morelli.atlas._pixels import Pictures, PixelTable, Progress
from morelli.atlas._place import STATE, refuse_taken
from morelli.atlas._record import MANIFEST, AtlasRecord
from morelli.atlas._reliability import audit_of, thresholds_of
from morelli.atlas._versions import append_pixels, drop_old_versions, write_images
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.atlas.patterns._dimension_names import DimensionName
    from morelli.encoders import Encoder
    from morelli.explanation.concepts import ConceptBank
    from morelli.features import Features, FeatureTable

HELD_OUT = "held-out.safetensors"
HASHED = (
    *("distilled/*", "cells-*/*", "layout/*", "prototypes/*", "pattern-basis.safetensors"),
    f"{EMBEDDINGS}/*",
)
MOST_LISTED = 1000
_WAIT = 10.0


def build_atlas(
    table: FeatureTable,
    out: Path | str,
    options: AtlasOptions | None = None,
    *,
    encoder: Encoder | None = None,
    distilled: DistilledMap | None = None,
    images: Sequence[Path | str] = (),
    concepts: Sequence[ConceptBank] = (),
    workers: int | None = None,
    name: str | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Atlas:
    """Build an atlas from a feature table, or go on with one whose building was interrupted.

    Args:
        table: features of the kind to distil; with the last block's input among its kinds
            (`layer:11` and `tokens:11` for ViT-B/16) the images are not encoded again.
        out: folder to make, by custom `NAME.atlas`.
        options: see `AtlasOptions`.
        encoder: what made the features, for maps and patterns; without it the atlas has neither.
        distilled: a map to use as it is; by default one is fitted to the labelled images.
        images: folders to look for the images in, besides where they were.
        concepts: banks that prototypes are named from.
        workers: threads; by default one per core.
        name: shown to people; by default the folder's.
        command: the command line, for the record.
        progress: called after every piece of work.

    Raises:
        ArtifactError: `out` is something else, or an atlas that is finished.
        UsageError: no image, no labels and no map, several deliveries and none chosen, or a missing kind.
        BuildMismatchError: encoder or map of another build than the table.
    """
    from morelli.atlas.distiller import DistilledMap
    from morelli.atlas.distiller._map import dimension_names

    options, out = options or AtlasOptions(), Path(out)
    tell = progress or _silent
    refuse_taken(out)
    where = delivery_filter(table, options)
    features = table.load([options.kind], where=where)
    if not len(features):
        raise UsageError(f"{table.path} has no rows for an atlas; look at --where and --delivery.")
    if encoder is not None:
        features.build.require_same(encoder.build, what="the encoder")
    state = {
        "rows": rows_digest(features),
        "build": features.build.fingerprint,
        "options": asdict(options),
        "distilled": None if distilled is None else map_digest(distilled),
    }
    with _held(out):
        tell("distiller", 0, 1)
        if _prepare(out, state):
            fitted = DistilledMap.load(out / "distilled")
            held = _held_out_of(out, fitted)
        else:
            fitted, held = distil(features, options, distilled)
            fitted.save(out / "distilled")
            held.save(out / HELD_OUT)
            write_file(out / STATE, json.dumps(state, sort_keys=True))
        tell("distiller", 1, 1)
        unreadable: list[tuple[str, str]] = []
        if encoder is not None:
            unreadable = write_pixels(
                out,
                table,
                where,
                fitted,
                held,
                encoder=encoder,
                pictures=Pictures(tuple(Path(folder) for folder in images)),
                total=len(features),
                workers=workers or _workers(),
                seed=options.seed,
                tell=tell,
            )
        tell("prototypes", 0, 1)
        # Thousands of small clusterings: threads would spend their time meeting each other.
        with threadpool_limits(limits=1):
            prototypes, names = find_patterns(out, features, held, concepts, options.seed)
        if fitted.names == dimension_names(fitted.n_dimensions):
            # A map that was given may bring names that people gave it; D1 and so on say nothing.
            fitted = fitted.renamed({k: one.name for k, one in enumerate(names)})
            fitted.save(out / "distilled")
        tell("prototypes", 1, 1)
        tell("cells", 0, 1)
        values = fitted.values(features.matrix(options.kind)).astype(np.float32)
        layout, grid = lay_out(held.impacts, options)
        layout.save(out / "layout")
        grid.save(out / "layout" / "grid.safetensors")
        version = write_images(
            out,
            image_rows(
                features.meta, values=values, held_impacts=held.impacts.astype(np.float32),
                held_bias=held.bias.astype(np.float32), xy=grid.spread(layout.xy).astype(np.float32),
                code=grid.codes(layout.xy).astype(np.uint64), prototypes=prototypes,
            ),
        )  # fmt: skip
        write_embeddings(out, features.matrix(options.kind))
        labels = labels_of(features)
        thresholds = thresholds_of(fitted, held, labels)
        images_written = open_images(out / "images.lance", options.dimensions, version)
        collection = Collection(images_written, fitted, thresholds)
        levels = write_cells(out / f"cells-{len(features)}", collection, picture_copies(features))
        tell("cells", 1, 1)
        record = AtlasRecord(
            name=name or out.name.removesuffix(".atlas"),
            build=features.build,
            kind=options.kind,
            perturbation=str(features.column("perturbation")[0]),
            images=len(features),
            labelled=int((labels != UNKNOWN).sum()),
            added=0,
            dimensions=options.dimensions,
            patches=0 if encoder is None else encoder.patches,
            levels=levels,
            thresholds=thresholds,
            projection=options.projection,
            held_out=held.description,
            versions={"images": version} | ({} if encoder is None else {"pixels": _pixels_version(out)}),
            audit=audit_of(features),
            distiller=dict(fitted.record) | {"names": [_evidence(one) for one in names]},
            sources=(_source(table, features),),
            command=command,
            version=_version(),
            seed=options.seed,
            unreadable=tuple(unreadable[:MOST_LISTED]),
        )
        replace(record, files=file_hashes(out, HASHED) | table_hashes(out, record.versions)).write(out)
        for scaffold in (STATE, HELD_OUT):
            (out / scaffold).unlink(missing_ok=True)
        drop_old_versions(out, record.cells)
        return Atlas.open(out, images=images)


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

    folder, tell = Path(folder), progress or _silent
    AtlasRecord.read(folder)  # nothing is made where there is no atlas
    with _held(folder):
        verify_atlas(folder)  # damage would be summed up into the new cells, and its digest be recorded
        before = Atlas.open(folder)
        record, distilled = before.record, before.distilled
        if record.patches and encoder is None:
            raise UsageError("This atlas has maps; adding images to it needs the encoder.")
        options = AtlasOptions(record.kind, record.dimensions, perturbation=record.perturbation)
        where = delivery_filter(table, options)
        features = table.load([record.kind], where=where)
        record.build.require_same(features.build, what="the table of features")
        known = set(before.collection.dataset.to_table(columns=["sha256"]).column("sha256").to_pylist())
        new = np.flatnonzero([sha not in known for sha in features.column("sha256")])
        if not len(new):
            return before
        added = features.take(new)
        held = as_they_are(distilled, added.matrix(record.kind), "")
        unreadable = list(record.unreadable)
        prototypes = np.full(held.impacts.shape, -1, dtype=np.int16)
        versions = dict(record.versions)
        if encoder is not None and record.patches:
            quoted = (str(sha).replace("'", "''") for sha in added.column("sha256"))
            only = "sha256 IN ({})".format(", ".join(f"'{sha}'" for sha in quoted))
            scratch = folder / "adding"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            shutil.copy(folder / "pattern-basis.safetensors", scratch)
            unreadable += write_pixels(
                scratch,
                table,
                f"({where}) AND {only}" if where else only,
                distilled,
                held,
                encoder=encoder,
                pictures=Pictures(tuple(Path(one) for one in images)),
                total=len(added),
                workers=workers or _workers(),
                seed=record.seed,
                tell=tell,
            )
            fresh = PixelTable.open(scratch / "pixels.lance")
            if (folder / "prototypes").is_dir():
                prototypes = Prototypes.load(folder / "prototypes").assign(held.impacts, fresh.pooled_of)
            versions["pixels"] = append_pixels(folder / "pixels.lance", versions["pixels"], fresh)
            shutil.rmtree(scratch)
        tell("cells", 0, 1)
        values = distilled.values(added.matrix(record.kind)).astype(np.float32)
        layout, grid = Layout.load(folder / "layout"), Grid.load(folder / "layout" / "grid.safetensors")
        xy = layout.place(held.impacts)
        versions["images"] = write_images(
            folder,
            image_rows(
                added.meta, values=values, held_impacts=held.impacts.astype(np.float32),
                held_bias=held.bias.astype(np.float32), xy=grid.spread(xy).astype(np.float32),
                code=grid.codes(xy).astype(np.uint64), prototypes=prototypes,
            ),
            behind=record.versions["images"],
        )  # fmt: skip
        append_embeddings(folder, added.matrix(record.kind), record.images)
        written = open_images(folder / "images.lance", record.dimensions, versions["images"])
        collection = Collection(written, distilled, record.thresholds)
        levels = write_cells(folder / f"cells-{len(collection)}", collection, _copies_of_column(collection))
        tell("cells", 1, 1)
        grown = replace(
            record,
            images=len(collection),
            labelled=int((collection.labels != UNKNOWN).sum()),
            added=record.added + len(added),
            levels=levels,
            versions=versions,
            sources=(*record.sources, _source(table, added)),
            command=f"{record.command}\n{command}".strip(),
            unreadable=tuple(unreadable[:MOST_LISTED]),
        )
        kept = (*(p for p in HASHED if p != "cells-*/*"), f"{grown.cells}/*")
        files = file_hashes(folder, kept) | table_hashes(folder, grown.versions, known=record.files)
        replace(grown, files=files).write(folder)
        drop_old_versions(folder, grown.cells)
        return Atlas.open(folder, images=images)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold an atlas against other builds and additions, which is there or becomes one."""
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} exists and is no atlas; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / MANIFEST, wait=_WAIT):
        yield


def _silent(step: str, done: int, total: int) -> None:
    pass


def _workers() -> int:
    return min(16, os.cpu_count() or 1)


def _prepare(out: Path, state: dict[str, Any]) -> bool:
    """Make the folder, or say that a build with the same inputs can go on in it; anything else is refused."""
    refuse_taken(out)
    try:
        before = read_json(out / STATE, what="atlas")
    except ArtifactError:
        before = None
    if before == json.loads(json.dumps(state)):
        return True
    # What follows belongs to other inputs. The note comes first: with it the folder is known as a build's,
    # whatever else is there when the process ends.
    write_file(out / STATE, "{}")
    for name in ("pixels.lance", "images.lance", "prototypes", "cells", "layout", EMBEDDINGS):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "pattern-basis.safetensors").unlink(missing_ok=True)
    return False


def _held_out_of(out: Path, fitted: DistilledMap) -> HeldOut:
    from safetensors import SafetensorError

    try:
        return HeldOut.load(out / HELD_OUT, fitted)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{out / HELD_OUT} is damaged ({error}); remove {out / STATE}, and the build starts over"
        ) from error


def _copies_of_column(collection: Collection) -> Any:
    from morelli.atlas.patterns._exemplars import copies_of

    return copies_of(
        np.array(collection.dataset.to_table(columns=["phash"]).column("phash").to_pylist(), object)
    )


def _pixels_version(out: Path) -> int:
    return PixelTable.open(out / "pixels.lance").version


def _source(table: FeatureTable, features: Features) -> dict[str, Any]:
    return {"table": str(table.path), "rows": rows_digest(features), "images": len(features)}


def _evidence(name: DimensionName) -> dict[str, Any]:
    """What a dimension's name rests on, as JSON values."""
    known = {"name": name.name, "source": name.source}
    return known if name.concept is None else {**known, "cosine": name.cosine, "p": name.p}


def _version() -> str:
    from morelli._version import __version__

    return __version__
