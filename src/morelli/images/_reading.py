"""From an item of a source to its bytes and its picture; a failure is always an `ImageError`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli.errors import ImageError
from morelli.images._decode import Decoded, decode
from morelli.images._problems import image_errors

if TYPE_CHECKING:
    from morelli.images._item import ImageItem
    from morelli.images._limits import Limits


def read_bytes(item: ImageItem) -> bytes:
    """The file of `item`.

    Raises:
        ImageError: the item is marked as unusable (`ImageItem.problem`), or cannot be read.
    """
    if item.problem is not None:
        # A new one: raising the item's own would add to its traceback from several threads.
        raise ImageError(item.problem.reason, str(item.problem))
    with image_errors():
        return item.read()


def read_image(item: ImageItem, limits: Limits | None = None) -> Decoded:
    """The picture of `item` and the facts of its file.

    Raises:
        ImageError: it cannot be read or decoded; nothing else is raised, whatever the file holds.
    """
    return decode(read_bytes(item), limits)
