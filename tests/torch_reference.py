"""The same numbers in torch, for comparisons with autograd."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from morelli.atlas.distiller import DistilledMap
from morelli.encoders import Encoder
from morelli.encoders._vit import VisionTransformer, vit_from_weights


def torch_vit(encoder: Encoder) -> VisionTransformer:
    """Torch's tower on the weights of a CLIP, whatever the encoder itself runs on."""
    assert encoder.vision is not None
    return vit_from_weights(encoder.vision, dtype=torch.float32, device=torch.device("cpu"))


def torch_values(distilled: DistilledMap) -> Callable[[Tensor], Tensor]:
    """What `DistilledMap.values` computes, differentiably, in the type of its argument."""

    def values(x: Tensor) -> Tensor:
        rows = torch.nn.functional.normalize(x, dim=1) if distilled.unit else x
        h = rows @ torch.from_numpy(distilled.A).to(x.dtype) + torch.from_numpy(distilled.b).to(x.dtype)
        return {"relu": torch.relu, "tanh": torch.tanh, "identity": torch.clone}[distilled.activation](h)

    return values
