"""Which patches a distilled dimension rests on: equation 4 of ASAP, for all dimensions at once.

ASAP (2404.02990) takes, after Chefer et al., *Generic Attention-model Explainability* (2103.15679), the
gradient of a distilled value z_k with respect to the class token's attention in the last block, times that
attention, keeps the positive part and averages over heads:

    R_kj = E_h[ (∂z_k/∂A_hj · A_hj)⁺ ].                                                        (4)

Heads mix values linearly, a_h = Σ_j A_hj v_hj, and all that follows sees the class token alone. So the
gradient is ∂z_k/∂A_hj = ⟨∂z_k/∂a_h, v_hj⟩: the derivative of one token, in closed form for all k together
(`morelli.encoders.LastBlock`), and a product with the values. The logit Σ_k w_k z_k + bias needs no pass of
its own, its gradient is the sum of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders import LastBlock

Array = NDArray[Any]
Values = Callable[[Array], tuple[Array, Array]]
"""Feature (b, d) to distilled values (b, K) and their gradients (b, K, d), such as
`DistilledMap.values_and_gradients`. Row i of both depends on row i of the feature alone."""

Rule = Literal["gradient_attention", "centred", "net"]
"""How a patch's gradients in H heads become one number:

``gradient_attention``: equation 4 as in the paper;
``centred``: the same with each head's mean gradient Σ_i A_hi ∂z/∂A_hi taken off first: how z changes when the
head attends to j *instead of* what it attends to (the derivative by the score before the softmax);
``net``: as ``centred``, but heads are averaged before the positive part is taken, so that heads that pull
against each other cancel."""

Towards = Literal["up", "down", "own"]
"""Of what the map is: ``up`` of +z_k and +logit (the paper's), ``down`` of -z_k and -logit, ``own`` of each
value's own sign: what makes a positive value positive, and a negative one negative."""

_BATCH = 16


@dataclass(frozen=True)
class RelevanceMaps:
    """Relevance of P patches in n images.

    Attributes:
        maps: (n, K + 1, P) float32, ≥ 0, patches row by row; the K dimensions, then the logit. Without
            weights (n, K, P).
        values: (n, K) float32 distilled values.
        embedding: (n, d) float32, the feature they were read from.
        logits: (n,) float32 Σ_k w_k z_k + bias; None without weights.
        pooled: (n, K, D) float32, patch tokens averaged by the dimension's map; None if not asked.
    """

    maps: Array = field(repr=False)
    values: Array = field(repr=False)
    embedding: Array = field(repr=False)
    logits: Array | None = field(default=None, repr=False)
    pooled: Array | None = field(default=None, repr=False)

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return math.isqrt(self.maps.shape[-1])

    def square(self) -> Array:
        """The maps as images, (n, rows, g, g)."""
        return self.maps.reshape(*self.maps.shape[:2], self.grid, self.grid)


def relevance_maps(
    last_block: LastBlock,
    class_token: ArrayLike,
    tokens: ArrayLike,
    values: Values,
    weights: ArrayLike | None = None,
    *,
    bias: float = 0.0,
    pooled: bool = False,
    towards: Towards = "up",
    rule: Rule = "gradient_attention",
    batch: int = _BATCH,
) -> RelevanceMaps:
    """All maps of some images from the stored input of the last block.

    Args:
        last_block: of the encoder and the kind that `values` reads.
        class_token: (n, D), the first of `last_block.inputs`; any float type.
        tokens: (n, P, D), the second. Read in pieces of `batch` rows, so it may be a memory map.
        values: the distilled dimensions and their gradients, such as `DistilledMap.values_and_gradients`.
        weights: (K,) of the linear head over the values, for the logit's map.
        bias: of that head; it moves no gradient, but with ``own`` it decides the logit's sign.
        pooled: also the relevance-weighted mean tokens of every dimension.
        towards: sign of what the maps explain; the logit's ``up`` map shows what speaks for generated, its
            ``down`` map what speaks for real, and ``own`` takes the one that the image's logit goes to.
        rule: how heads become one number; the default is the paper's.
        batch: images at a time; memory is about 4 MB per image for ViT-B/16.

    Raises:
        UsageError: shapes that do not fit, or an unknown rule or sign.

    The calls keep no state and may come from several threads.
    """
    if rule not in get_args(Rule) or towards not in get_args(Towards):
        raise UsageError(
            f"rule is one of {', '.join(get_args(Rule))} and towards one of {', '.join(get_args(Towards))}; "
            f"got {rule!r} and {towards!r}."
        )
    class_token, tokens = np.asanyarray(class_token), np.asanyarray(tokens)
    if class_token.ndim != 2 or tokens.ndim != 3 or len(class_token) != len(tokens):
        raise UsageError(
            f"Relevance takes class tokens (n, D) and patch tokens (n, P, D) of the same images; got shapes "
            f"{class_token.shape} and {tokens.shape}."
        )
    w = None if weights is None else np.asarray(weights, dtype=np.float32)
    found: list[tuple[Array, ...]] = []
    # One empty pass for no images, so that the shapes are right.
    for start in range(0, max(len(tokens), 1), batch):
        rows = slice(start, start + batch)
        cls, patches = (np.asarray(part[rows], dtype=np.float32) for part in (class_token, tokens))
        found.append(
            _batch(last_block, cls, patches, values, w, bias=bias, pooled=pooled, towards=towards, rule=rule)
        )
    maps, z, x, logits, means = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return RelevanceMaps(
        maps=maps, values=z, embedding=x, logits=logits if w is not None else None,
        pooled=means if pooled else None,
    )  # fmt: skip


def _batch(
    last_block: LastBlock,
    class_token: Array,
    tokens: Array,
    values: Values,
    weights: Array | None,
    *,
    bias: float,
    pooled: bool,
    towards: Towards,
    rule: Rule,
) -> tuple[Array, ...]:
    """Maps, values, features, logits and pooled tokens of one batch."""
    attention = last_block.attention(class_token, tokens)
    x, pullback = last_block.vector_and_pullback(attention.mixed, attention.residual)
    z, by_feature = (np.asarray(part, dtype=np.float32) for part in values(x))
    if z.ndim != 2 or len(z) != len(x) or by_feature.shape != (*z.shape, x.shape[1]):
        raise UsageError(
            f"The distilled values of {len(x)} images and their gradients must be (b, K) and (b, K, "
            f"{x.shape[1]}); got {z.shape} and {by_feature.shape}."
        )
    w = np.zeros(z.shape[1], np.float32) if weights is None else weights
    if w.shape != (z.shape[1],):
        raise UsageError(f"{z.shape[1]} distilled values need as many weights; got shape {w.shape}.")
    gradient = pullback(by_feature)
    logits = z @ w + np.float32(bias)
    shown = z
    if weights is not None:
        gradient = np.concatenate([gradient, np.einsum("k,bkhc->bhc", w, gradient)[:, None]], axis=1)
        shown = np.concatenate([z, logits[:, None]], axis=1)
    if towards == "own":
        gradient = gradient * np.where(shown < 0, np.float32(-1), np.float32(1))[..., None, None]
    elif towards == "down":
        gradient = -gradient
    maps = combine_heads(attention.by_weights(gradient), attention.weights, rule)[..., 1:]
    means = weighted_mean(maps[:, : z.shape[1]], tokens) if pooled else np.zeros((len(z), 0, 0), np.float32)
    return maps, z, x, logits, means


def combine_heads(by_attention: Array, weights: Array, rule: Rule) -> Array:
    """Gradients by attention (b, K, H, n) and attention (b, H, n) to relevance (b, K, n)."""
    if rule != "gradient_attention":
        by_attention = by_attention - (by_attention * weights[:, None]).sum(axis=-1, keepdims=True)
    product = by_attention * weights[:, None]
    if rule == "net":
        return np.asarray(product.mean(axis=2).clip(min=0))
    return np.asarray(product.clip(min=0).mean(axis=2))


def weighted_mean(maps: Array, tokens: Array) -> Array:
    """Mean tokens (b, K, D) of patches (b, P, D) by maps (b, K, P); plain means where a map is zero."""
    total = maps.sum(axis=-1, keepdims=True)
    share = np.divide(maps, total, out=np.full_like(maps, 1 / maps.shape[-1]), where=total > 0)
    return np.asarray(share @ tokens)
