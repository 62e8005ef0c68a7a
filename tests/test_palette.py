"""One pair of colours: read back from every kind of picture and page that shows real and generated images."""

from __future__ import annotations

import re
import runpy
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morelli import palette
from morelli.atlas.cells import Grid, Pyramid, Rows, draw_cells
from morelli.detectors import Verdict
from morelli.explanation.relevance import overlay
from morelli.palette import css_variables, rgb
from morelli.reports import Picture, contact_sheet
from morelli.reports.plots import relevance_png

ROOT = Path(__file__).resolve().parent.parent
PAIR = {rgb(palette.REAL), rgb(palette.GENERATED)}


def colours(picture: Image.Image) -> dict[tuple[int, ...], int]:
    """How many pixels have each colour."""
    picture = picture.convert("RGB")
    found = picture.getcolors(picture.width * picture.height) or []
    return {colour: count for count, colour in found if isinstance(colour, tuple)}


def variables(css: str) -> dict[str, tuple[str, str]]:
    """Name to (light, dark) of what `css_variables` wrote."""
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+);", part)) for part in css.split("@media"))
    assert light.keys() == dark.keys()
    return {name: (value, dark[name]) for name, value in light.items()}


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    c = np.array(rgb(colour)) / 255
    return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def seen_by(colour: str, matrix: list[list[float]]) -> np.ndarray:
    """Linear RGB as a colour-blind reader sees it."""
    c = np.array(rgb(colour)) / 255
    return np.clip(np.array(matrix) @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4), 0, 1)


def test_text_and_fills_can_be_read_on_paper() -> None:
    for text, fill in ((palette.REAL_TEXT, palette.REAL), (palette.GENERATED_TEXT, palette.GENERATED)):
        assert contrast(text, palette.PAPER) >= 4.5
        assert contrast(fill, palette.PAPER) >= 3
    for verdict in (palette.INCONCLUSIVE, palette.OUT_OF_DOMAIN):
        assert contrast(verdict, palette.PAPER) >= 3
    for name, (light, dark) in variables(css_variables()).items():
        least = 4.5 if name in {"ink", "real", "generated", "unsure"} else 3
        assert contrast(light, palette.PAPER) >= least, name
        assert contrast(dark, "#14191d") >= least, name


def test_the_app_draws_in_the_palette() -> None:
    script = ROOT / "scripts" / "app_palette.py"
    written = (ROOT / "web" / "src" / "theme" / "palette.ts").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(script))["module"](), f"run: python {script.name} {script}"
    # The categories' colours are nowhere else in the app's own files.
    for file in (ROOT / "web" / "src").rglob("*.[ts]*"):
        if file.name != "palette.ts":
            assert not any(colour in file.read_text(encoding="utf-8") for colour in palette.SERIES), file
    for light, dark in zip(palette.CATEGORIES, palette.CATEGORIES_DARK, strict=True):
        assert contrast(light, palette.PAPER) >= 3 and contrast(dark, "#14191d") >= 3


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ],
    ids=["protanopia", "deuteranopia", "tritanopia"],
)
def test_the_pair_stays_apart_for_colour_blind_readers(matrix: list[list[float]]) -> None:
    """Simulated as by Machado et al. 2009, severity 1."""
    distance = np.abs(seen_by(palette.REAL, matrix) - seen_by(palette.GENERATED, matrix))
    assert distance.max() > 0.25


def test_a_contact_sheet_frames_in_the_palette() -> None:
    grey = Image.new("RGB", (90, 90), (90, 90, 90))
    for kind, wanted in (
        ("ai", palette.GENERATED),
        ("real", palette.REAL),
        ("inconclusive", palette.INCONCLUSIVE),
        ("out_of_domain", palette.OUT_OF_DOMAIN),
    ):
        stored = BytesIO()
        shown = Picture(grey, "a.png", Verdict(kind, 0.5, (0.4, 0.6), logit=0.0, domain_distance=0.3))
        contact_sheet([shown], title="one").save(stored, "PNG")
        found = colours(Image.open(stored))
        assert found[rgb(wanted)] > 4 * 5 * 210


def test_overlays_lean_towards_the_palette(photos: list[tuple[str, Image.Image]]) -> None:
    black = Image.new("RGB", (56, 56))
    for sign, wanted in ((1.0, palette.GENERATED), (-1.0, palette.REAL)):
        drawn = overlay(black, np.ones((7, 7)), sign=sign, opacity=1.0)
        assert colours(drawn) == {rgb(wanted): 56 * 56}
    for towards, wanted in ((True, palette.GENERATED), (False, palette.REAL)):
        stored = relevance_png(np.ones((7, 7), np.float32), 56, towards_generated=towards)
        layer = Image.open(BytesIO(stored)).convert("RGBA")
        assert {pixel[:3] for _, pixel in layer.getcolors() or []} == {rgb(wanted)}
    _, photo = photos[0]
    mixed = np.asarray(overlay(photo, np.ones((7, 7)), size=56, opacity=0.5), float)
    plain = np.asarray(overlay(photo, np.zeros((7, 7)), size=56), float)
    assert np.abs(2 * mixed - plain - rgb(palette.GENERATED)).max() <= 1.01


def test_a_glyph_shows_its_class_mix_in_the_palette() -> None:
    rng = np.random.default_rng(0)
    impacts = rng.normal(size=(120, 9))
    xy = rng.random((120, 2))
    rows = Rows.of(np.arange(120) % 2, impacts, impacts.sum(1))
    found = colours(draw_cells(Pyramid.build(Grid.fit(xy).codes(xy), rows).table(2), 2, size=60))
    assert min(found[colour] for colour in PAIR) > 200


@pytest.mark.parametrize(
    "name", ["report.html.j2", "audit.html.j2", "study.html.j2", "explanation.html.j2", "atlas.html.j2"]
)
def test_a_pages_template_takes_its_colours_from_the_palette(name: str) -> None:
    folder = "atlas" if name.startswith("atlas") else "reports"
    templates = ROOT / "src" / "morelli" / folder / "templates"
    text = (templates / name).read_text()
    css = (templates / re.findall(r'include "(.*?css)"', text)[0]).read_text()
    assert "{{ colours }}{% include" in text
    known = variables(css_variables())
    own = set(re.findall(r"--([\w-]+):", css))
    assert not own & known.keys()
    assert set(re.findall(r"var\(--([\w-]+)\)", css)) <= own | known.keys()


def test_the_app_and_the_notebook_have_the_same_colours() -> None:
    tokens = (ROOT / "web" / "src" / "theme" / "tokens.css").read_text()
    app = dict(re.findall(r"--([\w-]+): light-dark\((#\w+, #\w+)\)", tokens))
    ours = {name: ", ".join(pair) for name, pair in variables(css_variables()).items() if name in app}
    assert {"real", "generated", "real-fill", "generated-fill", "unsure-fill", "ink"} <= ours.keys()
    assert {name: app[name] for name in ours} == ours
    widgets = (ROOT / "src" / "morelli" / "notebook" / "frontend" / "widgets.css").read_text()
    for light, dark in (variables(css_variables())[name] for name in ("real", "real-fill", "generated-fill")):
        assert light in widgets and dark in widgets
    scripts = (ROOT / "src" / "morelli" / "notebook" / "frontend").glob("*.js")
    colour = re.compile(r"#[0-9a-f]{6}|\[\d+, \d{2,}, \d+\]")
    assert not [one.name for one in scripts if colour.search(one.read_text())]
