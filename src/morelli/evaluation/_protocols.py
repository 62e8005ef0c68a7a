"""The protocols: from features and detectors to a predictions table.

Every protocol divides the images (`_splits`), fits each candidate on each training set, and writes one
row for each tested image. What a number means is fixed by the protocol's name in the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.errors import UsageError
from morelli.evaluation import _splits
from morelli.evaluation._arrays import AnyArray
from morelli.evaluation._predictions import SCHEMA, Predictions
from morelli.evaluation._refits import Candidate, bundle_hash, score_splits
from morelli.evaluation._splits import Split
from morelli.evaluation.protocols import ERA, FAMILY, FIXED, LINEAGE, SHORT, SOURCE, TRANSFER

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.features import Features, RealGroups


def run_splits(
    protocol: str,
    features: Features,
    splits: Sequence[Split],
    candidates: Sequence[Candidate],
    *,
    real_groups: RealGroups = "source",
    perturbation: str | None = None,
) -> Predictions:
    """Fit and score every candidate on every split: the rows of one protocol."""
    if not candidates:
        raise UsageError("no detector to evaluate; name at least one")
    names = [c.name for c in candidates]
    if len(set(names)) != len(names):
        raise UsageError(f"two detectors share a name in {names}; names tell them apart in the table")
    groups = features.groups(real_groups=real_groups)
    images = _splits.image_groups(features)
    rows = np.concatenate([np.concatenate([s.test, s.held_in]) for s in splits])
    fold = np.concatenate([[s.fold] * (len(s.test) + len(s.held_in)) for s in splits])
    part = np.concatenate([["test"] * len(s.test) + ["held_in"] * len(s.held_in) for s in splits])
    known = _known_columns(features, groups, perturbation).take(rows)
    columns = {name: known.column(name) for name in known.column_names}
    parts = []
    for candidate in candidates:
        scores = score_splits(candidate, features, splits, groups, images)
        parts.append(
            Predictions.from_columns(
                **columns,
                protocol=protocol,
                fold=fold.astype(object),
                part=part.astype(object),
                detector=candidate.name,
                bundle=bundle_hash(candidate.detector) if candidate.fixed else None,
                logit=np.concatenate([s.logits for s in scores]),
                probability=np.concatenate([s.probabilities for s in scores]),
                verdict=np.concatenate([s.verdicts for s in scores]),
            )
        )
    return Predictions.concat(parts, run={})


def _known_columns(features: Features, groups: AnyArray, perturbation: str | None) -> pa.Table:
    """What the features' metadata know of each row, under the predictions table's names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    own = ("sha256", "uri", "generator", "lineage", "source", "era", "format", "width", "height", "bytes")
    columns: dict[str, Any] = {"label": pa.array(features.labels)}
    for name in own:
        try:
            values = features.column(name)
        except UsageError:
            continue
        kind = SCHEMA.field(name).type
        if pa.types.is_dictionary(kind):
            columns[name] = pc.dictionary_encode(
                pa.array([None if v is None else str(v) for v in values], pa.string())
            )
        else:
            columns[name] = pa.array(values, type=kind, from_pandas=True)
    columns["group"] = pc.dictionary_encode(pa.array([str(g) for g in groups]))
    if perturbation is None and "perturbation" in features.meta.column_names:
        columns["perturbation"] = pc.dictionary_encode(features.meta.column("perturbation").cast(pa.string()))
    else:
        columns["perturbation"] = pc.dictionary_encode(pa.array([perturbation or ""] * len(features)))
    return pa.table(columns)


def leave_one_lineage_out(
    features: Features,
    candidates: Sequence[Candidate],
    *,
    real_groups: RealGroups = "source",
    seed: int = 0,
) -> Predictions:
    """Each image scored once by a model that knows neither its lineage nor its real source."""
    splits = _splits.lineage_splits(features, real_groups=real_groups, seed=seed)
    return run_splits(LINEAGE, features, splits, candidates, real_groups=real_groups)


def leave_one_family_out(
    features: Features,
    candidates: Sequence[Candidate],
    *,
    column: str = "family",
    real_groups: RealGroups = "source",
    seed: int = 0,
) -> Predictions:
    """Fit without one family of generators (GAN, diffusion, …), test on it; one fold per family.

    For one family to one other, use `transfer_matrix(..., by="family")`.
    """
    splits = _splits.family_splits(features, column=column, real_groups=real_groups, seed=seed)
    return run_splits(FAMILY, features, splits, candidates, real_groups=real_groups)


def by_era(
    features: Features,
    candidates: Sequence[Candidate],
    *,
    column: str = "era",
    real_groups: RealGroups = "source",
    seed: int = 0,
) -> Predictions:
    """Fit on all generators up to one era, test on the next era's; one fold per step."""
    splits = _splits.era_splits(features, column=column, real_groups=real_groups, seed=seed)
    return run_splits(ERA, features, splits, candidates, real_groups=real_groups)


def by_real_source(features: Features, candidates: Sequence[Candidate], *, seed: int = 0) -> Predictions:
    """Each real source scored by a model that never saw it; one fold per source."""
    return run_splits(SOURCE, features, _splits.source_splits(features, seed=seed), candidates)


