"""An atlas as one page that opens offline: the overview, the dimensions, and the prototypes with crops."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from morelli.artefacts import write_file
from morelli.artefacts.outputs import MARK
from morelli.artefacts.targets import check_file_target
from morelli.atlas import by_evidence, p_text, verify_atlas
from morelli.errors import UsageError
from morelli.palette import css_variables

if TYPE_CHECKING:
    from morelli.atlas import Atlas, Selection

View = Literal["overview", "patterns", "dimensions"]

CROPS = 6
MOST_PROTOTYPES = 48
CROP_SIDE = 112
OVERVIEW_LEVEL = 4
_FORMS = {".csv": "csv", ".parquet": "parquet", ".txt": "ids"}


def export_atlas(atlas: Atlas, out: Path | str, select: str | None = None, view: View = "overview") -> str:
    """Write an atlas, or a selection of it, as the file type that the name ends in; says what was written.

    All of the atlas's files are checked first.

    Args:
        atlas: what to write.
        out: `.html` (a page), `.png` (a chart without images), `.csv`, `.parquet` or `.txt` (SHA-256 sums).
        select: a selection document as JSON, or the name of a saved one; None for everything.
        view: what a `.png` shows.

    Raises:
        ArtifactError: a file of the atlas is damaged.
        UsageError: another ending, or no such selection.
    """
    name, out = out, Path(out)
    if out.suffix.lower() not in (".html", ".htm", ".png", *_FORMS):
        raise UsageError(f"{out} ends in neither .html, .png, .csv, .parquet nor .txt; choose one of them.")
    check_file_target(name)
    verify_atlas(atlas.path)
    selection = None if select is None else atlas.select(selection_document(atlas, select))
    form = _FORMS.get(out.suffix.lower())
    if out.suffix.lower() in (".html", ".htm"):
        content = atlas_page(atlas, selection).encode()
        written = f"a page, {len(content) / 1e6:.1f} MB"
    elif out.suffix.lower() == ".png":
        content = _chart(atlas, selection, view)
        written = f"the {view}"
    else:
        content = atlas.export(selection, form)  # type: ignore[arg-type]
        written = f"{len(atlas) if selection is None else selection.counts['count']:,} images"
    write_file(out, content)
    return written


def _chart(atlas: Atlas, selection: Selection | None, view: View) -> bytes:
    from morelli.reports.plots._atlas import dimensions_chart, patterns_chart
    from morelli.reports.plots._style import figure_png

    if view == "overview":
        return overview_png(atlas, selection)
    return figure_png((patterns_chart if view == "patterns" else dimensions_chart)(atlas, selection))


def selection_document(atlas: Atlas, text: str) -> Any:
    """The selection that a text means: a JSON document, or the name of a saved selection.

    Raises:
        UsageError: neither.
    """
    saved = atlas.edits.read()["selections"]
    if text in saved:
        return saved[text]
    try:
        return json.loads(text)
    except ValueError:
        named = f"; saved are {', '.join(saved)}" if saved else ""
        raise UsageError(
            f"{text!r} is neither a selection as JSON nor the name of a saved one{named}."
        ) from None


def atlas_page(atlas: Atlas, selection: Selection | None = None) -> str:
    """The page as HTML: no script, no request to anywhere, light and dark."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("morelli.atlas", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = Markup(css_variables())
    environment.filters["signed"] = lambda value: f"{value:+.2f}"
    environment.filters["p_text"] = p_text
    environment.filters["share"] = lambda value: "–" if value is None else f"{100 * value:.0f} %"
    evaluation = atlas.evaluation(selection)
    prototypes = [p for p in atlas.prototypes(selection) if not p["hidden"] and p["merged_into"] is None]
    if selection is not None:
        prototypes = [p for p in prototypes if p["selected"]]
    prototypes.sort(key=by_evidence)
    dimensions = atlas.dimensions(selection)
    reach = max((abs(p["mean_impact"] or 0) for p in prototypes), default=1) or 1
    return environment.get_template("atlas.html.j2").render(
        record=atlas.record,
        counts=atlas.info()["counts"] if selection is None else selection.counts,
        selection=None if selection is None else json.dumps(selection.spec),
        evaluation=evaluation,
        overview=_data_uri(overview_png(atlas, selection), "png"),
        dimensions=[d | {"chart": _histogram(d), **_ends(atlas, d)} for d in dimensions],
        prototypes=[
            p | {"crops": crops(atlas, p), "bar": 50 * (p["mean_impact"] or 0) / reach}
            for p in prototypes[:MOST_PROTOTYPES]
        ],
        more=max(0, len(prototypes) - MOST_PROTOTYPES),
    )


