"""What must stay together when a table is split: generators' lineages, sources, near-duplicates.

A test image whose near-duplicate was trained on flatters every detector, so near-duplicates join
groups. They are found by perceptual hash (64 bits, Hamming distance); the pairs come from the
pigeonhole principle (Norouzi, Punjani and Fleet 2012, multi-index hashing): two words that differ
in at most r bits are equal in at least one of r + 1 bands, so only words that share a band are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

BITS = 64
LEAST_INFORMATION = 8
"""A hash with fewer set (or unset) bits comes from an empty image and says nothing about duplication."""


def near_duplicates(
    phash: npt.NDArray[np.uint64],
    distance: int = 4,
    *,
    least_information: int = LEAST_INFORMATION,
    reach: int = 1,
) -> npt.NDArray[np.int64]:
    """All pairs of rows whose hashes differ in at most `distance` bits, except between empty images.

    Equal hashes are chained (each row with the next `reach`) instead of listed pairwise, so a thousand
    copies of one image cost a thousand pairs; the connected components are the same.

    Args:
        phash: (n,) 64-bit hashes.
        distance: the largest Hamming distance that counts, 0 to 63.
        least_information: hashes with fewer set, or unset, bits count as empty; 0 keeps them all.
        reach: how many of the rows with the same hash each is paired with, 1 or more.

    Returns:
        (pairs, 2) row numbers, the smaller first, in order, each pair once.

    Example:
        >>> near_duplicates(np.array([0x0F0F0F0F, 0x0F0F0F0E, 0xF0F0F0F0], dtype=np.uint64)).tolist()
        [[0, 1]]
    """
    counts = np.bitwise_count(phash)
    rows = np.flatnonzero((counts >= least_information) & (counts <= BITS - least_information))
    order = rows[np.argsort(phash[rows], kind="stable")]
    if len(order) < 2:
        return np.empty((0, 2), dtype=np.int64)
    ordered = phash[order]
    pairs = []
    for gap in range(1, min(reach, len(order) - 1) + 1):
        same = ordered[gap:] == ordered[:-gap]
        pairs.append(np.stack([order[:-gap][same], order[gap:][same]], axis=1))
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = order[fresh]  # one row per distinct hash
    words = phash[first]
    edges = np.linspace(0, BITS, distance + 2).round().astype(int)
    for low, high in pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        band = (words >> np.uint64(low)) & mask
        by_band = np.argsort(band, kind="stable")
        pairs += [first[by_band[found]] for found in _close_in_band(words[by_band], band[by_band], distance)]
    ends = np.sort(np.concatenate(pairs).astype(np.int64), axis=1)
    n = len(phash)  # a pair alike in several bands was found several times
    return np.stack(np.divmod(np.unique(ends[:, 0] * n + ends[:, 1]), n), axis=1)


def _close_in_band(
    words: npt.NDArray[np.uint64], band: npt.NDArray[np.uint64], distance: int
) -> Sequence[npt.NDArray[np.int64]]:
    """Compare each word with the next, the one after, …, for as long as they share their band."""
    found: list[npt.NDArray[np.int64]] = []
    left = np.arange(len(words) - 1)
    shift = 1
    while len(left):
        left = left[left + shift < len(words)]
        left = left[band[left] == band[left + shift]]  # sorted: who has no partner here has none farther
        close = left[np.bitwise_count(words[left] ^ words[left + shift]) <= distance]
        if len(close):
            found.append(np.stack([close, close + shift], axis=1))
        shift += 1
    return found


RealGroups = Literal["source", "image"]


def group_names(
    *,
    sha256: npt.NDArray[np.object_],
    label: npt.NDArray[np.object_],
    generator: npt.NDArray[np.object_],
    lineage: npt.NDArray[np.object_],
    source: npt.NDArray[np.object_],
    phash: npt.NDArray[np.object_],
    real_groups: RealGroups,
    distance: int | None,
) -> npt.NDArray[np.object_]:
    """Name the group of every row; `Features.groups` states the rule. Arguments are (n,), None unknown."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(sha256)
    keys: list[str] = []
    for sha, its_label, its_generator, its_lineage, its_source in zip(
        sha256, label, generator, lineage, source, strict=True
    ):
        if its_label == 1 and (its_lineage or its_generator):
            keys.append(f"fake/{its_lineage or its_generator}")
        elif its_label == 0 and its_source and real_groups == "source":
            keys.append(f"real/{its_source}")
        else:
            keys.append(f"image/{sha}")
    key_names, key_codes = np.unique(np.array(keys, dtype=str), return_inverse=True)
    _, image_codes = np.unique(sha256.astype(str), return_inverse=True)
    # Nodes: the rows, then the keys, then the distinct images; a component is a group.
    edges = [
        np.stack([np.arange(n), n + key_codes], axis=1),
        np.stack([np.arange(n), n + len(key_names) + image_codes], axis=1),
    ]
    known = np.flatnonzero([value is not None for value in phash])
    if distance is not None and len(known):
        edges.append(known[near_duplicates(phash[known].astype(np.uint64), distance)])
    ends = np.concatenate(edges)
    size = n + len(key_names) + n
    graph = coo_array((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    # The first name in order stands for the group; a lineage or source before a lone image.
    order = np.lexsort((key_names, np.char.startswith(key_names, "image/")))
    names: dict[int, str] = {}
    for k in order.tolist():
        names.setdefault(component[n + k], str(key_names[k]))
    result: npt.NDArray[np.object_] = np.array([names[c] for c in component[:n]], dtype=np.object_)
    return result
