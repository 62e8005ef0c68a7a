"""Prototypes of an atlas, found from held-out impacts and named from concepts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._held_out import HeldOut, held_out_groups, labels_of, picture_copies
from morelli.atlas._pixels import PixelTable

if TYPE_CHECKING:
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
) -> NDArray[np.int16]:
    """Find and save prototypes; returns the prototype of each image's patterns (n, K), −1 for none."""
    from morelli.atlas.patterns import find_prototypes, suggest_names
    from morelli.atlas.patterns._facts import file_facts

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
