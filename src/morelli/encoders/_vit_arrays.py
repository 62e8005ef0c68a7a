"""CLIP's vision transformer in numpy, forwards and backwards, block by block.

The runtime behind `Encoder.trace` gives features; this module gives what it cannot: gradients in closed
form, and a forward pass on chosen tokens. Equations 1 to 4 are those of Dosovitskiy et al., *An Image is
Worth 16x16 Words* (2021), with CLIP's layer norm before the first block (Radford et al. 2021, section 2.4):

    z_0  = LN([class; x_1 E; ...; x_P E] + E_pos)                                    (1)
    z'_l = MSA(LN(z_l-1)) + z_l-1                                                    (2)
    z_l  = MLP(LN(z'_l)) + z'_l                                                      (3)
    y    = LN(z_L[class]) W                                                          (4)

A gradient function takes the cotangents g of a function's result (one per target, on an axis of their own)
and returns those of its argument. With ẑ = (z - μ) / σ, a layer norm s ẑ + t gives

    ∂/∂z: (γ - mean(γ) - ẑ mean(γ ẑ)) / σ,    γ = s g,                               (5)

and a matrix its transpose. Everything is float32. Shapes: b images, n tokens (class token first), D width,
H heads of c = D / H.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from morelli.encoders._vit_weights import Block, Linear, Norm, VisionTransformer

Floats = NDArray[np.float32]


def norm_forward(norm: Norm, z: Floats) -> Floats:
    """Layer norm of the last axis."""
    centred, deviation = _centred(norm, z)
    centred /= deviation
    centred *= norm.scale
    centred += norm.shift
    return centred


def norm_gradient(norm: Norm, z: Floats, gradient: Floats) -> Floats:
    """Equation 5: cotangents (…, D) of LN(z) to those of z, which broadcasts against them."""
    centred, deviation = _centred(norm, z)
    centred /= deviation
    scaled = gradient * norm.scale
    along = (scaled * centred).mean(axis=-1, keepdims=True)
    return np.asarray((scaled - scaled.mean(axis=-1, keepdims=True) - centred * along) / deviation)


def apply(linear: Linear, x: Floats) -> Floats:
    """x Wᵀ + bias, as one matrix product over all rows."""
    rows = x.reshape(-1, x.shape[-1]) @ linear.weight.T
    if linear.bias is not None:
        rows += linear.bias
    return rows.reshape(*x.shape[:-1], rows.shape[-1])


def apply_gradient(linear: Linear, gradient: Floats) -> Floats:
    """Cotangents of `apply` to those of x."""
    rows = gradient.reshape(-1, gradient.shape[-1]) @ linear.weight
    return rows.reshape(*gradient.shape[:-1], rows.shape[-1])


def activate(block: Block, x: Floats) -> Floats:
    """The MLP's activation."""
    if block.activation == "quick_gelu":
        # x sigmoid(a x) = h (1 + tanh h) / a with h = a x / 2, which overflows nowhere; the weights hold a.
        half = x * np.float32(0.5)
        return np.asarray(half + half * np.tanh(half))
    return np.asarray(x * _normal_cdf(x))


def activation_slope(block: Block, x: Floats) -> Floats:
    """Derivative of `activate` at x."""
    if block.activation == "quick_gelu":
        half = x * np.float32(0.5)
        tanh = np.tanh(half)
        return np.asarray(np.float32(0.5) * (1 + tanh + half * (1 - tanh * tanh)))
    density = np.exp(np.float32(-0.5) * x * x) * np.float32(1 / math.sqrt(2 * math.pi))
    return np.asarray(_normal_cdf(x) + x * density)


def mlp(block: Block, y: Floats) -> Floats:
    """The MLP's part of equation 3 before the residual sum."""
    return apply(block.fc2, activate(block, apply(block.fc1, y)))


def softmax(scores: Floats) -> Floats:
    """Softmax of the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def queries_keys_values(block: Block, y: Floats) -> Floats:
    """Normed tokens (b, n, D) to queries, keys and values (3, b, H, n, c)."""
    b, n, width = y.shape
    rows = apply(block.qkv, y).reshape(b, n, 3, block.heads, width // block.heads)
    return rows.transpose(2, 0, 3, 1, 4)


def attention_weights(q: Floats, k: Floats) -> Floats:
    """softmax(q kᵀ / √c): (b, H, queries, n), rows sum to 1."""
    scores = (q * np.float32(q.shape[-1] ** -0.5)) @ k.swapaxes(-1, -2)
    return softmax(np.asarray(scores, np.float32))


def merged(mixed: Floats) -> Floats:
    """Heads (b, H, n, c) side by side: (b, n, D)."""
    b, heads, n, size = mixed.shape
    return mixed.swapaxes(1, 2).reshape(b, n, heads * size)


def block_forward(block: Block, z: Floats, *, class_only: bool = False) -> Floats:
    """Equations 2 and 3. With `class_only` just the class token's row is computed: (b, 1, D)."""
    q, k, v = queries_keys_values(block, norm_forward(block.norm1, z))
    if class_only:
        z, q = z[:, :1], q[:, :, :1]
    z = z + apply(block.out, merged(attention_weights(q, k) @ v))
    z += mlp(block, norm_forward(block.norm2, z))
    return z


def embed(vit: VisionTransformer, pixels: Floats) -> Floats:
    """Equation 1: (b, 3, s, s) pixels to tokens (b, n, D)."""
    b, c, s, _ = pixels.shape
    grid = s // vit.side
    squares = pixels.reshape(b, c, grid, vit.side, grid, vit.side).transpose(0, 2, 4, 1, 3, 5)
    patches = apply(vit.patch, squares.reshape(b, grid**2, c * vit.side**2))
    first = np.broadcast_to(vit.class_token, (b, 1, patches.shape[-1]))
    return norm_forward(vit.pre_norm, np.concatenate([first, patches], axis=1) + vit.positions)


def project(vit: VisionTransformer, class_token: Floats) -> Floats:
    """Equation 4: (b, D) to the embedding (b, d), not normalised."""
    y = norm_forward(vit.post_norm, class_token)
    return y if vit.projection is None else apply(vit.projection, y)


def project_gradient(vit: VisionTransformer, class_token: Floats, gradient: Floats) -> Floats:
    """Cotangents (b, K, d) of `project` to those of the class token: (b, K, D)."""
    if vit.projection is not None:
        gradient = apply_gradient(vit.projection, gradient)
    return norm_gradient(vit.post_norm, class_token[:, None], gradient)


def _centred(norm: Norm, z: Floats) -> tuple[Floats, Floats]:
    """z less its mean, and its deviation (…, 1)."""
    centred = z - z.mean(axis=-1, keepdims=True)
    variance = np.einsum("...d,...d->...", centred, centred)[..., None] / np.float32(z.shape[-1])
    return centred, np.sqrt(variance + np.float32(norm.eps))


def _normal_cdf(x: Floats) -> Floats:
    from scipy.special import erf

    return np.asarray(np.float32(0.5) * (1 + erf(x * np.float32(math.sqrt(0.5)))))
