"""The logit that decided, as a sum: by named concepts and blocks, and by where the encoder read it.

A head gives logit = w·x + b with w and b of its own at each image (`ExpertHead.local`), over class tokens of
several blocks, outputs of attention heads and the final embedding. Relative to what is typical of real
images, x = μ + (x − μ), it is

    logit = (b + w·μ) + Σ_k w_k·(x_k − μ_k),                                                    (1)

one term a feature kind, and one for all heads of a block; where concepts have directions in a kind, its term
is their parts and what they leave over (`additive_evidence`). By equation 1 of `encoders.direct_paths` the
same sum also runs over patches:

    logit = (b + Σ_c ref_c) + Σ_c (part_c − ref_c),                                             (2)

with c the patches, the class token's own share, the MLPs, and constants. For a head of K experts with shares
r, w = Σ r_k w_k and ref = Σ r_k ref_k, so that K means over real images are enough. Both sums start at the
same bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.encoders.direct_paths import DirectParts, direct_parts, readable
from morelli.errors import UsageError
from morelli.explanation._additive import additive_evidence, head_rows, kind_sizes
from morelli.explanation._typical_parts import TypicalParts, shipped_typical_parts

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.encoders import Encoder
    from morelli.explanation._additive import ConceptSpace
    from morelli.features import Features

__all__ = [
    "LogitPart",
    "LogitSum",
    "Reading",
    "TypicalParts",
    "expert_parts",
    "logit_reading",
    "logit_sums",
    "readable",
    "shipped_typical_parts",
]

Array = NDArray[Any]
THIRDS = 3
"""Bars of the picture and of the MLPs: early, middle and late blocks."""
MOST_ROUNDING = 0.1
"""Share of the logit by which the tower's pass here, in float32, may miss that of a coarser dtype."""


@dataclass(frozen=True)
class LogitPart:
    """A named share of a logit. `amount`: for concepts, deviations from a typical real image, ≥ 0."""

    name: str
    logit: float
    amount: float | None = None


@dataclass(frozen=True)
class LogitSum:
    """logit = bias + Σ parts + rest, where the rest is what adding up rounds: below 1e-9.

    `logit` is the detector's own, `bias` what its weights at this image give a typical real one.
    """

    logit: float
    bias: float
    parts: tuple[LogitPart, ...]
    rest: float


@dataclass(frozen=True, eq=False)
class Reading:
    """Where the encoder read what decided.

    Attributes:
        sum: the logit by parts of the tower.
        map: (g, g) float64, what each patch adds to the logit beside what it adds in a typical real image:
            positive towards generated. It sums to the parts of the picture.
        rounding: how much of the constants is rounding, of either sign: about 1e-5 where features are
            float32, up to a few tenths where they are bfloat16.
    """

    sum: LogitSum
    map: NDArray[np.float64] = field(repr=False)
    rounding: float


def logit_sums(bundle: Bundle, features: Features, space: ConceptSpace | None = None) -> list[LogitSum]:
    """The deciding logit of each image by concepts and blocks, equation 1; parts by their size.

    Args:
        bundle: a detector with a linear head or experts.
        features: of its kinds and build.
        space: concepts and what is typical; None: parts are w_k·x_k, relative to zero.

    Raises:
        UsageError: the bundle decides by nearest neighbours.

    Example:
        >>> from morelli.detectors import Bundle, default_bundle_path
        >>> from morelli.features import Features
        >>> bundle, rng = Bundle.load(default_bundle_path()), np.random.default_rng(0)
        >>> widths = {"final": 512, "layer": 768, "headraw": 64}  # of CLIP ViT-B/16
        >>> vectors = {kind: rng.normal(size=(1, widths[kind.split(":")[0]])) for kind in bundle.kinds}
        >>> features = Features.from_arrays(vectors, labels=[1], build=bundle.build)
        >>> (found,) = logit_sums(bundle, features)
        >>> abs(found.bias + sum(part.logit for part in found.parts) + found.rest - found.logit) < 1e-6
        True
    """
    X = head_rows(bundle, features)
    assert bundle.head is not None
    weights, biases = bundle.head.local(X)
    logits = bundle.logits(features)
    edges = np.cumsum(kind_sizes(bundle, features))[:-1]
    concepts: list[list[LogitPart]] = [[] for _ in X]
    left, start = X, biases
    named: set[int] = set()
    if space is not None:
        found = additive_evidence(X, weights, biases, space)
        concepts = [[LogitPart(p.name, p.logit, p.amount) for p in one.parts] for one in found]
        start = np.array([one.bias for one in found])
        left = X - space.reference - space.coordinates(X) @ space.directions
        blocks = np.split(np.abs(space.directions).sum(axis=0), edges)
        named = {k for k, block in enumerate(blocks) if block.any()}
    by_kind: dict[str, Array] = {}
    for k, part in enumerate(np.split(left * weights, edges, axis=1)):
        name = kind_name(bundle.head_kinds[k], rest=k in named)
        by_kind[name] = by_kind.get(name, 0.0) + part.sum(axis=1)
    return [
        _summed(
            float(logits[i]),
            float(start[i]),
            [*concepts[i], *(LogitPart(name, float(value[i])) for name, value in by_kind.items())],
        )
        for i in range(len(X))
    ]


