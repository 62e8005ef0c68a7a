"""The class token as a sum: what every block's attention took from each patch, and what the MLPs added.

The residual stream of a vision transformer is a sum, so that the class token behind block k is

    z_k = z_0 + Σ_{l ≤ k} (Σ_h Σ_j A_lhj O_lh v_lhj + o_l + m_l),                              (1)

with A_lhj the class token's attention to token j in head h of block l, v_lhj what that token offers, O_lh the
head's output matrix, o_l its bias and m_l what the MLP adds (Gandelsman et al. 2310.05916, equations 1 to 6).
A linear function of class tokens behind several blocks, and of the embedding with the last layer norm's
statistics taken as given, is therefore a sum over patches, blocks and MLPs without a rest. So is one of what
the heads of a block mixed for the class token, Σ_j A_lhj v_lhj (`headraw:l.h`). What stands at a
patch's position in a later block has already mixed with other positions, so this says where the class token
read, not where in the picture something is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.encoders import _vit_arrays as vit_arrays
from morelli.encoders._kinds import kind_shape, parse_kind
from morelli.encoders._last_block import clip_weights
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders._encoder import Encoder
    from morelli.encoders._vit_weights import Block, VisionTransformer

Array = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DirectParts:
    """What m linear functions of one image's class tokens and head outputs are the sum of, all float64.

    Attributes:
        patches: (m, L, P) what block l's attention took from each patch, patches row by row.
        own: (m, L) what it took from the class token itself.
        mlps: (m, L) what block l's MLP added.
        start: (m,) the class token before the first block, and all biases.
    """

    patches: Array = field(repr=False)
    own: Array = field(repr=False)
    mlps: Array = field(repr=False)
    start: Array = field(repr=False)

    @property
    def total(self) -> Array:
        """(m,): the functions' values, to rounding."""
        added = self.own + self.mlps + self.patches.sum(axis=2)
        return np.asarray(added.sum(axis=1) + self.start)


def readable(kinds: tuple[str, ...]) -> bool:
    """True where all of these feature kinds can be taken apart: `final`, `layer:k` and `headraw:k.h`."""
    return all(kind == "final" or kind.startswith(("layer:", "headraw:")) for kind in kinds)


def direct_parts(encoder: Encoder, pixels: ArrayLike, weights: Mapping[str, ArrayLike]) -> DirectParts:
    """Take Σ_kind weights[kind] · x_kind of one image apart, equation 1. It computes on the CPU.

    Args:
        encoder: a CLIP.
        pixels: (3, s, s) transformed.
        weights: feature kind, `final`, `layer:k` or `headraw:k.h`, to (m, d) of m functions.

    Raises:
        UsageError: the encoder is no CLIP, or a kind or a shape does not fit.

    Example:
        >>> from morelli.encoders import load_encoder
        >>> encoder, rng = load_encoder("clip-vit-b16"), np.random.default_rng(0)
        >>> pixels = rng.normal(size=(3, 224, 224)).astype(np.float32)
        >>> weights = rng.normal(size=(1, encoder.width))
        >>> parts = direct_parts(encoder, pixels, {"layer:7": weights})
        >>> token = encoder.trace(pixels[None], kinds=["layer:7"])["layer:7"][0]
        >>> bool(np.isclose(parts.total, weights @ token, rtol=1e-3).all())
        True
    """
    vit = clip_weights(encoder, "Taking the class token apart")
    asked = _checked(encoder, weights)
    count, depth = asked.count, encoder.layers
    last = depth if asked.of_final is not None else max([*asked.by_block, *asked.by_heads])
    z = vit_arrays.embed(vit, np.asarray(pixels, np.float32)[None])
    start = z[0, 0].astype(np.float64)
    taken: list[tuple[Floats, Floats]] = []
    added = []
    for number, block in enumerate(vit.blocks[:last], start=1):
        q, k, v = vit_arrays.queries_keys_values(block, vit_arrays.norm_forward(block.norm1, z))
        if number == last:
            z, q = z[:, :1], q[:, :, :1]
        attention = vit_arrays.attention_weights(q, k)
        taken.append((attention[0, :, 0], v[0]))
        u = z + vit_arrays.apply(block.out, vit_arrays.merged(attention @ v))
        more = vit_arrays.mlp(block, vit_arrays.norm_forward(block.norm2, u))
        added.append(more[0, 0].astype(np.float64))
        z = u + more
    after = np.zeros((count, encoder.width))  # the functions' gradient by the class token behind a block
    constant = np.zeros(count)
    if asked.of_final is not None:
        after, constant = _through_projection(vit, z[0, 0], asked.of_final)
    n_patches = encoder.patches
    patches, own = np.zeros((count, depth, n_patches)), np.zeros((count, depth))
    mlps = np.zeros((count, depth))
    for number in range(last, 0, -1):
        after = after + asked.by_block.get(number, np.zeros(1))
        block = vit.blocks[number - 1]
        mlps[:, number - 1] = after @ added[number - 1]
        read = _read(block, *taken[number - 1], after, asked.by_heads.get(number))
        own[:, number - 1], patches[:, number - 1] = read[:, 0], read[:, 1:]
        if block.out.bias is not None:
            constant = constant + after @ block.out.bias
    return DirectParts(patches, own, mlps, constant + after @ start)


