"""Is a relevance map true of the detector? Take away what it marks and see whether the score follows.

Deletion and insertion curves after Petsiuk et al., *RISE* (1806.07421): patches are removed from the picture
(or shown in an otherwise emptied one) in the order of the map, what is left goes through the whole encoder
again, and the score is read off: `deletion_curve`. `token_deletion_curve` hides patch tokens from the last
block's attention instead; it takes no forward pass of the tower and answers another, easier question: it
tests the map against the block it was read from, not against the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders import Encoder, LastBlock

Array = NDArray[Any]
Score = Callable[[Array], Array]
"""Features (m, d) to scores (m,), such as `DistilledMap.logits`."""

Fill = Literal["drop", "blur", "mean"]
"""What stands where a patch was removed: ``drop``, nothing, its token never enters the tower (CLIP only);
``blur``, the picture blurred by half a patch's side, which keeps its colours and no detail; ``mean``, the
picture's mean colour. Painted patches are evidence themselves: a detector of generated images reads blur as
generated whatever was below it, and then a curve tells of the paint (docs/relevance.md has the numbers)."""

FRACTIONS = (0.05, 0.1, 0.2, 0.35, 0.5)


def deletion_curve(
    encoder: Encoder,
    pixels: ArrayLike,
    maps: ArrayLike,
    score: Score,
    *,
    kind: str = "final",
    fractions: Sequence[float] = FRACTIONS,
    fill: Fill = "drop",
    insertion: bool = False,
    batch: int = 16,
) -> Array:
    """Scores (n, fractions) of pictures without their most relevant patches.

    Args:
        encoder: the whole of it runs once per image and fraction.
        pixels: (n, 3, s, s) transformed, as `encoder` takes them.
        maps: (n, P) or (n, g, g), one map per image. Ties come in a fixed random order.
        score: of the feature `kind`.
        kind: the feature that `score` reads.
        fractions: shares of the patches, each in 0..1.
        fill: what stands in their place.
        insertion: keep the most relevant patches only, instead of all but them.
        batch: pictures at a time.

    Raises:
        UsageError: shapes that do not fit, an unknown fill, or ``drop`` with an encoder that is no CLIP.
    """
    from morelli.encoders import encode_kept

    pixels = np.asarray(pixels, dtype=np.float32)
    order, fractions = _order(maps, len(pixels), encoder.patches), _checked(fractions)
    filled = pixels if fill == "drop" else filled_pixels(pixels, encoder.patches, fill)
    found = np.empty((len(pixels), len(fractions)), dtype=np.float64)
    for column, fraction in enumerate(fractions):
        gone = np.stack([_first(one, fraction, insertion) for one in order]) if len(order) else order > 0
        for start in range(0, len(pixels), batch):
            rows = slice(start, start + batch)
            if fill == "drop":
                x = encode_kept(encoder, pixels[rows], ~gone[rows], kind=kind, batch=batch)
            else:
                changed = replaced(pixels[rows], filled[rows], gone[rows])
                x = encoder.trace(changed, kinds=[kind])[kind]
            found[rows, column] = score(x)
    return found


def token_deletion_curve(
    last_block: LastBlock,
    class_token: ArrayLike,
    tokens: ArrayLike,
    maps: ArrayLike,
    score: Score,
    *,
    fractions: Sequence[float] = FRACTIONS,
    insertion: bool = False,
    batch: int = 64,
) -> Array:
    """Scores (n, fractions) with the most relevant patches hidden from the last block's class token.

    The attention that they received goes to the other tokens in proportion, as if they had not been there in
    this one block; what earlier blocks carried from them into other tokens stays. With `insertion` only the
    most relevant patches are seen. See `deletion_curve` for the other arguments.
    """
    class_token, tokens = np.asanyarray(class_token), np.asanyarray(tokens)
    order, fractions = _order(maps, len(tokens), last_block.patches), _checked(fractions)
    found = np.empty((len(tokens), len(fractions)), dtype=np.float64)
    for start in range(0, len(tokens), batch):
        rows = slice(start, start + batch)
        attention = last_block.attention(class_token[rows], tokens[rows])
        for column, fraction in enumerate(fractions):
            hidden = np.stack([_first(one, fraction, insertion) for one in order[rows]])
            # The class token itself is always seen.
            seen = np.pad(~hidden, ((0, 0), (1, 0)), constant_values=True)
            kept = attention.weights * seen[:, None]
            kept /= kept.sum(axis=-1, keepdims=True)
            found[rows, column] = score(last_block.vector(attention.mix(kept), attention.residual))
    return found


def random_maps(n: int, patches: int, rng: np.random.Generator) -> Array:
    """Maps (n, patches) that say nothing: each patch's relevance is drawn alone."""
    return rng.random((n, patches)).astype(np.float32)


