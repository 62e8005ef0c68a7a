"""Attention heads as detectors: what each head says of an image, and how well its own probe carries over.

Two readings of a head (Gandelsman et al. 2310.05916, equation 5): its contribution to the embedding,
`head:l.h`, where several heads are summed to a partial embedding of the same length; and its raw output
before the output matrix, `headraw:l.h`, where several heads stand side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._transfer import Array, Rows
from morelli.metrics import placements

if TYPE_CHECKING:
    from morelli.features import Features

Reading = Literal["contribution", "raw"]
PREFIX: dict[Reading, str] = {"contribution": "head:", "raw": "headraw:"}
NUMBERS = (1, 2, 4, 8, 16, 32, 64)
"""How many heads are tried."""
REMOVED = (0, 4, 8, 16, 24, 32, 48, 64)
"""How many heads are taken out, where the rest of the embedding stays."""
MOST_RAW = 1024
"""Columns beside each other at most: more than that and a discriminant has far more columns than rows."""
RANK = 80
"""A head of 64 values writes into a subspace of at most 64 directions, its bias and two of the layer norm."""


@dataclass(frozen=True, eq=False)
class Heads:
    """What every head says about n images: `vectors` (n, m, d) float32, `names` (m,) their feature kinds.

    `rest` (n, d), where given, is what stays beside whichever heads are chosen: MLPs and embedding.
    """

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    reading: Reading = "contribution"
    rest: Array | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 3 or self.vectors.shape[1] != len(self.names) or not self.names:
            raise UsageError(
                f"Heads are (n, m, d) with m names; got {self.vectors.shape} and {len(self.names)}."
            )

    @classmethod
    def of(cls, features: Features, reading: Reading = "contribution") -> Heads:
        """All heads among the loaded kinds, in the order of blocks.

        Raises:
            UsageError: no head is loaded.
        """
        prefix = PREFIX[reading]
        names = sorted((k for k in features.kinds if k.startswith(prefix)), key=place)
        if not names:
            group = "heads" if reading == "contribution" else "headraws"
            raise UsageError(
                f"These features hold no {prefix}l.h; extract them: morelli extract … --kinds final,{group}."
            )
        return cls(tuple(names), np.stack([features.vectors[name] for name in names], axis=1), reading)

    def __len__(self) -> int:
        return len(self.names)

    def beside(self, final: Array) -> Heads:
        """The same heads with the rest of the embeddings `final` (n, d) kept beside them.

        Raises:
            UsageError: raw readings, or embeddings of another shape.
        """
        if self.reading != "contribution" or final.shape != self.vectors[:, 0].shape:
            raise UsageError(
                f"Contributions of heads sum to the embedding with the rest of it; {self.reading} readings "
                f"{self.vectors.shape} and embeddings {final.shape} do not fit together."
            )
        return replace(self, rest=final - self.vectors.sum(axis=1, dtype=np.float64))

    def rest_of(self, rows: Rows) -> Array:
        """What stands beside the heads in these rows, (k, d): `rest`, or nothing."""
        width = self.vectors.shape[2]
        return np.zeros((len(rows), width)) if self.rest is None else np.asarray(self.rest[rows])

    def combined(self, which: Sequence[int] | NDArray[Any]) -> Array:
        """These heads as one matrix: contributions summed (n, d), raw outputs side by side (n, k·d)."""
        chosen = self.vectors[:, np.asarray(which, dtype=np.intp)]
        if self.reading == "raw":
            return np.asarray(chosen.reshape(len(chosen), -1), dtype=np.float64)
        total = chosen.sum(axis=1, dtype=np.float64)
        return np.asarray(total if self.rest is None else total + self.rest)

    def numbers(self, given: Sequence[int] = NUMBERS) -> list[int]:
        """The numbers of heads to try, the largest last: all, or as many as may stand side by side.

        With the rest of the embedding beside them, `given` counts the heads that go.
        """
        most = len(self)
        if self.rest is not None:
            return sorted({most - k for k in given if 0 <= k < most} | {most})
        if self.reading == "raw":
            most = max(1, min(most, MOST_RAW // self.vectors.shape[2]))
        return [*sorted({k for k in given if 0 < k < most}), most]


def place(kind: str) -> tuple[int, int]:
    """Block and head of a kind such as `head:12.3`."""
    block, head = kind.split(":")[1].split(".")
    return int(block), int(head)


def row_numbers(n: int) -> Array:
    """What stands for the features (n, 1) in `transfer_matrix` when a recipe looks its rows up itself."""
    return np.arange(n, dtype=np.float64)[:, None]


def probe_transfer(
    vectors: NDArray[Any],
    fakes: dict[str, Rows],
    halves: tuple[Rows, Rows],
    *,
    ridge: float = 10.0,
) -> Array:
    """AUC (m, g, g) of each head's own discriminant: trained on generator i, tested on generator j.

    `vectors` (n, m, d); `fakes` rows by generator; `halves` of the reals: one trains, the other tests, both
    ways, averaged. The recipe is that of `fit_discriminant`. The diagonal is scored on the training fakes
    and must not be used.
    """
    names = list(fakes)
    rows = np.concatenate([*fakes.values(), *halves])
    position = np.full(len(vectors), -1)
    position[rows] = np.arange(len(rows))
    local = [position[fakes[name]] for name in names]
    sides = [(position[a], position[b]) for a, b in (halves, halves[::-1])]
    out = np.zeros((vectors.shape[1], len(names), len(names)))
    for head in range(vectors.shape[1]):
        X = np.asarray(vectors[rows, head], dtype=np.float64)
        basis = _row_space(X)
        for train, test in sides:
            scale = X[train].std(axis=0) + 1e-9
            # The ridge discriminant turns with the basis, so an exact basis of few columns is the same.
            C = X / scale
            if basis is not None:
                triangle = np.asarray(np.linalg.qr(basis / scale[:, None], mode="r"))
                C = (X @ basis) @ triangle.T
            out[head] += _pairwise(C, local, train, test, ridge=ridge, width=X.shape[1]) / 2
    return out


def _row_space(X: Array) -> Array | None:
    """Orthonormal columns (d, RANK) that hold all rows of X (n, d); None where there is no such thing."""
    if min(X.shape) <= RANK:
        return None
    sketch = np.random.default_rng(0).normal(size=(RANK, len(X))) @ X
    Q = np.linalg.qr(sketch.T)[0]
    lost = np.linalg.norm(X) ** 2 - np.linalg.norm(X @ Q) ** 2
    return np.asarray(Q) if lost <= 1e-9 * np.linalg.norm(X) ** 2 else None


def _pairwise(C: Array, fakes: list[Rows], train: Rows, test: Rows, *, ridge: float, width: int) -> Array:
    """AUC (g, g) of the discriminants of all generators in coordinates C (n, r) of `width` components."""
    real = C[train]
    scatter = (real - real.mean(axis=0)).T @ (real - real.mean(axis=0))
    weights = []
    for rows in fakes:
        fake = C[rows]
        centred = fake - fake.mean(axis=0)
        covariance = (scatter + centred.T @ centred) / (len(real) + len(fake))
        covariance[np.diag_indices_from(covariance)] += ridge * np.trace(covariance) / width + 1e-12
        weights.append(np.linalg.solve(covariance, fake.mean(axis=0) - real.mean(axis=0)))
    W = np.stack(weights, axis=1)
    every = np.concatenate(fakes)
    below = np.ascontiguousarray(placements(C[every] @ W, C[test] @ W).T)
    edges = np.cumsum([0, *(len(rows) for rows in fakes)])
    return np.stack([below[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)


def off_diagonal(M: Array) -> Array:
    """Mean over the cells (…, i ≠ j) of M (…, g, g)."""
    g = M.shape[-1]
    return np.asarray(M[..., ~np.eye(g, dtype=bool)].mean(axis=-1))


def generator_map(transfer: Array) -> Array:
    """How well each head finds each generator, (m, g): mean AUC of its probes of the other generators."""
    g = transfer.shape[-1]
    off = ~np.eye(g, dtype=bool)
    return np.asarray((transfer * off).sum(axis=1) / (g - 1))
