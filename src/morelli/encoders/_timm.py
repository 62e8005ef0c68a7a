"""Model folders in timm's format: what their `config.json` and the shapes of their tensors say.

PE-Core and EVA-02 are published so. timm's `config.json` names an architecture and how images are prepared;
the dimensions follow from the tensors. What neither says (the width of a head, the grid that rotary positions
are scaled to) is the architecture's, as published: Bolya et al. 2025 (PE), Fang et al. 2023 (EVA-02).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from morelli.images.transforms import Transform

Shapes = Mapping[str, tuple[int, ...]]

FAMILIES = ("pe_core", "eva02")
"""Families that are read from folders in this format."""

_HEAD_WIDTH = 64
"""All published sizes of both families that are read here have heads of 64."""


def is_timm(data: object) -> bool:
    """Whether a `config.json` is timm's."""
    return (
        isinstance(data, Mapping) and isinstance(data.get("architecture"), str) and "model_type" not in data
    )


def timm_config(data: Mapping[str, Any], shapes: Shapes, folder: Path) -> dict[str, Any]:
    """A configuration with the fields that transformers' have, of timm's file and the tensors' shapes.

    Raises:
        WeightsError: the architecture is not known here, or the tensors are not those of one.
    """
    name = str(data["architecture"])
    given = data.get("model_args") or {}
    family = "pe_core" if name.startswith("vit_pe_core_") else "eva02" if name.startswith("eva02_") else ""
    if not family or "gigantic" in name or "enormous" in name:
        raise WeightsError(
            f"{folder} holds timm's {name}, which is not known here. Of models in timm's format PE-Core "
            "(vit_pe_core_tiny, small, base, large) and EVA-02 (eva02_tiny, small, base, large) are."
        )
    patch = _shape(shapes, "patch_embed.proj.weight", 4, folder)
    width, side = patch[0], patch[2]
    heads = int(given.get("num_heads") or width // _HEAD_WIDTH)
    depth = 1 + max((int(key.split(".")[1]) for key in shapes if key.startswith("blocks.")), default=-1)
    positions = _shape(shapes, "pos_embed", 3, folder)[1]
    grid = isqrt(positions - 1)
    if not depth or not heads or width % heads or grid**2 != positions - 1:
        raise WeightsError(
            f"{folder}: the tensors are not those of {name}: {depth} blocks of width {width}, {heads} heads, "
            f"{positions} positions."
        )
    joint = family == "pe_core" or "_clip_" in name
    dim = shapes["head.weight"][0] if joint and "head.weight" in shapes else width
    # The grid that rotary positions are scaled to: that of pre-training. EVA-02's is 16 × 16 always.
    reference = given.get("ref_feat_shape") or (grid if family == "pe_core" else 16)
    return {
        "model_type": family,
        "architecture": name,
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "patch_size": side,
        "image_size": grid * side,
        "embedding_dim": dim,
        "projected": dim != width or (joint and "head.weight" in shapes),
        "layer_norm_eps": 1e-5 if family == "pe_core" else 1e-6,
        "rotary_reference": int(reference if isinstance(reference, int) else reference[0]),
        # PE counts positions from 1 and turns the first half of a head by the column; EVA from 0, by the row.
        "rotary_offset": 1 if family == "pe_core" else 0,
        "rotary_columns_first": family == "pe_core",
        "pool_heads": int(given.get("attn_pool_num_heads") or 8),
        "pooling": str(data.get("global_pool") or ("map" if family == "pe_core" else "avg")),
    }


def timm_transform(data: Mapping[str, Any], path: Path) -> Transform:
    """The transform of timm's `pretrained_cfg`: resize by `crop_pct`, centre crop, normalise.

    The crop's offset is rounded down, as everywhere here, where torchvision's rounds to the nearest.

    Raises:
        WeightsError: the file describes other steps.
    """
    from morelli.images.transforms import clip_transform

    stated = data.get("pretrained_cfg") or {}
    try:
        channels, height, width = map(int, stated["input_size"])
        short = floor(height / float(stated.get("crop_pct") or 1.0))
        mode = stated.get("crop_mode") or "center"
        if channels != 3 or height != width or mode not in ("center", "squash"):
            raise ValueError(f"input_size {stated['input_size']}, crop_mode {mode}")
        return clip_transform(
            height,
            stated["mean"],
            stated["std"],
            str(stated.get("interpolation") or "bicubic"),
            "square" if mode == "squash" else "short",
            short=short,
        )
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise WeightsError(
            f"{path}: pretrained_cfg describes no transform that is known here ({error}). Name one with "
            "`transform=`, such as clip-224-bicubic-crop-v1."
        ) from error


def _shape(shapes: Shapes, name: str, axes: int, folder: Path) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or len(shape) != axes:
        raise WeightsError(f"{folder}: the tensor {name} is missing or has the shape {shape}.")
    return shape
