"""One call: a file's bytes in, what the file says about itself out."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, JpegImagePlugin

from morelli.errors import ImageError
from morelli.images import Limits, decode, quiet_pillow
from morelli.provenance._camera import camera_finding
from morelli.provenance._containers import read_metadata
from morelli.provenance._credentials import credential_findings
from morelli.provenance._finding import Finding, Provenance, details_of, in_order
from morelli.provenance._generators import generator_findings
from morelli.provenance._iptc import iptc_findings
from morelli.provenance._metadata import Metadata
from morelli.provenance._stealth import stealth_finding
from morelli.provenance._trust import TrustList
from morelli.provenance._watermark import InvisibleWatermark, WatermarkReader, read_watermarks

_COMPARED = 32


def read_provenance(
    data: bytes,
    *,
    trust: TrustList | None = None,
    pixels: bool = False,
    limits: Limits | None = None,
    watermarks: Sequence[WatermarkReader] | None = None,
) -> Provenance:
    """What a file says about itself, from its bytes alone: no network, and damage raises nothing.

    Content Credentials, IPTC fields, generator metadata and camera data, each read only where its maker
    writes it. Without `pixels` nothing is decoded, apart from PNGs whose alpha channel hides a text.

    Args:
        data: the whole file.
        trust: root certificates of signers that are trusted; without them every valid signer is unknown.
        pixels: decode the picture too, look for watermarks, and compare the EXIF thumbnail with it.
        limits: what decoding may cost; the defaults when None.
        watermarks: the readers that are asked; `InvisibleWatermark` alone when None.

    Example:
        >>> read_provenance(b"no image").format is None
        True
    """
    metadata = read_metadata(data)
    if metadata is None:
        return Provenance(None, notes=("the content is not an accepted image",))
    findings: list[Finding] = [
        *credential_findings(data, metadata, trust),
        *iptc_findings(metadata),
        *generator_findings(metadata),
    ]
    if (hidden := stealth_finding(data, metadata)) is not None:
        findings.append(hidden)
    camera = camera_finding(metadata)
    notes = list(metadata.notes)
    states: dict[str, str] = {}
    if pixels:
        readers = (InvisibleWatermark(),) if watermarks is None else tuple(watermarks)
        try:
            image = decode(data, limits).image
        except ImageError as error:
            notes.append(f"the picture could not be decoded: {error}")
            states = {reader.name: "not available" for reader in readers}
        else:
            states, marks = read_watermarks(image, readers)
            findings += marks
            camera = _with_thumbnail(camera, metadata, image)
    if camera is not None:
        findings.append(camera)
    return Provenance(metadata.format, in_order(findings), tuple(notes), states)


def _with_thumbnail(camera: Finding | None, metadata: Metadata, image: Image.Image) -> Finding | None:
    """The camera finding with a word on whether the EXIF thumbnail shows the picture."""
    thumbnail = metadata.exif.thumbnail if metadata.exif else None
    if camera is None or thumbnail is None:
        return camera
    alike = thumbnail_agreement(thumbnail, image)
    if alike is None:
        return camera
    word = "shows the picture" if alike > 0.8 else "shows another picture or crop"
    details = dict(camera.details) | details_of({"thumbnail": f"{word} (correlation {alike:.2f})"})
    return Finding(
        camera.kind, camera.claims, camera.strength, camera.sentence, camera.place, camera.tool, None, details
    )


def thumbnail_agreement(thumbnail: bytes, image: Image.Image) -> float | None:
    """Correlation of the thumbnail's luminance with the picture's, best over orientations; None if damaged.

    Black bars, which cameras put around a thumbnail of another shape, are cut off first.
    """
    try:
        with quiet_pillow(), JpegImagePlugin.JpegImageFile(io.BytesIO(thumbnail)) as small:
            if small.width * small.height > 1 << 22:
                return None
            grey = np.asarray(small.convert("L"), dtype=np.float64)
    except (OSError, ValueError, SyntaxError, MemoryError, EOFError):
        return None
    bright = grey > 24
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    if len(rows) < 8 or len(columns) < 8:
        return None
    grey = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shown = _small(Image.fromarray(grey.astype(np.uint8)))
    picture = _small(image.convert("L"))
    turned = [np.rot90(base, turns) for base in (shown, shown[:, ::-1]) for turns in range(4)]
    return max(float(np.corrcoef(one.ravel(), picture.ravel())[0, 1]) for one in turned)


def _small(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    shrunk = np.asarray(image.resize((_COMPARED, _COMPARED), Image.Resampling.BOX), dtype=np.float64)
    # A flat picture has no correlation; a trace of a ramp keeps it defined.
    return shrunk + np.arange(_COMPARED) * 1e-6
