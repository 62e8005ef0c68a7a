"""Whether a split is clean: what of the test set could have been seen in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from morelli.artefacts import plain_json
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.features import Features

Reason = Literal["same bytes", "perceptual hash", "feature cosine", "lineage", "source"]
BLOCK = 2048


@dataclass(frozen=True)
class LeakPair:
    """A training and a test row that should not both be there.

    `value` is the number of differing hash bits or the cosine; NaN for equal bytes, lineage and source,
    where one pair stands for each shared name and `count` says how many test rows carry it.
    """

    train_row: int
    test_row: int
    reason: Reason
    value: float
    train_uri: str
    test_uri: str
    name: str = ""
    count: int = 1


@dataclass(frozen=True)
class LeakReport:
    """What was looked at and what was found; `pairs` holds at most `max_pairs` of each reason."""

    n_train: int
    n_test: int
    counts: dict[str, int]
    pairs: tuple[LeakPair, ...]
    phash_distance: int
    cosine: float
    kind: str | None

    @property
    def clean(self) -> bool:
        """True when nothing was found for any reason."""
        return not any(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes null."""
        return {**plain_json(self), "clean": self.clean}

    def __str__(self) -> str:
        found = ", ".join(f"{n} by {reason}" for reason, n in self.counts.items() if n)
        sides = f"{self.n_train} training and {self.n_test} test images"
        return f"{sides}: {found or 'no leak found'}"


def leak_report(
    features: Features,
    train_rows: npt.NDArray[Any],
    test_rows: npt.NDArray[Any],
    *,
    phash_distance: int = 4,
    cosine: float = 0.98,
    kind: str | None = None,
    lineage: bool = True,
    source: bool = False,
    max_pairs: int = 1000,
) -> LeakReport:
    """Search every pair of a training and a test image for a leak.

    Args:
        features: all images.
        train_rows: row numbers (or a mask); test_rows the same.
        phash_distance: perceptual hashes at most so many of 64 bits apart are one picture re-encoded;
            hashes of nearly empty images (fewer than 8 bits set or unset) say nothing and are skipped.
        cosine: features at least this similar are one picture re-encoded. With CLIP ViT-B/16's final
            embedding, 0.98 joins about one pair of different pictures in a million and finds a fifth of
            the pictures that were resized and re-saved as JPEG, so it complements the perceptual hash.
        kind: the feature kind to compare; the first one loaded by default.
        lineage: also report fakes whose lineage (else generator) stands on both sides.
        source: also report reals whose source stands on both sides.
        max_pairs: pairs listed for each reason; `counts` are complete.
    """
    sides = []
    for rows in (train_rows, test_rows):
        array = np.asarray(rows)
        sides.append(np.flatnonzero(array) if array.dtype == bool else array.astype(np.int64))
    train, test = sides
    if not len(train) or not len(test):
        raise UsageError("a leak report needs images on both sides of the split")
    kind = kind or next(iter(features.vectors), None)
    search = _Search(features, train, test, max_pairs)
    search.same_bytes()
    search.hashes(phash_distance)
    if kind is not None:
        search.cosines(features.matrix(kind), cosine)
    if lineage:
        names = features.column("lineage")
        names = np.where([n is None for n in names], features.column("generator"), names)
        search.shared("lineage", _only(names, features.labels == 1))
    if source:
        search.shared("source", _only(features.column("source"), features.labels == 0))
    return LeakReport(len(train), len(test), search.counts, tuple(search.pairs), phash_distance, cosine, kind)


def _only(names: npt.NDArray[Any], rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The names (n,) with None outside `rows`."""
    kept = np.full(len(names), None, dtype=object)
    kept[rows] = names[rows]
    return kept


class _Search:
    def __init__(
        self, features: Features, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64], max_pairs: int
    ) -> None:
        self.features, self.train, self.test, self.max_pairs = features, train, test, max_pairs
        self.uris = features.column("uri")
        self.counts: dict[str, int] = {}
        self.pairs: list[LeakPair] = []

    def _found(
        self,
        reason: Reason,
        train: npt.NDArray[np.int64],
        test: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64],
    ) -> None:
        listed = self.max_pairs - min(self.max_pairs, self.counts.get(reason, 0))
        self.counts[reason] = self.counts.get(reason, 0) + len(train)
        for a, b, value in zip(train[:listed], test[:listed], values[:listed], strict=True):
            self.pairs.append(
                LeakPair(int(a), int(b), reason, float(value), str(self.uris[a]), str(self.uris[b]))
            )

    def same_bytes(self) -> None:
        self.counts["same bytes"] = 0
        hashes = self.features.column("sha256")
        rows: dict[Any, list[int]] = {}
        for row in self.train:
            rows.setdefault(hashes[row], []).append(int(row))
        hits = [(a, int(b)) for b in self.test for a in rows.get(hashes[b], ())]
        both = np.array(hits, dtype=np.int64).reshape(-1, 2)
        self._found("same bytes", both[:, 0], both[:, 1], np.full(len(both), np.nan))

    def hashes(self, distance: int) -> None:
        self.counts["perceptual hash"] = 0
        column = self.features.column("phash")
        known = np.array([h is not None for h in column])
        hashes = np.array([int(h) if h is not None else 0 for h in column], dtype=np.uint64)
        bits = np.bitwise_count(hashes)
        known &= (bits >= 8) & (bits <= 56)
        train, test = self.train[known[self.train]], self.test[known[self.test]]
        for start in range(0, len(test), BLOCK):
            part = test[start : start + BLOCK]
            for low in range(0, len(train), BLOCK):
                other = train[low : low + BLOCK]
                apart = np.bitwise_count(hashes[other][:, None] ^ hashes[part][None])
                a, b = np.nonzero(apart <= distance)
                self._found("perceptual hash", other[a], part[b], apart[a, b].astype(np.float64))

    def cosines(self, vectors: npt.NDArray[Any], least: float) -> None:
        self.counts["feature cosine"] = 0
        norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
        unit = (vectors / norms).astype(np.float32)
        for start in range(0, len(self.test), BLOCK):
            part = self.test[start : start + BLOCK]
            for low in range(0, len(self.train), BLOCK):
                other = self.train[low : low + BLOCK]
                similar = unit[other] @ unit[part].T
                a, b = np.nonzero(similar >= least)
                self._found("feature cosine", other[a], part[b], similar[a, b].astype(np.float64))

    def shared(self, reason: Reason, names: npt.NDArray[Any]) -> None:
        self.counts[reason] = 0
        first = {}
        for row in self.train[::-1]:
            first[names[row]] = int(row)
        seen: dict[Any, list[int]] = {}
        for row in self.test:
            if names[row] is not None and names[row] in first:
                seen.setdefault(names[row], []).append(int(row))
        for name, rows in seen.items():
            self.counts[reason] += len(rows)
            a, b = first[name], rows[0]
            uris = str(self.uris[a]), str(self.uris[b])
            self.pairs.append(LeakPair(a, b, reason, float("nan"), *uris, str(name), len(rows)))
