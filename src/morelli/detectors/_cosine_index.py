"""Cosine search over one set of vectors: candidates are found in float32, float64 ranks them.

Exact searches find them by blocks of a matrix product, approximate ones by faiss, an extra.
"""

from __future__ import annotations

import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli import extras
from morelli.errors import UsageError

IndexKind = Literal["exact", "hnsw", "ivf"]

# Equal cosines may differ in the last bits by the order of summation; ranks ignore what is smaller.
_DECIMALS = 13
_SPARE = 2
_BLOCK = 2**22
"""Products at a time of an exact search: 16 bytes each, however many queries there are."""
_ROWS = 512
"""Vectors that are brought to float64 at once. What that takes is freed, but stays with the process."""
_WIDTH = 256
"""Products in a block, of which the largest is found first."""
_SPARSE = 4
"""Blocks for each neighbour that is looked for, from which on the largest of blocks are few of all."""


def check_index(kind: str) -> None:
    """Raise unless `kind` is an index that can be built here.

    Raises:
        UsageError: an unknown kind, or faiss is not installed and the kind needs it.
    """
    if kind not in ("exact", "hnsw", "ivf"):
        raise UsageError(f"index is {kind!r}; choose 'exact', 'hnsw' or 'ivf'")
    if kind != "exact" and not extras.installed("faiss"):
        raise UsageError(extras.missing(f"The index {kind!r} needs faiss ('exact' does not)", "faiss"))


