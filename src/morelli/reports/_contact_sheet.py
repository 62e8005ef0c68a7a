"""A contact sheet: pictures with their verdicts as one image, to be looked at, printed or sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from morelli import palette

if TYPE_CHECKING:
    from morelli.detectors import Verdict

CELL = 220
GAP = 18
CAPTION = 46
MARGIN = 28
FRAME = 5

INK, FAINT, PAPER = palette.rgb(palette.INK), palette.rgb(palette.FAINT), palette.rgb(palette.PAPER)

# The drawn mark says the same without colour, for a grey printer and for colour-blind readers.
COLOURS: dict[str, tuple[int, int, int]] = {
    "ai": palette.rgb(palette.GENERATED),
    "real": palette.rgb(palette.REAL),
    "inconclusive": palette.rgb(palette.INCONCLUSIVE),
    "out_of_domain": palette.rgb(palette.OUT_OF_DOMAIN),
}
WORDS = {
    "ai": "AI-generated",
    "real": "real",
    "inconclusive": "inconclusive",
    "out_of_domain": "out of domain",
}


@dataclass(frozen=True)
class Picture:
    """One entry of a sheet: a thumbnail (RGB, any size), its name, its verdict, its heading."""

    thumbnail: Image.Image
    name: str
    verdict: Verdict
    section: str = ""


def contact_sheet(
    pictures: Sequence[Picture], *, title: str, note: str = "", columns: int | None = None
) -> Image.Image:
    """Draw `pictures` in a grid, framed in the colour of their verdict, one block per section.

    Sections appear in the order in which they are first met. `columns` defaults to a near-square grid of
    at most eight. The result is an RGB image about 240 pixels wide per column.
    """
    sections: dict[str, list[Picture]] = {}
    for picture in pictures:
        sections.setdefault(picture.section, []).append(picture)
    columns = columns or max(3, min(8, round((1.6 * len(pictures)) ** 0.5)))
    step_x, step_y = CELL + GAP, CELL + CAPTION + GAP
    head = 96
    rows = sum(-(-len(members) // columns) for members in sections.values())
    headings = sum(44 for name in sections if name)
    size = (
        2 * MARGIN + columns * step_x - GAP,
        2 * MARGIN + head + headings + rows * step_y + (34 if note else 0),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), title, fill=INK, font=_font(26))
    _legend(draw, (MARGIN, MARGIN + 42), Counter(picture.verdict.verdict for picture in pictures))

    y = MARGIN + head
    for name, members in sections.items():
        if name:
            draw.text((MARGIN, y), name, fill=INK, font=_font(20))
            y += 44
        for index, picture in enumerate(members):
            column, row = index % columns, index // columns
            _cell(sheet, draw, (MARGIN + column * step_x, y + row * step_y), picture)
        y += -(-len(members) // columns) * step_y
    if note:
        draw.text((MARGIN, y), _fit(draw, note, size[0] - 2 * MARGIN, _font(14)), fill=FAINT, font=_font(14))
    return sheet


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own face: no font file of the system is needed, so a sheet looks the same everywhere.
    return ImageFont.load_default(size)


def _cell(sheet: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], picture: Picture) -> None:
    x, y = at
    colour = COLOURS[picture.verdict.verdict]
    draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=(236, 234, 228), outline=colour, width=FRAME)
    inner = CELL - 2 * FRAME
    image = picture.thumbnail.convert("RGB")
    image.thumbnail((inner, inner), Image.Resampling.LANCZOS)
    sheet.paste(image, (x + (CELL - image.width) // 2, y + (CELL - image.height) // 2))
    _mark(draw, (x + 8, y + CELL + 14), picture.verdict.verdict)
    words = f"{WORDS[picture.verdict.verdict]}  {picture.verdict.probability:.2f}"
    draw.text((x + 22, y + CELL + 5), words, fill=colour, font=_font(16))
    draw.text((x, y + CELL + 26), _fit(draw, picture.name, CELL, _font(13)), fill=FAINT, font=_font(13))


def _legend(draw: ImageDraw.ImageDraw, at: tuple[int, int], counts: Counter[str]) -> None:
    x, y = at
    for verdict, word in WORDS.items():
        _mark(draw, (x + 8, y + 10), verdict)
        text = f"{word}: {counts[verdict]}"
        draw.text((x + 22, y), text, fill=INK, font=_font(16))
        x += 22 + int(draw.textlength(text, font=_font(16))) + 30


def _mark(draw: ImageDraw.ImageDraw, centre: tuple[int, int], verdict: str) -> None:
    """Draw the verdict's own shape: triangle, disc, diamond or open square."""
    x, y = centre
    colour = COLOURS[verdict]
    if verdict == "ai":
        draw.polygon([(x, y - 7), (x - 7, y + 6), (x + 7, y + 6)], fill=colour)
    elif verdict == "real":
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colour)
    elif verdict == "inconclusive":
        draw.polygon([(x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y)], fill=colour)
    else:
        draw.rectangle((x - 6, y - 6, x + 6, y + 6), outline=colour, width=2)


def _fit(
    draw: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """Shorten `text` in the middle until it is at most `width` pixels wide."""
    # Names of hostile files may hold anything: line breaks and control characters would break the grid.
    text = "".join(character if character.isprintable() else "?" for character in text)[:400]
    if draw.textlength(text, font=font) <= width:
        return text
    keep = len(text)
    while keep > 4:
        keep -= 1
        shorter = f"{text[: keep // 2]}…{text[len(text) - (keep - keep // 2) :]}"
        if draw.textlength(shorter, font=font) <= width:
            return shorter
    return "…"
