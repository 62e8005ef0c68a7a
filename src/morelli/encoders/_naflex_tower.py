"""SigLIP 2 in its NaFlex form: images of any aspect as up to P patches, through transformers' model.

The transform (`morelli.images.transforms.naflex_transform`) gives for every place its row, its column and its
pixels, with -1 for places without a patch; see Tschannen et al. 2025, section 2.4.2. A patch's place in the
image differs from image to image, so that `tokens:k` and maps do not exist here; `mean:k` is taken over the
patches that an image has.
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


class NaFlexTower(TorchTower):
    """One loaded `Siglip2VisionModel`."""

    def __init__(self, folder: Path, *, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(device)
        import transformers

        self.model = load_pretrained(transformers.Siglip2VisionModel, folder, dtype=dtype).to(device)
        self.dtype = dtype

    def trace_tensors(self, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """Features of these kinds, float32, of rows (b, P, 2 + 3 side²) made by the NaFlex transform."""
        refused = {kind.name for kind in kinds} - {"final", "mean"}
        if refused:
            raise UsageError(
                "SigLIP 2 NaFlex gives final and mean:k; "
                f"{', '.join(sorted(refused))} do not exist: its patches lie otherwise in every image, and "
                "there is no class token."
            )
        if not len(pixels):
            one = pixels.new_zeros(1, *pixels.shape[1:])
            return {kind: value[:0] for kind, value in self.trace_tensors(one, kinds).items()}
        places, patches = pixels[..., :2], pixels[..., 2:]
        there = places[..., 0] >= 0
        out = self.model(
            pixel_values=patches.to(self.dtype),
            pixel_attention_mask=there.to(torch.int32),
            spatial_shapes=(places.amax(dim=1) + 1).long(),
            output_hidden_states=any(kind.name == "mean" for kind in kinds),
        )
        found: dict[Kind, Tensor] = {}
        for kind in kinds:
            if kind.name == "final":
                found[kind] = out.pooler_output.float()
            else:
                weights = there.float() / there.sum(dim=1, keepdim=True)
                found[kind] = (out.hidden_states[kind.block].float() * weights[..., None]).sum(dim=1)
        return found
