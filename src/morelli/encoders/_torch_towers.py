"""Which tower runs a family in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from morelli.encoders import _aimv2, _timm
from morelli.encoders._state import read_state, tensor_shapes
from morelli.encoders._torch_tower import TorchTower

if TYPE_CHECKING:
    from morelli.encoders._resolve import Checkpoint
    from morelli.encoders._vision_source import VisionSource


def torch_tower(
    checkpoint: Checkpoint,
    family: str,
    config: Mapping[str, Any],
    vision: VisionSource | None,
    *,
    dtype: str,
    device: str,
) -> TorchTower:
    """The tower of a checkpoint, on a device.

    Args:
        checkpoint: checked weights.
        family: of the completed card.
        config: as `morelli.encoders._config.read_config` gives it.
        vision: CLIP's weights, where it is one.
        dtype: `float32` or `bfloat16`.
        device: `cpu`, `cuda`, …

    Raises:
        WeightsError: tensors are missing or do not fit the configuration.
    """
    numbers = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    place = torch.device(device)
    if vision is not None:
        from morelli.encoders._vit import ClipTower, vit_from_weights

        return ClipTower(vit_from_weights(vision.read(), dtype=numbers, device=place), place)
    if family in _timm.FAMILIES:
        from morelli.encoders._rotary_vit import RotaryVitTower

        state = read_state(checkpoint.weights, prefixes=("",))
        return RotaryVitTower(state, config, dtype=numbers, device=place)
    if family == "siglip2":
        from morelli.encoders._naflex_tower import NaFlexTower

        return NaFlexTower(checkpoint.folder, dtype=numbers, device=place)
    if family == "dinov3_convnext":
        from morelli.encoders._convnext_tower import ConvNextTower

        return ConvNextTower(checkpoint.folder, dtype=numbers, device=place)
    from morelli.encoders._transformers_tower import TransformersTower

    if family == "aimv2" and _aimv2.MARK in tensor_shapes(checkpoint.weights):
        model = _aimv2.load_original(checkpoint, config, dtype=numbers)
        return TransformersTower(checkpoint.folder, dtype=numbers, device=place, model=model)
    return TransformersTower(checkpoint.folder, dtype=numbers, device=place)
