"""What a classifier reaches that never sees a pixel: the metadata-only baseline.

Generated images in public collections are mostly square PNG files and real ones JPEG photographs, so a
detector can score well by learning the file format (Grommelt et al., "Fake or JPEG?", arXiv 2403.17608).
The baseline's AUC belongs beside every detector's: what a detector shows above it is what it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.errors import UsageError
from morelli.metrics import within_fold_auc
from morelli.metrics.resampling import bootstrap_counts, percentile_interval

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.features import Features

CATEGORICAL = (
    "format",
    "mode",
    "subsampling",
    "quantisation",
    "progressive",
    "has_exif",
    "has_icc",
    "has_alpha",
    "animated",
)
MAX_LEVELS = 32
TREES = 120
ROWS_FOR_TWO = 2_000  # rows below which a second thread costs more in waiting than it brings
TREE_ROWS = 5_000  # rows each tree sees at most: the cost of a forest stays flat above this size


@dataclass(frozen=True)
class MetadataBaseline:
    """Out-of-fold separation of real and generated images by file facts alone.

    `auc` and the ends of `interval` (90 %, bootstrap over groups) lie in 0–1; 0.5 is chance. `importances`
    gives, for each fact, the loss in AUC when its values are shuffled among the held-out images.
    `n` images in `groups` groups were scored; `note` says what had to be assumed, if anything.
    """

    auc: float
    interval: tuple[float, float]
    importances: dict[str, float]
    n: int
    groups: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The baseline as plain JSON values."""
        return {
            "auc": self.auc,
            "interval": [end if np.isfinite(end) else None for end in self.interval],
            "importances": self.importances,
            "n": self.n,
            "groups": self.groups,
            "note": self.note,
        }


def metadata_only_auc(
    table: pa.Table | Features,
    groups: npt.ArrayLike | None = None,
    *,
    labels: npt.ArrayLike | None = None,
    include_bytes: bool = False,
    folds: int = 5,
    rounds: int = 500,
    level: float = 0.9,
    seed: int = 0,
) -> MetadataBaseline:
    """Score every image by a forest on file facts that was fitted without the image's group.

    Args:
        table: a table or features with any of the columns `width`, `height`, `format`, `mode`,
            `jpeg_quality`, `subsampling`, `quantisation`, `progressive`, `has_exif`, `has_icc`,
            `has_alpha`, `animated`, `bytes`; the others are ignored.
        groups: (n,) what must be kept on one side of a split; each image on its own if None.
        labels: (n,) 0 real, 1 generated; the column `label` if None.
        include_bytes: also use bytes per pixel. Off by default: it follows the content (smooth pictures
            compress well), so it is a property of the image as much as of its delivery.
        folds: number of folds.
        rounds: bootstrap rounds of the interval.
        level: coverage of the interval.
        seed: of folds, forest and bootstrap.

    AUC counts only pairs inside one fold, since scores of two fitted forests have no common scale; facts that
    say nothing therefore give exactly 0.5.

    Raises UsageError when a class is missing or no usable column is there.
    """
    meta: Any = table.meta if hasattr(table, "meta") else table
    y = np.asarray(meta.column("label").to_numpy(zero_copy_only=False) if labels is None else labels)
    if y.dtype.kind not in "iub" or set(np.unique(y)) != {0, 1}:
        raise UsageError("The metadata-only baseline needs images of both classes, all labelled 0 or 1.")
    y = y.astype(np.int8)
    X, origin = fact_matrix(meta, include_bytes=include_bytes)
    names = np.arange(len(y)).astype(str) if groups is None else np.asarray(groups).astype(str)
    group_ids, note = _usable_groups(y, names)
    fold_of = _folds(y, group_ids, folds, seed)
    columns = sorted(set(origin))
    parts = {column: [index for index, name in enumerate(origin) if name == column] for column in columns}
    rng = np.random.default_rng(seed)
    varies = bool(np.ptp(X, axis=0).any())
    scores, shuffled = np.zeros(len(y)), {column: np.zeros(len(y)) for column in columns}
    for fold in np.unique(fold_of) if varies else ():
        train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        forest = _forest(len(train), seed).fit(X[train], y[train])
        # One call for the plain rows and all shuffled copies: a forest's calls cost more than its rows.
        stack, used = (
            [X[test]],
            [column for column in columns if np.ptp(X[test][:, parts[column]], axis=0).any()],
        )
        for column in used:
            permuted = X[test].copy()
            permuted[:, parts[column]] = permuted[rng.permutation(len(test))][:, parts[column]]
            stack.append(permuted)
        found = forest.predict_proba(np.concatenate(stack))[:, 1].reshape(len(stack), len(test))
        scores[test] = found[0]
        for column in columns:
            shuffled[column][test] = found[1 + used.index(column) if column in used else 0]
    auc = float(within_fold_auc(y, scores, fold_of))
    drops = {column: auc - float(within_fold_auc(y, shuffled[column], fold_of)) for column in columns}
    draws = _clustered_draws(y, scores, fold_of, group_ids, rounds=rounds, rng=rng)
    low, high = percentile_interval(draws, (1 - level) / 2).tolist()
    ranked = dict(sorted(drops.items(), key=lambda entry: -entry[1]))
    return MetadataBaseline(auc, (low, high), ranked, len(y), len(np.unique(group_ids)), note)


