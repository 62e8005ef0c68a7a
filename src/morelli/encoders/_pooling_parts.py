"""The parts of an embedding that an attention-pooling head reads off the patches (SigLIP).

A probe q attends to the normed patches y_t = s (x_t - μ_t) / σ_t + t of the last block in G heads of their
own, and an MLP follows with a residual sum (Zhai et al. 2303.15343; the head is that of Lee et al.
1810.00825, section 3.2):

    r = W_o [ V_1 sum_t A_1t y_t + v_1; …; V_G sum_t A_Gt y_t + v_G ] + o,    y = r + MLP(LN(r)).

With the head's attention A and each patch's μ_t and σ_t taken as given, r is linear in x, and x is at every
patch the sum of the embedding and of what heads and MLPs of all blocks wrote there. Since sum_t A_gt = 1, a
part p with its share c of all constants gives

    V_g ( s (sum_t A_gt / σ_t p_t - c sum_t A_gt μ_t / σ_t) + c t ) + c v_g,

then W_o and c o. The weighted sums over patches come first: for a head of a block they are taken of its
mixtures before the output matrix, so that nothing of the size of all patches is made for a single head. The
pooling head's MLP is a part of its own, `poolmlp`, as the MLPs of blocks are.

Shapes: b images, T patches, D width, G pooling heads, H heads of a block, c = D / H.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from morelli.encoders._decomposition import Output, heads_by_block
from morelli.encoders._kinds import Kind


@dataclass
class PatchParts:
    """What was written into all patches, as far as it was asked for.

    `embedding` (b, T, D); `heads[l]` (b, T, H·c) the heads' mixtures before the output matrix, side by side;
    `mlps[l]` (b, T, D); `stream` (b, T, D) the patches after the last block; `poolmlp` (b, D).
    """

    embedding: Tensor | None = None
    stream: Tensor | None = None
    poolmlp: Tensor | None = None
    heads: dict[int, Tensor] = field(default_factory=dict)
    mlps: dict[int, Tensor] = field(default_factory=dict)


class PoolingHead:
    """One image batch's pooling: attention and layer norm statistics of `stream` (b, T, D), held fixed."""

    def __init__(self, probe: Tensor, attention: Any, norm: Any, stream: Tensor) -> None:
        """`attention` is the head's `nn.MultiheadAttention`, `norm` the layer norm before it."""
        x = stream.float()
        width, self.count = x.shape[-1], int(attention.num_heads)
        to_queries, to_keys, to_values = attention.in_proj_weight.float().view(3, self.count, -1, width)
        query_bias, _, value_bias = attention.in_proj_bias.float().view(3, self.count, -1)
        self.to_values: Tensor = to_values
        self.value_bias: Tensor = value_bias
        self.out: Tensor = attention.out_proj.weight.float()
        self.out_bias: Tensor = attention.out_proj.bias.float()
        self.scale: Tensor = norm.weight.float()
        self.shift: Tensor = norm.bias.float()
        mean = x.mean(dim=-1)
        deviation = (x.var(dim=-1, unbiased=False) + norm.eps).sqrt()
        y = (x - mean[..., None]) / deviation[..., None] * self.scale + self.shift
        q = to_queries @ probe.float().view(-1) + query_bias
        # Keys' biases add the same to every patch, which the softmax drops.
        absorbed = torch.einsum("gc,gcd->gd", q, to_keys)
        attended: Tensor = (absorbed @ y.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
        self.weights: Tensor = attended / deviation[:, None]
        self.mean: Tensor = (self.weights * mean[:, None]).sum(dim=-1)
        self.total = self.weights.sum(dim=-1)

    def sums(self, values: Tensor) -> Tensor:
        """Patches' vectors (b, T, e) to their weighted sums (b, G, e)."""
        return self.weights @ values.float()

    def fold(self, sums: Tensor, share: float) -> Tensor:
        """Weighted sums of k parts (b, k, G, D) to contributions (b, k, D), with a share of all constants."""
        y = (sums - share * self.mean[:, None, :, None]) * self.scale + share * self.shift
        values = torch.einsum("bkgd,gcd->bkgc", y, self.to_values) + share * self.value_bias
        return values.flatten(2) @ self.out.T + share * self.out_bias


def pooled_contributions(
    parts: PatchParts, kinds: Iterable[Kind], *, outputs: Sequence[Output], heads: int, pooling: PoolingHead
) -> dict[Kind, Tensor]:
    """Contributions (b, D) of these heads, MLPs, embedding and the pooling head's MLP to the embedding.

    `outputs` are those of all blocks. All of `parts` together sum to the pooled embedding, up to rounding.
    """
    layers = 2 * len(outputs) + 1
    found: dict[Kind, Tensor] = {}
    for kind in kinds:
        whole = parts.embedding if kind.name == "embedding" else parts.mlps.get(kind.block)
        if kind.name == "poolmlp":
            assert parts.poolmlp is not None
            found[kind] = parts.poolmlp.float()
        elif kind.name in ("embedding", "mlp"):
            assert whole is not None
            found[kind] = pooling.fold(pooling.sums(whole)[:, None], 1 / layers)[:, 0]
    for number, here in heads_by_block(kinds).items():
        sums = pooling.sums(parts.heads[number])
        b, count, _ = sums.shape
        # The G sums of an image take the place of images.
        mixed = sums.view(b * count, heads, -1)
        which, output = [kind.head - 1 for kind in here], outputs[number - 1]
        rows = Output(output.weight, None).written(mixed, which).view(b, count, len(here), -1).transpose(1, 2)
        if output.bias is not None:
            rows = rows + pooling.total[:, None, :, None] * output.bias.float() / heads
        values = pooling.fold(rows, 1 / (layers * heads)).unbind(dim=1)
        found |= dict(zip(here, values, strict=True))
    return found
