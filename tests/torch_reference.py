"""The same numbers in torch, for comparisons with autograd."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from morelli.atlas.distiller import DistilledMap
from morelli.encoders import _vit, _vit_weights


def torch_vit(weights: _vit_weights.VisionTransformer) -> _vit.VisionTransformer:
    """Torch's tower on these arrays."""
    found = _in_torch(weights)
    assert isinstance(found, _vit.VisionTransformer)
    return found


def torch_values(distilled: DistilledMap) -> Callable[[Tensor], Tensor]:
    """What `DistilledMap.values` computes, differentiably, in the type of its argument."""

    def values(x: Tensor) -> Tensor:
        rows = torch.nn.functional.normalize(x, dim=1) if distilled.unit else x
        h = rows @ torch.from_numpy(distilled.A).to(x.dtype) + torch.from_numpy(distilled.b).to(x.dtype)
        return {"relu": torch.relu, "tanh": torch.tanh, "identity": torch.clone}[distilled.activation](h)

    return values


def _in_torch(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, tuple):
        return tuple(map(_in_torch, value))
    if not dataclasses.is_dataclass(value):
        return value
    parts = {one.name: _in_torch(getattr(value, one.name)) for one in dataclasses.fields(value)}
    return getattr(_vit, type(value).__name__)(**parts)
