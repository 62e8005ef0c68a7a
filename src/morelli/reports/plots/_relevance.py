"""Relevance as pictures: a transparent layer for the app, or laid over what was judged."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from morelli.artefacts.outputs import MARK
from morelli.palette import GENERATED, REAL, rgb

# Alike in lightness, since here opacity carries the amount.
TOWARDS = {"generated": rgb(GENERATED), "real": rgb(REAL)}
MOST = 0.85
"""Opacity of a map's peak."""


def relevance_layer(
    relevance: npt.NDArray[np.floating], size: int, *, towards_generated: bool | None = None
) -> Image.Image:
    """A map (g, g) as an RGBA picture (size, size); opacity is the share of its peak.

    Args:
        towards_generated: the side that all of the map speaks for, which is ≥ 0 then; None: each patch
            speaks for the side of its own sign, positive for generated.
    """
    if towards_generated is None:
        share = _upsampled(relevance, size)
        layer = np.empty((size, size, 4), np.uint8)
        layer[..., :3] = np.where(share[..., None] > 0, TOWARDS["generated"], TOWARDS["real"])
        layer[..., 3] = np.rint(255 * MOST * np.abs(share))
        return Image.fromarray(layer)
    top = float(relevance.max(initial=0))
    share = np.clip(relevance / top, 0, 1) if top > 0 else np.zeros_like(relevance)
    small = Image.fromarray(np.rint(255 * MOST * share).astype(np.uint8))
    alpha = small.resize((size, size), Image.Resampling.BICUBIC)
    one = Image.new("RGBA", (size, size), (*TOWARDS["generated" if towards_generated else "real"], 0))
    one.putalpha(alpha)
    return one


def _upsampled(signed: npt.NDArray[np.floating], size: int) -> npt.NDArray[np.float32]:
    """A signed map as shares of its peak, -1 to 1, of (size, size)."""
    top = float(np.abs(signed).max(initial=0))
    share = np.asarray(signed / top if top > 0 else np.zeros_like(signed), np.float32)
    large = Image.fromarray(share).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32).clip(-1, 1)


def relevance_png(
    relevance: npt.NDArray[np.floating],
    size: int,
    *,
    towards_generated: bool | None = None,
    under: bytes | None = None,
) -> bytes:
    """The layer as a PNG file, over the JPEG `under` where one is given.

    Args:
        relevance: (g, g), ≥ 0, or signed where `towards_generated` is None.
        size: side in pixels.
        towards_generated: as for `relevance_layer`: the side of the whole map, None for signed ones.
    """
    layer = relevance_layer(relevance, size, towards_generated=towards_generated)
    stored, marks = BytesIO(), PngInfo()
    marks.add_text("Software", MARK)
    if under is None:
        if towards_generated is None:
            layer.save(stored, "PNG", pnginfo=marks)
            return stored.getvalue()
        # One colour in 256 opacities: as a palette a quarter of the bytes, and a sixth of the time, to pack.
        opacity = layer.getchannel("A")
        picture = Image.frombytes("P", opacity.size, opacity.tobytes())
        picture.putpalette(256 * TOWARDS["generated" if towards_generated else "real"])
        picture.save(stored, "PNG", transparency=bytes(range(256)), pnginfo=marks)
        return stored.getvalue()
    with Image.open(BytesIO(under), formats=["JPEG"]) as photo:
        # The picture fades to grey, so that its own colours are not taken for relevance.
        grey = photo.convert("L").resize((size, size)).convert("RGBA")
    Image.alpha_composite(grey, layer).convert("RGB").save(stored, "PNG", pnginfo=marks)
    return stored.getvalue()