def centre_maps(n: int, patches: int, rng: np.random.Generator | None = None) -> Array:
    """Maps (n, patches) that fall off from the middle of the picture, where subjects are.

    With `rng` equally distant patches come in random order.
    """
    grid = math.isqrt(patches)
    offset = np.arange(grid) - (grid - 1) / 2
    near = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * (grid / 4) ** 2)).ravel()
    jitter = 0 if rng is None else 1e-6 * rng.random((n, patches))
    return np.asarray(near + jitter + np.zeros((n, patches)), dtype=np.float32)


def filled_pixels(pixels: Array, patches: int, fill: Fill) -> Array:
    """Pictures (n, 3, s, s) in which every patch is filled."""
    if fill not in get_args(Fill):
        raise UsageError(f"fill is one of {', '.join(get_args(Fill))}; got {fill!r}.")
    if fill == "mean":
        return np.broadcast_to(pixels.mean(axis=(2, 3), keepdims=True), pixels.shape)
    from scipy.ndimage import gaussian_filter

    sigma = pixels.shape[-1] / patches**0.5 / 2
    return np.stack([gaussian_filter(one, (0, sigma, sigma), mode="reflect") for one in pixels])


def replaced(pictures: Array, filled: Array, where: Array) -> Array:
    """Pictures (n, 3, s, s) with the patches `where` (n, P) taken from `filled`."""
    grid = math.isqrt(where.shape[1])
    side = pictures.shape[-1] // grid
    mask = where.reshape(-1, 1, grid, grid).repeat(side, axis=2).repeat(side, axis=3)
    return np.where(mask, filled, pictures)


def _order(maps: ArrayLike, n: int, patches: int) -> Array:
    """Patches (n, P) from the most relevant to the least."""
    maps = np.asarray(maps)
    if maps.shape[:1] != (n,) or maps.size != n * patches:
        raise UsageError(
            f"{n} pictures of {patches} patches need one map each, (n, {patches}); got shape {maps.shape}. "
            "Take one row of RelevanceMaps.maps, such as maps[:, -1] for the logit."
        )
    # Ties (a map that is zero in places, or everywhere) in a fixed random order: by place, an empty map would
    # take away the top of every picture.
    shuffled = np.random.default_rng(0).permutation(patches)
    return np.asarray(shuffled[np.argsort(-maps.reshape(n, patches)[:, shuffled], axis=1, kind="stable")])


def _checked(fractions: Sequence[float]) -> list[float]:
    values = [float(fraction) for fraction in fractions]
    if not values or not all(0 <= fraction <= 1 for fraction in values):
        raise UsageError(f"Fractions are shares of the patches in 0..1; got {list(fractions)}.")
    return values


def _first(order: Array, fraction: float, insertion: bool) -> Array:
    """Which patches (P,) are gone: the first ones of `order`, or all but them."""
    gone = np.zeros(len(order), dtype=bool)
    gone[order[: round(fraction * len(order))]] = True
    return ~gone if insertion else gone
