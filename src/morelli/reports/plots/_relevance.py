"""Relevance as pictures: a transparent layer for the app, or laid over what was judged."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from morelli.palette import GENERATED, REAL, rgb

# Alike in lightness, since here opacity carries the amount.
TOWARDS = {"generated": rgb(GENERATED), "real": rgb(REAL)}


def relevance_layer(relevance: npt.NDArray[np.float32], size: int, *, towards_generated: bool) -> Image.Image:
    """Relevance (g, g) ≥ 0 as an RGBA picture (size, size); opacity is the share of its peak."""
    top = float(relevance.max(initial=0))
    share = np.clip(relevance / top, 0, 1) if top > 0 else np.zeros_like(relevance)
    small = Image.fromarray(np.rint(255 * 0.85 * share).astype(np.uint8))
    alpha = small.resize((size, size), Image.Resampling.BICUBIC)
    layer = Image.new("RGBA", (size, size), (*TOWARDS["generated" if towards_generated else "real"], 0))
    layer.putalpha(alpha)
    return layer


def relevance_png(
    relevance: npt.NDArray[np.float32],
    size: int,
    *,
    towards_generated: bool,
    under: bytes | None = None,
) -> bytes:
    """The layer as a PNG file, over the JPEG `under` where one is given."""
    layer = relevance_layer(relevance, size, towards_generated=towards_generated)
    stored = BytesIO()
    if under is None:
        # One colour in 256 opacities: as a palette a quarter of the bytes, and a sixth of the time, to pack.
        opacity = layer.getchannel("A")
        picture = Image.frombytes("P", opacity.size, opacity.tobytes())
        picture.putpalette(256 * TOWARDS["generated" if towards_generated else "real"])
        picture.save(stored, "PNG", transparency=bytes(range(256)))
        return stored.getvalue()
    with Image.open(BytesIO(under), formats=["JPEG"]) as photo:
        # The picture fades to grey, so that its own colours are not taken for relevance.
        grey = photo.convert("L").resize((size, size)).convert("RGBA")
    Image.alpha_composite(grey, layer).convert("RGB").save(stored, "PNG")
    return stored.getvalue()
