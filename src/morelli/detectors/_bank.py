"""The bank of a bundle: labelled features that give a verdict its evidence and its domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._neighborhood import LabelledIndexes, Neighborhood, Voting, neighbor_scores
from morelli.detectors._unit_blocks import unit_blocks
from morelli.detectors._verdict import Neighbor
from morelli.errors import UsageError
from morelli.features import Features


@dataclass(frozen=True, eq=False)
class Bank:
    """m labelled images, in bank order.

    kinds, sizes: feature kinds and their lengths, D in all. mean: (D,) float32, taken away first.
    vectors: (m, D) float16, prepared by `unit_blocks`. labels: (m,) int8. ids (SHA-256 of the image),
    generators, uris, groups: m strings each, None where unknown.
    k: the neighbour whose cosine distance is the domain distance. limit: the distance beyond which an
    image is out of domain, the `quantile` of the members' own distances to other groups; None: no limit.
    draws: (m, B) uint8, bootstrap counts, for intervals of a nearest-neighbour detector; None without.
    """

    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    mean: NDArray[np.float32]
    vectors: NDArray[np.float16]
    labels: NDArray[np.int8]
    ids: tuple[str, ...]
    generators: tuple[str | None, ...]
    uris: tuple[str | None, ...]
    groups: tuple[str, ...]
    k: int = 3
    quantile: float = 0.99
    limit: float | None = None
    draws: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def from_features(
        cls,
        features: Features,
        groups: Sequence[str] | NDArray[Any],
        *,
        kinds: Sequence[str],
        center: bool = True,
        k: int = 3,
        quantile: float = 0.99,
        keep_uris: bool = True,
    ) -> Bank:
        """A bank of the labelled `features`, every image (SHA-256) once, with its domain limit."""
        sha = features.column("sha256").astype(str)
        _, first = np.unique(sha, return_index=True)
        rows = np.sort(first)
        X = features.matrix(kinds)[rows]
        sizes = tuple(int(np.prod(features.vectors[kind].shape[1:])) for kind in kinds)
        mean = X.mean(axis=0, dtype=np.float64) if center else np.zeros(X.shape[1])
        empty = np.full(len(features), None, dtype=object)
        bank = cls(
            kinds=tuple(kinds),
            sizes=sizes,
            mean=mean.astype(np.float32),
            vectors=unit_blocks(X, mean.astype(np.float32), sizes).astype(np.float16),
            labels=np.asarray(features.labels[rows], dtype=np.int8),
            ids=tuple(sha[rows].tolist()),
            generators=tuple(_maker(features)[rows].tolist()),
            uris=tuple((features.column("uri") if keep_uris else empty)[rows].tolist()),
            groups=tuple(np.asarray(groups).astype(str)[rows].tolist()),
            k=k,
            quantile=quantile,
        )
        return bank.with_limit()

    @cached_property
    def index(self) -> LabelledIndexes:
        """The members, ready to be searched; rows are bank positions."""
        return LabelledIndexes(self.vectors, self.labels)

    def get_ready(self) -> None:
        """Make the index, which else the first search makes."""
        _ = self.index

    @cached_property
    def label_of(self) -> dict[str, int]:
        """The label of each member by its SHA-256."""
        return dict(zip(self.ids, self.labels.tolist(), strict=True))

    def prepare(self, features: Features) -> NDArray[np.float32]:
        """Features (n, D) as the members are kept."""
        return unit_blocks(features.matrix(self.kinds), self.mean, self.sizes)

    def near(self, prepared: NDArray[np.float32], k: int) -> Neighborhood:
        """The k nearest of each class, of prepared features (n, D)."""
        return self.index.near(prepared, k)

    def distance(self, near: Neighborhood) -> NDArray[np.float64]:
        """Cosine distance (n,) to the `k`-th nearest member of either class."""
        _, cosine, _ = near.union(self.k)
        return np.asarray(1.0 - np.where(np.isfinite(cosine), cosine, np.inf).min(axis=1))

    def neighbor(self, position: int, similarity: float) -> Neighbor:
        """One member as evidence."""
        return Neighbor(
            self.ids[position],
            int(self.labels[position]),
            self.generators[position],
            float(similarity),
            self.uris[position],
        )

    def scores(self, prepared: NDArray[np.float32], k: int, voting: Voting) -> NDArray[np.float64]:
        """Decision values (n,) of the nearest-neighbour rule."""
        return neighbor_scores(self.near(prepared, k), k, voting)

    def draw_scores(
        self, prepared: NDArray[np.float32], k: int, voting: Voting
    ) -> NDArray[np.float64] | None:
        """Decision values (n, B) with the bank replaced by each bootstrap draw of its groups."""
        if self.draws is None:
            return None
        # A draw holds about 63 % of the members, so the k nearest of a draw lie among a few k of the whole.
        reach = min(len(self), 8 * k + 32)
        near = self.near(prepared, reach)
        sums = []
        for where, cosine in ((near.real, near.real_similarity), (near.fake, near.fake_similarity)):
            present = np.where(where[:, :, None] >= 0, self.draws[where] > 0, False)
            sums.append((present, cosine))
        if voting == "majority":
            return _majority_of_draws(sums, k)
        means = [_mean_of_first(present, cosine, k) for present, cosine in sums]
        return np.asarray(means[1] - means[0])

    def added(self, features: Features, groups: Sequence[str] | NDArray[Any] | None = None) -> Bank:
        """This bank and the labelled `features` behind it; images already there are left out."""
        names = features.groups() if groups is None else np.asarray(groups)
        sha = features.column("sha256").astype(str)
        known = set(self.ids)
        rows = [i for i, first in enumerate(_first_time(sha)) if first and sha[i] not in known]
        if not rows:
            return self
        fresh = features.take(np.array(rows, dtype=np.int64))
        finite = np.isfinite(fresh.matrix(self.kinds)).all(axis=1)
        if not finite.all():
            first = sha[rows[int(np.argmin(finite))]]
            raise UsageError(
                f"{int((~finite).sum())} images have features with NaN or infinity, the first {first[:12]}…; "
                "nothing was added. Extract them again"
            )
        grown = replace(
            self,
            vectors=np.concatenate([self.vectors, self.prepare(fresh).astype(np.float16)]),
            labels=np.concatenate([self.labels, np.asarray(fresh.labels, dtype=np.int8)]),
            ids=(*self.ids, *sha[rows].tolist()),
            generators=(*self.generators, *_maker(fresh).tolist()),
            uris=(*self.uris, *fresh.column("uri").tolist()),
            groups=(*self.groups, *names.astype(str)[rows].tolist()),
            draws=None
            if self.draws is None
            else np.concatenate([self.draws, np.ones((len(rows), self.draws.shape[1]), np.uint8)]),
        )
        return grown.with_limit()

    def removed(self, keep: NDArray[np.bool_]) -> Bank:
        """This bank with only the members marked in `keep` (m,).

        Raises:
            UsageError: a class would become empty.
        """
        if len(np.unique(self.labels[keep])) < 2:
            raise UsageError("the bank needs members of both classes; this would remove all of one")
        rows = np.flatnonzero(keep).tolist()
        shrunk = replace(
            self,
            vectors=self.vectors[keep],
            labels=self.labels[keep],
            ids=tuple(self.ids[i] for i in rows),
            generators=tuple(self.generators[i] for i in rows),
            uris=tuple(self.uris[i] for i in rows),
            groups=tuple(self.groups[i] for i in rows),
            draws=None if self.draws is None else self.draws[keep],
        )
        return shrunk.with_limit()

    def with_limit(self, quantile: float | None = None) -> Bank:
        """This bank with the domain limit computed again."""
        q = self.quantile if quantile is None else quantile
        distances = leave_group_out_distances(self.vectors.astype(np.float32), self.groups, self.k)
        limit = float(np.quantile(distances, q)) if np.isfinite(distances).all() else None
        return replace(self, quantile=q, limit=limit)


def leave_group_out_distances(
    vectors: NDArray[np.float32], groups: Sequence[str], k: int
) -> NDArray[np.float64]:
    """Cosine distance (m,) of each unit vector (m, D) to its k-th nearest outside its group, else inf."""
    codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    m = len(vectors)
    result = np.full(m, np.inf)
    for start in range(0, m, 1024):
        rows = slice(start, start + 1024)
        cosine = vectors[rows] @ vectors.T
        cosine[codes[rows, None] == codes[None, :]] = -np.inf
        if m >= k:
            result[rows] = 1.0 - np.partition(cosine, m - k, axis=1)[:, m - k]
    return result


def _maker(features: Features) -> NDArray[np.object_]:
    """What to call an image's origin: its generator, for a real one its source."""
    generators, sources = features.column("generator"), features.column("source")
    # Collections often call the generator of a photograph "real"; where it comes from says more.
    of_source = (features.labels == 0) & (sources != None)  # noqa: E711 - elementwise
    return np.where(of_source | (generators == None), sources, generators)  # noqa: E711


