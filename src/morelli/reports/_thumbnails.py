"""Small pictures of single images, inside the page, for those whose files can be reached."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.artefacts.text import written_names
from morelli.errors import ImageError
from morelli.images import Limits, file_item, read_bytes

if TYPE_CHECKING:
    from morelli.images import ImageItem

SIDE = 128


def find_images(
    wanted: Sequence[dict[str, Any]], items: Iterable[ImageItem] | None, folders: Sequence[Path]
) -> dict[str, str]:
    """Small JPEG pictures as data URIs by sha256, for those of `wanted` (uri, sha256) that can be read.

    An image is looked for at its uri, in `folders`, and among `items`; only bytes with the very hash count.
    """
    missing = {w["sha256"]: str(w["uri"]) for w in wanted if w["sha256"] and w["uri"]}
    found: dict[str, str] = {}
    for sha, uri in list(missing.items()):
        names = written_names(uri)
        for path in [*map(Path, names), *(folder / name for folder in folders for name in names)]:
            if path.is_file() and _take(sha, file_item(str(path), uri, Limits()), found):
                del missing[sha]
                break
    if items is None or not missing:
        return found
    by_name: dict[str, list[str]] = {}
    for sha, uri in missing.items():
        by_name.setdefault(_last(uri), []).append(sha)
    for item in items:
        for sha in by_name.get(_last(item.uri), ()):
            if sha not in found:
                _take(sha, item, found)
    return found


def _last(uri: str) -> str:
    return uri.rpartition("::")[2].replace("\\", "/").rpartition("/")[2]


def _take(sha: str, item: ImageItem, found: dict[str, str]) -> bool:
    try:
        data = read_bytes(item)
        if hashlib.sha256(data).hexdigest() != sha:
            return False
        found[sha] = thumbnail(data)
    except ImageError:
        return False
    return True


def thumbnail(data: bytes, side: int = SIDE) -> str:
    """The image in `data` as a JPEG data URI whose longer side is at most `side` pixels."""
    from PIL import Image

    from morelli.images import decode

    picture = decode(data).image
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=78, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def png(data: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(data).decode()
