"""What happens to pictures on their way: re-encoding, blur, scaling, cropping, noise, screenshots.

Each perturbation maps RGB to RGB, draws its randomness from the generator it is given, and has a
canonical id that `perturbation` understands again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from morelli.errors import ImageError, UsageError

_LONGEST = 16_384
Draw = np.random.Generator
_Step = Callable[[Image.Image, Draw], Image.Image]

# How services treat an upload: longest side, JPEG quality. Typical values that users report, not
# measured here; the services change them without notice, so results name the chain, not the service.
SOCIAL: Final[dict[str, tuple[int, int]]] = {
    "facebook": (2048, 80),
    "instagram": (1440, 75),
    "messenger": (1280, 75),
    "telegram": (1280, 87),
    "whatsapp": (1600, 70),
    "x": (4096, 85),
}
"""Longest side and JPEG quality of each ``social:<name>`` chain."""


@runtime_checkable
class Perturbation(Protocol):
    """A change of the picture; `id` names it in tables."""

    @property
    def id(self) -> str:
        """The canonical spec, which `perturbation` understands."""
        ...

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """The changed RGB image; the same for the same image and state of `rng`."""
        ...


@dataclass(frozen=True)
class Chain:
    """Steps one after another."""

    id: str
    steps: tuple[_Step, ...]

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """The changed RGB image."""
        if image.mode != "RGB":
            raise UsageError(f"a perturbation takes RGB images, got mode {image.mode}; use decode() first")
        for step in self.steps:
            image = step(image, rng)
        return image


def perturbation(spec: str) -> Perturbation:
    """The perturbation that `spec` names.

    ======================  ==========================================================
    ``jpeg:Q``              JPEG of quality Q, 1–100 (libjpeg, 4:2:0)
    ``webp:Q``              lossy WebP of quality Q, 1–100
    ``blur:S``              Gaussian blur per channel, S pixels, as UnivFD's robustness test
    ``resize:F``            both sides × F, bicubic
    ``downup:F``            both sides × F, and back to the old size
    ``crop:F``              a window of F of each side, at a random place
    ``centercrop:F``        the same in the middle
    ``noise:S``             Gaussian noise of S grey levels
    ``longside:N``          longer side at most N pixels
    ``align:N,Q``           shorter side exactly N pixels, then JPEG of quality Q
    ``screenshot``          shown at another scale, cut at the edges, saved as PNG or JPEG
    ``social:NAME``         re-delivery as a service does it: longest side, then JPEG
    ``mirror:P``            left and right exchanged with probability P
    ``redelivered:N``       N random re-deliveries, and a crop half of the time
    ======================  ==========================================================

    Steps are chained with ``+``. Where a whole number or a factor F stands, a range ``LOW-HIGH`` draws one
    for each image, both ends included: deliveries for training, the same for both classes.

    >>> perturbation("longside:640+jpeg:88").id
    'longside:640+jpeg:88'
    >>> perturbation("align:180-320,75-100+mirror:0.5").id
    'align:180-320,75-100+mirror:0.5'

    Raises:
        UsageError: an unknown name or a value out of range; the text lists what there is.
    """
    names, steps = [], []
    for part in spec.split("+"):
        name, _, argument = part.strip().partition(":")
        if name not in _MAKERS:
            known = ", ".join(sorted(_MAKERS))
            raise UsageError(f"perturbation {part.strip()!r} is unknown; there are {known}, chained with '+'")
        canonical, step = _MAKERS[name](argument.strip())
        names.append(f"{name}:{canonical}" if canonical else name)
        steps.append(step)
    return Chain("+".join(names), tuple(steps))


def image_generator(sha256: bytes, perturbation: str) -> np.random.Generator:
    """The random generator of one image's perturbation: by content, so that the order of images is no matter.

    `sha256` is the digest of the file's bytes (32 bytes), `perturbation` the canonical id.

    >>> first, again = (image_generator(bytes(32), "noise:4").random() for _ in range(2))
    >>> first == again
    True
    """
    seed = hashlib.sha256(sha256 + perturbation.encode()).digest()
    return np.random.default_rng(np.frombuffer(seed, dtype=np.uint32))


def _jpeg(argument: str) -> tuple[str, _Step]:
    quality = _integers("jpeg", argument, 1, 100)
    return str(quality), lambda image, rng: _as_jpeg(image, int(quality.draw(rng)))


def _webp(argument: str) -> tuple[str, _Step]:
    quality = _integers("webp", argument, 1, 100)
    return str(quality), lambda image, rng: _reopened(image, "WEBP", quality=int(quality.draw(rng)))


def _blur(argument: str) -> tuple[str, _Step]:
    sigma = _number("blur", argument, 0, 100)
    return f"{sigma:g}", lambda image, rng: _blurred(image, sigma)


def _resize(argument: str) -> tuple[str, _Step]:
    factor = _numbers("resize", argument, 0.01, 8)
    return str(factor), lambda image, rng: _scaled(image, factor.draw(rng))


def _downup(argument: str) -> tuple[str, _Step]:
    factor = _number("downup", argument, 0.01, 1)

    def step(image: Image.Image, rng: Draw) -> Image.Image:
        return _scaled(image, factor).resize(image.size, Image.Resampling.BICUBIC)

    return f"{factor:g}", step


def _crop(argument: str) -> tuple[str, _Step]:
    factor = _numbers("crop", argument, 0.01, 1)
    return str(factor), lambda image, rng: _cropped(image, factor.draw(rng), rng)


def _cropped(image: Image.Image, factor: float, rng: Draw) -> Image.Image:
    width, height = _part(image.width, factor), _part(image.height, factor)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _centercrop(argument: str) -> tuple[str, _Step]:
    factor = _number("centercrop", argument, 0.01, 1)

    def step(image: Image.Image, rng: Draw) -> Image.Image:
        width, height = _part(image.width, factor), _part(image.height, factor)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))

    return f"{factor:g}", step


def _noise(argument: str) -> tuple[str, _Step]:
    sigma = _number("noise", argument, 0, 255)

    def step(image: Image.Image, rng: Draw) -> Image.Image:
        pixels = np.asarray(image).astype(np.float32)
        pixels += np.float32(sigma) * rng.standard_normal(pixels.shape, dtype=np.float32)
        return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))

    return f"{sigma:g}", step


def _longside(argument: str) -> tuple[str, _Step]:
    longest = _integers("longside", argument, 16, _LONGEST)
    return str(longest), lambda image, rng: _at_most(image, int(longest.draw(rng)))


def _align(argument: str) -> tuple[str, _Step]:
    side, comma, rest = argument.partition(",")
    if not comma:
        raise UsageError(f"align needs a short side and a JPEG quality, as in align:288,85; got {argument!r}")
    short = _integers("align", side, 16, 4096)
    quality = _integers("align", rest, 1, 100)

    def step(image: Image.Image, rng: Draw) -> Image.Image:
        return _as_jpeg(_scaled(image, short.draw(rng) / min(image.size)), int(quality.draw(rng)))

    return f"{short},{quality}", step


def _social(argument: str) -> tuple[str, _Step]:
    if argument not in SOCIAL:
        raise UsageError(f"social:{argument} is unknown; there are {', '.join(sorted(SOCIAL))}")
    longest, quality = SOCIAL[argument]
    return argument, lambda image, rng: _as_jpeg(_at_most(image, longest), quality)


def _screenshot(argument: str) -> tuple[str, _Step]:
    if argument:
        raise UsageError(f"screenshot takes no value; got {argument!r}")
    return "", _shoot


def _shoot(image: Image.Image, rng: Draw) -> Image.Image:
    """A picture as a screen shows it and a hurried hand cuts it out.

    Scaled to fit a window (bilinear, as compositors do), up to 3 % lost at each edge, then saved
    as PNG or, half of the time, as JPEG of quality 75–95. A model of the process, not a measurement.
    """
    window = int(rng.integers(640, 1441))
    factor = min(window / max(image.size), 1.5)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    shown = image.resize(size, Image.Resampling.BILINEAR)
    cuts = rng.uniform(0, 0.03, 4)
    left, right = int(cuts[0] * size[0]), size[0] - int(cuts[1] * size[0])
    top, bottom = int(cuts[2] * size[1]), size[1] - int(cuts[3] * size[1])
    shown = shown.crop((left, top, right, bottom))
    lossy = bool(rng.random() < 0.5)
    quality = int(rng.integers(75, 96))
    return _as_jpeg(shown, quality) if lossy else shown


def _mirror(argument: str) -> tuple[str, _Step]:
    probability = _number("mirror", argument, 0, 1)

    def step(image: Image.Image, rng: Draw) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < probability else image

    return f"{probability:g}", step


def _redelivered(argument: str) -> tuple[str, _Step]:
    count = _integer("redelivered", argument, 1, 8)
    cut = _crop("0.75-1")[1]
    ways = tuple(perturbation(way) for way in REDELIVERIES)

    def step(image: Image.Image, rng: Draw) -> Image.Image:
        if rng.random() < 0.5:
            image = cut(image, rng)
        for index in rng.integers(0, len(ways), count):
            image = ways[index](image, rng)
        return image

    return str(count), step


REDELIVERIES: Final = (
    "jpeg:40-95",
    "webp:50-90",
    "resize:0.4-1",
    "resize:0.4-1+jpeg:60-95",
    "longside:320-640+jpeg:70-90",
    "screenshot",
)
"""What one of ``redelivered:N``'s steps is, each with the same probability."""

