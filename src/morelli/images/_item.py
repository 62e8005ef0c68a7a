"""One image that a source offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from morelli.errors import ImageError


@dataclass(frozen=True)
class ImageItem:
    """One image that a source offers; its bytes are read when `read` is called.

    Attributes:
        uri: stable and readable: ``dir/a.jpg``, ``set.zip::inner/a.png``, ``shard.tar::0001.jpg``,
            ``set.parquet::1/a.jpg`` (row 1, and the name that stands beside the picture).
            Characters that a line or a UTF-8 column cannot hold are written as escapes.
        read: returns the bytes; raises `ImageError` (``missing``, ``too_many_bytes``, …). May be
            called from any thread, and more than once. It may be sent to another process, which reads the
            same file or archive.
        label: 0 real, 1 generated, None unknown.
        generator: name of the generator, where it is known.
        metadata: the other columns of a manifest or sidecar, all text.
        problem: why the entry cannot be used, where that is known without reading it; `read`
            raises the same error.
        layout: title of the layout that gave label and generator, see `morelli.images.layouts`.
    """

    uri: str
    read: Callable[[], bytes] = field(repr=False)
    label: int | None = None
    generator: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    problem: ImageError | None = None
    layout: str | None = None


def problem_item(
    uri: str, reason: str, message: str, label: int | None = None, generator: str | None = None
) -> ImageItem:
    """An entry that is listed because it must be reported, not because it can be read."""
    return ImageItem(
        uri, partial(_refuse, reason, message), label, generator, problem=ImageError(reason, message)
    )


def _refuse(reason: str, message: str) -> bytes:
    raise ImageError(reason, message)


def printable(name: str) -> str:
    """`name` in one line of valid UTF-8: undecodable bytes and control characters become escapes.

    >>> printable("a" + chr(10) + "b.jpg")
    'a\\\\nb.jpg'
    """
    if name.isprintable():
        return name
    decoded = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in decoded)