def logit_reading(
    bundle: Bundle,
    features: Features,
    encoder: Encoder,
    pixels: ArrayLike,
    typical: TypicalParts | None = None,
) -> Reading:
    """Where the encoder read the deciding logit of one image, equation 2. It computes on the CPU.

    Args:
        bundle: a detector with a head over `final`, `layer:k` and `headraw:k.h`.
        features: one row, of its kinds and build.
        encoder: the bundle's, a CLIP.
        pixels: (3, s, s) transformed, of the same image.
        typical: what typical real images get; None: parts relative to zero.

    Raises:
        UsageError: the bundle decides by nearest neighbours or reads other kinds, the encoder is no CLIP, or
            pixels and features are of different images.
    """
    if len(features) != 1:
        raise UsageError(f"Reading takes one image; {len(features)} were given.")
    X = head_rows(bundle, features)
    assert bundle.head is not None
    if not readable(bundle.head_kinds):
        raise UsageError(
            f"Bundle {bundle.name} reads {bundle.kind_ranges}; where it read can be said for a "
            "detector over final, layer:k and headraw:k.h."
        )
    shares, (start,) = bundle.head.shares(X)[0], bundle.head.local(X)[1]
    parts = _mixed(expert_parts(bundle, features, encoder, pixels), shares, typical)
    bias = float(start + (0.0 if typical is None else shares @ typical.total))
    logit = float(bundle.logits(features)[0])
    grid = int(np.sqrt(parts.patches.shape[-1]))
    if abs(bias + float(parts.total[0]) - logit) > MOST_ROUNDING * max(1.0, abs(logit)):
        raise UsageError("The pixels are not those that the features were made of: their logits differ.")
    bars = _bars(parts)
    # The encoder's runtime and this pass round differently: by about 1e-5 in float32, more in bfloat16.
    constants = logit - bias - sum(bar.logit for bar in bars)
    bars.append(LogitPart("Constants and rounding", constants))
    return Reading(
        _summed(logit, bias, bars),
        parts.patches[0].sum(axis=0).reshape(grid, grid),
        constants - float(parts.start[0]),
    )


def expert_parts(bundle: Bundle, features: Features, encoder: Encoder, pixels: ArrayLike) -> DirectParts:
    """Each expert's w_k·x of one image by patches, blocks and MLPs; a linear head is one expert."""
    assert bundle.head is not None
    rows = np.atleast_2d(bundle.head.weights)
    sizes = kind_sizes(bundle, features)
    if bundle.unit:
        raw = features.matrix(bundle.head_kinds).astype(np.float64)
        rows = rows / max(float(np.linalg.norm(raw)), 1e-300)
    blocks = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    return direct_parts(encoder, pixels, dict(zip(bundle.head_kinds, blocks, strict=True)))


def kind_name(kind: str, *, rest: bool) -> str:
    """What a feature kind's share is called: that of a head is counted to its block's.

    >>> kind_name("layer:8", rest=False), kind_name("headraw:8.3", rest=False), kind_name("final", rest=True)
    ('Block 8', 'Heads of block 8', 'Final embedding, without a name')
    """
    family, _, place = kind.partition(":")
    name = {"final": "Final embedding", "layer": f"Block {place}"}.get(family, kind)
    if family == "headraw":
        name = f"Heads of block {place.partition('.')[0]}"
    return f"{name}, without a name" if rest else name


def _summed(logit: float, bias: float, parts: Sequence[LogitPart]) -> LogitSum:
    ordered = tuple(sorted(parts, key=lambda part: -abs(part.logit)))
    return LogitSum(logit, bias, ordered, logit - bias - sum(part.logit for part in ordered))


def _mixed(found: DirectParts, shares: Array, typical: TypicalParts | None) -> DirectParts:
    """Parts of the experts weighted with their shares, less what is typical: m = 1."""

    def mixed(name: str) -> Array:
        part = np.asarray(getattr(found, name))
        less = part if typical is None else part - getattr(typical, name)
        return np.tensordot(shares, less, axes=1)[None]

    return DirectParts(mixed("patches"), mixed("own"), mixed("mlps"), mixed("start"))


def _bars(parts: DirectParts) -> list[LogitPart]:
    """The picture and the MLPs by thirds of the tower, and the class token's own share."""
    depth = parts.own.shape[1]
    found = []
    for blocks in np.array_split(np.arange(depth), min(THIRDS, depth)):
        span = f"block {blocks[0] + 1}" if len(blocks) == 1 else f"blocks {blocks[0] + 1}–{blocks[-1] + 1}"
        found.append(LogitPart(f"Picture, {span}", float(parts.patches[0, blocks].sum())))
        found.append(LogitPart(f"Worked out, {span}", float(parts.mlps[0, blocks].sum())))
    found.append(LogitPart("Own summary, kept", float(parts.own.sum())))
    return found
