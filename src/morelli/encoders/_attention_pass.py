"""A whole forward pass that keeps every block's attention, for methods that need gradients by all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from morelli.encoders._last_block import clip_weights, full_float32

if TYPE_CHECKING:
    from torch import Tensor

    from morelli.encoders._encoder import Encoder


@dataclass(frozen=True)
class AttentionPass:
    """`final` (b, d) and each block's attention (b, H, n, n), differentiable."""

    final: Tensor
    attentions: tuple[Tensor, ...]


def attention_pass(encoder: Encoder, pixels: Tensor) -> AttentionPass:
    """Run the tower on pixels (b, 3, s, s) so that `final` can be differentiated by every attention.

    The memory of all blocks is kept: for ViT-B/16 about 60 MB per image.

    Raises:
        UsageError: the encoder is no CLIP.
    """
    import torch

    from morelli.encoders._vit import attend, attention_weights, embed, mlp, project, queries_keys_values

    vit = clip_weights(encoder, "A pass that keeps every attention")
    attentions = []
    with full_float32(encoder.device), torch.enable_grad():
        # Without a leaf that wants gradients nothing would be recorded.
        z = embed(vit, pixels.detach().to(encoder.device)).requires_grad_()
        for block in vit.blocks:
            q, k, v = queries_keys_values(block, block.norm1(z))
            attention = attention_weights(q, k)
            attentions.append(attention)
            z = z + attend(block, attention @ v.float())
            z = z + mlp(block, block.norm2(z))
        return AttentionPass(project(vit, z[:, 0]), tuple(attentions))
