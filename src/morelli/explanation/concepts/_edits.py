"""Edits: what is done to a photograph to learn in which direction its embedding then moves.

Every edit is a pure function of an RGB image (float32 in 0–1, (h, w, 3)) and a strength; those that draw
noise take a generator. Lengths are given for a picture whose short side is 288 pixels and scale with it.
All are our own, from textbook operations, chosen to span the attributes that people name when they
describe generated images.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, uniform_filter

from morelli.errors import UsageError

Pixels = NDArray[Any]
"""(h, w, 3) or (h, w, 1) float32, 0 black, 1 white."""
Draw = np.random.Generator
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
REFERENCE_SIDE = 288


@dataclass(frozen=True)
class Edit:
    """A named change of a picture.

    `strength` is applied for the positive end. With `both`, the negative strength makes the negative end
    and the concept is half their difference; otherwise the negative end is the untouched picture.

    Example:
        >>> grey = Image.new("RGB", (64, 64), (120, 100, 80))
        >>> edit("saturation")(grey).getpixel((0, 0))
        (127, 99, 71)
    """

    key: str
    name: str
    opposite: str
    sentence: str
    apply: Callable[[Pixels, float, Draw], Pixels]
    strength: float
    both: bool = False

    def __call__(
        self, image: Image.Image, strength: float | None = None, rng: Draw | None = None
    ) -> Image.Image:
        """The changed RGB image of the same size; the input is left as it is."""
        pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
        value = self.strength if strength is None else strength
        changed = self.apply(pixels, value, rng if rng is not None else np.random.default_rng(0))
        return Image.fromarray(np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8))


def edit(key: str) -> Edit:
    """The edit of this key.

    Raises:
        UsageError: there is none; the text lists all.
    """
    for one in EDITS:
        if one.key == key:
            return one
    raise UsageError(f"There is no edit {key!r}; there are {', '.join(one.key for one in EDITS)}.")


def _luma(x: Pixels) -> Pixels:
    return np.asarray(x @ LUMA, dtype=np.float32)[..., None]


def _unit(x: Pixels) -> float:
    """Pixels of this picture per pixel of a picture with the reference side."""
    return float(min(x.shape[:2])) / REFERENCE_SIDE


def _blurred(x: Pixels, sigma: float) -> Pixels:
    return np.asarray(gaussian_filter(x, sigma=(sigma, sigma, 0), mode="nearest"), dtype=np.float32)


def _reopened(x: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    image = Image.fromarray(np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8))
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(buffer, formats=["JPEG"]) as again:
        return np.asarray(again.convert("RGB"), dtype=np.float32) / 255


def _saturation(x: Pixels, s: float, rng: Draw) -> Pixels:
    grey = _luma(x)
    return np.asarray(grey + (x - grey) * (1 + s))


def _brightness(x: Pixels, s: float, rng: Draw) -> Pixels:
    return np.asarray(x ** np.float32(2.0**-s))


def _contrast(x: Pixels, s: float, rng: Draw) -> Pixels:
    middle = np.float32(x.mean())
    return np.asarray(middle + (x - middle) * np.float32(1 + s))


def _warmth(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Towards lamp light: red up and blue down in linear light, luminance kept."""
    linear = x ** np.float32(2.2)
    moved: Pixels = linear * np.array([1 + s, 1.0, 1 - s], dtype=np.float32)
    moved = moved * (_luma(linear) + 1e-6) / (_luma(moved) + 1e-6)
    return np.asarray(np.clip(moved, 0, None) ** np.float32(1 / 2.2))


def _tint(x: Pixels, s: float, rng: Draw) -> Pixels:
    linear = x ** np.float32(2.2)
    moved: Pixels = linear * np.array([1 + s, 1 - s, 1 + s], dtype=np.float32)
    moved = moved * (_luma(linear) + 1e-6) / (_luma(moved) + 1e-6)
    return np.asarray(np.clip(moved, 0, None) ** np.float32(1 / 2.2))


