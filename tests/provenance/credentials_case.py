"""Signed files for the table of what survives."""

from __future__ import annotations

from functools import partial

from tests.provenance.case import Case
from tests.provenance.made import picture, saved
from tests.provenance.signing import created, sign


def _signed(format: str) -> bytes:
    return sign(saved(picture(), format), format, created())


CREDENTIALS = [
    Case(
        f"credentials-{format.lower()}",
        "any tool: Content Credentials",
        "made with c2pa-python 0.38.1",
        partial(_signed, format),
        strength="signed_unknown",
        kind="content_credentials",
    )
    for format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF")
]
