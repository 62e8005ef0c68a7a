"""The tower on some of an image's patches: what it would make of a picture without the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from morelli.encoders._kinds import parse_kind
from morelli.encoders._last_block import clip_weights, full_float32
from morelli.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from morelli.encoders._encoder import Encoder


def encode_kept(
    encoder: Encoder,
    pixels: NDArray[np.float32],
    kept: NDArray[np.bool_],
    *,
    kind: str = "final",
    batch: int = 16,
) -> NDArray[np.float32]:
    """Feature (n, d) of pictures of which only some patches enter the tower, each at its own position.

    A transformer needs no stand-in for what is missing, so nothing has to be painted over it that might
    itself look real or generated (Jain et al. 2022, *Missingness Bias in Model Debugging*). With all patches
    kept this is `encoder.encode`.

    Args:
        encoder: a CLIP.
        pixels: (n, 3, s, s) transformed.
        kept: (n, P) boolean, patches row by row; images may keep different numbers.
        kind: `final` or `layer:k`.
        batch: images at a time.

    Raises:
        UsageError: the encoder is no CLIP, shapes do not fit, or the kind is another.
    """
    import torch

    from morelli.encoders._vit import block_forward, embed, project

    vit = clip_weights(encoder, "Leaving patches out")
    parsed = parse_kind(kind, layers=encoder.layers, heads=encoder.heads)
    if parsed.name not in ("final", "layer"):
        raise UsageError(
            f"{kind!r} is no class token's vector; patches can be left out for final and layer:k."
        )
    if kept.shape != (len(pixels), encoder.patches):
        raise UsageError(f"Kept patches must be ({len(pixels)}, {encoder.patches}); got {kept.shape}.")
    depth = parsed.block or encoder.layers
    found = np.empty((len(pixels), encoder.width if parsed.block else encoder.dim), dtype=np.float32)
    counts = kept.sum(axis=1)
    with torch.inference_mode(), full_float32(encoder.device):
        # Images of one batch must be equally long.
        for count in np.unique(counts):
            rows = np.flatnonzero(counts == count)
            for start in range(0, len(rows), batch):
                part = rows[start : start + batch]
                z = embed(vit, torch.from_numpy(np.ascontiguousarray(pixels[part])).to(encoder.device))
                patches = np.nonzero(kept[part])[1].reshape(len(part), int(count)) + 1
                tokens = np.pad(patches, ((0, 0), (1, 0)))
                index = torch.from_numpy(tokens).to(z.device)[..., None].expand(-1, -1, z.shape[-1])
                z = z.gather(1, index)
                for number, block in enumerate(vit.blocks[:depth], start=1):
                    z = block_forward(block, z, class_only=number == depth)
                value = z[:, 0] if parsed.block else project(vit, z[:, 0])
                found[part] = value.float().cpu().numpy()
    return found
