"""The block that writes a feature, taken up again from the stored tokens that went into it.

A class token after block L depends on the tokens before it only through one row of attention: with
y = LN(z) the normed tokens, every head mixes values of all tokens for the class token's query,

    a_h = Σ_j A_hj v_hj,    v_hj = V_h y_j + b_h,    A_h = softmax(q_h K_hᵀ / √c),              (1)

and all that follows (output matrix, residual sum, MLP, last layer norm, projection) sees the class token
alone:

    u = r + O a + o,    z = u + F₂ φ(F₁ LN₂(u)),    x = P LN(z).                                (2)

So the block costs about a hundredth of the tower, and gradients by A need nothing but gradients by the H
vectors a_h of one token. Of a target with cotangent g = ∂/∂x, back through (2) in closed form,

    ∂/∂z = LNᵀ(Pᵀ g),    ∂/∂u = ∂/∂z + LN₂ᵀ(F₁ᵀ(φ' ∘ F₂ᵀ ∂/∂z)),    ∂/∂a = Oᵀ ∂/∂u,          (3)
    ∂/∂A_hj = ⟨∂/∂a_h, v_hj⟩ = ⟨V_hᵀ ∂/∂a_h, y_j⟩ + ⟨∂/∂a_h, b_h⟩,                              (4)

with LNᵀ the derivative of a layer norm (`_vit_arrays`, equation 5). By the second form of (4) neither keys
nor values of all tokens are ever computed.

Shapes: b images, n = P + 1 tokens (class token first), D width, H heads of c = D / H, d length of the kind,
K targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.encoders import _vit_arrays as vit_arrays
from morelli.encoders._kinds import parse_kind
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders._encoder import Encoder
    from morelli.encoders._vit_weights import VisionTransformer

Floats = NDArray[np.float32]
Pullback = Callable[[ArrayLike], Floats]
"""Cotangents (b, K, d) of the feature to those of what the heads mixed, (b, K, H, c): equation 3."""


@dataclass(frozen=True, eq=False)
class ClassAttention:
    """What the class token receives in one block, all float32.

    `weights` (b, H, n), rows sum to 1, the class token's share first; `normed` (b, n, D), the normed tokens
    that heads take their values from; `residual` (b, D), the class token before the block; `matrix` (H, c, D)
    and `bias` (H, c), the heads' values.
    """

    weights: Floats
    normed: Floats = field(repr=False)
    residual: Floats = field(repr=False)
    matrix: Floats = field(repr=False)
    bias: Floats = field(repr=False)

    @property
    def values(self) -> Floats:
        """(b, H, n, c): what each head could mix."""
        return np.asarray(self.normed[:, None] @ self.matrix.swapaxes(1, 2) + self.bias[:, None])

    @property
    def mixed(self) -> Floats:
        """(b, H, c): what each head mixed, equation 1."""
        return self.mix(self.weights)

    def mix(self, weights: Floats) -> Floats:
        """What the heads mix with other weights (b, H, n): (b, H, c)."""
        tokens = weights @ self.normed
        rows = (self.matrix @ tokens.transpose(1, 2, 0)).transpose(2, 0, 1)
        return np.asarray(rows + self.bias * weights.sum(axis=-1, keepdims=True))

    def by_weights(self, gradient: Floats) -> Floats:
        """Equation 4: cotangents (b, K, H, c) of the heads' mixtures to those of the weights (b, K, H, n)."""
        (b, k, heads, size), (_, n, width) = gradient.shape, self.normed.shape
        by_head = gradient.transpose(2, 0, 1, 3).reshape(heads, b * k, size)
        onto = (by_head @ self.matrix).reshape(heads, b, k, width).transpose(1, 2, 0, 3)
        found = onto.reshape(b, k * heads, width) @ self.normed.swapaxes(1, 2)
        constant = np.einsum("bkhc,hc->bkh", gradient, self.bias)
        return np.asarray(found.reshape(b, k, heads, n) + constant[..., None])