class CosineIndex:
    """Nearest vectors by cosine; equal ones in the order they were added.

    Args:
        X: (m, d) vectors of any length (a zero vector has cosine 0 with everything).
        kind: ``exact``, ``hnsw`` or ``ivf``.
        ef_search: candidates that HNSW keeps while it walks, default 64.
        n_probe: lists that IVF visits, default a sixteenth of them, at least 8.
    """

    def __init__(
        self,
        X: NDArray[Any],
        kind: IndexKind = "exact",
        *,
        ef_search: int | None = None,
        n_probe: int | None = None,
    ) -> None:
        check_index(kind)
        self.kind = kind
        self._ef_search = ef_search or 64
        self._n_probe = n_probe
        self._X = np.ascontiguousarray(X)
        # Rounding of a float32 inner product of unit vectors: sums run in eight lanes or more, so the error
        # stays under about (d / 8) * 2^-24; four times that, and something for the normalisation.
        self._slack = float((8 + X.shape[1] / 8) * 2.0**-22)
        self._lengths = _lengths(self._X)
        self._finder: Any = None
        self._keys = np.arange(0)
        self._next_key = 0
        self._tombstones = np.empty(0, dtype=np.int64)
        self._lists = 0
        self._build()

    def __len__(self) -> int:
        return len(self._X)

    def add(self, X: NDArray[Any]) -> None:
        """Add vectors (m, d) at the end."""
        start = len(self._X)
        self._X = np.concatenate([self._X, X.astype(self._X.dtype)])
        self._lengths = np.concatenate([self._lengths, _lengths(X)])
        keys = np.arange(self._next_key, self._next_key + len(X))
        self._keys = np.concatenate([self._keys, keys])
        self._next_key += len(X)
        if len(X):
            self._insert(_unit(self._X[start:], self._lengths[start:]), keys)

    def remove(self, gone: NDArray[np.bool_]) -> None:
        """Drop the vectors marked in `gone` (m,)."""
        if not gone.any():
            return
        dropped = self._keys[gone]
        self._X, self._lengths, self._keys = self._X[~gone], self._lengths[~gone], self._keys[~gone]
        if self.kind == "ivf":
            self._finder.remove_ids(dropped)
        elif self.kind == "hnsw" and (self._tombstones.size + dropped.size) * 4 < self._next_key:
            self._tombstones = np.concatenate([self._tombstones, dropped])
        else:
            self._build()

    def search(self, X: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions (n, k) and float64 cosines (n, k) of the nearest; -1 and -inf where there are fewer."""
        n, m = len(X), len(self._X)
        where = np.full((n, k), -1, dtype=np.int64)
        cosine = np.full((n, k), -np.inf)
        lengths = _lengths(X)
        unit = _unit(X, lengths)
        pending = np.arange(n)
        reach = min(m, k + _SPARE)
        while pending.size and m:
            candidates, rough = self._candidates(unit[pending], reach)
            exact = self._exact(X[pending], lengths[pending], candidates)
            order = np.lexsort((candidates, -np.round(exact, _DECIMALS)), axis=1)[:, :k]
            width = order.shape[1]
            where[pending, :width] = np.take_along_axis(candidates, order, axis=1)
            cosine[pending, :width] = np.take_along_axis(exact, order, axis=1)
            if self.kind != "exact" or reach == m:
                break
            # A vector that float32 ranked just beyond the reach may still belong among the k.
            unsure = rough[:, -1] + self._slack >= cosine[pending, width - 1]
            pending = pending[unsure]
            reach = min(m, reach * 8)
        return np.where(np.isfinite(cosine), where, -1), cosine

    def _exact(
        self, X: NDArray[Any], lengths: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Float64 cosines (n, c) with the candidates, summed row by row: equal rows, equal bits."""
        result = np.empty(candidates.shape)
        block = max(1, 2**21 // max(1, candidates.shape[1] * X.shape[1]))

        def fill(start: int) -> None:
            rows = slice(start, start + block)
            members = self._X[candidates[rows]].astype(np.float64)
            dots = np.einsum("qd,qcd->qc", X[rows].astype(np.float64), members)
            size = lengths[rows, None] * self._lengths[candidates[rows]]
            result[rows] = np.divide(dots, size, out=np.zeros_like(dots), where=size > 0)

        starts = range(0, len(X), block)
        if len(starts) > 1:
            # Gathering and summing release the interpreter's lock, and no row depends on another.
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                list(pool.map(fill, starts))
        else:
            fill(0)
        result[candidates < 0] = -np.inf
        return result

    def _candidates(
        self, unit: NDArray[np.float32], reach: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if self.kind == "exact":
            rough, found = self._finder.search(unit, reach)
            return found, rough
        faiss = _faiss_module()

        if self.kind == "ivf":
            n_lists = self._lists
            probes = min(n_lists, self._n_probe or max(8, n_lists // 16))
            rough, keys = self._finder.search(unit, reach, params=faiss.SearchParametersIVF(nprobe=probes))
        else:
            effort = max(self._ef_search, reach)
            if self._tombstones.size:
                dead = faiss.IDSelectorBatch(self._tombstones)
                params = faiss.SearchParametersHNSW(efSearch=effort, sel=faiss.IDSelectorNot(dead))
            else:
                params = faiss.SearchParametersHNSW(efSearch=effort)
            rough, keys = self._finder.search(unit, reach, params=params)
        at = np.searchsorted(self._keys, keys)
        return np.where(keys >= 0, np.minimum(at, len(self._keys) - 1), -1), rough

    def _insert(self, unit: NDArray[np.float32], keys: NDArray[np.int64]) -> None:
        if self.kind == "ivf":
            self._finder.add_with_ids(unit, keys)
        else:
            # Flat and HNSW number their vectors 0, 1, … as they come, which is what the keys are.
            self._finder.add(unit)

    def _build(self) -> None:
        m, d = self._X.shape
        self._keys = np.arange(m)
        self._next_key = m
        self._tombstones = np.empty(0, dtype=np.int64)
        unit = _unit(self._X, self._lengths)
        if self.kind == "exact":
            self._finder = _Flat(d)
        elif self.kind == "hnsw":
            faiss = _faiss_module()
            self._finder = faiss.IndexHNSWFlat(d, 32, faiss.METRIC_INNER_PRODUCT)
            self._finder.hnsw.efConstruction = 200
        else:
            faiss = _faiss_module()
            # faiss asks for 39 training vectors per list and warns below that.
            self._lists = int(max(1, min(4 * np.sqrt(m), m // 39)))
            flat = faiss.IndexFlatIP(d)
            self._finder = faiss.IndexIVFFlat(flat, d, self._lists, faiss.METRIC_INNER_PRODUCT)
            self._finder.train(unit)
        self._insert(unit, self._keys)


class _Flat:
    """What faiss's flat index does: there is no quicker way to be exact than a matrix product."""

    def __init__(self, d: int) -> None:
        self._unit = np.empty((0, d), dtype=np.float32)

    def add(self, unit: NDArray[np.float32]) -> None:
        """Add unit vectors (m, d) at the end."""
        self._unit = np.concatenate([self._unit, unit]) if len(self._unit) else unit

    def search(self, unit: NDArray[np.float32], reach: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Float32 cosines (n, reach), the largest first, and the positions of the vectors."""
        reach = min(reach, len(self._unit))
        rough, found = np.empty((len(unit), reach), np.float32), np.empty((len(unit), reach), np.int64)
        rows = max(1, _BLOCK // len(self._unit))
        for start in range(0, len(unit), rows):
            part = slice(start, start + rows)
            rough[part], found[part] = self._best(unit[part], reach)
        return rough, found

    def _best(self, unit: NDArray[np.float32], reach: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        rough = unit @ self._unit.T
        n, m = rough.shape
        blocks = m // _WIDTH
        if blocks < _SPARSE * reach:
            found = np.argpartition(-rough, reach - 1, axis=1)[:, :reach]
            order = np.argsort(-np.take_along_axis(rough, found, axis=1), axis=1, kind="stable")
            found = np.take_along_axis(found, order, axis=1)
            return np.take_along_axis(rough, found, axis=1), found
        # So many blocks hold one as large each: nothing below can be among the largest, and little is above.
        tops = rough[:, : blocks * _WIDTH].reshape(n, blocks, _WIDTH).max(axis=2)
        least = np.partition(tops, blocks - reach, axis=1)[:, blocks - reach]
        best, found = np.empty((n, reach), np.float32), np.empty((n, reach), np.int64)
        for row, cosines in enumerate(rough):
            candidates = np.flatnonzero(cosines >= least[row])
            order = np.argsort(-cosines[candidates], kind="stable")[:reach]
            found[row] = candidates[order]
            best[row] = cosines[found[row]]
        return best, found


def _faiss_module() -> Any:
    """The library, loaded on first use; its own type hints lack half of it."""
    return importlib.import_module("faiss")


def _lengths(X: NDArray[Any]) -> NDArray[np.float64]:
    """Euclidean lengths (n,) in float64."""
    result = np.empty(len(X))
    for start in range(0, len(X), _ROWS):
        wide = X[start : start + _ROWS].astype(np.float64)
        result[start : start + _ROWS] = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    return result


def _unit(X: NDArray[Any], lengths: NDArray[np.float64]) -> NDArray[np.float32]:
    """X (n, d) scaled to length 1 in float32; zero rows stay zero."""
    result = np.empty(X.shape, dtype=np.float32)
    for start in range(0, len(X), _ROWS):
        rows = slice(start, start + _ROWS)
        result[rows] = X[rows] / np.where(lengths[rows] > 0, lengths[rows], 1.0)[:, None]
    return result
