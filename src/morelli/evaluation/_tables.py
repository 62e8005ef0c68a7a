"""The labelled features that detectors are evaluated on: a table, or one for each encoder of an ensemble."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.detectors import Ensemble
from morelli.errors import UsageError
from morelli.evaluation._refits import Candidate

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.features import Features


def detector_features(
    path: Path,
    more: Sequence[Path],
    perturbation: str | None,
    candidates: Sequence[Candidate],
    bundles: Collection[Bundle | Ensemble],
) -> tuple[Features, list[str]]:
    """What the detectors read of the images in the table at `path`, and the kinds of it.

    Args:
        path: a feature table, which says what is evaluated.
        more: tables of the same images by further encoders, for ensembles.
        perturbation: which one, where a table holds several, see `FeatureTable.one_perturbation`.
        candidates: detectors that are fitted, on the first table.
        bundles: detectors that are scored.

    Raises:
        UsageError: a member of an ensemble has no table, or an image is not in all of them.
    """
    from morelli.features import FeatureTable

    single = [one for one in bundles if not isinstance(one, Ensemble)]
    ensembles = [one for one in bundles if isinstance(one, Ensemble)]
    members = [member for one in ensembles for member in one.members]
    own = {k for c in candidates for k in c.kinds} | {k for b in single for k in b.kinds}
    tables = []
    for place in (path, *more):
        build = FeatureTable.open(place).build
        read = {kind for one in members if one.build.matches(build) for kind in one.kinds}
        if place == path:
            read |= own
        if not read and place == path:
            raise UsageError(
                f"{path} is of {build.encoder}, and no member of the ensemble reads that encoder: give the "
                "table of one member first, and those of the others with --more"
            )
        if not read:
            raise UsageError(
                f"{place} is of {build.encoder}, which no member of an ensemble reads: leave it out"
            )
        tables.append(load_labelled(place, sorted(read), perturbation))
    features = tables[0]
    wanted = set(own)
    for ensemble in ensembles:
        features = ensemble.join(tables, features)
        wanted |= set(ensemble.kinds)
    return features, sorted(wanted)


def load_labelled(path: Path, kinds: Sequence[str], perturbation: str | None) -> Features:
    """Labelled rows of a table under one perturbation."""
    from morelli.features import FeatureTable

    table = FeatureTable.open(path)
    features = table.load(kinds=kinds, where=table.one_perturbation(perturbation, "label IS NOT NULL"))
    if not len(features):
        raise UsageError(f"{path} has no labelled image; extract with labels, or from a manifest")
    return features
