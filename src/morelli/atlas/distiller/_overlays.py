"""Words rendered on photographs: random text in many fonts, sizes, colours, places and rotations.

What forget-to-spell is estimated from, and what it is tested with: `split` keeps words and typefaces of
the test apart from those of the estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from morelli.atlas.distiller._words import WORDS, made_up
from morelli.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image, ImageFont

# Typefaces with letters that ship in the wheels of matplotlib; its others hold symbols only.
_FILES: Mapping[str, tuple[str, ...]] = {
    "DejaVu Sans": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    "DejaVu Sans Mono": ("DejaVuSansMono", "DejaVuSansMono-Bold"),
    "DejaVu Serif": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    "STIX": ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    "Computer Modern Roman": ("cmr10", "cmb10", "cmti10"),
    "Computer Modern Sans": ("cmss10",),
    "Computer Modern Typewriter": ("cmtt10",),
}
AILERON = "Aileron"
"""The typeface inside Pillow itself."""
TYPEFACES: tuple[str, ...] = (*_FILES, AILERON)
_MADE_UP = 0.25
_LETTERS = 0.05


@dataclass(frozen=True)
class Overlays:
    """Renders words on images.

    words: real words to draw from. typefaces: names out of `TYPEFACES`. made_up: share of strings that
    mean nothing. height: least and greatest height of the letters, as a share of the image's shorter side.
    lines: most words on one image, each placed on its own.
    """

    words: tuple[str, ...] = WORDS
    typefaces: tuple[str, ...] = TYPEFACES
    made_up: float = _MADE_UP
    height: tuple[float, float] = (0.07, 0.3)
    lines: int = 3

    def __post_init__(self) -> None:
        unknown = sorted(set(self.typefaces) - set(TYPEFACES))
        if unknown or not self.typefaces or not self.words:
            raise UsageError(
                f"overlays need words and typefaces; unknown typefaces: {', '.join(unknown) or 'none'}; "
                f"there are {', '.join(TYPEFACES)}"
            )

    def split(self, rng: np.random.Generator, share: float = 0.33) -> tuple[Overlays, Overlays]:
        """Two sets of overlays that share no word and no typeface; `share` of both goes to the second."""

        def part(values: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
            order = rng.permutation(len(values))
            cut = min(len(values) - 1, max(1, round(share * len(values))))
            return (
                tuple(values[i] for i in sorted(order[cut:])),
                tuple(values[i] for i in sorted(order[:cut])),
            )

        if len(self.words) < 2 or len(self.typefaces) < 2:
            raise UsageError("a split needs at least two words and two typefaces")
        words, typefaces = part(self.words), part(self.typefaces)
        return (
            replace(self, words=words[0], typefaces=typefaces[0]),
            replace(self, words=words[1], typefaces=typefaces[1]),
        )

    def draw(self, image: Image.Image, rng: np.random.Generator, *, letters: bool = True) -> Image.Image:
        """A copy of the RGB `image` with one to `lines` words on it.

        Without `letters` each is a plain block of the same height, width and colours in the same place: the
        same for the same state of `rng`, so that the two differ by what is written and by nothing else.
        """
        result = image.convert("RGB")
        for _ in range(int(rng.integers(1, self.lines + 1))):
            result = self._one(result, rng, letters)
        return result

    def word(self, rng: np.random.Generator) -> str:
        """A word, in the case of a sentence, a title or a sign."""
        text = made_up(rng) if rng.random() < self.made_up else str(rng.choice(self.words))
        return (text, text.capitalize(), text.upper())[int(rng.integers(3))]

    def _one(self, image: Image.Image, rng: np.random.Generator, letters: bool) -> Image.Image:
        from PIL import Image as Images
        from PIL import ImageDraw

        side = min(image.size)
        typeface = self.typefaces[int(rng.integers(len(self.typefaces)))]
        text, fill = self.word(rng), tuple(int(v) for v in rng.integers(0, 256, 3))
        size = float(np.exp(rng.uniform(*np.log(self.height)))) * side
        angle = float(rng.normal(0, 12)) if rng.random() < 0.6 else 0.0
        cut = int(rng.integers(64))
        font = _font(typeface, cut, max(6, round(size)))
        # A word that does not fit is set smaller, as a person would.
        widest = 0.95 * image.width
        length = font.getlength(text)
        if length > widest:
            font = _font(typeface, cut, max(6, int(size * widest / length)))
        outline = max(1, round(size / 14)) if rng.random() < 0.4 else 0
        edge = (0, 0, 0) if sum(fill) > 382 else (255, 255, 255)
        left, top, right, bottom = font.getbbox(text, stroke_width=outline)
        plate = Images.new("RGBA", (int(right - left) + 4, int(bottom - top) + 4), (*fill, 0))
        painter = ImageDraw.Draw(plate)
        if rng.random() < 0.15:
            # A sign: letters on a plain board.
            painter.rectangle((0, 0, *plate.size), fill=(*edge, 255))
        if letters:
            painter.text(
                (2 - left, 2 - top),
                text,
                font=font,
                fill=(*fill, 255),
                stroke_width=outline,
                stroke_fill=(*edge, 255),
            )
        else:
            # About as much ink as letters have: a third of the height, over the whole length.
            third = plate.height / 3
            box = (2, third, plate.width - 2, 2 * third)
            painter.rectangle(box, fill=(*fill, 255), outline=(*edge, 255), width=outline)
        if rng.random() < 0.2:
            plate.putalpha(plate.getchannel("A").point(lambda alpha: int(0.6 * alpha)))
        plate = plate.rotate(angle, Images.Resampling.BICUBIC, expand=True)
        x = int(rng.integers(0, max(1, image.width - plate.width + 1)))
        y = int(rng.integers(0, max(1, image.height - plate.height + 1)))
        result = image.copy()
        result.paste(plate, (x, y), plate)
        return result


@cache
def _font(typeface: str, cut: int, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    if typeface == AILERON:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font
    import matplotlib

    files = _FILES[typeface]
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / f"{files[cut % len(files)]}.ttf", size)
