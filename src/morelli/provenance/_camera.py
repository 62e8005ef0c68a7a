"""Camera evidence: what EXIF says of the device, and whether the file agrees. All of it is weak."""

from __future__ import annotations

import re
from typing import Final

from morelli.provenance._exif import (
    APERTURE,
    EXPOSURE,
    FOCAL_LENGTH,
    LENS,
    MAKE,
    MAKER_NOTE,
    MODEL,
    PIXELS_X,
    PIXELS_Y,
    SOFTWARE,
    SPEED,
    TAKEN,
    Exif,
)
from morelli.provenance._finding import Finding, details_of, plain
from morelli.provenance._metadata import Metadata
from morelli.provenance._tables import libjpeg_quality

_LONGEST_NAME: Final = 80
# What generators and graph editors write into the camera's fields.
_NO_CAMERA: Final = re.compile(r"^\s*[\w-]{1,40}:\s*[\[{]|[{}]|^(Black Forest Labs|Ideogram AI)$", re.I)


def camera_finding(metadata: Metadata) -> Finding | None:
    """The camera that EXIF names, with what agrees and what does not; None where none is named."""
    exif = metadata.exif
    if exif is None:
        return None
    make, model = exif.text(MAKE), exif.text(MODEL)
    if not _is_name(make) and not _is_name(model):
        return None
    if any(_NO_CAMERA.search(name) for name in (make, model)) or max(len(make), len(model)) > _LONGEST_NAME:
        return None
    if exif.text(SOFTWARE).startswith("AI generated;"):
        return None
    make, model = plain(make), plain(model)
    camera = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    doubts = list(consistency(metadata, exif))
    details = details_of(_settings(exif)) | details_of(
        {
            "maker note": _maker_note(exif),
            "thumbnail": f"{len(exif.thumbnail):,} bytes" if exif.thumbnail else None,
            "beside the picture": metadata.gain_map,
            "software": exif.text(SOFTWARE),
            "agreement": "; ".join(doubts),
        }
    )
    tail = f" {doubts[0][0].upper()}{doubts[0][1:]}." if doubts else ""
    sentence = (
        f"EXIF names the camera {camera}; anybody can copy such fields, so this is weak evidence.{tail}"
    )
    return Finding("camera", "camera", "weak", sentence, exif.place, camera, None, details)


def consistency(metadata: Metadata, exif: Exif) -> list[str]:
    """What does not agree with a file straight out of a camera, in words."""
    found: list[str] = []
    quality = libjpeg_quality(metadata.tables)
    if quality is not None:
        found.append(
            f"the quantisation tables are libjpeg's of quality {quality}, which programs such as Pillow "
            "write, and some phones"
        )
    if metadata.jfif_first:
        found.append("a JFIF header stands before EXIF, as programs write it and cameras seldom do")
    wide, high = exif.number(PIXELS_X), exif.number(PIXELS_Y)
    if wide and high and metadata.width and metadata.height:
        stated, actual = sorted((int(wide), int(high))), sorted((metadata.width, metadata.height))
        if stated != actual:
            found.append(
                f"EXIF speaks of {int(wide)} × {int(high)} pixels, the picture has "
                f"{metadata.width} × {metadata.height}"
            )
    if exif.number(EXPOSURE) is None and exif.number(APERTURE) is None:
        found.append("no exposure is recorded, as every camera would")
    return found


def _is_name(text: str) -> bool:
    return any(c.isalnum() for c in text)


def _settings(exif: Exif) -> dict[str, object]:
    exposure, aperture = exif.number(EXPOSURE), exif.number(APERTURE)
    focal, speed = exif.number(FOCAL_LENGTH), exif.number(SPEED)
    time = None
    if exposure:
        time = f"1/{round(1 / exposure)} s" if 0 < exposure < 0.3 else f"{exposure:g} s"
    return {
        "lens": exif.text(LENS),
        "exposure": time,
        "aperture": f"f/{aperture:g}" if aperture else None,
        "focal length": f"{focal:g} mm" if focal else None,
        "ISO": f"{speed:g}" if speed else None,
        "taken": exif.text(TAKEN),
    }


def _maker_note(exif: Exif) -> str | None:
    note = exif.raw(MAKER_NOTE)
    if not note:
        return None
    head = re.match(rb"[A-Za-z][A-Za-z0-9 ]{2,11}", note)
    return f"{len(note):,} bytes" + (f", begins {head[0].decode().strip()!r}" if head else "")
