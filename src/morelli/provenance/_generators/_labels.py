"""Tools and services that leave a label or a few fields rather than a block of settings."""

from __future__ import annotations

import re
from typing import Any, Final

from morelli.provenance._exif import ARTIST, DESCRIPTION, MAKE, MAKER_NOTE, MODEL, SOFTWARE, USER_COMMENT
from morelli.provenance._finding import Claim, Finding, Strength
from morelli.provenance._generators._places import made, parse_object, png_text, user_comment
from morelli.provenance._metadata import Metadata
from morelli.provenance._xmp import BASIC, EXIF, IPTC_EXT, TC260

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_JOB: Final = re.compile(rf"\bJob ID: ({_UUID})\s*$", re.I)
_SIGNATURE: Final = re.compile(r"Signature: *[A-Za-z0-9+/=]{64,}\s*$")
_GEN_AI: Final = re.compile(rb'"genAIType"\s*:\s*"?(-?\d{1,9})')
_AIGC_FIELDS: Final = frozenset({"ContentProducer", "ProduceID", "ContentPropagator", "PropagateID"})


def read_novelai(metadata: Metadata) -> Finding | None:
    """NovelAI: PNG texts Software ``NovelAI``, Source with the model, Comment with the settings as JSON.

    Source: NovelAI/novelai-image-metadata, nai_meta.py and nai_meta_writer.py.
    """
    software = png_text(metadata, "Software")
    if software is None or software.value.strip() != "NovelAI":
        return None
    comment = png_text(metadata, "Comment")
    source = png_text(metadata, "Source")
    description = png_text(metadata, "Description")
    return novelai_finding(
        parse_object(comment.value) if comment else None,
        source.value if source else None,
        description.value if description else None,
        software.place,
    )


def novelai_finding(
    settings: dict[str, Any] | None, source: str | None, description: str | None, place: str
) -> Finding:
    """The finding of NovelAI's fields, from texts or from the alpha channel."""
    settings = settings or {}
    details = {
        "model": source,
        "seed": settings.get("seed"),
        "sampler": settings.get("sampler"),
        "steps": settings.get("steps"),
        "guidance": settings.get("scale"),
        "prompt": settings.get("prompt") or description,
        "negative prompt": settings.get("uc"),
    }
    kind = str(settings.get("request_type", ""))
    claim: Claim = "edited_with_ai" if re.search(r"img2img|inpaint", kind, re.I) else "generated"
    return made("NovelAI", place, claims=claim, details=details)


def read_draw_things(metadata: Metadata) -> Finding | None:
    """Draw Things: its settings as JSON in XMP ``exif:UserComment``.

    Source: sd_prompt_reader/image_data_reader.py and the fields ``c``, ``uc``, ``model``, ``sampler``.
    """
    xmp = metadata.xmp
    if xmp is None:
        return None
    settings = parse_object(xmp.first(EXIF, "UserComment"))
    named = xmp.first(BASIC, "CreatorTool").startswith("Draw Things")
    if settings is None or not ({"c", "model", "sampler", "seed"} <= settings.keys() or named):
        return None
    details = {
        "model": settings.get("model"),
        "seed": settings.get("seed"),
        "sampler": settings.get("sampler"),
        "steps": settings.get("steps"),
        "guidance": settings.get("scale"),
        "prompt": settings.get("c"),
        "negative prompt": settings.get("uc"),
    }
    return made("Draw Things", f"exif:UserComment in {xmp.place}", details=details)


def read_midjourney(metadata: Metadata) -> Finding | None:
    """Midjourney: PNG text Description that ends with ``Job ID:`` and a UUID; the guide in XMP beside it."""
    text = png_text(metadata, "Description")
    found = _JOB.search(text.value[-200:]) if text else None
    if text is None or found is None:
        return None
    prompt = text.value[: text.value.rfind("Job ID:")].strip()
    version = re.search(r"--(?:v|niji) ?([\d.]+)", prompt)
    author = png_text(metadata, "Author")
    details = {
        "prompt": prompt,
        "job": found[1],
        "author": author.value if author else None,
        "image": metadata.xmp.first(IPTC_EXT, "DigImageGUID") if metadata.xmp else None,
    }
    return made("Midjourney", text.place, version=version[1] if version else None, details=details)


