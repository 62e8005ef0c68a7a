"""Shards: the listing of a source cut into pieces, each known by a digest of what it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from morelli.errors import MorelliError, UsageError
from morelli.images.layouts import SourceReport

if TYPE_CHECKING:
    from morelli.images import ImageItem, Limits

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
        passed: behind the last images, what the listing met and did not read.
    """

    number: int
    digest: bytes
    items: tuple[ImageItem, ...]
    problem: MorelliError | None = None
    passed: SourceReport | None = None


def listing_of(
    source: str | Path | Sequence[str | Path] | Iterable[ImageItem] | Listing, limits: Limits
) -> Listing:
    """What lists `source` in another process.

    Raises:
        UsageError: an iterator, which cannot be sent there.
    """
    from morelli.images import iter_source

    if callable(source):
        return source
    if isinstance(source, str | Path):
        return partial(iter_source, source, limits=limits)
    if not isinstance(source, Sequence):
        raise UsageError(
            "the engine ray lists a source in another process: give paths, a list of image items, or a "
            "function that lists them"
        )
    if all(isinstance(each, str | Path) for each in source):
        return partial(iter_source, cast("list[str | Path]", list(source)), limits=limits)
    return partial(iter, cast("list[ImageItem]", list(source)))


def shards_of(listing: Listing, size: int, finished: bytes = b"") -> Iterator[Shard]:
    """The shards of a source, at most `size` images each and one of them in memory.

    Shards whose digests stand in `finished` (16 bytes each, by their numbers) are left out. An error of the
    source comes behind the images that were listed before it, as a shard without images, and so does what
    `iter_source` met and did not read.
    """
    from morelli.images import iter_source

    report = SourceReport()
    if isinstance(listing, partial) and listing.func is iter_source:
        listing = partial(listing, report=report)
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
    if report.passed_over() or report.contradictions() or report.same_names():
        passed = SourceReport()
        passed.passed.merge(report.passed)
        yield Shard(number, b"", (), passed=passed)
    if problem is not None:
        yield Shard(number, b"", (), problem)


def digest_of(number: int, items: Sequence[ImageItem]) -> bytes:
    """The digest of a shard, see `Shard`."""
    found = hashlib.blake2b(str(number).encode(), digest_size=DIGEST_BYTES)
    for item in items:
        reason = item.problem.reason if item.problem is not None else None
        facts = [item.uri, item.label, item.generator, reason, sorted(item.metadata.items())]
        found.update(json.dumps(facts).encode())
    return found.digest()
