"""The block that writes a feature, taken up again from the stored tokens that went into it.

A class token after block L depends on the tokens before it only through one row of attention: with
y = LN(z) the normed tokens, every head mixes values of all tokens for the class token's query,

    a_h = sum over j of A_hj v_hj,    A_h = softmax(q_h K_hᵀ / sqrt(D / H)),

and all that follows (output matrix, residual sum, MLP, last layer norm, projection) sees the class token
alone. So the block costs about a hundredth of the tower, and gradients with respect to A need nothing but
gradients with respect to the H vectors a_h of one token.

Shapes: b images, n = P + 1 tokens (class token first), D width, H heads of c = D / H, d length of the kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from morelli.encoders._kinds import parse_kind
from morelli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from morelli.encoders._encoder import Encoder
    from morelli.encoders._vit import Linear, VisionTransformer


@dataclass(frozen=True)
class ClassAttention:
    """What the class token receives in one block.

    `weights` (b, H, n) float32, rows sum to 1, the class token's share first; `values` (b, H, n, c) float32;
    `residual` (b, D) float32, the class token before the block.
    """

    weights: Tensor
    values: Tensor
    residual: Tensor

    @property
    def mixed(self) -> Tensor:
        """(b, H, c): what each head mixed, the sum over tokens of weights times values."""
        return (self.weights[..., None, :] @ self.values)[..., 0, :]


class LastBlock:
    """From the stored input of a block to the class token's feature behind it, differentiably.

    >>> block = LastBlock(load_encoder("clip-vit-b16"))           # doctest: +SKIP
    >>> block.inputs                                              # doctest: +SKIP
    ('layer:11', 'tokens:11')

    Calls keep no state and may come from several threads. Gradients flow where torch records them.

    Attributes:
        kind: the feature that comes out, `final` or `layer:k`.
        block: number of the block that is computed, from 1.
        inputs: the two feature kinds that go in: class token (b, D) and patch tokens (b, P, D).
        width, heads, patches, dim: D, H, P and the length d of the feature.
        device: where tensors must be.
    """

    def __init__(self, encoder: Encoder, kind: str = "final") -> None:
        """Take the weights of `encoder`, shared and not copied.

        Raises:
            UsageError: the encoder is no CLIP, or `kind` is not `final` or `layer:k` with k from 2.
        """
        self._vit = clip_weights(encoder, "The last block alone")
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
        self.device = encoder.device

    def attention(self, class_token: Tensor, tokens: Tensor) -> ClassAttention:
        """The class token's row of attention and the values it mixes.

        Args:
            class_token: (b, D), the first kind of `inputs`.
            tokens: (b, P, D), the second.

        Raises:
            UsageError: other shapes.
        """
        import torch

        if class_token.shape[1:] != (self.width,) or tokens.shape != (
            len(class_token),
            self.patches,
            self.width,
        ):
            raise UsageError(
                f"Tokens of shape {tuple(class_token.shape)} and {tuple(tokens.shape)} were given; block "
                f"{self.block} takes {self.inputs[0]} as (b, {self.width}) and {self.inputs[1]} as "
                f"(b, {self.patches}, {self.width})."
            )
        block = self._vit.blocks[self.block - 1]
        y = block.norm1(torch.cat([class_token[:, None], tokens], dim=1).float())
        b, n, width = y.shape
        size = width // self.heads
        queries, keys, to_values = _thirds(block.qkv)
        q = queries(y[:, 0]).float().view(b, self.heads, size)
        # qᵀ(W y + b) = (Wᵀq)ᵀy + qᵀb, and the softmax drops the last term, which is the same for all tokens:
        # with one query, keys need not be computed.
        absorbed = torch.einsum("bhc,hcd->bhd", q, keys.weight.float().view(self.heads, size, width))
        weights = (absorbed @ y.mT / size**0.5).softmax(dim=-1)
        values = to_values(y).float().view(b, n, self.heads, size).transpose(1, 2)
        return ClassAttention(weights, values, class_token.float())

    def vector(self, mixed: Tensor, residual: Tensor) -> Tensor:
        """The feature (b, d) of what the heads mixed (b, H, c) and the class token before (b, D)."""
        from morelli.encoders._vit import mlp, project

        block = self._vit.blocks[self.block - 1]
        z = residual + block.out(mixed.flatten(1))
        z = z + mlp(block, block.norm2(z))
        return project(self._vit, z) if self._projected else z

    def __call__(self, class_token: Tensor, tokens: Tensor) -> Tensor:
        """The feature (b, d), equal to the tower's own up to rounding."""
        with full_float32(self.device):
            found = self.attention(class_token, tokens)
            return self.vector(found.mixed, found.residual)


def clip_weights(encoder: Encoder, what: str) -> VisionTransformer:
    """The weights of a CLIP tower.

    Raises:
        UsageError: another family; `what` is what it is needed for.
    """
    import torch

    from morelli.encoders._vit import ClipTower, vit_from_weights

    if isinstance(encoder.tower, ClipTower):
        return encoder.tower.vit
    if encoder.vision is None:
        raise UsageError(
            f"{what} exists for CLIP encoders; {encoder.card.name} is a {encoder.card.family} encoder, which "
            "runs in transformers as a whole. Use clip-vit-b16 or another CLIP."
        )
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[encoder.build.dtype]
    return vit_from_weights(encoder.vision, dtype=dtype, device=torch.device(encoder.device))


@contextmanager
def full_float32(device: str) -> Iterator[None]:
    """The tower's own rule for CUDA: no TF32. On a CPU nothing changes."""
    import torch

    from morelli.encoders._torch_tower import full_float32 as on_device

    with on_device(torch.device(device)):
        yield


def _thirds(qkv: Linear) -> tuple[Linear, Linear, Linear]:
    """The matrices (D, D) and biases (D,) of queries, keys and values."""
    width = qkv.weight.shape[1]
    parts = [slice(i * width, (i + 1) * width) for i in range(3)]
    q, k, v = (
        replace(qkv, weight=qkv.weight[part], bias=None if qkv.bias is None else qkv.bias[part])
        for part in parts
    )
    return q, k, v
