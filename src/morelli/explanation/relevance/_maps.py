"""Which patches a distilled dimension rests on: equation 4 of ASAP, for all dimensions at once.

ASAP (2404.02990) takes, after Chefer et al., *Generic Attention-model Explainability* (2103.15679), the
gradient of a distilled value z_k with respect to the class token's attention in the last block, times that
attention, keeps the positive part and averages over heads:

    R_kj = E_h[ (∂z_k/∂A_hj · A_hj)⁺ ].                                                        (4)

Heads mix values linearly, a_h = Σ_j A_hj v_hj, and all that follows sees the class token alone. So the
gradient is ∂z_k/∂A_hj = ⟨∂z_k/∂a_h, v_hj⟩: one backward pass of one token for all k together, and a product
with the values. The logit Σ_k w_k z_k + bias needs no pass of its own, its gradient is the sum of theirs.
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
    from torch import Tensor

    from morelli.encoders import LastBlock

Array = NDArray[Any]
Values = Callable[["Tensor"], "Tensor"]
"""Feature (b, d) to distilled values (b, K), both torch, such as `DistilledMap.values_torch`."""

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
        values: the distilled dimensions; row i of its result must depend on row i of its argument alone.
        weights: (K,) of the linear head over the values, for the logit's map.
        bias: of that head; it moves no gradient, but with ``own`` it decides the logit's sign.
        pooled: also the relevance-weighted mean tokens of every dimension.
        towards: sign of what the maps explain; the logit's ``up`` map shows what speaks for generated, its
            ``down`` map what speaks for real, and ``own`` takes the one that the image's logit goes to.
        rule: how heads become one number; the default is the paper's.
        batch: images at a time; memory is about 2 MB per image for ViT-B/16.

    Raises:
        UsageError: shapes that do not fit, or an unknown rule or sign.

    The calls keep no gradient and may come from several threads.
    """
    import torch

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
        cls, patches = (
            torch.from_numpy(np.array(part[rows], dtype=np.float32)).to(last_block.device)
            for part in (class_token, tokens)
        )
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
    class_token: Tensor,
    tokens: Tensor,
    values: Values,
    weights: Array | None,
    *,
    bias: float,
    pooled: bool,
    towards: Towards,
    rule: Rule,
) -> tuple[Array, ...]:
    """Maps, values, features, logits and pooled tokens of one batch."""
    import torch

    with torch.no_grad():
        attention = last_block.attention(class_token, tokens)
    z, x, gradient = head_gradients(last_block, attention.mixed, attention.residual, values)
    w = torch.zeros(z.shape[1]) if weights is None else torch.from_numpy(weights)
    if w.shape != (z.shape[1],):
        raise UsageError(f"{z.shape[1]} distilled values need as many weights; got shape {tuple(w.shape)}.")
    w = w.to(z.device)
    logits = z @ w + bias
    shown = z
    if weights is not None:
        gradient = torch.cat([gradient, torch.einsum("k,bkhc->bhc", w, gradient)[:, None]], dim=1)
        shown = torch.cat([z, logits[:, None]], dim=1)
    if towards == "own":
        gradient = gradient * torch.where(shown < 0, -1.0, 1.0)[..., None, None]
    elif towards == "down":
        gradient = -gradient
    maps = combine_heads(gradient, attention.weights, attention.values, rule)[..., 1:]
    means = weighted_mean(maps[:, : z.shape[1]], tokens) if pooled else z.new_zeros(len(z), 0, 0)
    return tuple(part.detach().cpu().numpy() for part in (maps, z, x, logits, means))


def head_gradients(
    last_block: LastBlock, mixed: Tensor, residual: Tensor, values: Values
) -> tuple[Tensor, Tensor, Tensor]:
    """Values z (b, K), features (b, d), and ∂z_k/∂a_h (b, K, H, c) in one batched backward pass.

    Row k of the batch of cotangents selects z_k of every image; images do not mix, so the sum over images
    that torch differentiates holds each image's own gradient.
    """
    import torch

    with torch.enable_grad():
        # A fresh leaf: what came before (the tokens) is not differentiated.
        mixed = mixed.detach().requires_grad_()
        x = last_block.vector(mixed, residual.detach())
        z = values(x)
        if z.ndim != 2 or len(z) != len(x):
            raise UsageError(f"The distilled values of {len(x)} images must be (b, K); got {tuple(z.shape)}.")
        dimensions = z.shape[1]
        select = torch.eye(dimensions, dtype=z.dtype, device=z.device)
        select = select[:, None, :].expand(dimensions, len(z), dimensions)
        (gradient,) = torch.autograd.grad(z, mixed, select, is_grads_batched=True)
    return z.detach().float(), x.detach(), gradient.transpose(0, 1).float()


def combine_heads(gradient: Tensor, weights: Tensor, values: Tensor, rule: Rule) -> Tensor:
    """Gradients by mixed heads (b, K, H, c), attention (b, H, n) and values (b, H, n, c) to (b, K, n)."""
    import torch

    by_attention = torch.einsum("bkhc,bhnc->bkhn", gradient, values)
    if rule != "gradient_attention":
        by_attention = by_attention - (by_attention * weights[:, None]).sum(-1, keepdim=True)
    product = by_attention * weights[:, None]
    if rule == "net":
        return product.mean(dim=2).clamp(min=0)
    return product.clamp(min=0).mean(dim=2)


def weighted_mean(maps: Tensor, tokens: Tensor) -> Tensor:
    """Mean tokens (b, K, D) of patches (b, P, D) by maps (b, K, P); plain means where a map is zero."""
    total = maps.sum(dim=-1, keepdim=True)
    share = maps / total.clamp(min=1e-30)
    return share.where(total > 0, 1 / maps.shape[-1]) @ tokens.float()
