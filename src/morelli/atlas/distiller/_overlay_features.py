"""Features of photographs with words rendered on them, to be set beside those of the same without."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.distiller._overlays import Overlays

if TYPE_CHECKING:
    from PIL import Image

    from morelli.encoders import Encoder
    from morelli.images import Perturbation

_BATCH = 16


def overlay_features(
    encoder: Encoder,
    images: Iterable[Image.Image],
    overlays: Overlays | None = None,
    *,
    letters: bool = True,
    kind: str = "final",
    delivery: Perturbation | None = None,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Features (n, d) of RGB images after `overlays` drew on them; without overlays, of the images.

    letters: as of `Overlays.draw`. delivery: what is done to a picture after words are on it, as the
    features that these are compared with were delivered. seed: image i gets the same words, places and
    colours for the same seed and i, whatever the other arguments, so blocks lie where letters would.
    """
    drawn = _drawn(images, overlays, letters, delivery, seed)
    parts = []
    while batch := list(islice(drawn, _BATCH)):
        pixels = np.stack([encoder.transform(image) for image in batch])
        parts.append(encoder.trace(pixels, kinds=(kind,))[kind])
    if not parts:
        side = encoder.card.image_size
        return encoder.trace(np.empty((0, 3, side, side), np.float32), kinds=(kind,))[kind]
    return np.concatenate(parts)


def _drawn(
    images: Iterable[Image.Image],
    overlays: Overlays | None,
    letters: bool,
    delivery: Perturbation | None,
    seed: int,
) -> Iterable[Image.Image]:
    for number, image in enumerate(images):
        rng = np.random.default_rng([seed, number])
        picture = image.convert("RGB")
        if overlays is not None:
            picture = overlays.draw(picture, rng, letters=letters)
        yield picture if delivery is None else delivery(picture, rng)
