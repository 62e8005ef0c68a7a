"""Shards: the listing of a source cut into pieces, each known by a digest of what it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from morelli.errors import MorelliError

if TYPE_CHECKING:
    from morelli.images import ImageItem

Listing = Callable[[], "Iterable[ImageItem]"]
"""Lists a source from its beginning. It is sent to the machine that lists, so it must be made of what can be
sent: ``functools.partial(iter_source, "s3://bucket/photos", remote="given")``."""

DIGEST_BYTES = 16


@dataclass(frozen=True)
class Shard:
    """Consecutive images of a source.

    Attributes:
        number: from 0, in the order of the source.
        digest: 16 bytes over the number and everything that the listing says of each image. Equal digests
            are the same images under the same labels; what the files hold is not looked at.
        items: the images.
        problem: why the listing ends here.
    """

    number: int
    digest: bytes
    items: tuple[ImageItem, ...]
    problem: MorelliError | None = None


def shards_of(listing: Listing, size: int, finished: bytes = b"") -> Iterator[Shard]:
    """The shards of a source, at most `size` images each and one of them in memory.

    Shards whose digests stand in `finished` (16 bytes each, by their numbers) are left out. An error of the
    source comes behind the images that were listed before it, as a shard without images.
    """
    number = 0
    part: list[ImageItem] = []

    def cut() -> Iterator[Shard]:
        nonlocal number, part
        digest = digest_of(number, part)
        if finished[DIGEST_BYTES * number : DIGEST_BYTES * (number + 1)] != digest:
            yield Shard(number, digest, tuple(part))
        number, part = number + 1, []

    problem: MorelliError | None = None
    try:
        for item in listing():
            part.append(item)
            if len(part) == size:
                yield from cut()
    except MorelliError as error:
        problem = error
    if part:
        yield from cut()
    if problem is not None:
        yield Shard(number, b"", (), problem)


def digest_of(number: int, items: Sequence[ImageItem]) -> bytes:
    """The digest of a shard, see `Shard`."""
    found = hashlib.blake2b(str(number).encode(), digest_size=DIGEST_BYTES)
    for item in items:
        reason = item.problem.reason if item.problem is not None else None
        said = [item.uri, item.label, item.generator, reason, sorted(item.metadata.items())]
        found.update(json.dumps(said).encode())
    return found.digest()
