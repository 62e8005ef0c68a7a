"""CLIP's vision transformer as a pure function of weights and pixels.

Written out after Dosovitskiy et al., *An Image is Worth 16x16 Words* (2021), equations 1-4, with
CLIP's layer norm before the first block (Radford et al. 2021, section 2.4):

    z_0  = LN([class; x_1 E; ...; x_P E] + E_pos)                                    (1)
    z'_l = MSA(LN(z_l-1)) + z_l-1                                                    (2)
    z_l  = MLP(LN(z'_l)) + z'_l                                                      (3)
    y    = LN(z_L[class]) W                                                          (4)

Nothing here holds state or uses hooks, so that gradients and the parts of one head can be taken
from the same functions. Shapes: b images, n = P + 1 tokens (the class token first), D = width,
H heads of D / H.

The matrix products run in the type of the weights; the residual stream, the layer norms and the
softmax's input scale stay in float32, which costs little and keeps bfloat16 close to float32.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from morelli.encoders import _vit_weights
from morelli.encoders._decomposition import ClassParts, Fold, Output, contributions, last_norm
from morelli.encoders._kinds import PARTS, Kind, refuse_pooling_head
from morelli.encoders._torch_tower import TorchTower


@dataclass(frozen=True)
class Norm:
    """Layer norm: scale and shift, (D,) float32 each."""

    scale: Tensor
    shift: Tensor
    eps: float

    def __call__(self, z: Tensor) -> Tensor:
        """Normalise the last axis of `z`."""
        return functional.layer_norm(z, self.scale.shape, self.scale, self.shift, self.eps)


@dataclass(frozen=True)
class Linear:
    """Matrix (out, in) and bias (out,) or None."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Product in the weights' own type."""
        return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True)
class Block:
    """One block; queries, keys and values are one matrix (3D, D), in this order."""

    norm1: Norm
    qkv: Linear
    out: Linear
    norm2: Norm
    fc1: Linear
    fc2: Linear
    heads: int
    activation: str


@dataclass(frozen=True)
class VisionTransformer:
    """All weights of the tower. `projection` is None in checkpoints without a joint space."""

    class_token: Tensor
    """(D,)"""
    patch: Linear
    """(D, 3 * side * side)"""
    positions: Tensor
    """(n, D)"""
    pre_norm: Norm
    blocks: tuple[Block, ...]
    post_norm: Norm
    projection: Linear | None
    side: int
    """Side of a patch in pixels."""
    image_size: int


def embed(vit: VisionTransformer, pixels: Tensor) -> Tensor:
    """Equation 1: (b, 3, s, s) pixels to tokens (b, n, D)."""
    b, c, s, _ = pixels.shape
    grid = s // vit.side
    # A convolution with stride = kernel is a matrix product over flattened patches.
    squares = pixels.reshape(b, c, grid, vit.side, grid, vit.side).permute(0, 2, 4, 1, 3, 5)
    patches = squares.reshape(b, grid**2, c * vit.side**2)
    x = vit.patch(patches).float()
    return vit.pre_norm(torch.cat([vit.class_token.expand(b, 1, -1), x], dim=1) + vit.positions)