def _sharpen(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Unsharp mask of 1.5 pixels."""
    return np.asarray(x + np.float32(s) * (x - _blurred(x, 1.5 * _unit(x))))


def _blur(x: Pixels, s: float, rng: Draw) -> Pixels:
    return _blurred(x, s * _unit(x))


def _shallow(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Sharp in an ellipse around the middle, blurred more and more outside, as with a wide aperture."""
    far = np.clip((_radius(x) - 0.35) / 0.5, 0, 1)[..., None]
    some, much = _blurred(x, 0.4 * s * _unit(x)), _blurred(x, s * _unit(x))
    near = np.clip(2 * far, 0, 1)
    return np.asarray(
        x * (1 - near) + some * (near - np.clip(2 * far - 1, 0, 1)) + much * np.clip(2 * far - 1, 0, 1)
    )


def _radius(x: Pixels) -> Pixels:
    """Distance from the middle (h, w): 1 at the middle of every edge, √2 in the corners."""
    height, width = x.shape[:2]
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.asarray(np.sqrt(rows**2 + columns**2))


def _noise(x: Pixels, s: float, rng: Draw) -> Pixels:
    return np.asarray(x + np.float32(s / 255) * rng.standard_normal(x.shape, dtype=np.float32))


def _grain(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Film grain: grey, of visible size, strongest in the middle tones."""
    field = rng.standard_normal(x.shape[:2], dtype=np.float32)
    field = gaussian_filter(field, 0.9 * _unit(x), mode="wrap")
    field /= field.std() + 1e-6
    grey = _luma(x)
    return np.asarray(x + np.float32(s / 255) * field[..., None] * 4 * grey * (1 - grey))


def _jpeg(x: Pixels, s: float, rng: Draw) -> Pixels:
    return _reopened(x, round(100 - s))


def _upsampled(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Made at 1/s of its size and enlarged by a cubic filter."""
    height, width = x.shape[:2]
    image = Image.fromarray(np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8))
    small = image.resize((max(1, round(width / s)), max(1, round(height / s))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255


def _grid(x: Pixels, s: float, rng: Draw) -> Pixels:
    """The chequered trace of a transposed convolution: every other pixel brighter, in both directions."""
    rows, columns = np.indices(x.shape[:2])
    step = max(2, round(2 * _unit(x)))
    sign = np.where((rows // step + columns // step) % 2, 1, -1).astype(np.float32)
    return np.asarray(x * (1 + np.float32(s) * sign[..., None]))


def _smooth(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Texture off, edges kept: a self-guided filter (He et al. 2010) of 6 pixels per channel."""
    return np.asarray(x + np.float32(s) * (_guided(x, 6 * _unit(x), 0.02) - x))


def _guided(x: Pixels, radius: float, eps: float) -> Pixels:
    size = (2 * max(1, round(radius)) + 1,) * 2 + (1,)
    mean = uniform_filter(x, size, mode="nearest")
    variance = np.maximum(uniform_filter(x * x, size, mode="nearest") - mean * mean, 0)
    a = variance / (variance + eps)
    b = mean * (1 - a)
    return np.asarray(uniform_filter(a, size, mode="nearest") * x + uniform_filter(b, size, mode="nearest"))


def _hdr(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Tone mapping: the range of large areas pressed, local detail lifted, a little more colour."""
    grey = _luma(x)
    base = _guided(grey, 24 * _unit(x), 0.01)
    middle = np.float32(base.mean())
    toned = middle + (base - middle) * np.float32(1 - 0.5 * s) + (grey - base) * np.float32(1 + 1.2 * s)
    return np.clip(toned, 0, 1) + (x - grey) * np.float32(1 + 0.2 * s)


def _vignette(x: Pixels, s: float, rng: Draw) -> Pixels:
    return x * (1 - np.float32(s) * np.clip((_radius(x) - 0.4) / 0.9, 0, 1)[..., None] ** 1.5)


def _glow(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Light spills from bright parts (screen blend of their blur)."""
    bright = np.clip((x - 0.5) * 2, 0, 1)
    return np.asarray(1 - (1 - x) * (1 - np.float32(s) * _blurred(bright, 9 * _unit(x))))


def _haze(x: Pixels, s: float, rng: Draw) -> Pixels:
    return np.asarray(x * np.float32(1 - s) + np.float32(0.85 * s))


def _fade(x: Pixels, s: float, rng: Draw) -> Pixels:
    """An old print: blacks lifted, colours paler, the whole a little yellow."""
    grey = _luma(x)
    pale = grey + (x - grey) * np.float32(1 - 0.5 * s)
    lifted = pale * np.float32(1 - 0.3 * s) + np.array([0.20, 0.17, 0.12], dtype=np.float32) * np.float32(s)
    return np.asarray(lifted)


def _posterise(x: Pixels, s: float, rng: Draw) -> Pixels:
    """s grey levels per channel."""
    return np.asarray(np.rint(x * np.float32(s - 1)) / np.float32(s - 1))


def _symmetry(x: Pixels, s: float, rng: Draw) -> Pixels:
    """The left half mirrored onto the right one; s is how opaque the mirror image is."""
    mirrored = x.copy()
    half = x.shape[1] // 2
    mirrored[:, x.shape[1] - half :] = x[:, :half][:, ::-1]
    return np.asarray(x * np.float32(1 - s) + mirrored * np.float32(s))


def _aberration(x: Pixels, s: float, rng: Draw) -> Pixels:
    """Colour fringes: the red plate larger by 2 s per mille and the green one by s than the blue one."""
    height, width = x.shape[:2]
    planes = []
    for channel, steps in ((0, 2), (1, 1), (2, 0)):
        plane = Image.fromarray(x[..., channel])
        shift = steps * s / 1000
        left, top = width * shift / 2, height * shift / 2
        box = (left, top, width - left, height - top)
        at = Image.Transform.EXTENT
        moved = plane.transform((width, height), at, box, Image.Resampling.BILINEAR)
        planes.append(np.asarray(moved, dtype=np.float32))
    return np.stack(planes, axis=-1)


_CAPTIONS = ("BREAKING NEWS", "stock photo", "SALE 50 %", "www.example.org", "THE END", "vol. 7, 1998")


def _caption(x: Pixels, s: float, rng: Draw) -> Pixels:
    """A line of letters across the picture; s is their height as a share of the short side."""
    height, width = x.shape[:2]
    words = _CAPTIONS[int(rng.integers(len(_CAPTIONS)))]
    font = ImageFont.load_default(max(6.0, s * min(height, width)))
    image = Image.fromarray(np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    at = (width / 2, height * float(rng.uniform(0.3, 0.8)))
    pen.text(at, words, fill="white", font=font, anchor="mm", stroke_width=2, stroke_fill="black")
    return np.asarray(image, dtype=np.float32) / 255


def _framed(x: Pixels, s: float, rng: Draw) -> Pixels:
    """A plain white border; s is its width as a share of the short side."""
    framed = x.copy()
    edge = max(1, round(s * min(x.shape[:2])))
    framed[:edge] = framed[-edge:] = 1
    framed[:, :edge] = framed[:, -edge:] = 1
    return framed


EDITS: tuple[Edit, ...] = (
    Edit(
        "saturation", "more saturated", "less saturated", "colours 40 % further from grey, or nearer to it",
        _saturation, 0.4, both=True,
    ),
    Edit(
        "brightness", "brighter", "darker", "gamma half a stop up or down",
        _brightness, 0.5, both=True,
    ),
    Edit(
        "contrast", "higher contrast", "lower contrast", "tones 35 % further from the mean, or nearer",
        _contrast, 0.35, both=True,
    ),
    Edit(
        "warmth", "warmer colours", "cooler colours", "red up and blue down by 25 %, or reversed",
        _warmth, 0.25, both=True,
    ),
    Edit(
        "tint", "magenta cast", "green cast", "green down by 15 % of the light, or up",
        _tint, 0.15, both=True,
    ),
    Edit("sharpening", "sharpened", "less sharpened", "unsharp mask, 1.5 pixels, 150 %", _sharpen, 1.5),
    Edit("blur", "blurred", "less blurred", "Gaussian blur of 2 pixels", _blur, 2.0),
    Edit(
        "depth-of-field", "blurred background", "sharp throughout", "blur of 5 pixels outside the middle",
        _shallow, 5.0,
    ),
    Edit("noise", "noisier", "less noise", "independent noise of 12 grey levels", _noise, 12.0),
    Edit("grain", "film grain", "less grain", "grey grain of 14 levels", _grain, 14.0),
    Edit("jpeg", "JPEG-compressed", "fewer JPEG traces", "JPEG of quality 30", _jpeg, 70.0),
    Edit(
        "upsampling", "enlarged from fewer pixels", "full resolution", "halved and enlarged",
        _upsampled, 2.0,
    ),
    Edit("grid", "chequered fine grid", "no fine grid", "a chequered pattern of 8 %", _grid, 0.08),
    Edit(
        "smoothing", "smooth, texture missing", "more fine texture", "edge-preserving smoothing",
        _smooth, 1.0,
    ),
    Edit(
        "hdr", "HDR-like tone mapping", "plain tones", "large areas pressed, local detail lifted",
        _hdr, 0.8,
    ),
    Edit(
        "vignette", "dark corners", "evenly lit corners", "corners darkened by up to 80 %",
        _vignette, 0.8,
    ),
    Edit("glow", "glowing highlights", "no glow", "light spilling out of bright parts", _glow, 0.7),
    Edit("haze", "hazy", "clear air", "a veil of 35 %", _haze, 0.35),
    Edit(
        "fade", "faded like an old print", "fresh colours", "blacks lifted, colours paler and yellower",
        _fade, 0.8,
    ),
    Edit("posterise", "few flat tones", "smooth tones", "six levels per channel", _posterise, 6.0),
    Edit(
        "symmetry", "mirror-symmetric", "less symmetric", "left half mirrored onto the right",
        _symmetry, 1.0,
    ),
    Edit(
        "aberration", "colour fringes", "no colour fringes", "colour plates of three sizes",
        _aberration, 16.0,
    ),
    Edit(
        "text", "overlaid text", "no overlaid text", "a line of letters across the picture",
        _caption, 0.11,
    ),
    Edit("frame", "plain border", "no border", "a white border", _framed, 0.07),
)  # fmt: skip
"""All edits that a bank is made of unless told otherwise."""
