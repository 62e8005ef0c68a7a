"""Images that occur more than once: the same bytes, or the same picture encoded or resized again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from morelli.features import near_duplicates

# Bits of the 64-bit perceptual hash, and the correlation of the 16 × 16 grey pictures that confirms a match.
# Within 4 bits, where `Features.groups` merges, chance matches are rare; a texture re-encoded can be 8 bits
# away, and so can a stranger, so there the pictures must agree closely.
TIERS = ((4, 0.95), (8, 0.985))
EQUAL_REACH = 16


@dataclass(frozen=True)
class DuplicateGroup:
    """One picture that occurs several times.

    `rows` index the audit's table, `exact` says that all files have the same bytes, and `across` names what
    its copies straddle: "class", "split", "generator", "source", "folder" (the gravest first; empty if none).
    """

    rows: tuple[int, ...]
    uris: tuple[str, ...]
    labels: tuple[int | None, ...]
    exact: bool
    across: tuple[str, ...]


def duplicate_ids(table: pa.Table, *, tiers: Sequence[tuple[int, float]] = TIERS) -> npt.NDArray[np.int64]:
    """A number for every picture: rows that share it are the same picture. Shape (n,).

    Two rows are joined when their bytes are equal, or when for one of `tiers` their perceptual hashes
    differ in at most so many bits and their small grey pictures correlate by at least so much; joining is
    transitive.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = table.num_rows
    _, byte_ids = np.unique(np.asarray(table.column("sha256").to_pylist(), dtype=str), return_inverse=True)
    first = np.full(byte_ids.max(initial=-1) + 1, -1)
    first[byte_ids[::-1]] = np.arange(n)[::-1]
    hashes = table.column("phash").to_numpy()
    # Empty images count here: the grey pictures decide. Of a thousand equal hashes each meets a few others,
    # since a chain of single pairs would break where one pair of pictures does not agree.
    left, right = near_duplicates(
        hashes, max(distance for distance, _ in tiers), least_information=0, reach=EQUAL_REACH
    ).T
    apart = np.bitwise_count(hashes[left] ^ hashes[right])
    needed = np.full(len(left), np.inf)
    for distance, similarity in tiers:
        needed = np.where(apart <= distance, np.minimum(needed, similarity), needed)
    thumbs = table.column("thumb").combine_chunks()
    pictures = np.frombuffer(b"".join(thumbs.to_pylist()), np.uint8).reshape(n, -1)
    keep = np.zeros(len(left), bool)
    for start in range(0, len(left), 65_536):
        part = slice(start, start + 65_536)
        keep[part] = _correlation(pictures[left[part]], pictures[right[part]]) >= needed[part]
    rows = np.r_[np.arange(n), left[keep]]
    columns = np.r_[first[byte_ids], right[keep]]
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
    ids: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return ids


def duplicate_groups(table: pa.Table, ids: npt.NDArray[np.int64]) -> list[DuplicateGroup]:
    """The pictures that occur more than once, those that straddle most first."""
    counts = np.bincount(ids)
    rows = np.flatnonzero(counts[ids] > 1)
    rows = rows[np.argsort(ids[rows], kind="stable")]
    columns = {
        name: table.column(name).take(pa.array(rows)).to_pylist()
        for name in ("uri", "label", "sha256", "split", "generator", "source", "folder")
    }
    cuts = np.flatnonzero(np.diff(ids[rows])) + 1
    groups = []
    for members in np.split(np.arange(len(rows)), cuts) if len(rows) else []:
        across = tuple(
            word
            for word, name in (
                ("class", "label"),
                ("split", "split"),
                ("generator", "generator"),
                ("source", "source"),
                ("folder", "folder"),
            )
            if _differs([columns[name][k] for k in members])
        )
        groups.append(
            DuplicateGroup(
                rows=tuple(int(row) for row in rows[members]),
                uris=tuple(columns["uri"][k] for k in members),
                labels=tuple(columns["label"][k] for k in members),
                exact=len({columns["sha256"][k] for k in members}) == 1,
                across=across,
            )
        )
    gravity = ("class", "split", "generator", "source", "folder")
    return sorted(groups, key=lambda group: (tuple(word not in group.across for word in gravity), group.uris))


def _differs(values: Sequence[Any]) -> bool:
    return len({value for value in values if value is not None}) > 1


def _correlation(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Correlation of the rows of two (m, p) arrays; two flat pictures of nearly one grey count as 1."""
    x, z = a.astype(float), b.astype(float)
    flat = (np.ptp(x, axis=1) < 4) & (np.ptp(z, axis=1) < 4)
    alike = np.abs(x.mean(axis=1) - z.mean(axis=1)) < 4
    x -= x.mean(axis=1, keepdims=True)
    z -= z.mean(axis=1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=1) * (z * z).sum(axis=1))
    value = (x * z).sum(axis=1) / np.maximum(scale, 1e-9)
    return np.asarray(np.where(flat, alike, value), float)
