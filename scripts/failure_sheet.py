"""Sheet of a detector's worst held-out verdicts, of images that may be shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collect_images import Row, place
from numpy.typing import NDArray
from PIL import Image

from morelli.artefacts import write_file
from morelli.detectors import Bundle
from morelli.detectors._verdict import Verdict
from morelli.features import Features
from morelli.reports._contact_sheet import Picture, contact_sheet

FREE = ("MIT", "Apache", "BSD", "CC0", "CC BY 4", "CC-BY-4", "CC-BY-3", "public domain")
"""How licences start under which a small picture may be shown beside its source."""
NOT_SHOWN = ("portrait", "faces", "press", "photo", "street", "film")
"""Contents of real pictures that may hold people, who did not ask to be shown."""
KEPT_BACK = (
    "akanazawa-hmr", "egoblog", "lllyasviel", "pixart-alpha-pixart-sigma", "williamyang1991-dualstylegan",
)  # fmt: skip
"""Sources whose pictures show a person all the same, or characters of somebody else."""
EACH = 14
"""Pictures of each class."""
SECTIONS = ("Real images called AI-generated", "Generated images called real")


@dataclass(frozen=True)
class Failure:
    """A wrong verdict on one image: its row of the list, its file, the held-out logit."""

    row: Row
    path: Path
    logit: float


def worst(rows: Features, logits: NDArray[Any], bundle: Bundle, listed: Path) -> tuple[list[Failure], ...]:
    """The worst real images called AI-generated and generated ones called real, at most one a source.

    Args:
        rows: of one delivery, n of them. logits: held out (n,). bundle: whose thresholds judge.
        listed: CSV of the images that may be shown where their licence allows it.
    """
    with listed.open(encoding="utf-8", newline="") as file:
        known = {place(row): row for row in csv.DictReader(file)}
    sides: tuple[list[Failure], ...] = ([], [])
    for uri, label, logit in zip(rows.column("uri"), rows.labels, logits, strict=True):
        row = known.get("/".join(str(uri).rsplit("/", 3)[1:]))
        wrong = logit > bundle.ai.logit if label == 0 else logit <= bundle.real.logit
        if wrong and row and may_be_shown(row):
            sides[int(label)].append(Failure(row, Path(str(uri)), float(logit)))
    chosen = []
    for side, sign in zip(sides, (-1, 1), strict=True):
        first = {one.row["source"]: one for one in sorted(side, key=lambda one: -sign * one.logit)}
        chosen.append(sorted(first.values(), key=lambda one: sign * one.logit)[:EACH])
    return tuple(chosen)


def may_be_shown(row: Row) -> bool:
    """Whether licence, content and label let a picture of the list be shown as a failure."""
    if not row["licence"].startswith(FREE) or row["source"] in KEPT_BACK:
        return False
    if row["label"] == "real":
        return row["content"] not in NOT_SHOWN
    # Without a generator's name, it is the label that could be wrong; news has people whom everybody knows.
    return not row["generator"].startswith("unknown") and row["content"] != "press"


def draw(failures: Sequence[Sequence[Failure]], bundle: Bundle, out: Path) -> str:
    """Write the sheet as JPEG; the Markdown list of what it shows."""
    pictures, lines = [], []
    for title, side, word in zip(SECTIONS, failures, ("ai", "real"), strict=True):
        lines += ["", f"{title}, from the left:", ""]
        for one in side:
            probability = float(bundle.calibration.probability([one.logit])[0])
            verdict = Verdict(word, probability, (0.0, 1.0), one.logit, float("nan"))  # type: ignore[arg-type]
            name = one.row["generator"] if one.row["label"] == "fake" else one.row["content"]
            with Image.open(one.path) as image:
                pictures.append(Picture(image.convert("RGB"), name, verdict, title))
            address = f"https://github.com/{one.row['repository']}"
            lines.append(f"- {name}: [{one.row['repository']}]({address}), {one.row['licence']}")
    sheet = contact_sheet(pictures, title="Held-out verdicts that are wrong", columns=7)
    sheet.thumbnail((1200, 4000), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=80)
    write_file(out, data.getvalue())
    return "\n".join(lines[1:])
