"""DINOv3's ConvNeXt through transformers' model: stages of convolutions instead of blocks of attention.

`final` is the model's pooled output, the normed mean over the last stage; `mean:k` is the mean over the
places of stage k, whose width is the stage's own. There are no tokens of one width, no class token and no
heads.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from morelli.encoders._kinds import Kind
from morelli.encoders._pretrained import load_pretrained
from morelli.encoders._torch_tower import TorchTower
from morelli.errors import UsageError


class ConvNextTower(TorchTower):
    """One loaded `DINOv3ConvNextModel`."""

    def __init__(self, folder: Path, *, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(device)
        import transformers

        # Without attention there is nothing to choose an implementation of.
        self.model = load_pretrained(
            transformers.DINOv3ConvNextModel, folder, dtype=dtype, attention="eager"
        ).to(device)
        self.dtype = dtype

    def trace_tensors(self, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """Features of these kinds, float32."""
        refused = {kind.name for kind in kinds} - {"final", "mean"}
        if refused:
            raise UsageError(
                f"A ConvNeXt gives final and mean:k, k its stage; {', '.join(sorted(refused))} do not exist: "
                "it has neither a class token nor heads."
            )
        x = pixels.to(self.dtype)
        found: dict[Kind, Tensor] = {}
        for number, stage in enumerate(self.model.model.stages, start=1):
            x = stage(x)
            if Kind("mean", number) in kinds:
                found[Kind("mean", number)] = x.float().mean(dim=(2, 3))
        if Kind("final") in kinds:
            found[Kind("final")] = self.model.layer_norm(x.mean(dim=(2, 3))).float()
        return found
