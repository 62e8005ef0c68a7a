"""The places that several tools share, and JSON read from them under limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from morelli.provenance._exif import USER_COMMENT
from morelli.provenance._finding import Claim, Finding, Strength, details_of, plain
from morelli.provenance._metadata import Metadata, Text

_COMMENT_FORMATS = frozenset({"JPEG", "WEBP", "AVIF"})


def png_text(metadata: Metadata, key: str) -> Text | None:
    """A text chunk of a PNG; None in every other container."""
    return metadata.text(key) if metadata.format == "PNG" else None


def user_comment(metadata: Metadata) -> Text | None:
    """EXIF UserComment of a JPEG, WebP or AVIF."""
    if metadata.format not in _COMMENT_FORMATS or metadata.exif is None:
        return None
    if metadata.exif.raw(USER_COMMENT) is None:
        return None
    value = metadata.exif.comment()
    return Text("", value, f"UserComment in {metadata.exif.place}") if value else None


def parse_object(text: str) -> dict[str, Any] | None:
    """A JSON object; None for anything else, however broken or deep."""
    if text.lstrip()[:1] != "{":
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def made(
    tool: str,
    place: str,
    *,
    version: object = None,
    claims: Claim = "generated",
    strength: Strength = "statement",
    details: Mapping[str, object] | None = None,
    how: str = "",
) -> Finding:
    """A finding of generator metadata, with its sentence."""
    name = plain(tool, 80)
    known = plain(version, 60) if version not in (None, "") else None
    found = details_of(details or {})
    verb = {
        "generated": "was generated",
        "edited_with_ai": "was made or changed from another picture",
    }.get(claims, "was processed")
    with_model = f", model {found['model'][:80]}" if "model" in found else ""
    called = f"{name} {known}" if known else name
    sentence = f"The file says that it {verb} with {called}{with_model}; nothing is signed."
    return Finding("generator_metadata", claims, strength, how or sentence, place, name, known, found)
