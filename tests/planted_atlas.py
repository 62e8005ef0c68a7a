"""A small atlas for whatever shows one: of the labelled collection, with maps, patterns and thumbnails."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

NAME = "planted"
DIMENSIONS = 8


def metadata_of(number: int) -> dict[str, str]:
    """What a manifest might say of an image: when it was taken, a number, and which roll it was on."""
    day = date(2024, 1, 1) + timedelta(days=3 * number)
    return {"taken": day.isoformat(), "exposure": f"{0.5 * number:.1f}", "roll": f"roll {number % 3}"}


def build_planted_atlas(folder: Path, collection: Path, clip_dir: Path, *, maps: bool = True) -> Path:
    """Write the features `F.lance` and the atlas `planted.atlas` of a collection; return the atlas.

    Without `maps` neither the table's tokens nor an encoder are there to make any from.
    """
    from morelli.atlas import AtlasOptions, build_atlas
    from morelli.encoders import load_encoder
    from morelli.features import FeatureTable, extract
    from morelli.images import iter_source

    encoder = load_encoder(str(clip_dir))
    kinds = ["final", "layer:3", "tokens:3"] if maps else ["final"]
    items = [
        replace(item, metadata=metadata_of(number))
        for number, item in enumerate(iter_source(collection, label_from="folders"))
    ]
    extract(items, folder / "F.lance", encoder=encoder, kinds=kinds)
    out = folder / f"{NAME}.atlas"
    options = AtlasOptions(dimensions=DIMENSIONS, projection="pca")
    table = FeatureTable.open(folder / "F.lance")
    build_atlas(table, out, options, encoder=encoder if maps else None, workers=1)
    return out
