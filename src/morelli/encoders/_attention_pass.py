"""A whole forward pass that keeps every block's attention, for methods that need gradients by all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.encoders import _vit_arrays as vit_arrays
from morelli.encoders._last_block import clip_weights
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders._encoder import Encoder
    from morelli.encoders._vit_weights import Block, VisionTransformer

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _BlockPass:
    """What one block computed of one image: tokens z (n, D) before it, queries, keys and values (3, H, n, c),
    `attention` (H, n, n), tokens u (n, D) before the MLP, and the MLP's inner layer (n, 4 D) before the
    activation."""

    block: Block
    z: Floats
    qkv: Floats
    attention: Floats
    u: Floats
    hidden: Floats

    def back(self, gradient: Floats) -> tuple[Floats, Floats]:
        """Cotangents (K, n, D) of the tokens after the block to those of its attention, (K, H, n, n), and of
        the tokens before it, (K, n, D)."""
        block, (q, k, v) = self.block, self.qkv
        heads, n, size = q.shape
        inner = vit_arrays.apply_gradient(block.fc2, gradient)
        inner *= vit_arrays.activation_slope(block, self.hidden)
        by_u = vit_arrays.norm_gradient(block.norm2, self.u, vit_arrays.apply_gradient(block.fc1, inner))
        by_u += gradient
        by_mixed = vit_arrays.apply_gradient(block.out, by_u)
        by_mixed = by_mixed.reshape(len(by_u), n, heads, size).swapaxes(1, 2)
        by_attention = by_mixed @ v.swapaxes(-1, -2)
        # Back through the softmax: only how a weight's gradient differs from its row's mean counts.
        by_scores = by_attention - (by_attention * self.attention).sum(axis=-1, keepdims=True)
        by_scores *= self.attention * np.float32(size**-0.5)
        parts = np.stack(
            [by_scores @ k, by_scores.swapaxes(-1, -2) @ q, self.attention.swapaxes(-1, -2) @ by_mixed],
            axis=1,
        )
        rows = parts.transpose(0, 3, 1, 2, 4).reshape(len(by_u), n, -1)
        by_z = vit_arrays.norm_gradient(block.norm1, self.z, vit_arrays.apply_gradient(block.qkv, rows))
        by_z += by_u
        return by_attention, by_z


@dataclass(frozen=True, eq=False)
class AttentionPass:
    """One image's forward pass. `final` (d,)."""

    final: Floats
    _vit: VisionTransformer = field(repr=False)
    _class_token: Floats = field(repr=False)
    _blocks: tuple[_BlockPass, ...] = field(repr=False)

    def backwards(self, gradient: ArrayLike) -> Iterator[tuple[Floats, Floats]]:
        """Each block's attention (H, n, n) and the gradient by it (K, H, n, n), the last block first.

        Args:
            gradient: (K, d), of K targets by `final`.

        Raises:
            UsageError: another shape.
        """
        by_final = np.asarray(gradient, np.float32)
        if by_final.ndim != 2 or by_final.shape[1:] != self.final.shape:
            raise UsageError(
                f"Gradients by the embedding must be (K, {len(self.final)}); got shape {by_final.shape}."
            )
        by_class = vit_arrays.project_gradient(self._vit, self._class_token[None], by_final[None])[0]
        by_z = np.zeros((len(by_final), *self._blocks[-1].z.shape), np.float32)
        by_z[:, 0] = by_class
        for one in reversed(self._blocks):
            by_attention, by_z = one.back(by_z)
            yield one.attention, by_attention


def attention_pass(encoder: Encoder, pixels: ArrayLike) -> AttentionPass:
    """Run the tower on one image's pixels (3, s, s) so that `final` can be differentiated by every attention.

    The memory of all blocks is kept: for ViT-B/16 about 90 MB.

    Raises:
        UsageError: the encoder is no CLIP.
    """
    vit = clip_weights(encoder, "A pass that keeps every attention")
    z = vit_arrays.embed(vit, np.asarray(pixels, np.float32)[None])
    passes = []
    for block in vit.blocks:
        qkv = vit_arrays.queries_keys_values(block, vit_arrays.norm_forward(block.norm1, z))
        q, k, v = qkv
        attention = vit_arrays.attention_weights(q, k)
        u = z + vit_arrays.apply(block.out, vit_arrays.merged(attention @ v))
        hidden = vit_arrays.apply(block.fc1, vit_arrays.norm_forward(block.norm2, u))
        passes.append(_BlockPass(block, z[0], qkv[:, 0], attention[0], u[0], hidden[0]))
        z = u + vit_arrays.apply(block.fc2, vit_arrays.activate(block, hidden))
    return AttentionPass(vit_arrays.project(vit, z[:, 0])[0], vit, z[0, 0], tuple(passes))
