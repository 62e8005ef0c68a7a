"""The embedding as a sum of what every attention head, every MLP and the embedding layer wrote.

Exact decomposition of CLIP's image embedding after Gandelsman et al., *Interpreting CLIP's Image
Representation via Text-Based Decomposition* (2310.05916), equations 2-5. The class token after the last
block is a plain sum,

    z_L = z_0 + sum_l ( sum_h O_lh a_lh + o_l ) + sum_l m_l,

with a_lh (D / H) what head h of block l mixed for the class token, O_lh its columns of the output
matrix, o_l the output bias and m_l the MLP. The last layer norm is not linear, but for one image its mean
μ and deviation σ are two numbers; with both taken as given it is, and so is the projection W:

    y = W (s (z_L - μ) / σ + t) = sum over parts of  W (s (part - μ_part) / σ + t_part).

As in the authors' code, μ and the shift t are shared out evenly over the 2L + 1 layers of the sum
(embedding, L attentions, L MLPs), an attention's share and its bias o_l evenly over its H heads.

Only the class token's rows enter, so that all parts together cost next to nothing beside the forward
pass that they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from morelli.encoders._kinds import Kind

if TYPE_CHECKING:
    from morelli.encoders._vit import VisionTransformer


@dataclass
class ClassParts:
    """What was written into the class token, as far as it was asked for, float32.

    `embedding` (b, D) is z_0; `heads[l]` (b, H, D / H) the heads' mixtures a_lh before the output matrix;
    `mlps[l]` (b, D); blocks l from 1.
    """

    embedding: Tensor
    heads: dict[int, Tensor] = field(default_factory=dict)
    mlps: dict[int, Tensor] = field(default_factory=dict)


def contributions(
    vit: VisionTransformer, parts: ClassParts, z: Tensor, kinds: Sequence[Kind]
) -> dict[Kind, Tensor]:
    """Contributions (b, d) of these heads, MLPs and the embedding to the image embedding.

    `z` (b, D) is the class token after the last block, of which the layer norm's statistics are taken.
    All of `parts` together sum to `project(vit, z)`, up to the rounding of float32.
    """
    norm = vit.post_norm
    layers = 2 * len(vit.blocks) + 1
    mean = z.mean(dim=-1, keepdim=True)
    deviation = (z.var(dim=-1, unbiased=False, keepdim=True) + norm.eps).sqrt()

    def folded(part: Tensor, share: float) -> Tensor:
        """(b, …, D) to (b, …, d): the layer norm and the projection, with this share of μ and t."""
        shape = (len(part),) + (1,) * (part.ndim - 1)
        y = (part - share * mean.view(shape)) / deviation.view(shape) * norm.scale + share * norm.shift
        return y if vit.projection is None else y @ vit.projection.weight.float().T

    found: dict[Kind, Tensor] = {}
    by_block: dict[int, list[Kind]] = {}
    for kind in kinds:
        if kind.name == "embedding":
            found[kind] = folded(parts.embedding, 1 / layers)
        elif kind.name == "mlp":
            found[kind] = folded(parts.mlps[kind.block], 1 / layers)
        else:
            by_block.setdefault(kind.block, []).append(kind)
    for number, here in by_block.items():
        rows = _written(vit, number, parts.heads[number], [kind.head - 1 for kind in here])
        heads = vit.blocks[number - 1].heads
        for kind, value in zip(here, folded(rows, 1 / (layers * heads)).unbind(dim=1), strict=True):
            found[kind] = value
    return found


def _written(vit: VisionTransformer, number: int, mixed: Tensor, which: list[int]) -> Tensor:
    """What these heads of a block wrote into the class token: (b, H, D / H) to (b, len(which), D)."""
    block = vit.blocks[number - 1]
    width = block.out.weight.shape[0]
    output = block.out.weight.float().view(width, block.heads, -1)
    rows = torch.einsum("bhc,dhc->bhd", mixed[:, which], output[:, which])
    return rows if block.out.bias is None else rows + block.out.bias.float() / block.heads