def queries_keys_values(block: Block, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normed tokens (b, n, D) to q, k, v of shape (b, H, n, D / H) each."""
    b, n, width = y.shape
    q, k, v = block.qkv(y).view(b, n, 3, block.heads, width // block.heads).permute(2, 0, 3, 1, 4)
    return q, k, v


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """softmax(q kᵀ / sqrt(D / H)): (b, H, queries, n), float32, rows sum to 1."""
    return (q.float() @ k.float().mT / math.sqrt(q.shape[-1])).softmax(dim=-1)


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each head's mixture of values before the output matrix: (b, H, queries, D / H)."""
    return functional.scaled_dot_product_attention(q, k, v)


def attend(block: Block, mixed: Tensor) -> Tensor:
    """The attention's part of equation 2 before the residual sum: (b, queries, D)."""
    return block.out(mixed.transpose(1, 2).flatten(2))


def mlp(block: Block, y: Tensor) -> Tensor:
    """The MLP's part of equation 3 before the residual sum."""
    x = block.fc1(y)
    if block.activation == "quick_gelu":
        # x sigmoid(a x) = silu(a x) / a; the two matrices hold a and 1 / a, see `_vit_weights.Block`.
        return block.fc2(functional.silu(x, inplace=not torch.is_grad_enabled()))
    return block.fc2(functional.gelu(x))


def block_forward(block: Block, z: Tensor, *, class_only: bool = False) -> Tensor:
    """Equations 2 and 3. With `class_only` just the class token's row is computed: (b, 1, D)."""
    q, k, v = queries_keys_values(block, block.norm1(z))
    return _finish(block, z, q, k, v, class_only=class_only)[0]


def _finish(
    block: Block, z: Tensor, q: Tensor, k: Tensor, v: Tensor, *, class_only: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The new stream, and what this block's heads (b, H, queries, D / H) and MLP (b, queries, D) gave."""
    if class_only:
        z, q = z[:, :1], q[:, :, :1]
    mixed = mix(q, k, v)
    z = z + attend(block, mixed)
    added = mlp(block, block.norm2(z))
    return z + added, mixed, added


def project(vit: VisionTransformer, class_token: Tensor) -> Tensor:
    """Equation 4: (b, D) to the embedding (b, d), not normalised."""
    y = vit.post_norm(class_token)
    return y if vit.projection is None else vit.projection(y).float()


def trace(vit: VisionTransformer, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
    """Features of these kinds, float32; blocks and tokens that no kind needs are not computed."""
    names = {kind.name for kind in kinds}
    # A part's contribution needs the last layer norm's statistics, hence all blocks.
    whole = "final" in names or bool(names & PARTS)
    depth = len(vit.blocks) if whole else max(kind.block for kind in kinds)
    found: dict[Kind, Tensor] = {}
    z = embed(vit, pixels)
    parts = ClassParts(z[:, 0].clone())
    for number, block in enumerate(vit.blocks[:depth], start=1):
        here = {kind.name for kind in kinds if kind.block == number}
        last = number == depth
        q, k, v = queries_keys_values(block, block.norm1(z))
        if "attention" in here:
            found[Kind("attention", number)] = attention_weights(q[:, :, :1], k)[:, :, 0]
            if last and here == {"attention"} and not whole:
                break
        z, mixed, added = _finish(block, z, q, k, v, class_only=last and not here & {"mean", "tokens"})
        # Copies, so that what the block gave for all other tokens is not kept alive.
        if here & {"head", "headraw"}:
            parts.heads[number] = mixed[:, :, 0].float().clone()
        if "mlp" in here:
            parts.mlps[number] = added[:, 0].float().clone()
        if "layer" in here:
            found[Kind("layer", number)] = z[:, 0].clone()
        if "mean" in here:
            found[Kind("mean", number)] = z[:, 1:].mean(dim=1)
        if "tokens" in here:
            found[Kind("tokens", number)] = z[:, 1:]
    if "final" in names:
        found[Kind("final")] = project(vit, z[:, 0])
    for kind in kinds:
        if kind.name == "headraw":
            found[kind] = parts.heads[kind.block][:, kind.head - 1]
    if names & PARTS:
        outputs = [Output(block.out.weight, block.out.bias) for block in vit.blocks]
        found |= contributions(parts, kinds, outputs=outputs, fold=_fold(vit, z[:, 0]))
    return found


def _fold(vit: VisionTransformer, class_token: Tensor) -> Fold:
    """Equation 4 with the statistics of this class token, linear in what was written into it."""
    norm, projection = vit.post_norm, vit.projection
    after: Fold | None = None
    if projection is not None:
        matrix = projection.weight.float().T
        after = lambda y, share: y @ matrix  # noqa: E731
    return last_norm(class_token, norm.scale, norm.shift, norm.eps, after)


def vit_from_weights(
    weights: _vit_weights.VisionTransformer, *, dtype: torch.dtype, device: torch.device
) -> VisionTransformer:
    """The tower on these arrays, which a CPU shares with them where the type is the same.

    Args:
        weights: see `morelli.encoders._vit_weights`.
        dtype: type of the matrices; vectors and norms stay float32.
        device: where the tensors go.
    """

    def tensor(array: _vit_weights.Floats, kind: torch.dtype = torch.float32) -> Tensor:
        return torch.from_numpy(array).to(device=device, dtype=kind)

    def norm(norm: _vit_weights.Norm) -> Norm:
        return Norm(tensor(norm.scale), tensor(norm.shift), norm.eps)

    def linear(linear: _vit_weights.Linear) -> Linear:
        bias = None if linear.bias is None else tensor(linear.bias, dtype)
        return Linear(tensor(linear.weight, dtype), bias)

    def block(block: _vit_weights.Block) -> Block:
        return Block(
            norm1=norm(block.norm1),
            qkv=linear(block.qkv),
            out=linear(block.out),
            norm2=norm(block.norm2),
            fc1=linear(block.fc1),
            fc2=linear(block.fc2),
            heads=block.heads,
            activation=block.activation,
        )

    return VisionTransformer(
        class_token=tensor(weights.class_token),
        patch=linear(weights.patch),
        positions=tensor(weights.positions),
        pre_norm=norm(weights.pre_norm),
        blocks=tuple(map(block, weights.blocks)),
        post_norm=norm(weights.post_norm),
        projection=None if weights.projection is None else linear(weights.projection),
        side=weights.side,
        image_size=weights.image_size,
    )


class ClipTower(TorchTower):
    """The transformer behind `Encoder` in torch."""

    def __init__(self, vit: VisionTransformer, device: torch.device) -> None:
        super().__init__(device)
        self.vit = vit

    def trace_tensors(self, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """Features of these kinds, see `trace`."""
        refuse_pooling_head(kinds, "clip")
        return trace(self.vit, pixels, kinds)
