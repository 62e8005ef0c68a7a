"""Tools and services that leave a label, a credit line or an IPTC type."""

from __future__ import annotations

import json

from tests.provenance.case import Case
from tests.provenance.made import (
    AIGC,
    COMMENT,
    JOB,
    iim_credit,
    jpeg_xmp,
    picture,
    png,
    png_xmp,
    samsung,
    saved,
    typed,
    with_exif,
    xmp,
)

FLUX_SOURCE = "black-forest-labs/flux, src/flux/util.py"
IPTC_SOURCE = "IPTC Photo Metadata 2025.1; ExifTool 13.58, XMP2.pl"
DELIVERED = "files that the service delivered"
_FLUX = {
    0x0131: "AI generated;txt2img;flux",
    0x010F: "Black Forest Labs",
    0x0110: "flux-dev",
    0x010E: "a fox",
}

LABELS = [
    Case(
        "midjourney",
        "Midjourney",
        "files of the service's web site, as users describe them",
        lambda: png(Description=f"a fox --ar 2:1 --v 6 Job ID: {JOB}", Author="somebody"),
        version="6",
        details={"job": JOB, "prompt": "a fox --ar 2:1 --v 6"},
    ),
    Case(
        "flux",
        "FLUX (Black Forest Labs)",
        FLUX_SOURCE,
        lambda: with_exif("JPEG", _FLUX),
        details={"model": "flux-dev", "prompt": "a fox"},
    ),
    Case(
        "flux-img2img",
        "FLUX (Black Forest Labs)",
        FLUX_SOURCE,
        lambda: with_exif("JPEG", _FLUX | {0x0131: "AI generated;img2img;flux"}),
        claims="edited_with_ai",
    ),
    Case(
        "dalle-2",
        "DALL·E 2 (OpenAI Labs)",
        DELIVERED,
        lambda: with_exif(
            "JPEG", {0x927C: "OpenAI--ImageGeneration--generation-abc", COMMENT: "Made with OpenAI Labs"}
        ),
        details={"generation": "OpenAI--ImageGeneration--generation-abc"},
    ),
    Case(
        "ideogram",
        "Ideogram",
        "files of the service, as a third party describes them",
        lambda: with_exif("JPEG", {0x010F: "Ideogram AI"}),
    ),
    Case(
        "grok",
        "Grok (xAI)",
        "files of the service, as a third party describes them",
        lambda: with_exif("JPEG", {0x010E: "Signature: " + "Ab3/" * 22, 0x013B: JOB}),
        details={"image": JOB},
    ),
    Case(
        "aigc-xmp",
        "label of GB 45438-2025",
        "GB 45438-2025, annex E, as public tools implement it",
        lambda: jpeg_xmp(children=f"<TC260:AIGC>{json.dumps(AIGC)}</TC260:AIGC>"),
        read_tool="001191110102MACQD9K64010000",
    ),
    Case(
        "aigc-png",
        "label of GB 45438-2025",
        "files of services, as a third party describes them",
        lambda: png(AIGC=json.dumps(AIGC)),
        read_tool="001191110102MACQD9K64010000",
    ),
    Case(
        "aigc-suspected",
        "label of GB 45438-2025",
        "GB 45438-2025, annex E, as public tools implement it",
        lambda: jpeg_xmp(children=f"<TC260:AIGC>{json.dumps(AIGC | {'Label': '3'})}</TC260:AIGC>"),
        strength="weak",
        read_tool="001191110102MACQD9K64010000",
    ),
    Case(
        "samsung",
        "Samsung photo editor",
        "ExifTool 13.58, Samsung.pm; the field is not documented",
        lambda: samsung(12),
        claims="edited_with_ai",
        strength="weak",
        details={"genAIType": "12"},
    ),
    Case(
        "google-made",
        "Google AI",
        "files of the service, as public tools describe them",
        lambda: jpeg_xmp(typed("trainedAlgorithmicMedia") + ' photoshop:Credit="Made with Google AI"'),
        kind="iptc",
        details={"credit": "Made with Google AI"},
    ),
    Case(
        "google-edited",
        "Google AI",
        "files of the service, as public tools describe them",
        lambda: jpeg_xmp(
            typed("compositeWithTrainedAlgorithmicMedia") + ' photoshop:Credit="Edited with Google AI"'
        ),
        claims="edited_with_ai",
        kind="iptc",
    ),
    Case(
        "google-credit-iim",
        "Google AI",
        "files of the service, as public tools describe them",
        lambda: iim_credit("Made with Google AI"),
        kind="iptc",
    ),
    Case(
        "apple-clean-up",
        "Apple Photos Clean Up",
        "Apple's PhotoImaging framework, iOS 18",
        lambda: jpeg_xmp(
            typed("compositeWithTrainedAlgorithmicMedia") + ' photoshop:Credit="Apple Photos Clean Up"'
        ),
        claims="edited_with_ai",
        kind="iptc",
    ),
    Case(
        "iptc-type-jpeg",
        "any tool: IPTC digital source type",
        IPTC_SOURCE,
        lambda: jpeg_xmp(typed("trainedAlgorithmicMedia")),
        kind="iptc",
        read_tool="",
    ),
    Case(
        "iptc-type-png",
        "any tool: IPTC digital source type",
        IPTC_SOURCE,
        lambda: png_xmp(typed("trainedAlgorithmicMedia")),
        kind="iptc",
        read_tool="",
    ),
    Case(
        "iptc-type-webp",
        "any tool: IPTC digital source type",
        IPTC_SOURCE,
        lambda: saved(picture(), "WEBP", xmp=xmp(typed("trainedAlgorithmicMedia"))),
        kind="iptc",
        read_tool="",
    ),
    Case(
        "iptc-type-avif",
        "any tool: IPTC digital source type",
        IPTC_SOURCE,
        lambda: saved(picture(), "AVIF", xmp=xmp(typed("trainedAlgorithmicMedia"))),
        kind="iptc",
        read_tool="",
    ),
    Case(
        "iptc-type-tiff",
        "any tool: IPTC digital source type",
        IPTC_SOURCE,
        lambda: saved(picture(), "TIFF", tiffinfo={700: xmp(typed("trainedAlgorithmicMedia"))}),
        kind="iptc",
        read_tool="",
    ),
    Case(
        "iptc-ai-system",
        "any tool: IPTC AI fields",
        IPTC_SOURCE,
        lambda: jpeg_xmp(
            typed("trainedAlgorithmicMedia")
            + ' Iptc4xmpExt:AISystemUsed="Some Model" Iptc4xmpExt:AISystemVersionUsed="3"'
            ' Iptc4xmpExt:AIPromptInformation="a fox"'
        ),
        kind="iptc",
        read_tool="Some Model",
        version="3",
        details={"prompt": "a fox"},
    ),
]