def overview_png(atlas: Atlas, selection: Selection | None = None) -> bytes:
    """The overview at a level that a page has room for, as a PNG file."""
    from morelli.atlas.cells import draw_cells

    level = min(OVERVIEW_LEVEL, atlas.record.levels)
    named = any(view.get("name") for view in atlas.edits.read()["dimensions"].values())
    image = draw_cells(
        atlas.tile(level, selection=selection),
        level,
        size=min(64, max(28, 640 >> level)),
        head_weights=atlas.distilled.w,
        # The legend's key has their numbers already.
        names=atlas.dimension_names() if named else None,
    )
    buffer = io.BytesIO()
    marks = PngInfo()
    marks.add_text("Software", MARK)
    image.save(buffer, "PNG", optimize=True, pnginfo=marks)
    return buffer.getvalue()


def crops(atlas: Atlas, prototype: dict[str, Any], count: int = CROPS) -> list[dict[str, Any]]:
    """Exemplars of a prototype: what the dimension looks at in colour, the rest of the image grey."""
    pixels = atlas.pixels
    if pixels is None:
        return []
    shown = prototype["exemplars"][:count]
    rows = [int(e["row"]) for e in shown]
    pictures = pixels.thumbnails(rows)
    maps = pixels.maps(rows)[:, prototype["dimension"]]
    names = atlas.collection.category("generator")
    sources = atlas.collection.category("source")
    out = []
    for exemplar, row, picture, relevance in zip(shown, rows, pictures, maps, strict=True):
        if picture is None:
            continue
        image = focused(Image.open(io.BytesIO(picture)), relevance, exemplar)
        label = int(atlas.collection.labels[row])
        category = names if label == 1 else sources
        code = int(category.codes[row])
        out.append(
            {
                "image": _data_uri(_jpeg(image), "jpeg"),
                "label": {0: "real", 1: "generated"}.get(label, "unlabelled"),
                "origin": category.names[code] if code >= 0 else "",
            }
        )
    return out


def focused(picture: Image.Image, relevance: NDArray[np.float32], box: dict[str, float]) -> Image.Image:
    """A picture, grey and pale but where the relevance (P,) is, with the box around the relevant region."""
    side = round(len(relevance) ** 0.5)
    colour = picture.convert("RGB").resize((CROP_SIDE, CROP_SIDE), Image.Resampling.LANCZOS)
    top = float(relevance.max(initial=0)) or 1.0
    # The square root lets what is half as relevant still be seen.
    share = np.sqrt(np.clip(relevance / top, 0, 1)).reshape(side, side)
    mask = Image.fromarray((255 * share).astype(np.uint8)).resize(colour.size, Image.Resampling.BICUBIC)
    pale = Image.blend(colour.convert("L").convert("RGB"), Image.new("RGB", colour.size, "white"), 0.45)
    found = Image.composite(colour, pale, mask)
    corners = tuple(box[name] * (CROP_SIDE - 1) for name in ("x0", "y0", "x1", "y1"))
    ImageDraw.Draw(found).rectangle(corners, outline=(20, 20, 20), width=1)
    return found


def _ends(atlas: Atlas, dimension: dict[str, Any]) -> dict[str, list[str]]:
    """Thumbnails of the three lowest and highest images of a dimension."""
    if atlas.pixels is None:
        return {"low": [], "high": []}
    out = {}
    for name, key in (("low", "lowest"), ("high", "highest")):
        pictures = atlas.pixels.thumbnails(dimension[key][:3])
        out[name] = [_data_uri(picture, "jpeg") for picture in pictures if picture]
    return out


def _histogram(dimension: dict[str, Any], width: int = 240, height: int = 56) -> dict[str, Any]:
    """Paths of a mirrored histogram, real up and generated down, each scaled to its own number of images."""
    middle = height / 2
    found: dict[str, Any] = {"width": width, "height": height, "middle": middle}
    shares = {}
    for name in ("real", "fake"):
        counts = np.asarray(dimension[name], dtype=float)
        shares[name] = counts / max(counts.sum(), 1)
    top = max(float(np.sqrt(s.max(initial=0))) for s in shares.values()) or 1.0
    step = width / len(dimension["real"])
    for name, sign in (("real", -1), ("fake", 1)):
        tall = sign * np.sqrt(shares[name]) / top * (middle - 2)
        points = " ".join(
            f"L{i * step:.1f} {middle + v:.1f} L{(i + 1) * step:.1f} {middle + v:.1f}"
            for i, v in enumerate(tall)
        )
        found[name] = f"M0 {middle} {points} L{width} {middle} Z"
    low, high = dimension["edges"]
    found["zero"] = width * (0 - low) / (high - low)
    return found


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
