"""The embedding as a sum of what every attention head, every MLP and the embedding layer wrote.

Exact decomposition of an image embedding that is read off the class token, after Gandelsman et al.,
*Interpreting CLIP's Image Representation via Text-Based Decomposition* (2310.05916), equations 2-5. The
class token after the last block is a plain sum,

    z_L = z_0 + sum_l S_l ( sum_h O_lh a_lh + o_l ) + sum_l m_l,

with a_lh (D / H) what head h of block l mixed for the class token, O_lh its columns of the output
matrix, o_l the output bias, S_l the block's layer scale where it has one (DINO) and m_l the MLP, its own
layer scale included. The last layer norm is not linear, but for one image its mean μ and deviation σ are
two numbers; with both taken as given it is, and so is the projection W:

    y = W (s (z_L - μ) / σ + t) = sum over parts of  W (s (part - μ_part) / σ + t_part).

As in the authors' code, μ and the shift t are shared out evenly over the 2L + 1 layers of the sum
(embedding, L attentions, L MLPs), an attention's share and its bias o_l evenly over its H heads.

Only the class token's rows enter, so that all parts together cost next to nothing beside the forward
pass that they come from. Where patches are pooled instead, see `morelli.encoders._pooling_parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from morelli.encoders._kinds import Kind

Fold = Callable[[Tensor, float], Tensor]
"""What stands between the residual stream and the embedding, for one part and its share of all constants:
(b, …, D) to (b, …, d)."""


@dataclass
class ClassParts:
    """What was written into the class token, as far as it was asked for, float32.

    `embedding` (b, D) is z_0; `heads[l]` (b, H, D / H) the heads' mixtures a_lh before the output matrix;
    `mlps[l]` (b, D); blocks l from 1.
    """

    embedding: Tensor
    heads: dict[int, Tensor] = field(default_factory=dict)
    mlps: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """A block's output matrix (D, D) with its bias (D,) and the layer scale behind it (D,), None for none."""

    weight: Tensor
    bias: Tensor | None
    scale: Tensor | None = None

    def written(self, mixed: Tensor, which: list[int]) -> Tensor:
        """What these heads wrote: mixtures (b, H, D / H) to (b, k, D), with their shares of the bias."""
        heads = mixed.shape[1]
        weight = self.weight.float().view(len(self.weight), heads, -1)
        rows = torch.einsum("bhc,dhc->bhd", mixed[:, which], weight[:, which])
        if self.bias is not None:
            rows = rows + self.bias.float() / heads
        return rows if self.scale is None else rows * self.scale.float()


def contributions(
    parts: ClassParts, kinds: Iterable[Kind], *, outputs: Sequence[Output], fold: Fold
) -> dict[Kind, Tensor]:
    """Contributions (b, d) of these heads, MLPs and the embedding to the image embedding.

    `outputs` are those of all L blocks. All of `parts` together sum to `fold(z_L, 1)`, up to the rounding
    of float32.
    """
    layers = 2 * len(outputs) + 1
    found: dict[Kind, Tensor] = {}
    for kind in kinds:
        if kind.name == "embedding":
            found[kind] = fold(parts.embedding, 1 / layers)
        elif kind.name == "mlp":
            found[kind] = fold(parts.mlps[kind.block], 1 / layers)
    for number, here in heads_by_block(kinds).items():
        mixed = parts.heads[number]
        rows = outputs[number - 1].written(mixed, [kind.head - 1 for kind in here])
        values = fold(rows, 1 / (layers * mixed.shape[1])).unbind(dim=1)
        found |= dict(zip(here, values, strict=True))
    return found


def heads_by_block(kinds: Iterable[Kind]) -> dict[int, list[Kind]]:
    """The kinds `head:k.h` among these, by block."""
    found: dict[int, list[Kind]] = {}
    for kind in kinds:
        if kind.name == "head":
            found.setdefault(kind.block, []).append(kind)
    return found


def last_norm(z: Tensor, scale: Tensor, shift: Tensor, eps: float, after: Fold | None = None) -> Fold:
    """The last layer norm with the statistics of z (b, D), the class token after the last block.

    `after` is the linear map behind it, if there is one.
    """
    mean = z.mean(dim=-1, keepdim=True)
    deviation = (z.var(dim=-1, unbiased=False, keepdim=True) + eps).sqrt()

    def fold(part: Tensor, share: float) -> Tensor:
        shape = (len(part),) + (1,) * (part.ndim - 1)
        y = (part - share * mean.view(shape)) / deviation.view(shape) * scale + share * shift
        return y if after is None else after(y, share)

    return fold
