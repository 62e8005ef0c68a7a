"""The weights of a CLIP vision transformer as numpy arrays, checked against the checkpoint's configuration.

Every runtime starts here: OpenVINO's graph (`_openvino_graph`), torch's tower (`_vit`) and the closed
formulas for single blocks read the same arrays. Shapes: n = P + 1 tokens (the class token first),
D width, H heads of D / H.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from morelli.errors import WeightsError

Floats = npt.NDArray[np.float32]

QUICK_GELU_SLOPE = 1.702
"""quick_gelu(x) = x sigmoid(1.702 x), CLIP's activation."""

PROJECTION = "visual_projection.weight"
"""The one tensor that a checkpoint may lack."""

PREFIXES = ("vision_model.", "visual_projection.")
"""Beginnings of the names of all tensors that the image tower needs."""


@dataclass(frozen=True)
class Norm:
    """Layer norm: scale and shift, (D,) each."""

    scale: Floats
    shift: Floats
    eps: float


@dataclass(frozen=True)
class Linear:
    """x ↦ x weightᵀ + bias: matrix (out, in) and bias (out,) or None."""

    weight: Floats
    bias: Floats | None = None


@dataclass(frozen=True)
class Block:
    """One block; queries, keys and values are one matrix (3D, D), in this order.

    Where `activation` is `quick_gelu`, its slope a is folded into the two matrices of the MLP, because
    x sigmoid(a x) = silu(a x) / a: `fc1` holds a times the checkpoint's weight and bias, `fc2` 1 / a times
    its weight, and silu(x) = x sigmoid(x) stands between them. Otherwise `activation` is `gelu` (erf).
    """

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
    """All weights of the tower, float32. `projection` is None in checkpoints without a joint space."""

    class_token: Floats
    """(D,)"""
    patch: Linear
    """(D, 3 * side * side), a patch flattened as channel, row, column"""
    positions: Floats
    """(n, D)"""
    pre_norm: Norm
    blocks: tuple[Block, ...]
    post_norm: Norm
    projection: Linear | None
    side: int
    """Side of a patch in pixels."""
    image_size: int


def vit_weights_from_state(
    state: Mapping[str, Floats], config: Mapping[str, Any], *, block: int | None = None
) -> VisionTransformer:
    """The tower of a state dict with transformers' CLIP names.

    Args:
        state: float32 tensors of a CLIP checkpoint; those of a text tower are not touched.
        config: the vision part of its `config.json`, defaults written out.
        block: number of the only block that is wanted, from 1; None for all.

    Raises:
        WeightsError: a tensor is missing or has another shape than the config says, or the activation is
            unknown.
    """
    check_shapes({name: tensor.shape for name, tensor in state.items()}, config)
    eps, activation = float(config.get("layer_norm_eps", 1e-5)), _activation(config)
    slope, root = QUICK_GELU_SLOPE if activation == "quick_gelu" else 1.0, "vision_model."

    def take(name: str) -> Floats:
        return np.ascontiguousarray(state[name], dtype=np.float32)

    def norm(name: str) -> Norm:
        return Norm(take(f"{name}.weight"), take(f"{name}.bias"), eps)

    def linear(name: str) -> Linear:
        return Linear(take(f"{name}.weight"), take(f"{name}.bias"))

    def scaled(array: Floats, factor: float) -> Floats:
        return array if factor == 1.0 else array * np.float32(factor)

    def read_block(number: int) -> Block:
        prefix = f"{root}encoder.layers.{number - 1}"
        parts = [linear(f"{prefix}.self_attn.{letter}_proj") for letter in "qkv"]
        fc1, fc2 = linear(f"{prefix}.mlp.fc1"), linear(f"{prefix}.mlp.fc2")
        biases = [part.bias for part in (*parts, fc1) if part.bias is not None]
        return Block(
            norm1=norm(f"{prefix}.layer_norm1"),
            qkv=Linear(np.concatenate([part.weight for part in parts]), np.concatenate(biases[:3])),
            out=linear(f"{prefix}.self_attn.out_proj"),
            norm2=norm(f"{prefix}.layer_norm2"),
            fc1=Linear(scaled(fc1.weight, slope), scaled(biases[3], slope)),
            fc2=Linear(scaled(fc2.weight, 1 / slope), fc2.bias),
            heads=int(config["num_attention_heads"]),
            activation=activation,
        )

    patch = take(root + "embeddings.patch_embedding.weight")
    numbers = range(1, int(config["num_hidden_layers"]) + 1) if block is None else [block]
    return VisionTransformer(
        class_token=take(root + "embeddings.class_embedding"),
        patch=Linear(patch.reshape(len(patch), -1)),
        positions=take(root + "embeddings.position_embedding.weight"),
        # The misspelling is the checkpoint's own.
        pre_norm=norm(root + "pre_layrnorm"),
        blocks=tuple(map(read_block, numbers)),
        post_norm=norm(root + "post_layernorm"),
        projection=Linear(take(PROJECTION)) if PROJECTION in state else None,
        side=int(config["patch_size"]),
        image_size=int(config["image_size"]),
    )


def check_shapes(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> None:
    """Hold a checkpoint's shapes (name to shape) to its configuration, without reading a tensor.

    Raises:
        WeightsError: a tensor is missing or has another shape than the config says, or the activation is
            unknown.
    """
    _activation(config)
    for name, shape in _expected(config, shapes.get(PROJECTION)).items():
        found = shapes.get(name)
        if found is None:
            raise WeightsError(f"The weights lack the tensor {name!r}. Is this really a CLIP checkpoint?")
        if tuple(found) != shape:
            raise WeightsError(f"The tensor {name!r} has shape {tuple(found)}; the config says {shape}.")


def _activation(config: Mapping[str, Any]) -> str:
    activation = str(config.get("hidden_act", "quick_gelu"))
    if activation not in ("quick_gelu", "gelu"):
        raise WeightsError(f"This CLIP uses the activation {activation!r}; known are quick_gelu and gelu.")
    return activation


def _expected(config: Mapping[str, Any], projection: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of the tower; the projection, where there is one, may have any length."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    side, size = int(config["patch_size"]), int(config["image_size"])
    root = "vision_model."
    found: dict[str, tuple[int, ...]] = {
        root + "embeddings.class_embedding": (width,),
        root + "embeddings.patch_embedding.weight": (width, 3, side, side),
        root + "embeddings.position_embedding.weight": ((size // side) ** 2 + 1, width),
    }

    def norm(name: str) -> None:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (width,)

    def linear(name: str, rows: int, columns: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (rows, columns), (rows,)

    norm(root + "pre_layrnorm")
    for k in range(int(config["num_hidden_layers"])):
        prefix = f"{root}encoder.layers.{k}"
        norm(f"{prefix}.layer_norm1")
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{prefix}.self_attn.{name}", width, width)
        norm(f"{prefix}.layer_norm2")
        linear(f"{prefix}.mlp.fc1", inner, width)
        linear(f"{prefix}.mlp.fc2", width, inner)
    norm(root + "post_layernorm")
    if projection is not None:
        found[PROJECTION] = (projection[0] if projection else 0, width)
    return found
