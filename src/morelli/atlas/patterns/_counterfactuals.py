"""What a region is worth: the verdict on the picture without it, beside the same edit made elsewhere.

An edit always disturbs a little, so a change of the logit means something only against the change that the
same edit makes at random places of the same picture, with the region's own shape and size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from morelli.atlas.patterns._edit_region import How, edit_region, region_mask
from morelli.errors import UsageError
from morelli.explanation.relevance import as_input

if TYPE_CHECKING:
    from morelli.encoders import Encoder

Array = NDArray[Any]
Score = Callable[[Array], Array]
"""From features (b, d) of one kind to logits (b,), or to several numbers (b, c), such as impacts."""


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """Changes of a score in n images under one edit.

    Attributes:
        how: the edit.
        before: (n, c) scores of the pictures as they are.
        change: (n, c) score without the region minus score before.
        elsewhere: (n, r, c) the same when the edit is made at r random places.
    """

    how: How
    before: Array
    change: Array
    elsewhere: Array

    @property
    def effect(self) -> Array:
        """(n, c): the change beyond the mean change at random places."""
        return np.asarray(self.change - self.elsewhere.mean(axis=1))

    def p_value(self, column: int = 0) -> float:
        """Two-sided permutation p-value that the region is no other than a random place, over all images.

        Under that hypothesis the edited region and its r random places are exchangeable within an image.
        """
        every = np.concatenate([self.change[:, None, column], self.elsewhere[..., column]], axis=1)
        centred = every - every.mean(axis=1, keepdims=True)
        observed = abs(centred[:, 0].mean())
        rng = np.random.default_rng(0)
        drawn = rng.integers(every.shape[1], size=(4999, len(every)))
        null = np.abs(centred[np.arange(len(every)), drawn].mean(axis=1))
        return float((1 + (null >= observed - 1e-12).sum()) / 5000)


def measure_counterfactuals(
    encoder: Encoder,
    score: Score,
    images: Sequence[Image.Image],
    regions: Sequence[ArrayLike],
    *,
    how: How = "inpaint",
    kind: str = "final",
    places: int = 4,
    batch: int = 16,
    random_state: int = 0,
) -> Counterfactuals:
    """Edit each image's region and the same region at random places, and score them all.

    Args:
        encoder: what sees the pictures.
        score: from features (b, d) of `kind` to what is measured.
        images: RGB. Each is cropped as the encoder sees it first, so that the edit is made at its resolution.
        regions: one per image, boxes or patch masks as `edit_region` takes.
        how: the edit.
        places: random places per image; each costs one pass, like the region itself.
        batch: pictures per pass.
        random_state: seed of the places and of ``replace``.

    Raises:
        UsageError: other numbers of images and regions.
    """
    if len(images) != len(regions) or not len(images) or places < 1:
        raise UsageError(
            f"Counterfactuals need one region per image and at least one random place; got {len(images)} "
            f"images, {len(regions)} regions and {places} places."
        )
    side = encoder.card.image_size

    def pictures() -> Any:
        for number, (image, region) in enumerate(zip(images, regions, strict=True)):
            rng = np.random.default_rng([random_state, number])
            view = as_input(image, side)
            mask = region_mask(region, view.size)
            yield view
            yield edit_region(view, mask, how, rng=rng)
            for _ in range(places):
                yield edit_region(view, moved(mask, rng), how, rng=rng)

    found: list[Array] = []
    waiting: list[Array] = []

    def flush() -> None:
        if waiting:
            features = encoder.trace(np.stack(waiting), kinds=[kind])[kind]
            scores = np.asarray(score(features), dtype=np.float64)
            found.append(scores.reshape(len(waiting), -1))
            waiting.clear()

    for picture in pictures():
        waiting.append(encoder.transform(picture))
        if len(waiting) == batch:
            flush()
    flush()
    scores = np.concatenate(found).reshape(len(images), places + 2, -1)
    before = scores[:, 0]
    return Counterfactuals(
        how=how,
        before=before,
        change=scores[:, 1] - before,
        elsewhere=scores[:, 2:] - before[:, None],
    )


def moved(mask: Array, rng: np.random.Generator, tries: int = 20) -> NDArray[np.bool_]:
    """The mask (h, w) at a random place inside the picture, of `tries` one that overlaps it least."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    best, least = mask, np.inf
    for _ in range(tries):
        top = int(rng.integers(mask.shape[0] - part.shape[0] + 1))
        left = int(rng.integers(mask.shape[1] - part.shape[1] + 1))
        shifted = np.zeros_like(mask)
        shifted[top : top + part.shape[0], left : left + part.shape[1]] = part
        overlap = float((shifted & mask).sum())
        if overlap == 0:
            return shifted
        if overlap < least:
            best, least = shifted, overlap
    return best
