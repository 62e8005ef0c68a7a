"""How an atlas is built, and which rows of a feature table it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.features import FeatureTable

Projection = Literal["umap", "tsne", "pca"]


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
