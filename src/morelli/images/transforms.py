"""What an encoder is fed: an RGB image becomes a normalised float32 array, each way with an id.

CLIP's transform equals the Pillow backend of transformers' `CLIPImageProcessor` bit for bit:
bicubic resize so that the short side is `size`, the long one rounded down, then a centre crop.
UnivFD's is a centre crop alone, which pads smaller images with black before normalising
(Ojha et al. 2023, repository commit 76a0e3e, validate.py). NaFlex's keeps the aspect and gives patches with
their places (SigLIP 2, Tschannen et al. 2025, section 2.4.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, isqrt, prod
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from morelli.errors import UsageError

Floats = tuple[float, float, float]
Resize = Literal["short", "square"]

CLIP_MEAN: Final[Floats] = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final[Floats] = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: Final[Floats] = (0.485, 0.456, 0.406)
IMAGENET_STD: Final[Floats] = (0.229, 0.224, 0.225)
HALF: Final[Floats] = (0.5, 0.5, 0.5)

_RESAMPLES: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_STATISTICS: Final[dict[str, tuple[Floats, Floats]]] = {
    "": (CLIP_MEAN, CLIP_STD),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": (HALF, HALF),
}
# A resize whose whole result would hold more pixels than this (a 1 × 100 000 strip) computes the
# crop's window only, where rounding may move a grey level by one.
_WHOLE_RESIZE_PIXELS: Final = 16_000_000


@runtime_checkable
class Transform(Protocol):
    """An image's way into an encoder. `id` names it for ever: features made with two ids never mix."""

    @property
    def id(self) -> str:
        """The name that `transform_from_id` understands."""
        ...

    @property
    def size(self) -> int:
        """Side of the result in pixels."""
        ...

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """(3, size, size) float32 of an RGB image; another shape where `row_shape` says so."""
        ...


@dataclass(frozen=True)
class ResizeCrop:
    """Resize, centre crop and normalise, as CLIP's processor does; see `clip_transform`."""

    id: str
    size: int
    short: int
    square: bool
    resample: Image.Resampling
    table: NDArray[np.float32] = field(repr=False, compare=False)

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """(3, size, size) float32 of an RGB image."""
        image = _rgb(image)
        width, height = image.size
        if self.square:
            if image.size != (self.short, self.short):
                image = image.resize((self.short, self.short), self.resample)
        elif min(width, height) != self.short:
            # Rounding as transformers' get_resize_output_image_size: the long side is cut, not rounded.
            long = int(self.short * max(width, height) / min(width, height))
            if long * self.short > _WHOLE_RESIZE_PIXELS:
                image = self._window(image, long)
            else:
                target = (self.short, long) if width <= height else (long, self.short)
                image = image.resize(target, self.resample)
        return _normalise(_centre_crop(np.asarray(image), self.size), self.table)

    def _window(self, image: Image.Image, long: int) -> Image.Image:
        """The middle `short` × `short` of the resized image without the rest of it.

        Equal to it but for one grey level where a value lies halfway between two.
        """
        upright = image.width <= image.height
        scale = max(image.size) / long
        start = (long - self.short) // 2 * scale
        end = min(start + self.short * scale, max(image.size))
        # Cut by whole pixels first, with all that the filter can reach: a box is float32 in Pillow,
        # which is coarse far from the origin.
        reach = ceil(4 * max(scale, 1.0))
        first, last = max(0, int(start) - reach), min(max(image.size), ceil(end) + reach)
        image = image.crop((0, first, image.width, last) if upright else (first, 0, last, image.height))
        low, high = start - first, end - first
        box = (0, low, image.width, high) if upright else (low, 0, high, image.height)
        return image.resize((self.short, self.short), self.resample, box=box)