_MAKERS: Final[dict[str, Callable[[str], tuple[str, _Step]]]] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "blur": _blur,
    "resize": _resize,
    "downup": _downup,
    "crop": _crop,
    "centercrop": _centercrop,
    "noise": _noise,
    "longside": _longside,
    "align": _align,
    "mirror": _mirror,
    "redelivered": _redelivered,
    "screenshot": _screenshot,
    "social": _social,
}


def _blurred(image: Image.Image, sigma: float) -> Image.Image:
    """As UnivFD's data/datasets.py: each channel by scipy, into 8 bits (Ojha et al. 2023, commit 76a0e3e)."""
    if sigma == 0:
        return image
    from scipy.ndimage import gaussian_filter  # slow to load, and most images are judged as they come

    pixels = np.array(image)
    for channel in range(3):
        gaussian_filter(pixels[:, :, channel], output=pixels[:, :, channel], sigma=sigma)
    return Image.fromarray(pixels)


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    if size == image.size:
        return image
    if max(size) > _LONGEST:
        raise ImageError(
            "extreme_shape", f"{image.width} × {image.height} pixels would become {size[0]} × {size[1]}"
        )
    return image.resize(size, Image.Resampling.BICUBIC)


def _at_most(image: Image.Image, longest: int) -> Image.Image:
    return _scaled(image, longest / max(image.size)) if max(image.size) > longest else image