def fact_matrix(
    meta: pa.Table, *, include_bytes: bool = False
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """File facts as numbers: (n, p) and the fact that each of the p columns stems from.

    Unknown numbers become −1; a categorical fact becomes one column for each of its frequent values.
    """
    present = set(meta.column_names)
    columns: list[npt.NDArray[np.float32]] = []
    origin: list[str] = []

    def add(name: str, values: npt.ArrayLike) -> None:
        columns.append(np.nan_to_num(np.asarray(values, np.float32), nan=-1.0))
        origin.append(name)

    if {"width", "height"} <= present:
        width, height = (_numbers(meta, name) for name in ("width", "height"))
        add("size", np.minimum(width, height))
        add("size", np.maximum(width, height))
        add("shape", width / np.maximum(height, 1))
        add("shape", np.maximum(width, height) / np.maximum(np.minimum(width, height), 1))
        add("size", ((width % 64 == 0) & (height % 64 == 0)).astype(np.float32))
        if include_bytes and "bytes" in present:
            add("bytes_per_pixel", _numbers(meta, "bytes") / np.maximum(width * height, 1))
    if "jpeg_quality" in present:
        add("jpeg_quality", _numbers(meta, "jpeg_quality"))
    for name in CATEGORICAL:
        if name in present:
            values = np.asarray([str(value) for value in meta.column(name).to_pylist()])
            levels, counts = np.unique(values, return_counts=True)
            for value in levels[np.argsort(-counts, kind="stable")][:MAX_LEVELS]:
                add(name, values == value)
    if not columns:
        raise UsageError(
            "No file facts in this table: it needs at least width and height, or format. "
            "Features brought from elsewhere have none; run the audit on the images themselves."
        )
    return np.column_stack(columns), tuple(origin)


def _numbers(meta: pa.Table, name: str) -> npt.NDArray[np.float32]:
    return np.asarray(
        [np.nan if value is None else value for value in meta.column(name).to_pylist()], np.float32
    )


def _usable_groups(y: npt.NDArray[np.int8], names: npt.NDArray[np.str_]) -> tuple[npt.NDArray[np.int64], str]:
    """Group numbers such that each class has at least two groups; a class of one group splits by image."""
    notes = []
    keys: npt.NDArray[np.object_] = names.astype(object)
    for value, word in ((0, "real"), (1, "generated")):
        own = np.flatnonzero(y == value)
        if len(np.unique(names[own])) < 2 <= len(own):
            keys[own] = [f"{names[row]}\x00{row}" for row in own]
            notes.append(f"all {word} images form one group, so they were split image by image")
    return np.unique(keys.astype(str), return_inverse=True)[1].astype(np.int64), "; ".join(notes)


def _folds(
    y: npt.NDArray[np.int8], group_ids: npt.NDArray[np.int64], folds: int, seed: int
) -> npt.NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold

    smallest = min(len(np.unique(group_ids[y == value])) for value in (0, 1))
    if smallest < 2:
        raise UsageError("The metadata-only baseline needs at least two images of each class.")
    splitter = StratifiedGroupKFold(min(folds, smallest), shuffle=True, random_state=seed)
    fold_of = np.zeros(len(y), np.int64)
    for fold, (_, test) in enumerate(splitter.split(y, y, group_ids)):
        fold_of[test] = fold
    return fold_of


def _forest(n: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        TREES,
        class_weight="balanced",
        min_samples_leaf=max(1, min(5, n // 20)),
        max_samples=min(n, TREE_ROWS),
        random_state=seed,
        n_jobs=1 if n < ROWS_FOR_TWO else 2,
    )


def _clustered_draws(
    y: npt.NDArray[np.int8],
    scores: npt.NDArray[np.float64],
    fold_of: npt.NDArray[np.int64],
    group_ids: npt.NDArray[np.int64],
    *,
    rounds: int,
    rng: np.random.Generator,
    block: int = 25,
) -> npt.NDArray[np.float64]:
    """AUC of `rounds` resamplings of whole groups, drawn apart for groups with and without fakes."""
    has_fake = np.bincount(group_ids, weights=y) > 0
    strata: Sequence[npt.NDArray[np.int64]] = [np.flatnonzero(has_fake), np.flatnonzero(~has_fake)]
    draws = []
    for start in range(0, rounds, block):
        counts = np.zeros((min(block, rounds - start), len(has_fake)))
        for members in strata:
            if len(members):
                counts[:, members] = bootstrap_counts(len(members), len(counts), rng)
        draws.append(within_fold_auc(y, scores, fold_of, counts[:, group_ids]))
    found = np.concatenate(draws)
    found = found[np.isfinite(found)]
    return found if len(found) else np.full(1, np.nan)