def _read(block: Block, attention: Floats, values: Floats, after: Array, of_heads: Array | None) -> Array:
    """What m functions get from each token: (m, n).

    `after` (m, D) are their gradients by the class token behind the block, `of_heads` (m, H, D / H) those by
    what its heads mixed, beside that.
    """
    (heads, _, size), width = values.shape, after.shape[1]
    by_mixed = (after @ block.out.weight.reshape(width, heads * size)).reshape(-1, heads, size)
    if of_heads is not None:
        by_mixed = by_mixed + of_heads
    return np.asarray(np.einsum("hj,hjc,mhc->mj", attention, values, by_mixed, optimize=True))


def _through_projection(vit: VisionTransformer, z: Floats, weights: Array) -> tuple[Array, Array]:
    """Functions of the embedding as functions of the class token z (D,), its statistics taken as given."""
    norm = vit.post_norm
    by_normed = weights if vit.projection is None else weights @ vit.projection.weight.astype(np.float64)
    scaled = by_normed * norm.scale
    deviation = np.sqrt(z.astype(np.float64).var() + norm.eps)
    return (scaled - scaled.mean(axis=1, keepdims=True)) / deviation, by_normed @ norm.shift


@dataclass(frozen=True, eq=False)
class _Asked:
    """Weights of m functions: by block (m, D), by block (m, H, D / H) for its heads, of the embedding."""

    count: int
    by_block: dict[int, Array]
    by_heads: dict[int, Array]
    of_final: Array | None


def _checked(encoder: Encoder, weights: Mapping[str, ArrayLike]) -> _Asked:
    by_block: dict[int, Array] = {}
    by_heads: dict[int, Array] = {}
    of_final, count = None, None
    for kind, given in weights.items():
        parsed = parse_kind(kind, layers=encoder.layers, heads=encoder.heads)
        w = np.asarray(given, dtype=np.float64)
        if parsed.name not in ("final", "layer", "headraw"):
            raise UsageError(f"{kind!r} cannot be taken apart; the kinds final, layer:k and headraw:k.h can.")
        (d,) = kind_shape(kind, encoder)
        if w.ndim != 2 or w.shape[1] != d or count not in (None, len(w)):
            raise UsageError(f"The weights of {kind} must be ({count or 'm'}, {d}); got shape {w.shape}.")
        count = len(w)
        if parsed.name == "final":
            of_final = w
        elif parsed.name == "layer":
            by_block[parsed.block] = w
        else:
            by_heads.setdefault(parsed.block, np.zeros((count, encoder.heads, d)))[:, parsed.head - 1] = w
    if count is None:
        raise UsageError("Give the weights of at least one kind: final, layer:k or headraw:k.h.")
    return _Asked(count, by_block, by_heads, of_final)
