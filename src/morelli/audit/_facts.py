"""Facts of image files: what their headers and a small picture tell, gathered without an encoder."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from morelli.audit._statements import file_statements
from morelli.errors import ImageError
from morelli.images import (
    ImageFacts,
    Limits,
    decode,
    image_errors,
    in_threads,
    phash,
    quiet_pillow,
    read_bytes,
)

if TYPE_CHECKING:
    from PIL import Image

    from morelli.images import ImageFacts, ImageItem

Bytes = bytes  # the type, where a field of that name hides it
Progress = Callable[[int, int | None], None]  # images done, images in all if known

THUMB = 16  # side of the grey picture that confirms near-duplicates, pixels
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# Their further pictures are gain maps, depth, previews, bursts: no animation.
_SEVERAL_PICTURES = frozenset({"JPEG", "HEIF"})
_MAKE, _MODEL, _SOFTWARE = 0x010F, 0x0110, 0x0131


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One image's file facts; `width` and `height` in pixels after orientation, `bytes` of the file.

    `quantisation` is the first 8 hex digits of the SHA-256 over a JPEG's tables ("" for other formats),
    `statements` the kinds of statements that the file makes about itself, `claim` what it says of its making,
    `thumb` the bytes of a 16 × 16 grey
    picture, `phash` the 64-bit perceptual hash.
    """

    uri: str
    label: int | None
    generator: str | None
    lineage: str | None
    source: str | None
    split: str | None
    folder: str
    sha256: str
    format: str
    mode: str
    width: int
    height: int
    bytes: int
    jpeg_quality: int | None
    quantisation: str
    subsampling: str
    progressive: bool
    has_exif: bool
    camera: str
    software: str
    statements: str
    claim: str
    has_icc: bool
    has_alpha: bool
    animated: bool
    oriented: bool
    scale: float | None
    phash: int
    thumb: Bytes


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be used: its `uri`, its `label` if known, and why."""

    uri: str
    label: int | None
    reason: str
    message: str


SCHEMA = pa.schema(
    [
        pa.field(
            field.name,
            {
                "label": pa.int8(),
                "width": pa.int32(),
                "height": pa.int32(),
                "bytes": pa.int64(),
                "jpeg_quality": pa.int16(),
                "scale": pa.float32(),
                "phash": pa.uint64(),
                "thumb": pa.binary(THUMB * THUMB),
                **dict.fromkeys(
                    ("progressive", "has_exif", "has_icc", "has_alpha", "animated", "oriented"), pa.bool_()
                ),
            }.get(field.name, pa.string()),
        )
        for field in fields(FileFacts)
    ]
)


def gather(
    items: Iterable[ImageItem],
    *,
    limits: Limits,
    workers: int | None = None,
    progress: Progress | None = None,
    total: int | None = None,
) -> tuple[pa.Table, list[Unreadable]]:
    """Read every image's facts in `workers` threads; keeps the source's order and a few images in memory.

    Returns the table of facts (schema `SCHEMA`, about 0.7 kB an image) and the images that failed.
    """
    batches: list[pa.RecordBatch] = []
    block: list[FileFacts] = []
    failed: list[Unreadable] = []
    outcomes = in_threads(lambda item: read_facts(item, limits), items, workers)
    for done, outcome in enumerate(outcomes, start=1):
        if isinstance(outcome, Unreadable):
            failed.append(outcome)
        else:
            block.append(outcome)
        if len(block) == 4096:
            batches.append(_batch(block))
            block = []
        if progress is not None:
            progress(done, total)
    return pa.Table.from_batches([*batches, _batch(block)], SCHEMA), failed


def read_facts(item: ImageItem, limits: Limits) -> FileFacts | Unreadable:
    """Facts of one image, or why it has none."""
    try:
        data = read_bytes(item)
        decoded = decode(data, limits)
        with image_errors():
            return file_facts(item, data, decoded.image, decoded.facts)
    except ImageError as error:
        return Unreadable(item.uri, item.label, error.reason, str(error))


def file_facts(item: ImageItem, data: bytes, image: Image.Image, facts: ImageFacts) -> FileFacts:
    """Facts of an image whose bytes are `data`; `image` and `facts` are what decoding gave."""
    from PIL import Image

    metadata = item.metadata
    quantisation, subsampling, progressive, camera, software = "", "", False, "", ""
    stated = file_statements(data)
    try:
        with quiet_pillow(), Image.open(io.BytesIO(data)) as header:
            quantisation, subsampling, progressive = _jpeg_facts(header)
            camera, software = _camera(header)
            if "camera" not in stated.kinds.split():
                camera = ""  # generators write their graph into the camera's fields
            has_alpha = "A" in header.mode or header.mode == "La" or "transparency" in header.info
    except Exception:  # `decode` read it by another way (without a bomb's text), or under wider limits
        has_alpha = any("alpha" in note for note in facts.notes)
    picture = np.asarray(image.convert("L").resize((THUMB, THUMB), Image.Resampling.BOX))
    return FileFacts(
        uri=item.uri,
        label=item.label,
        generator=item.generator,
        lineage=metadata.get("lineage") or None,
        source=metadata.get("source") or None,
        split=metadata.get("split") or _split_of(item.uri),
        folder=str(PurePosixPath(item.uri.replace("::", "/")).parent),
        sha256=facts.sha256,
        format=facts.format,
        mode=facts.mode,
        width=facts.width,
        height=facts.height,
        bytes=facts.bytes,
        jpeg_quality=facts.jpeg_quality,
        quantisation=quantisation,
        subsampling=subsampling,
        progressive=progressive,
        has_exif=facts.has_exif,
        camera=camera,
        software=software,
        statements=stated.kinds,
        claim=stated.claim,
        has_icc=facts.has_icc,
        has_alpha=has_alpha,
        animated=facts.frames > 1 and facts.format not in _SEVERAL_PICTURES,
        oriented=any("orientation" in note for note in facts.notes),
        scale=_number(metadata.get("align_scale")),
        phash=phash(image),
        thumb=picture.tobytes(),
    )


def _batch(block: list[FileFacts]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {name: [getattr(facts, name) for facts in block] for name in SCHEMA.names}, SCHEMA
    )


def _jpeg_facts(header: Image.Image) -> tuple[str, str, bool]:
    """Signature of the quantisation tables, chroma subsampling, progressive or not; ("", "", False) else."""
    from PIL import JpegImagePlugin

    tables = getattr(header, "quantization", None)
    if not isinstance(header, JpegImagePlugin.JpegImageFile) or not tables:
        return "", "", False
    text = ";".join(f"{key}:" + ",".join(map(str, tables[key])) for key in sorted(tables))
    sampling = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(JpegImagePlugin.get_sampling(header), "other")
    if header.mode == "L":
        sampling = "grey"
    progressive = bool(header.info.get("progressive") or header.info.get("progression"))
    return hashlib.sha256(text.encode()).hexdigest()[:8], sampling, progressive


def _camera(header: Image.Image) -> tuple[str, str]:
    """Camera (make and model) and software as EXIF states them, printable and short; "" if unstated."""
    try:
        exif = header.getexif()
    except Exception:  # damaged EXIF raises many types (struct.error, SyntaxError, …); it is no fact then
        return "", ""
    make, model, software = (_plain(exif.get(tag, "")) for tag in (_MAKE, _MODEL, _SOFTWARE))
    camera = model if make and model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    return camera, software


def _plain(value: object) -> str:
    return re.sub(r"[^\x20-\x7e]+", "", str(value)).strip()[:60]


def _split_of(uri: str) -> str | None:
    """The split that a path names: the last folder called train, val, test, …"""
    for part in reversed(re.split(r"[/\\]|::", uri.lower())[:-1]):
        if part in SPLIT_WORDS:
            return SPLIT_WORDS[part]
    return None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
