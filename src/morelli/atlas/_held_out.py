"""What a fit says of images that it was not fitted on: impacts, and the map that judged each image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import write_file
from morelli.artefacts.tensors import pack_tensors
from morelli.atlas._collection import UNKNOWN
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.atlas._options import AtlasOptions
    from morelli.atlas.distiller import DistilledMap
    from morelli.features import Features

SAW_NONE = -1
"""Fold of an image that no fit has seen: the map of all labelled images judges it."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Impacts (n, K) and biases (n,) of fits that did not see an image's group, and how that was done.

    maps: of the folds, dimensions in the full fit's order. folds: (n,) which of them judged an image, or
    `SAW_NONE`. Relevance too is read through them: maps of a fit that has seen an image's label show the
    label, and then patterns of plain chance look like evidence.
    """

    impacts: NDArray[np.float64]
    bias: NDArray[np.float64]
    description: str
    folds: NDArray[np.int64]
    maps: tuple[DistilledMap, ...] = ()

    def readers(self, full: DistilledMap, rows: NDArray[np.integer]) -> Iterator[tuple[DistilledMap, Any]]:
        """The map of some images and which of `rows` (m,) they are, as positions in it, fold by fold."""
        folds = self.folds[rows]
        for fold in np.unique(folds):
            yield full if fold == SAW_NONE else self.maps[fold], np.flatnonzero(folds == fold)

    def save(self, path: Path) -> None:
        """Write what an interrupted build needs to go on."""
        tensors = {"impacts": self.impacts, "bias": self.bias, "folds": self.folds}
        for number, one in enumerate(self.maps):
            tensors |= {f"{number}.A": one.A, f"{number}.b": one.b, f"{number}.w": one.w}
            tensors[f"{number}.bias"] = np.array([one.bias])
        write_file(path, pack_tensors(tensors, {"description": self.description}))

    @classmethod
    def load(cls, path: Path, full: DistilledMap) -> HeldOut:
        """Read what `save` wrote; `full` is the map of all images, as which the folds' are built."""
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            description = (file.metadata() or {})["description"]
        maps = tuple(
            replace(
                full,
                A=tensors[f"{fold}.A"],
                b=tensors[f"{fold}.b"],
                w=tensors[f"{fold}.w"],
                bias=float(tensors[f"{fold}.bias"][0]),
            )
            for fold in range(int(tensors["folds"].max(initial=SAW_NONE)) + 1)
        )
        return cls(tensors["impacts"], tensors["bias"], description, tensors["folds"], maps)


def labels_of(features: Features) -> NDArray[np.int8]:
    """(n,) real 0, fake 1, unknown −1."""
    return np.asarray(features.meta.column("label").fill_null(UNKNOWN).to_numpy(), dtype=np.int8)


def distil(
    features: Features, options: AtlasOptions, distilled: DistilledMap | None
) -> tuple[DistilledMap, HeldOut]:
    """Fit a distiller with held-out scores, or take a map as it is.

    Raises:
        UsageError: no labels of both classes and no map, or a map of another kind or size.
        BuildMismatchError: a map of another build.
    """
    from morelli.atlas.distiller import Distiller
    from morelli.atlas.distiller._cross import cross_distil
    from morelli.atlas.distiller._spelling import default_spelling
    from morelli.detectors import Calibration, fit_calibration

    X, y = features.matrix(options.kind), labels_of(features)
    known = y != UNKNOWN
    if distilled is not None:
        distilled.build.require_same(features.build, what="the table of features")
        if (distilled.kind, distilled.n_dimensions) != (options.kind, options.dimensions):
            raise UsageError(
                f"The distilled map has {distilled.n_dimensions} dimensions of {distilled.kind}; say "
                f"--dimensions {distilled.n_dimensions} --kind {distilled.kind}."
            )
        return distilled, in_sample_scores(distilled, X, "a map that was fitted elsewhere, taken as it is")
    if len(np.unique(y[known])) < 2:
        raise UsageError(
            "A distiller needs labelled images of both classes. Label the table, or name a map with "
            "--distilled (`default` is the one that ships with Morelli)."
        )
    spelling = default_spelling(features.build, options.kind) if options.spelling else None
    model = Distiller(n_dimensions=options.dimensions, spelling=spelling, random_state=options.seed)
    groups, kept_together = held_out_groups(features.take(known))
    crossed = cross_distil(model, X[known], y[known], groups)
    description = f"{crossed.n_folds} folds of {kept_together}"
    try:
        calibration = fit_calibration(crossed.logits, y[known])
    except UsageError:
        # Held-out scores that rank backwards: worth seeing, but no probability can be made of them.
        calibration = Calibration()
        description += (
            "; what is learnt does not carry over to what is held out, so probabilities mean nothing here"
        )
    fitted = replace(crossed.distiller.to_map(features.build, options.kind), calibration=calibration)
    held = in_sample_scores(fitted, X, description)
    held.impacts[known], held.bias[known] = crossed.impacts, crossed.bias
    held.folds[known] = crossed.folds
    return fitted, replace(held, maps=crossed.fold_maps(features.build, options.kind))


def held_out_groups(features: Features) -> tuple[NDArray[np.object_], str]:
    """What is held out together (n,), and how that reads: whole lineages and real sources, if there are two.

    With one lineage, or one source, nothing of that class could be held out; then its images are, one by one
    (near-duplicates together), which flatters: images of one origin resemble each other.
    """
    y, groups = labels_of(features), features.groups()
    alone = np.array([f"picture {number}" for number in picture_copies(features)], dtype=object)
    several = [len(np.unique(groups[y == label].astype(str))) > 1 for label in (0, 1)]
    found = groups.copy()
    for label in (0, 1):
        if not several[label]:
            found[y == label] = alone[y == label]
    description = [
        "whole real sources" if several[0] else "single real images (of one source, so figures flatter)",
        "whole lineages" if several[1] else "single generated images (of one lineage, so figures flatter)",
    ]
    return found, " and ".join(description)


def picture_copies(features: Features) -> NDArray[np.int64]:
    """Number (n,) of each image's picture: near-duplicates share one."""
    from morelli.atlas.patterns._exemplars import copies_of

    return copies_of(features.column("phash"))


def in_sample_scores(distilled: DistilledMap, X: NDArray[Any], description: str) -> HeldOut:
    """Impacts and bias of the map itself, right for images that it was not fitted on."""
    bias, folds = np.full(len(X), float(distilled.bias)), np.full(len(X), SAW_NONE, dtype=np.int64)
    return HeldOut(distilled.impacts(X), bias, description, folds)
