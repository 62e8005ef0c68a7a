"""How images are divided into training and test: each protocol as a list of splits.

A split is right when nothing on its test side could have been seen in training: no image twice, no
near-duplicate, no lineage, and no real source on both sides. The builders here work on the groups of
`Features.groups()` and drop training rows that would break this; `leak_report` proves the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from morelli.errors import UsageError
from morelli.evaluation._arrays import AnyArray, BoolArray, IntArray

if TYPE_CHECKING:
    from morelli.features import Features, RealGroups


def _no_rows() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of one training and one test set.

    held_in: rows that neither train nor test; thresholds are tuned on them. block: splits of one block
    differ in a few training rows only, so what their training sets share may be computed once.
    """

    fold: str
    train: IntArray
    test: IntArray
    held_in: IntArray = field(default_factory=_no_rows)
    block: str = ""


def image_groups(features: Features) -> AnyArray:
    """Group (n,) of each image with its exact and near-duplicates alone, lineage and source aside."""
    import pyarrow as pa

    meta = features.meta
    for name in ("generator", "lineage", "source"):
        index = meta.column_names.index(name)
        meta = meta.set_column(index, name, pa.nulls(meta.num_rows, pa.string()))
    return replace(features, vectors={}, meta=meta).groups()


def _codes(names: AnyArray) -> IntArray:
    return np.unique(np.asarray(names).astype(str), return_inverse=True)[1].astype(np.int64)


def _both_classes(features: Features) -> tuple[BoolArray, BoolArray]:
    labels = features.labels
    real, fake = labels == 0, labels == 1
    if not real.any() or not fake.any():
        raise UsageError(
            f"a protocol needs real and generated images; there are {real.sum()} and {fake.sum()}"
        )
    return real, fake


def balanced_folds(groups: IntArray, rows: BoolArray, n_folds: int, seed: int) -> IntArray:
    """Fold (n,) of each row in `rows`, −1 elsewhere: whole groups, largest first into the emptiest fold."""
    result = np.full(len(groups), -1, dtype=np.int64)
    names, sizes = np.unique(groups[rows], return_counts=True)
    rng = np.random.default_rng(seed)
    # Shuffled before the stable sort, so that equally large groups fall by the seed and not by name.
    shuffled = rng.permutation(len(names))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    filled = np.zeros(n_folds)
    for index in order:
        fold = int(np.argmin(filled))
        filled[fold] += sizes[index]
        result[rows & (groups == names[index])] = fold
    return result


def _purged(split: Split, groups: IntArray) -> Split:
    """The split without the training and held-in rows whose group also stands in the test set."""
    tested = np.unique(groups[split.test])
    train = split.train[~np.isin(groups[split.train], tested)]
    held_in = split.held_in[~np.isin(groups[split.held_in], tested)]
    return replace(split, train=train, held_in=held_in)


def _usable(splits: Sequence[Split], labels: AnyArray, protocol: str) -> list[Split]:
    """The splits that have both classes to train on and anything to test; none left is an error."""
    kept = [s for s in splits if len(s.test) and len(np.unique(labels[s.train])) == 2]
    if not kept:
        raise UsageError(
            f"{protocol}: no split has both classes to train on; more lineages or real sources are needed, "
            "or real images grouped one by one (real_groups='image')"
        )
    return kept


def lineage_splits(
    features: Features, *, real_groups: RealGroups = "source", real_folds: int = 8, seed: int = 0
) -> list[Split]:
    """Leave one lineage out, and one fold of real sources with it.

    Real sources are packed into at most `real_folds` folds and every lineage is paired with one of
    them; a lineage's model sees neither the lineage nor its paired sources, and tests the lineage and
    a share of those sources' images. So each image is scored exactly once, by a model that knows
    neither its lineage nor its source.
    """
    real, fake = _both_classes(features)
    names = features.groups(real_groups=real_groups)
    groups = _codes(names)
    fake_groups = np.unique(groups[fake])
    if len(fake_groups) < 2:
        raise UsageError("leave-one-lineage-out needs at least two lineages (or generators)")
    # A group that holds both classes (a real image and its near-duplicate) goes with the fakes.
    lone_real = real & ~np.isin(groups, fake_groups)
    n_real = len(np.unique(groups[lone_real]))
    if n_real < 2:
        raise UsageError(
            "leave-one-lineage-out also holds real sources out and needs two of them; "
            "group real images one by one with real_groups='image'"
        )
    n_folds = min(real_folds, n_real, len(fake_groups))
    real_fold = balanced_folds(groups, lone_real, n_folds, seed)
    partner = balanced_folds(groups, np.isin(groups, fake_groups), n_folds, seed + 1)
    rng = np.random.default_rng(seed)
    splits = []
    for r in range(n_folds):
        members = [g for g in fake_groups if partner[groups == g][0] == r]
        reals = rng.permutation(np.flatnonzero(real_fold == r))
        for place, group in enumerate(members):
            own = np.flatnonzero(groups == group)
            test = np.concatenate([own, np.sort(reals[place :: len(members)])])
            train = np.flatnonzero((groups != group) & (real_fold != r))
            splits.append(Split(str(names[own[0]]).removeprefix("fake/"), train, test, block=str(r)))
    return _usable(splits, features.labels, "leave-one-lineage-out")