class LastBlock:
    """From the stored input of a block to the class token's feature behind it, with gradients.

    >>> from morelli.encoders import load_encoder
    >>> block = LastBlock(load_encoder("clip-vit-b16"))
    >>> block.inputs
    ('layer:11', 'tokens:11')

    It computes in float32 on the CPU, whatever the encoder itself runs on. Calls keep no state and may come
    from several threads.

    Attributes:
        kind: the feature that comes out, `final` or `layer:k`.
        block: number of the block that is computed, from 1.
        inputs: the two feature kinds that go in: class token (b, D) and patch tokens (b, P, D).
        width, heads, patches, dim: D, H, P and the length d of the feature.
    """

    def __init__(self, encoder: Encoder, kind: str = "final") -> None:
        """Read the weights of that block.

        Raises:
            UsageError: the encoder is no CLIP, or `kind` is not `final` or `layer:k` with k from 2.
        """
        parsed = parse_kind(kind, layers=encoder.layers, heads=encoder.heads)
        if parsed.name not in ("final", "layer"):
            raise UsageError(
                f"{kind!r} is not a vector of the class token after a block; a block is taken up again for "
                "the kinds final and layer:k."
            )
        self.block = encoder.layers if parsed.name == "final" else parsed.block
        if self.block < 2:
            raise UsageError(f"{kind!r} comes from the first block, whose input is not a feature kind.")
        self.kind, self._projected = str(parsed), parsed.name == "final"
        self.inputs = (f"layer:{self.block - 1}", f"tokens:{self.block - 1}")
        self.width, self.heads, self.patches = encoder.width, encoder.heads, encoder.patches
        self.dim = encoder.dim if self._projected else encoder.width
        self._vit = clip_weights(encoder, "The last block alone", block=self.block)
        (self._weights,) = self._vit.blocks

    def attention(self, class_token: ArrayLike, tokens: ArrayLike) -> ClassAttention:
        """The class token's row of attention and what it mixes.

        Args:
            class_token: (b, D), the first kind of `inputs`; any float type.
            tokens: (b, P, D), the second.

        Raises:
            UsageError: other shapes.
        """
        first, rest = np.asarray(class_token, np.float32), np.asarray(tokens, np.float32)
        if first.shape[1:] != (self.width,) or rest.shape != (len(first), self.patches, self.width):
            raise UsageError(
                f"Tokens of shape {first.shape} and {rest.shape} were given; block {self.block} takes "
                f"{self.inputs[0]} as (b, {self.width}) and {self.inputs[1]} as "
                f"(b, {self.patches}, {self.width})."
            )
        block, width, heads = self._weights, self.width, self.heads
        y = vit_arrays.norm_forward(block.norm1, np.concatenate([first[:, None], rest], axis=1))
        queries, keys, values = block.qkv.weight.reshape(3, heads, width // heads, width)
        bias = np.zeros(3 * width, np.float32) if block.qkv.bias is None else block.qkv.bias
        of_queries, _, of_values = bias.reshape(3, heads, -1)
        q = queries @ y[:, 0].T + of_queries[..., None]
        # qᵀ(W y + b) = (Wᵀq)ᵀy + qᵀb, and the softmax drops the last term, which is the same for all tokens:
        # with one query, keys need not be computed.
        absorbed = (keys.swapaxes(1, 2) @ q).transpose(2, 0, 1) * np.float32((width // heads) ** -0.5)
        weights = vit_arrays.softmax(absorbed @ y.swapaxes(1, 2))
        return ClassAttention(weights, y, first, values, of_values)

    def vector(self, mixed: Floats, residual: Floats) -> Floats:
        """The feature (b, d) of what the heads mixed (b, H, c) and the class token before (b, D)."""
        return self.vector_and_pullback(mixed, residual)[0]

    def vector_and_pullback(self, mixed: Floats, residual: Floats) -> tuple[Floats, Pullback]:
        """The feature (b, d), equation 2, and the function that takes its cotangents back, equation 3.

        Args:
            mixed: (b, H, c), see `ClassAttention.mixed`.
            residual: (b, D), the class token before the block.
        """
        block, vit = self._weights, self._vit
        u = residual + vit_arrays.apply(block.out, mixed.reshape(len(mixed), self.width))
        hidden = vit_arrays.apply(block.fc1, vit_arrays.norm_forward(block.norm2, u))
        z = u + vit_arrays.apply(block.fc2, vit_arrays.activate(block, hidden))
        x = vit_arrays.project(vit, z) if self._projected else z

        def pullback(cotangents: ArrayLike) -> Floats:
            by_z = np.asarray(cotangents, np.float32)
            if by_z.ndim != 3 or by_z.shape[0] != len(x) or by_z.shape[2] != self.dim:
                raise UsageError(
                    f"Gradients by the feature of {len(x)} images must be ({len(x)}, K, {self.dim}); got "
                    f"shape {by_z.shape}."
                )
            if self._projected:
                by_z = vit_arrays.project_gradient(vit, z, by_z)
            inner = vit_arrays.apply_gradient(block.fc2, by_z)
            inner *= vit_arrays.activation_slope(block, hidden)[:, None]
            by_u = vit_arrays.norm_gradient(
                block.norm2, u[:, None], vit_arrays.apply_gradient(block.fc1, inner)
            )
            by_u += by_z
            found = vit_arrays.apply_gradient(block.out, by_u)
            return found.reshape(*found.shape[:2], self.heads, self.width // self.heads)

        return x, pullback

    def __call__(self, class_token: ArrayLike, tokens: ArrayLike) -> Floats:
        """The feature (b, d), equal to the tower's own up to rounding."""
        found = self.attention(class_token, tokens)
        return self.vector(found.mixed, found.residual)


def clip_weights(encoder: Encoder, what: str, *, block: int | None = None) -> VisionTransformer:
    """The weights of a CLIP tower; with `block`, numbered from 1, its `blocks` are that one alone.

    Raises:
        UsageError: another family; `what` is what it is needed for.
    """
    found = encoder.vision if block is None else encoder.vision_of_block(block)
    if found is None:
        raise UsageError(
            f"{what} exists for CLIP encoders; {encoder.card.name} is a {encoder.card.family} encoder, which "
            "runs in transformers as a whole. Use clip-vit-b16 or another CLIP."
        )
    return found