def _as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    return _reopened(image, "JPEG", quality=quality, subsampling="4:2:0")


def _reopened(image: Image.Image, format: str, **options: object) -> Image.Image:
    buffer = BytesIO()
    try:
        image.save(buffer, format, **options)
    except (OSError, ValueError) as error:
        raise ImageError(
            "extreme_shape", f"{image.width} × {image.height} pixels cannot be written as {format}: {error}"
        ) from error
    with Image.open(BytesIO(buffer.getvalue()), formats=[format]) as reopened:
        return reopened.convert("RGB")


@dataclass(frozen=True)
class _Range:
    """A value, or two between which each image's own is drawn; its text is what the id says."""

    low: float
    high: float
    whole: bool

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}-{self.high:g}"

    def draw(self, rng: Draw) -> float:
        """The value; nothing is taken from `rng` where there is no range."""
        if self.low == self.high:
            return self.low
        return float(
            rng.integers(int(self.low), int(self.high) + 1)
            if self.whole
            else rng.uniform(self.low, self.high)
        )


def _integers(name: str, text: str, low: int, high: int) -> _Range:
    first, last = _ends(text)
    smallest = _integer(name, first, low, high)
    return _Range(smallest, smallest if last is None else _integer(name, last, smallest, high), whole=True)


def _numbers(name: str, text: str, low: float, high: float) -> _Range:
    first, last = _ends(text)
    smallest = _number(name, first, low, high)
    return _Range(smallest, smallest if last is None else _number(name, last, smallest, high), whole=False)


def _ends(text: str) -> tuple[str, str | None]:
    """Both ends of ``LOW-HIGH``; a minus sign or an exponent is none between two ends."""
    found = re.fullmatch(r"(\d[\d.]*)-(\d[\d.]*)", text)
    return (text, None) if found is None else (found[1], found[2])


def _part(side: int, factor: float) -> int:
    return max(1, round(side * factor))


def _integer(name: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"{name} needs a whole number {low}–{high}; got {text!r}") from None
    if not low <= value <= high:
        raise UsageError(f"{name} needs a whole number {low}–{high}; got {value}")
    return value


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name} needs a number {low:g}–{high:g}; got {text!r}") from None
    if not low <= value <= high:
        raise UsageError(f"{name} needs a number {low:g}–{high:g}; got {text}")
    return float(f"{value:g}")  # so that the id says exactly what is done