def source_splits(features: Features, *, seed: int = 0) -> list[Split]:
    """Leave one real source out, and with it a share of the lineages; folds are named by source."""
    real, fake = _both_classes(features)
    names = features.groups(real_groups="source")
    groups = _codes(names)
    fake_groups = np.unique(groups[fake])
    lone_real = real & ~np.isin(groups, fake_groups)
    sources = np.unique(groups[lone_real])
    if len(sources) < 2:
        raise UsageError("the protocol by real source needs the column `source` with two sources or more")
    partner = balanced_folds(groups, np.isin(groups, fake_groups), len(sources), seed)
    splits = []
    for fold, source in enumerate(sources):
        tested = (groups == source) | (partner == fold)
        name = str(names[np.flatnonzero(groups == source)[0]]).removeprefix("real/")
        splits.append(Split(name, np.flatnonzero(~tested), np.flatnonzero(tested)))
    return _usable(splits, features.labels, "by real source")


def _halves(features: Features, groups: IntArray, rows: BoolArray, seed: int) -> IntArray:
    """Half (0 or 1, −1 outside `rows`) of each row: by group, by image where there is one group only."""
    if len(np.unique(groups[rows])) < 2:
        groups = _codes(image_groups(features))
    return balanced_folds(groups, rows, 2, seed)


def _trained_on(
    features: Features,
    parts: Sequence[tuple[str, BoolArray, BoolArray]],
    real_groups: RealGroups,
    seed: int,
) -> list[Split]:
    """Splits of (fold, training fakes, test fakes): reals in two halves, each half tested by the other.

    Test fakes are halved too, so each image is scored once in a fold.
    """
    real, fake = _both_classes(features)
    groups = _codes(features.groups(real_groups=real_groups))
    real_half = _halves(features, groups, real, seed)
    fake_half = _halves(features, groups, fake, seed + 1)
    splits = []
    for fold, train_fakes, test_fakes in parts:
        # A fold whose test fakes are one group cannot be halved by group, and need not be.
        half = fake_half if len(np.unique(groups[test_fakes])) > 1 else np.where(fake, 0, -1)
        for h in range(2):
            test = (test_fakes & (half == h)) | (real_half == h)
            train = train_fakes | (real_half == 1 - h)
            split = Split(fold, np.flatnonzero(train & ~test), np.flatnonzero(test))
            splits.append(_purged(split, groups))
    return splits


def family_splits(
    features: Features, *, column: str = "family", real_groups: RealGroups = "source", seed: int = 0
) -> list[Split]:
    """Leave one family of generators out: fit on all others, test on it (GAN, diffusion, …)."""
    _, fake = _both_classes(features)
    values = features.column(column)
    families = sorted({str(v) for v in values[fake] if v is not None})
    if len(families) < 2:
        raise UsageError(f"leave-one-family-out needs two families in column {column!r}, found {families}")
    parts = [(f"without {f}", fake & (values != f), fake & (values == f)) for f in families]
    splits = _trained_on(features, parts, real_groups, seed)
    return _usable(splits, features.labels, "leave-one-family-out")


def era_splits(
    features: Features, *, column: str = "era", real_groups: RealGroups = "source", seed: int = 0
) -> list[Split]:
    """Fit on the generators of past eras, test on the next: folds ``past → next`` in sorted order."""
    _, fake = _both_classes(features)
    values = features.column(column)
    eras = sorted({str(v) for v in values[fake] if v is not None})
    if len(eras) < 2:
        raise UsageError(f"the protocol by era needs two eras in column {column!r}, found {eras}")
    parts = []
    for now, later in pairwise(eras):
        past = np.array([v is not None and str(v) <= now for v in values])
        parts.append((f"to {now} → {later}", fake & past, fake & (values == later)))
    return _usable(_trained_on(features, parts, real_groups, seed), features.labels, "by era")


def transfer_splits(
    features: Features,
    *,
    by: str = "lineage",
    least: int = 10,
    real_groups: RealGroups = "source",
    seed: int = 0,
) -> list[Split]:
    """Train on one generator and half of the reals, test on everything else; folds named by generator.

    Everything is divided into two halves: reals by source, each generator's fakes by image with its
    near-duplicates. A model sees one half of its generator and of the reals and is tested on the other
    half of every generator, its own included (the matrix's diagonal), so all cells rest on training
    sets of one size and every image is scored once in a row of the matrix. Images of another generator
    that share a lineage or a near-duplicate with the trained one are left out of its row. Generators
    with fewer than `least` images are neither trained on nor tested.
    """
    real, fake = _both_classes(features)
    values = features.column(by)
    if by == "lineage":
        values = np.where([v is None for v in values], features.column("generator"), values)
    strict = _codes(features.groups(real_groups=real_groups))
    near = _codes(image_groups(features))
    names, counts = np.unique([str(v) for v in values[fake] if v is not None], return_counts=True)
    names = names[counts >= least]
    if len(names) < 2:
        raise UsageError(
            f"the transfer matrix needs two generators of {least} images or more; lower `least` (--least)"
        )
    keys = np.array([str(v) for v in values])
    half = np.where(real, _halves(features, strict, real, seed), -1)
    member = {}
    for place, name in enumerate(names):
        member[name] = fake & (keys == name)
        own = balanced_folds(near, member[name], 2, seed + 1 + place)
        half = np.where(member[name], own, half)
    tested = np.isin(keys, names) & fake
    splits = []
    for name in names:
        related = np.isin(strict, np.unique(strict[member[name]])) & ~member[name] & fake
        for h in range(2):
            train = (member[name] | real) & (half == 1 - h)
            test = ((tested & ~related) | real) & (half == h)
            split = Split(str(name), np.flatnonzero(train), np.flatnonzero(test))
            splits.append(_purged(split, near))
    return _usable(splits, features.labels, "transfer matrix")