@dataclass(frozen=True)
class Crop:
    """Centre crop without resize, black where the image is smaller; see `univfd_transform`."""

    id: str
    size: int
    table: NDArray[np.float32] = field(repr=False, compare=False)

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """(3, size, size) float32 of an RGB image."""
        pixels = np.asarray(_rgb(image))
        for axis in (0, 1):
            lacking = self.size - pixels.shape[axis]
            if lacking > 0:
                # torchvision's center_crop puts the odd pixel of padding behind.
                widths = [(0, 0)] * 3
                widths[axis] = (lacking // 2, (lacking + 1) // 2)
                pixels = np.pad(pixels, widths)
            elif lacking < 0:
                # int(round()) rounds halves to even, as torchvision's Python does.
                start = round(-lacking / 2.0)
                pixels = (
                    pixels[start : start + self.size] if axis == 0 else pixels[:, start : start + self.size]
                )
        return _normalise(pixels, self.table)


@dataclass(frozen=True)
class NaFlex:
    """Resize to as many patches as allowed, keeping the aspect; see `naflex_transform`."""

    id: str
    patch: int
    patches: int
    resample: Image.Resampling
    table: NDArray[np.float32] = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Side of the largest square in pixels; other aspects have as many pixels at most."""
        return self.patch * isqrt(self.patches)

    @property
    def shape(self) -> tuple[int, int]:
        """(patches, 2 + 3 patch²)."""
        return self.patches, 2 + 3 * self.patch**2

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """(patches, 2 + 3 patch²) float32 of an RGB image: each patch's row, column and pixels.

        Pixels are ordered by row, column and channel. Patches follow each other by rows; places without one
        hold -1, -1 and zeros.
        """
        image = _rgb(image)
        rows, columns = self.grid(image.width, image.height)
        target = (columns * self.patch, rows * self.patch)
        if image.size != target:
            image = image.resize(target, self.resample)
        pixels = _normalise(np.asarray(image), self.table)
        squares = pixels.reshape(3, rows, self.patch, columns, self.patch).transpose(1, 3, 2, 4, 0)
        found = np.zeros(self.shape, np.float32)
        found[:, :2] = -1
        there = rows * columns
        found[:there, :2] = np.indices((rows, columns)).reshape(2, there).T
        found[:there, 2:] = squares.reshape(there, -1)
        return found

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of patches for an image of this size: the largest scale whose patches fit in.

        The scale is searched by bisection as in the published code, so that both stop at the same one.
        """

        def patches(scale: float, side: int) -> int:
            return max(1, ceil(side * scale / self.patch))

        low, high = 1e-6, 100.0
        while high - low >= 1e-5:
            scale = (low + high) / 2
            if patches(scale, height) * patches(scale, width) <= self.patches:
                low = scale
            else:
                high = scale
        rows, columns = patches(low, height), patches(low, width)
        if rows * columns > self.patches:  # even the smallest scale has too many: a strip of extreme length
            return (1, self.patches) if width > height else (self.patches, 1)
        return rows, columns

    def picture(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The (3, h, w) pixels that the patches (patches, 2 + 3 patch²) were cut from."""
        there = rows[rows[:, 0] >= 0]
        high, wide = (int(there[:, axis].max()) + 1 for axis in (0, 1))
        squares = there[:, 2:].reshape(high, wide, self.patch, self.patch, 3)
        return np.ascontiguousarray(squares.transpose(4, 0, 2, 1, 3)).reshape(
            3, high * self.patch, wide * self.patch
        )


@dataclass(frozen=True)
class JoinedTransform:
    """What several encoders are fed of one image, one after the other in one row of numbers.

    >>> joined = JoinedTransform((clip_transform(32), univfd_transform(16)))
    >>> joined.shape, [part.shape for part in joined.split(np.zeros((5, *joined.shape)))]
    ((3840,), [(5, 3, 32, 32), (5, 3, 16, 16)])
    """

    parts: tuple[Transform, ...]

    @property
    def id(self) -> str:
        """The ids of the parts; `transform_from_id` does not read it, since each part has its own."""
        return " + ".join(part.id for part in self.parts)

    @property
    def size(self) -> int:
        """Side of the largest part's result in pixels."""
        return max(part.size for part in self.parts)

    @property
    def shape(self) -> tuple[int]:
        """(values of all parts,)."""
        return (sum(prod(row_shape(part)) for part in self.parts),)

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """(values,) float32 of an RGB image."""
        return np.concatenate([part(image).ravel() for part in self.parts])

    def split(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """What each part made of the images: of rows (b, values), arrays (b, …) as `row_shape` says."""
        shapes = [row_shape(part) for part in self.parts]
        ends = np.cumsum([prod(shape) for shape in shapes])[:-1]
        pieces = np.split(rows, ends, axis=1)
        return [piece.reshape(len(rows), *shape) for piece, shape in zip(pieces, shapes, strict=True)]


def row_shape(transform: Transform) -> tuple[int, ...]:
    """Shape of what a transform makes of one image: (3, size, size) unless it says otherwise.

    >>> row_shape(clip_transform()), row_shape(naflex_transform())
    ((3, 224, 224), (256, 770))
    """
    shape: tuple[int, ...] = getattr(transform, "shape", (3, transform.size, transform.size))
    return shape


def seen_part(transform: Transform, width: int, height: int) -> tuple[int, int]:
    """Width and height, in the image's own pixels, of the middle part that a transform leaves of it.

    A transform that takes pixels as they are (`univfd_transform`) is meant to see a part, and counts as
    seeing all. Of a joined transform it is the part of its first.

    >>> seen_part(clip_transform(), 2000, 300), seen_part(naflex_transform(), 2000, 300)
    ((300, 300), (2000, 300))
    """
    if isinstance(transform, JoinedTransform):
        return seen_part(transform.parts[0], width, height)
    if not isinstance(transform, ResizeCrop) or transform.square:
        return width, height
    side = round(min(width, height) * transform.size / transform.short)
    return min(width, side), min(height, side)


def naflex_transform(patch: int = 16, patches: int = 256, *, resample: str = "bilinear") -> Transform:
    """SigLIP 2's NaFlex transform: resize to at most `patches` patches, keeping the aspect; mean and std 0.5.

    >>> naflex_transform().id
    'naflex-16-256-bilinear-half-v1'
    """
    if resample not in _RESAMPLES:
        raise UsageError(f"resample {resample!r} is unknown; use one of {', '.join(_RESAMPLES)}")
    if not 1 <= patch <= 256 or not 1 <= patches <= 65536:
        raise UsageError(f"a patch's side lies in 1..256 and patches in 1..65536; got {patch}, {patches}")
    table = _table(HALF, HALF, np.arange(256, dtype=np.float64) * (1 / 255))
    name = f"naflex-{patch}-{patches}-{resample}-half-v1"
    return NaFlex(name, patch, patches, _RESAMPLES[resample], table)


def clip_transform(
    size: int = 224,
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
    resample: str = "bicubic",
    resize: Resize = "short",
    *,
    short: int | None = None,
) -> Transform:
    """CLIP's transform: resize, centre crop, rescale to [0, 1], normalise.

    Args:
        size: side of the crop.
        mean: mean per channel, in [0, 1].
        std: standard deviation per channel.
        resample: ``bicubic``, ``bilinear``, ``lanczos`` or ``nearest``.
        resize: ``short`` keeps the aspect and crops; ``square`` squeezes both sides to `size` (SigLIP).
        short: the short side to resize to, where it is not `size` (256 before a crop of 224 for DINOv2).

    The id of the default is ``clip-224-bicubic-crop-v1``; every setting that changes a value is in it.

    >>> clip_transform().id
    'clip-224-bicubic-crop-v1'
    """
    means, stds = _three(mean, "mean"), _three(std, "std")
    if resample not in _RESAMPLES:
        raise UsageError(f"resample {resample!r} is unknown; use one of {', '.join(_RESAMPLES)}")
    if resize not in ("short", "square"):
        raise UsageError(f"resize {resize!r} is unknown; use 'short' or 'square'")
    if not 1 <= size <= 4096 or not 1 <= (short or size) <= 4096:
        raise UsageError(f"a transform's sides lie in 1..4096; got size {size}, short {short}")
    if min(stds) <= 0:
        raise UsageError(f"std must be positive; got {stds}")
    way = "square" if resize == "square" else "crop"
    side = "" if short in (None, size) else str(short)
    statistics = _statistics_name(means, stds)
    name = "-".join(p for p in ("clip", str(size), resample, way + side, statistics, "v1") if p)
    table = _table(means, stds, np.arange(256, dtype=np.float64) * (1 / 255))
    return ResizeCrop(name, size, short or size, resize == "square", _RESAMPLES[resample], table)


def univfd_transform(size: int = 224) -> Transform:
    """UnivFD's transform: centre crop of `size` without any resize, zero padding, CLIP's statistics.

    Equals torchvision's CenterCrop, ToTensor, Normalize in float32.

    >>> univfd_transform().id
    'univfd-224-crop-v1'
    """
    if not 1 <= size <= 4096:
        raise UsageError(f"a transform's size lies in 1..4096; got {size}")
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return Crop(f"univfd-{size}-crop-v1", size, _table(CLIP_MEAN, CLIP_STD, scaled))


_CLIP_ID = re.compile(
    r"clip-(?P<size>\d+)-(?P<resample>[a-z]+)-(?P<way>crop|square)(?P<short>\d*)(?:-(?P<stats>[a-z][^-]*))?-v1"
)
_UNIVFD_ID = re.compile(r"univfd-(\d+)-crop-v1")
_NAFLEX_ID = re.compile(r"naflex-(\d+)-(\d+)-([a-z]+)-half-v1")


def transform_from_id(id: str) -> Transform:
    """The transform that carries `id`, the inverse of its attribute.

    >>> transform_from_id("univfd-224-crop-v1").size
    224
    """
    if match := _UNIVFD_ID.fullmatch(id):
        return univfd_transform(int(match[1]))
    if match := _NAFLEX_ID.fullmatch(id):
        return naflex_transform(int(match[1]), int(match[2]), resample=match[3])
    if match := _CLIP_ID.fullmatch(id):
        mean, std = _statistics_of(match["stats"] or "", id)
        transform = clip_transform(
            int(match["size"]),
            mean,
            std,
            match["resample"],
            "square" if match["way"] == "square" else "short",
            short=int(match["short"]) if match["short"] else None,
        )
        if transform.id == id:
            return transform
    raise UsageError(
        f"transform id {id!r} is not known to this version; ids look like "
        "'clip-224-bicubic-crop-v1' or 'univfd-224-crop-v1'"
    )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode != "RGB":
        raise UsageError(
            f"a transform takes RGB images, got mode {image.mode}; use decode(), which converts every mode"
        )
    return image


def _centre_crop(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Centre crop of (h, w, 3) as transformers': offsets rounded down, padding put in front rounded up."""
    height, width = pixels.shape[:2]
    if height >= size and width >= size:
        top, left = (height - size) // 2, (width - size) // 2
        return pixels[top : top + size, left : left + size]
    out_height, out_width = max(size, height), max(size, width)
    padded = np.zeros((out_height, out_width, 3), np.uint8)
    top_pad, left_pad = ceil((out_height - height) / 2), ceil((out_width - width) / 2)
    padded[top_pad : top_pad + height, left_pad : left_pad + width] = pixels
    top, left = (height - size) // 2 + top_pad, (width - size) // 2 + left_pad
    return padded[max(0, top) : top + size, max(0, left) : left + size]


def _normalise(pixels: NDArray[np.uint8], table: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, h, w) float32 of (h, w, 3) uint8: a look-up, since a channel has 256 possible values."""
    out = np.empty((3, *pixels.shape[:2]), np.float32)
    for channel in range(3):
        np.take(table[channel], pixels[..., channel], out=out[channel], mode="clip")
    return out


def _table(mean: Floats, std: Floats, scaled: NDArray[np.floating]) -> NDArray[np.float32]:
    """(3, 256) normalised values, computed in float32 in the order that the originals use."""
    values = scaled.astype(np.float32)
    means, stds = np.array(mean, np.float32), np.array(std, np.float32)
    return (values[None, :] - means[:, None]) / stds[:, None]


def _three(values: Sequence[float], name: str) -> Floats:
    if len(values) != 3:
        raise UsageError(f"{name} needs three values, one per channel; got {len(values)}")
    return (float(values[0]), float(values[1]), float(values[2]))


def _statistics_name(mean: Floats, std: Floats) -> str:
    for name, known in _STATISTICS.items():
        if known == (mean, std):
            return name
    # Positional, since an exponent would bring a hyphen into the id.
    numbers = [",".join(np.format_float_positional(v) for v in values) for values in (mean, std)]
    return f"m{numbers[0]}s{numbers[1]}"


def _statistics_of(name: str, id: str) -> tuple[Floats, Floats]:
    if name in _STATISTICS:
        return _STATISTICS[name]
    try:
        mean, std = name[1:].split("s") if name.startswith("m") else ("", "")
        return _three([float(v) for v in mean.split(",")], "mean"), _three(
            [float(v) for v in std.split(",")], "std"
        )
    except ValueError:
        raise UsageError(f"transform id {id!r} names unknown statistics {name!r}") from None
