"""Additive evidence: one image's logit as bias + named parts + rest, summing exactly.

For a linear head, logit = w·x + b; a head of experts has such a w and b at each image, its gradient there
(`ExpertHead.local`). Relative to a reference μ (the mean of real images) this is
b + w·μ, what a typical real image gets, plus w·(x − μ). The difference is written as Σ aₖ cₖ + e over the
concepts' directions, a = (C Cᵀ + λI)⁻¹ C (x − μ), so that part k is aₖ (w·cₖ) and the rest w·e. Taking part
k away means replacing x by x − aₖ cₖ, and then the logit falls by exactly that part: this is what
`concept_faithfulness` puts to the test. The design follows concept-bottleneck detectors (logit = bias + sum
of named features), without forcing the head through the concepts: what has no name stays visible as rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.explanation.concepts import ConceptBank
    from morelli.features import Features

Array = NDArray[Any]


@dataclass(frozen=True)
class EvidencePart:
    """One concept's part of a logit.

    `name` is the end towards which the image lies from the reference; `amount` how far, in standard
    deviations of the reference images (≥ 0); `logit` what that adds, positive for generated.
    """

    name: str
    amount: float
    logit: float


@dataclass(frozen=True)
class Evidence:
    """logit = bias + sum of parts + rest, parts in the order of their size."""

    uri: str
    logit: float
    bias: float
    parts: tuple[EvidencePart, ...]
    rest: float

    @property
    def named(self) -> float:
        """Sum of the named parts."""
        return float(sum(part.logit for part in self.parts))

    def sentences(self, most: int = 3) -> list[str]:
        """What speaks most for and against "generated", and how much has no name."""
        out = []
        for part in self.parts[:most]:
            towards = "generated" if part.logit > 0 else "real"
            out.append(
                f"It is {part.amount:.1f} standard deviations towards {part.name!r} from a typical "
                f"real image, which moves the logit by {part.logit:+.2f}, towards {towards}."
            )
        out.append(
            f"Named parts add up to {self.named:+.2f}, {self.rest:+.2f} has no name in this bank, and a "
            f"typical real image starts at {self.bias:+.2f}: together {self.logit:+.2f}."
        )
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "named": self.named, "sentences": self.sentences()}


@dataclass(frozen=True, eq=False)
class ConceptSpace:
    """Concepts placed in the space of a head, which may hold several feature kinds side by side.

    `names` and `opposites` (k,); `directions` (m, d) with `concept` (m,) the concept that each belongs to: a
    concept that exists in several kinds has a direction in each, and its part is their sum. `dual` (m, d)
    gives the coordinates a = dual · (x − reference); `spread` (m,) their deviation over the reference images.
    """

    names: tuple[str, ...]
    opposites: tuple[str, ...]
    directions: Array
    concept: NDArray[np.intp]
    reference: Array
    dual: Array
    spread: Array

    @classmethod
    def of(
        cls,
        banks: Sequence[ConceptBank] | ConceptBank,
        kinds: Sequence[str],
        dims: Sequence[int],
        reference: Array,
        *,
        ridge: float = 0.05,
    ) -> ConceptSpace:
        """Place banks in the space of `kinds` with `dims` values each.

        Args:
            reference: (n, sum of dims) embeddings of what counts as typical, as the head takes them.
            ridge: λ. Edits resemble each other, and without it coordinates of near-parallel concepts would
                grow large and cancel.

        Raises:
            UsageError: no bank is of any of these kinds, or reference is misshapen.
        """
        R = np.asarray(reference, dtype=np.float64)
        if R.ndim != 2 or R.shape[1] != sum(dims) or len(R) < 2:
            raise UsageError(f"The reference is (n, {sum(dims)}) with n ≥ 2; got shape {R.shape}.")
        mean = R.mean(axis=0)
        space = cls.around(banks, kinds, dims, mean, None, ridge=ridge)
        return replace(space, spread=np.maximum(((R - mean) @ space.dual.T).std(axis=0), 1e-12))

    @classmethod
    def around(
        cls,
        banks: Sequence[ConceptBank] | ConceptBank,
        kinds: Sequence[str],
        dims: Sequence[int],
        mean: Array,
        spread: Array | None,
        *,
        ridge: float = 0.05,
    ) -> ConceptSpace:
        """The space of `of` from the mean (d,) of the reference and the spread (m,) of its coordinates.

        Raises:
            UsageError: no bank is of any of these kinds, or mean or spread is misshapen.
        """
        given = [banks] if not isinstance(banks, Sequence) else list(banks)
        usable = [bank for bank in given if bank.kind in kinds]
        if not usable:
            from morelli.encoders import kind_ranges

            raise UsageError(
                f"The head reads {kind_ranges(kinds)}, but the concepts are of kind "
                f"{', '.join(bank.kind for bank in given) or '(none)'}; build a bank for one of the head's."
            )
        start = dict(zip(kinds, np.cumsum([0, *dims[:-1]]), strict=True))
        size = dict(zip(kinds, dims, strict=True))
        names: dict[str, str] = {}
        rows, owner = [], []
        for bank in usable:
            bank.check(None, size[bank.kind])
            for concept, direction in zip(bank.concepts, bank.directions, strict=True):
                names.setdefault(concept.name, concept.opposite)
                row = np.zeros(sum(dims))
                row[start[bank.kind] : start[bank.kind] + size[bank.kind]] = direction
                rows.append(row / np.linalg.norm(row))
                owner.append(list(names).index(concept.name))
        C = np.stack(rows)
        dual = np.linalg.solve(C @ C.T + ridge * np.eye(len(C)), C)
        if spread is None:
            spread = np.ones(len(C))
        if mean.shape != (sum(dims),) or spread.shape != (len(C),):
            raise UsageError(
                f"{len(C)} directions of {sum(dims)} values need a mean and a spread of such lengths."
            )
        return cls(tuple(names), tuple(names.values()), C, np.array(owner), mean, dual, spread)

    def coordinates(self, X: Array) -> Array:
        """a (n, m) of X (n, d)."""
        return np.asarray((np.asarray(X, dtype=np.float64) - self.reference) @ self.dual.T)

    def displacement(self, X: Array, name: str) -> Array:
        """What `name` contributes to x − reference, (n, d); subtracting it removes the concept."""
        if name not in self.names:
            raise UsageError(f"There is no concept {name!r}; there are {', '.join(self.names[:8])}, …")
        mine = np.flatnonzero(self.concept == self.names.index(name))
        return np.asarray(self.coordinates(X)[:, mine] @ self.directions[mine])


def additive_evidence(
    X: Array, weights: Array, bias: float | Array, space: ConceptSpace, *, uris: Sequence[str] | None = None
) -> list[Evidence]:
    """Evidence for every row of X (n, d) under the head w (d,), b, or under each row's own (n, d), (n,).

    bias + Σ parts + rest equals the logit to rounding (float64), by construction: the rest is the head
    applied to what the concepts leave over, and the identity is checked.
    """
    X = np.atleast_2d(np.asarray(X, dtype=np.float64))
    w = np.broadcast_to(np.asarray(weights, dtype=np.float64), X.shape)
    logit = (X * w).sum(axis=1) + bias
    start = np.broadcast_to(bias + w @ space.reference, len(X))
    a = space.coordinates(X)
    per_direction = a * (w @ space.directions.T)
    leftover = X - space.reference - a @ space.directions
    rest = (leftover * w).sum(axis=1)
    k = len(space.names)
    parts, amount = np.zeros((len(X), k)), np.zeros((len(X), k))
    np.add.at(parts.T, space.concept, per_direction.T)
    np.add.at(amount.T, space.concept, (a / space.spread).T)
    amount /= np.bincount(space.concept, minlength=k)
    gap = np.abs(start + parts.sum(axis=1) + rest - logit).max(initial=0)
    if gap > 1e-6 * max(1.0, float(np.abs(logit).max(initial=0))):
        raise UsageError(
            f"The parts do not add up to the logit (off by {gap:.2g}); are there infinite values?"
        )
    ends = (space.opposites, space.names)
    out = []
    for i in range(len(X)):
        order = np.argsort(-np.abs(parts[i]), kind="stable")
        listed = tuple(
            EvidencePart(ends[int(amount[i, j] >= 0)][j], abs(float(amount[i, j])), float(parts[i, j]))
            for j in order
        )
        name = uris[i] if uris is not None else f"row {i}"
        out.append(Evidence(name, float(logit[i]), float(start[i]), listed, float(rest[i])))
    return out


def head_rows(bundle: Bundle, features: Features) -> Array:
    """What the bundle's linear head is applied to, (n, d): its kinds side by side, unit length if it says so.

    Raises:
        UsageError: the bundle is a nearest-neighbour rule, which has no additive parts.
    """
    if bundle.head is None:
        raise UsageError(
            f"Bundle {bundle.name} decides by nearest neighbours; its evidence is the neighbours themselves. "
            "Additive evidence needs a linear head: morelli fit --detector probe."
        )
    bundle.check_build(features.build)
    X = features.matrix(bundle.head_kinds).astype(np.float64)
    if bundle.unit:
        length = np.linalg.norm(X, axis=1, keepdims=True)
        X = np.divide(X, length, out=np.zeros_like(X), where=length > 0)
    return np.asarray(X)


def bundle_space(
    bundle: Bundle,
    banks: Sequence[ConceptBank] | ConceptBank,
    reference: Features,
    *,
    ridge: float = 0.05,
) -> ConceptSpace:
    """The concepts in the space of a bundle's head, relative to the images of `reference` (real ones)."""
    for bank in [banks] if not isinstance(banks, Sequence) else banks:
        if bank.build is not None:
            bundle.build.require_same(bank.build, what="the concept bank")
    dims = kind_sizes(bundle, reference)
    return ConceptSpace.of(banks, bundle.head_kinds, dims, head_rows(bundle, reference), ridge=ridge)


def kind_sizes(bundle: Bundle, features: Features) -> list[int]:
    """How many values each of the bundle's kinds has."""
    return [int(np.prod(features.vectors[kind].shape[1:])) for kind in bundle.head_kinds]


def bundle_evidence(bundle: Bundle, features: Features, space: ConceptSpace) -> list[Evidence]:
    """Additive evidence for each image of `features` under the bundle's head."""
    X = head_rows(bundle, features)
    assert bundle.head is not None
    uris = [str(uri) for uri in features.column("uri")]
    weights, biases = bundle.head.local(X)
    return additive_evidence(X, weights, biases, space, uris=uris)
