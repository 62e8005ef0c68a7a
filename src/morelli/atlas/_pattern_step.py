"""Prototypes of an atlas, found from held-out impacts; they and the dimensions are named from concepts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._held_out import HeldOut, held_out_groups, labels_of, picture_copies
from morelli.atlas._pixels import PixelTable

if TYPE_CHECKING:
    from morelli.atlas.patterns._dimension_names import DimensionName
    from morelli.explanation.concepts import ConceptBank
    from morelli.features import Features

IN_MEMORY = 50_000
"""Up to so many images patterns are held in memory, beyond they are read when they are needed."""


def find_patterns(
    folder: Path,
    features: Features,
    held: HeldOut,
    concepts: Sequence[ConceptBank],
    seed: int,
) -> tuple[NDArray[np.int16], list[DimensionName]]:
    """Find and save prototypes, and name them and the dimensions, no two alike.

    Returns:
        The prototype of each image's patterns (n, K), −1 for none; and the dimensions' names.
    """
    from morelli.atlas.patterns import find_prototypes, suggest_names
    from morelli.atlas.patterns._dimension_names import suggest_dimension_names
    from morelli.atlas.patterns._distinct_names import distinct_names, prototype_details
    from morelli.atlas.patterns._facts import file_facts
    from morelli.atlas.patterns._names import named

    n, k = held.impacts.shape
    labels, embeddings = labels_of(features), features.matrix(features.kinds[0])
    origin = np.where(labels == 1, features.column("generator"), features.column("source"))
    banks = [bank for bank in concepts if bank.kind == features.kinds[0]]
    mapped = (folder / "pixels.lance").is_dir()
    pooled: Any = None
    maps: Any = None
    if mapped:
        pixels = PixelTable.open(folder / "pixels.lance")
        pooled, maps = pixels.everything() if n <= IN_MEMORY else (pixels.pooled_of, pixels.maps_of)
    dimensions = suggest_dimension_names(
        held.impacts, embeddings, labels, origin, banks, maps, random_state=seed
    )
    if not mapped:
        return np.full((n, k), -1, dtype=np.int16), dimensions
    found = find_prototypes(
        held.impacts,
        pooled,
        maps,
        labels,
        generator=origin,
        groups=held_out_groups(features)[0],
        copies=picture_copies(features),
        facts=file_facts(features.meta),
        random_state=seed,
    )
    suggested = suggest_names(
        found.prototypes, found.assignment, embeddings, labels, banks, random_state=seed
    )
    rows = found.prototypes.table.to_pylist()
    names = distinct_names(
        [
            named(one, row, dimensions[row["dimension"]].concept)
            for one, row in zip(suggested, rows, strict=True)
        ],
        [prototype_details(row, dimensions[row["dimension"]].name) for row in rows],
        taken=[one.name for one in dimensions],
    )
    found.prototypes.with_columns(name=names).save(folder / "prototypes")
    return found.assignment, dimensions