def read_black_forest_labs(metadata: Metadata) -> Finding | None:
    """FLUX of Black Forest Labs: EXIF Software ``AI generated;txt2img;flux``, Make and Model.

    Source: black-forest-labs/flux, src/flux/util.py (2025-07-31).
    """
    exif = metadata.exif
    if exif is None or not exif.text(SOFTWARE).startswith("AI generated;"):
        return None
    words = exif.text(SOFTWARE).split(";")
    maker = exif.text(MAKE) == "Black Forest Labs"
    claim: Claim = "edited_with_ai" if "img2img" in words else "generated"
    details = {"model": exif.text(MODEL), "prompt": exif.text(DESCRIPTION), "mark": exif.text(SOFTWARE)}
    tool = "FLUX (Black Forest Labs)" if maker else words[-1]
    return made(tool, f"Software in {exif.place}", claims=claim, details=details)


def read_dalle2(metadata: Metadata) -> Finding | None:
    """DALL·E 2 of OpenAI's Labs: ``Made with OpenAI Labs`` as UserComment, a generation number as MakerNote.

    Source: files that the service delivered; both tags stand in the first directory.
    """
    exif = metadata.exif
    if exif is None or exif.text(USER_COMMENT) != "Made with OpenAI Labs":
        return None
    number = exif.text(MAKER_NOTE)
    details = {"generation": number if number.startswith("OpenAI--ImageGeneration") else None}
    return made("DALL·E 2 (OpenAI Labs)", f"UserComment in {exif.place}", details=details)


def read_ideogram(metadata: Metadata) -> Finding | None:
    """Ideogram: EXIF Make ``Ideogram AI``."""
    exif = metadata.exif
    if exif is None or exif.text(MAKE) != "Ideogram AI":
        return None
    return made("Ideogram", f"Make in {exif.place}", details={"model": exif.text(MODEL)})


def read_xai(metadata: Metadata) -> Finding | None:
    """Grok of xAI: ImageDescription ``Signature: …`` in Base64 beside a UUID as Artist, in a JPEG.

    The signature's scheme is not public, so it is not verified.
    """
    exif = metadata.exif
    if exif is None or metadata.format != "JPEG":
        return None
    artist = exif.text(ARTIST)
    if not _SIGNATURE.match(exif.text(DESCRIPTION)) or not re.fullmatch(_UUID, artist, re.I):
        return None
    place = f"ImageDescription and Artist in {exif.place}"
    return made("Grok (xAI)", place, details={"image": artist, "signature": "not verified"})


def read_aigc_label(metadata: Metadata) -> Finding | None:
    """China's label for generated content (GB 45438-2025, annex E): ``AIGC`` in XMP, PNG text or UserComment.

    Label 1 says that the content is generated; 2 and 3, that it may be or is suspected to be.
    """
    record, place = _aigc(metadata)
    if record is None:
        return None
    label = str(record.get("Label", ""))
    sure = label == "1"
    claim: Claim = "generated" if label in ("1", "2", "3") else "none"
    strength: Strength = "statement" if sure else "weak"
    producer = record.get("ContentProducer")
    details = {"label": label, "producer": producer, "number": record.get("ProduceID")}
    says = {"1": "is", "2": "may be", "3": "is suspected to be"}.get(label)
    how = (
        f"The file carries China's label that the content {says} generated by AI; nothing is signed."
        if says
        else "The file carries China's label for AI content with an unknown value."
    )
    tool = str(producer) if producer else "a service that labels AI content"
    return made(tool, place, claims=claim, strength=strength, details=details, how=how)


def read_samsung(metadata: Metadata) -> Finding | None:
    """Samsung's gallery: ``genAIType`` other than 0 in the re-edit data of its trailer.

    The block's name is in ExifTool 13.58 (Samsung.pm); the field is not documented, so it is weak evidence.
    """
    block = metadata.trailer.get("PhotoEditor_Re_Edit_Data")
    found = _GEN_AI.search(block[: 1 << 20]) if block else None
    if found is None or int(found[1]) == 0:
        return None
    return made(
        "Samsung photo editor",
        "Samsung trailer, PhotoEditor_Re_Edit_Data",
        claims="edited_with_ai",
        strength="weak",
        details={"genAIType": found[1].decode()},
        how="The trailer of Samsung's photo editor names a generative edit (genAIType, not documented).",
    )


def _aigc(metadata: Metadata) -> tuple[dict[str, Any] | None, str]:
    if metadata.xmp is not None and (value := metadata.xmp.first(TC260, "AIGC")):
        return parse_object(value), f"TC260:AIGC in {metadata.xmp.place}"
    text = png_text(metadata, "AIGC") or user_comment(metadata)
    if text is None or ("AIGC" not in (text.key, text.value[:2000]) and '"AIGC"' not in text.value[:2000]):
        return None, ""
    record = parse_object(text.value)
    if record is not None and isinstance(record.get("AIGC"), dict):
        record = record["AIGC"]
    if record is None or not _AIGC_FIELDS & record.keys():
        return None, ""
    return record, text.place