def transfer_matrix(
    features: Features,
    candidates: Sequence[Candidate],
    *,
    by: str = "lineage",
    least: int = 10,
    real_groups: RealGroups = "source",
    seed: int = 0,
) -> Predictions:
    """Train on one generator, test on all; the fold is the trained generator (column `by`).

    In the table, `generator` holds the test generator under the same naming as the folds, so a cell of
    the matrix is (fold, generator).
    """
    splits = _splits.transfer_splits(features, by=by, least=least, real_groups=real_groups, seed=seed)
    predictions = run_splits(TRANSFER, features, splits, candidates, real_groups=real_groups)
    if by == "generator":
        return predictions
    values = features.column(by)
    if by == "lineage":
        values = np.where([v is None for v in values], features.column("generator"), values)
    rows = np.concatenate([s.test for s in splits])
    names = np.tile(values[rows], len(candidates))
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.dictionary_encode(pa.array([None if v is None else str(v) for v in names], pa.string()))
    index = predictions.table.column_names.index("generator")
    return Predictions(predictions.table.set_column(index, SCHEMA.field("generator"), column), {})


def score_fixed(
    features: Features, candidates: Sequence[Candidate], *, real_groups: RealGroups = "source"
) -> Predictions:
    """Score finished bundles on all images, without fitting anything.

    Raises UsageError for a candidate that is not fitted. Whether a bundle was trained on these images is
    for the caller to check; its figures mean little where it was.
    """
    loose = [c.name for c in candidates if not c.fixed]
    if loose:
        raise UsageError(f"{loose} would have to be fitted first; choose a protocol that fits, or bundles")
    nothing = np.empty(0, dtype=np.int64)
    splits = [Split("", nothing, np.arange(len(features)))]
    return run_splits(FIXED, features, splits, candidates, real_groups=real_groups)


_BY_NAME: Mapping[str, Callable[..., Predictions]] = {
    LINEAGE: leave_one_lineage_out,
    FAMILY: leave_one_family_out,
    ERA: by_era,
    SOURCE: by_real_source,
    TRANSFER: transfer_matrix,
    FIXED: score_fixed,
}


def evaluate(
    features: Features,
    candidates: Sequence[Candidate],
    protocols: Sequence[str] = (LINEAGE, TRANSFER),
    *,
    real_groups: RealGroups = "source",
    seed: int = 0,
    least: int = 10,
) -> Predictions:
    """Run several protocols and join their rows, with a record of everything the numbers depend on.

    Args:
        features: labelled, with the kinds that the candidates read.
        candidates: the detectors.
        protocols: ``leave-one-lineage-out`` or ``lineage``, ``leave-one-family-out`` or ``family``,
            ``by-era`` or ``era``, ``by-real-source`` or ``source``, ``transfer``, or ``fixed`` for bundles as
            they are.
        real_groups: keep real images together by their source, or not at all.
        seed: of splits and detectors.
        least: fewest images of a generator in the transfer matrix.

    Two calls with equal arguments write equal bytes.

    Raises:
        UsageError: an unknown protocol, no candidate, or images that a protocol cannot divide.
    """
    protocols = [SHORT.get(name, name) for name in protocols]
    unknown = sorted(set(protocols) - set(_BY_NAME))
    if unknown:
        raise UsageError(f"unknown protocols {unknown}; choose from {list(_BY_NAME)}")
    from morelli._version import __version__

    parts = []
    for name in protocols:
        options: dict[str, Any] = {} if name in (SOURCE,) else {"real_groups": real_groups}
        if name != FIXED:
            options["seed"] = seed
        if name == TRANSFER:
            options["least"] = least
        parts.append(_BY_NAME[name](features, candidates, **options))
    kinds = sorted({k for c in candidates for k in (c.detector.kinds if c.fixed else c.kinds)})
    run = {
        "morelli": __version__,
        "protocols": list(protocols),
        "real_groups": real_groups,
        "seed": seed,
        "least": least,
        "build": features.build.to_json(),
        "features": features_digest(features, kinds),
        "candidates": {c.name: c.describe() for c in candidates},
    }
    return Predictions.concat(parts, run=run)


def evaluate_possible(
    features: Features, candidates: Sequence[Candidate], protocols: Sequence[str], **options: Any
) -> tuple[list[Predictions], dict[str, str]]:
    """The rows of each protocol that these images allow, and of each of the others the reason why not.

    options: of `evaluate`.
    """
    done, refused = [], {}
    for name in protocols:
        try:
            done.append(evaluate(features, candidates, [name], **options))
        except UsageError as error:
            refused[name] = str(error)
    return done, refused


def features_digest(features: Features, kinds: Sequence[str]) -> str:
    """SHA-256 (hex) over the images' hashes and labels and the vectors of `kinds`: what was evaluated."""
    digest = hashlib.sha256()
    for name in ("sha256", "label", "perturbation"):
        digest.update("\n".join(map(str, features.column(name))).encode())
    for kind in kinds:
        digest.update(kind.encode())
        digest.update(np.ascontiguousarray(features.vectors[kind], dtype="<f4").tobytes())
    return digest.hexdigest()
