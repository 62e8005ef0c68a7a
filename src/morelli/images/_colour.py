"""Any mode that a decoder gives, to 8-bit RGB in sRGB, with a note for every change of meaning."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_MOST_TRANSFORMS = 8
_SAME = 12  # levels; 128 of linear samples is 188 of sRGB's
_here = threading.local()


Change = Callable[[Image.Image, list[str]], Image.Image]
"""Takes an 8-bit RGB image to sRGB, and says so in the notes."""


def to_srgb(
    image: Image.Image, icc: bytes | None, notes: list[str], change: Change | None = None
) -> Image.Image:
    """8-bit RGB of `image`; what was done is appended to `notes`.

    Alpha is laid over white, 16-bit values are reduced, CMYK and embedded ICC profiles are
    converted to sRGB with perceptual intent. A broken profile is noted and passed over. `change` is for
    samples whose meaning the container states otherwise than by a profile.
    """
    image = to_8_bit(image, notes)
    image, alpha = _split_alpha(image)
    image = _to_rgb(image, icc, notes)
    if change is not None:
        image = change(image, notes)
    if alpha is None:
        return image
    lowest = alpha.getextrema()[0]
    if lowest == 255:
        notes.append("opaque alpha dropped")
        return image
    notes.append("alpha over white")
    # In this form, and not by Image.composite, the rounding is that of transformers' convert_to_rgb.
    image.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")


def to_8_bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image with 8-bit samples; what was done to deeper ones is appended to `notes`."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.uint32)
        notes.append("16-bit reduced")
        return Image.fromarray(_from_16_bit(values))
    if image.mode == "I":
        integers = np.asarray(image)
        low, high = int(integers.min()), int(integers.max())
        if low >= 0 and high <= 65535:
            notes.append("16-bit reduced")
            return Image.fromarray(_from_16_bit(integers.astype(np.uint32)))
        notes.append(f"32-bit values scaled from {low}…{high}")
        return stretched(integers.astype(np.float32), low, high)
    if image.mode == "F":
        return _from_float(np.asarray(image), notes)
    return image


def _from_16_bit(values: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """round(v / 257), which takes 0 to 0 and 65535 to 255."""
    return ((values * np.uint32(255) + np.uint32(32895)) >> np.uint32(16)).astype(np.uint8)


def _from_float(values: NDArray[np.float32], notes: list[str]) -> Image.Image:
    finite = np.isfinite(values)
    if not finite.all():
        notes.append("values that are not finite set to 0")
        values = np.where(finite, values, np.float32(0))
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    notes.append(f"float values scaled from {low:g}…{high:g}")
    return stretched(values, low, high)


def stretched(values: NDArray[Any], low: float, high: float) -> Image.Image:
    """The grey image of `values`, (h, w), from black at `low` to white at `high`."""
    span = (high - low) or 1.0
    scaled = (values.astype(np.float64) - low) * (255.0 / span)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def without_empty_alpha(image: Image.Image, notes: list[str]) -> Image.Image:
    """A BMP without alpha where all of it is 0, as browsers show it: programs leave the fourth byte empty."""
    if image.mode != "RGBA" or image.getchannel("A").getextrema() != (0, 0):
        return image
    notes.append("empty alpha dropped")
    return image.convert("RGB")


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The image without alpha, and its alpha as mode L; a palette's or a key colour's counts as alpha."""
    transparency = image.info.get("transparency")
    if image.mode in ("PA", "P") or (transparency is not None and image.mode in ("1", "L", "RGB")):
        if image.mode == "P" and transparency is None:
            return image.convert("RGB"), None
        image = image.convert("RGBA")
    if image.mode == "RGBa":
        image = image.convert("RGBA")
    elif image.mode == "La":
        image = image.convert("LA")
    if image.mode == "RGBA":
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode == "LA":
        alpha = image.getchannel("A")
        image = image.getchannel("L")
    else:
        return image, None
    image.info.pop("transparency", None)
    return image, alpha


def _to_rgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    mode = image.mode
    if mode == "1":
        image, mode = image.convert("L"), "L"
    if mode == "LAB":
        notes.append("Lab converted")
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        converted = ImageCms.profileToProfile(image, profile, _srgb(), outputMode="RGB")
        assert converted is not None  # only None with inPlace
        return converted
    if icc and mode in ("RGB", "L", "CMYK"):
        try:
            converted = _by_profile(image, icc, notes)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, RuntimeError):
            notes.append("broken ICC profile ignored")
        else:
            if mode == "CMYK":
                notes.append("CMYK converted")
            return converted
    if mode == "CMYK":
        notes.append("CMYK converted")
    elif mode not in ("RGB", "L"):
        notes.append(f"{mode} converted")
    return image if mode == "RGB" else image.convert("RGB")


def _by_profile(image: Image.Image, icc: bytes, notes: list[str]) -> Image.Image:
    transform = _transform(icc, image.mode)
    if transform is None:
        notes.append("ICC profile is sRGB")
        return image if image.mode == "RGB" else image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only None with inPlace
    notes.append("ICC converted")
    return converted


def _transform(icc: bytes, mode: str) -> Any | None:
    """A transform to sRGB, or None for a profile that is sRGB itself; kept per thread, a few of them."""
    cache: OrderedDict[tuple[bytes, str], Any | None] | None = getattr(_here, "transforms", None)
    if cache is None:
        cache = _here.transforms = OrderedDict()
    key = (hashlib.sha256(icc).digest(), mode)
    if key in cache:
        cache.move_to_end(key)
        return cache[key]
    profile = ImageCms.ImageCmsProfile(BytesIO(icc))
    if _is_srgb(profile) and mode != "CMYK":
        transform = None
    else:
        transform = ImageCms.buildTransform(
            profile, _srgb(), mode, "RGB", renderingIntent=ImageCms.Intent.PERCEPTUAL
        )
    cache[key] = transform
    if len(cache) > _MOST_TRANSFORMS:
        cache.popitem(last=False)
    return transform


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    # Converting sRGB to sRGB costs time and moves grey levels by one; profiles say what they are.
    space = str(profile.profile.xcolor_space).strip()
    description = (profile.profile.profile_description or "").strip().lower()
    return space == "RGB" and description.startswith("srgb") and _leaves_colours(profile)


def _leaves_colours(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether colours stay about what they are: profiles with linear samples are called sRGB, too (…-g10)."""
    try:
        to = ImageCms.buildTransform(
            profile, _srgb(), "RGB", "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except ImageCms.PyCMSError:
        return True  # as its name says, then
    probe = Image.fromarray(np.array([[[128, 128, 128], [60, 60, 60], [200, 90, 40]]], np.uint8))
    found = ImageCms.applyTransform(probe, to)
    assert found is not None  # only None with inPlace
    return bool(np.abs(np.asarray(found, int) - np.asarray(probe, int)).max() <= _SAME)


def _srgb() -> ImageCms.ImageCmsProfile:
    if not hasattr(_here, "srgb"):
        _here.srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    profile: ImageCms.ImageCmsProfile = _here.srgb
    return profile
