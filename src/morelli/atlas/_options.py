"""How an atlas is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Projection = Literal["tsne", "umap", "pca"]


@dataclass(frozen=True)
class AtlasOptions:
    """How an atlas is built.

    kind: feature kind that is distilled; with `final` the maps are ASAP's. dimensions: K. projection: of
    the overview; "umap" is an extra, `morelli[umap]`. where: Lance filter over the table's rows.
    perturbation: which one, where the table holds several (empty: unperturbed images). spelling: whether what
    a rendered word does to an embedding is projected away first, where that is known for the build. seed: of
    distiller, prototypes and projection.
    """

    kind: str = "final"
    dimensions: int = 16
    projection: Projection = "tsne"
    where: str | None = None
    perturbation: str | None = None
    spelling: bool = True
    seed: int = 0
