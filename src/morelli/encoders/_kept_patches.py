"""The tower on some of an image's patches: what it would make of a picture without the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from morelli.encoders import _vit_arrays as vit_arrays
from morelli.encoders._kinds import parse_kind
from morelli.encoders._last_block import clip_weights
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
    kept this is `encoder.encode`. It computes in float32 on the CPU, whatever the encoder itself runs on.

    Args:
        encoder: a CLIP.
        pixels: (n, 3, s, s) transformed.
        kept: (n, P) boolean, patches row by row; images may keep different numbers.
        kind: `final` or `layer:k`.
        batch: images at a time.

    Raises:
        UsageError: the encoder is no CLIP, shapes do not fit, or the kind is another.
    """
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
    # Images of one batch must be equally long.
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            z = vit_arrays.embed(vit, np.asarray(pixels[part], np.float32))
            patches = np.nonzero(kept[part])[1].reshape(len(part), int(count)) + 1
            tokens = np.pad(patches, ((0, 0), (1, 0)))
            z = np.take_along_axis(z, tokens[..., None], axis=1)
            for number, block in enumerate(vit.blocks[:depth], start=1):
                z = vit_arrays.block_forward(block, z, class_only=number == depth)
            found[part] = z[:, 0] if parsed.block else vit_arrays.project(vit, z[:, 0])
    return found
