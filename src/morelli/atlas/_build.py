"""From a feature table to an atlas.

    features ▸ distiller (held out by group) ▸ maps, patch features, thumbnails ▸ prototypes ▸ layout, cells

The slow step, maps and thumbnails, is written piece by piece; an interrupted build goes on behind the last
piece. `atlas.json` comes last, so a folder with it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from morelli.artefacts import write_file
from morelli.atlas._atlas import Atlas
from morelli.atlas._building import (
    HASHED,
    HELD_OUT,
    MOST_LISTED,
    default_workers,
    held_folder,
    held_out_of,
    pixels_version,
    prepare,
    silent,
    source_record,
)
from morelli.atlas._cell_step import lay_out, placed_rows, write_cells
from morelli.atlas._collection import UNKNOWN, Collection, open_images
from morelli.atlas._digests import map_digest, rows_digest
from morelli.atlas._embeddings import write_embeddings
from morelli.atlas._held_out import HeldOut, distil, labels_of, picture_copies
from morelli.atlas._integrity import file_hashes, table_hashes
from morelli.atlas._options import AtlasOptions
from morelli.atlas._pattern_step import find_patterns
from morelli.atlas._pixel_step import write_pixels
from morelli.atlas._pixels import Pictures, Progress
from morelli.atlas._place import STATE, refuse_taken
from morelli.atlas._record import AtlasRecord
from morelli.atlas._reliability import audit_of, thresholds_of
from morelli.atlas._versions import drop_old_versions, write_images
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.atlas.patterns._dimension_names import DimensionName
    from morelli.encoders import Encoder
    from morelli.explanation.concepts import ConceptBank
    from morelli.features import Features, FeatureTable


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
        UsageError: `out` is something else, or an atlas that is finished; no image, no labels and no map,
            several deliveries and none chosen, or a missing kind.
        BuildMismatchError: encoder or map of another build than the table.
    """
    options, out = options or AtlasOptions(), Path(out)
    on_progress = progress or silent
    refuse_taken(out)
    where = table.one_perturbation(options.perturbation, options.where)
    features = table.load([options.kind], where=where)
    if not len(features):
        raise UsageError(f"{table.path} has no rows for an atlas; look at --where and --perturbation.")
    if encoder is not None:
        features.build.require_same(encoder.build, what="the encoder")
    with held_folder(out):
        fitted, held = _fitted_map(out, features, options, distilled, on_progress)
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
                workers=workers or default_workers(),
                seed=options.seed,
                on_progress=on_progress,
            )
        fitted, prototypes, names = _patterns(
            out, features, fitted, held, concepts=concepts, seed=options.seed, on_progress=on_progress
        )
        labels = labels_of(features)
        thresholds = thresholds_of(fitted, held, labels)
        on_progress("cells", 0, 1)
        version = _placed(out, features, fitted, held, prototypes=prototypes, options=options)
        collection = Collection(
            open_images(out / "images.lance", options.dimensions, version), fitted, thresholds
        )
        levels = write_cells(out / f"cells-{len(features)}", collection, picture_copies(features))
        on_progress("cells", 1, 1)
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
            versions={"images": version} | ({} if encoder is None else {"pixels": pixels_version(out)}),
            audit=audit_of(features),
            distiller=dict(fitted.record) | {"names": [_evidence(one) for one in names]},
            sources=(source_record(table, features),),
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


def _fitted_map(
    out: Path, features: Features, options: AtlasOptions, given: DistilledMap | None, on_progress: Progress
) -> tuple[DistilledMap, HeldOut]:
    """The map and its held-out readings: those of an interrupted build with the same inputs, or new ones."""
    from morelli.atlas.distiller import DistilledMap

    state = {
        "rows": rows_digest(features),
        "build": features.build.fingerprint,
        "options": asdict(options),
        "distilled": None if given is None else map_digest(given),
    }
    on_progress("distiller", 0, 1)
    if prepare(out, state):
        fitted = DistilledMap.load(out / "distilled")
        held = held_out_of(out, fitted)
    else:
        fitted, held = distil(features, options, given)
        fitted.save(out / "distilled")
        held.save(out / HELD_OUT)
        write_file(out / STATE, json.dumps(state, sort_keys=True))
    on_progress("distiller", 1, 1)
    return fitted, held


def _patterns(
    out: Path,
    features: Features,
    fitted: DistilledMap,
    held: HeldOut,
    *,
    concepts: Sequence[ConceptBank],
    seed: int,
    on_progress: Progress,
) -> tuple[DistilledMap, NDArray[np.int16], list[DimensionName]]:
    """The map with named dimensions, the prototype of each image's patterns (n, K), and the names."""
    from morelli.atlas.distiller._map import dimension_names

    on_progress("prototypes", 0, 1)
    # Thousands of small clusterings: threads would spend their time meeting each other.
    with threadpool_limits(limits=1):
        prototypes, names = find_patterns(out, features, held, concepts, seed)
    if fitted.names == dimension_names(fitted.n_dimensions):
        # A map that was given may bring names that people gave it; D1 and so on say nothing.
        fitted = fitted.renamed({k: one.name for k, one in enumerate(names)})
        fitted.save(out / "distilled")
    on_progress("prototypes", 1, 1)
    return fitted, prototypes, names


def _placed(
    out: Path,
    features: Features,
    fitted: DistilledMap,
    held: HeldOut,
    *,
    prototypes: NDArray[np.int16],
    options: AtlasOptions,
) -> int:
    """Lay the images out and write their rows and embeddings; the version of the table of images."""
    layout, grid = lay_out(held.impacts, options)
    layout.save(out / "layout")
    grid.save(out / "layout" / "grid.safetensors")
    rows = placed_rows(features, fitted, held, prototypes=prototypes, grid=grid, xy=layout.xy)
    version = write_images(out, rows)
    write_embeddings(out, features.matrix(options.kind))
    return version


def _evidence(name: DimensionName) -> dict[str, Any]:
    """What a dimension's name rests on, as JSON values."""
    known = {"name": name.name, "source": name.source}
    return known if name.concept is None else {**known, "cosine": name.cosine, "p": name.p}


def _version() -> str:
    from morelli._version import __version__

    return __version__