def _first_time(values: NDArray[Any]) -> list[bool]:
    seen: set[str] = set()
    return [not (value in seen or seen.add(value)) for value in values.tolist()]  # type: ignore[func-returns-value]


def _mean_of_first(present: NDArray[np.bool_], cosine: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Mean (n, B) of the first k cosines (n, L) that a draw holds, present (n, L, B)."""
    taken = present & (np.cumsum(present, axis=1) <= k)
    total = np.einsum("nlb,nl->nb", taken, np.where(np.isfinite(cosine), cosine, 0.0))
    return np.asarray(total / np.maximum(taken.sum(axis=1), 1))


def _majority_of_draws(
    sides: list[tuple[NDArray[np.bool_], NDArray[np.float64]]], k: int
) -> NDArray[np.float64]:
    """(generated - real) / k (n, B) among the first k members that a draw holds."""
    cosine = np.concatenate([side[1] for side in sides], axis=1)
    present = np.concatenate([side[0] for side in sides], axis=1)
    fake = np.arange(cosine.shape[1]) >= sides[0][1].shape[1]
    order = np.argsort(-cosine, axis=1, kind="stable")
    present = np.take_along_axis(present, order[:, :, None], axis=1)
    taken = present & (np.cumsum(present, axis=1) <= k)
    sign = np.where(fake[order], 1.0, -1.0)
    return np.asarray(np.einsum("nlb,nl->nb", taken, sign) / np.maximum(taken.sum(axis=1), 1))
