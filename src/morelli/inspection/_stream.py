"""From a source of images to verdicts, a stream with bounded memory.

The one path that the command line, the server and scripts share: read, decode, transform (in threads),
encode (in batches), judge. A bad image becomes a `Detection` with its failure and stops nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from morelli.errors import ImageError, MorelliError
from morelli.images import Limits, decode, thumbnail
from morelli.inspection._sentence import verdict_line

if TYPE_CHECKING:
    from PIL import Image

    from morelli.detectors import Bundle, Verdict
    from morelli.encoders import Encoder
    from morelli.images import ImageFacts, ImageItem


@dataclass(frozen=True)
class Detection:
    """What became of one image: either `verdict` and `facts`, or `failure`.

    `thumbnail` (RGB, at most 220 pixels) is there when it was asked for.
    """

    uri: str
    label: int | None = None
    generator: str | None = None
    facts: ImageFacts | None = None
    verdict: Verdict | None = None
    failure: ImageError | None = None
    thumbnail: Image.Image | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.verdict is not None:
            found = self.verdict
            return verdict_line(self.uri, found.verdict, found.probability, found.interval)
        if self.failure is not None:
            return f"{self.uri}: {self.failure.reason}: {self.failure}"
        return self.uri


@dataclass(frozen=True)
class _Ready:
    detection: Detection
    pixels: npt.NDArray[np.float32] | None  # (3, size, size), None when the image failed


def detect(
    items: Iterable[ImageItem],
    bundle: Bundle,
    encoder: Encoder,
    *,
    batch_size: int = 16,
    workers: int = 2,
    limits: Limits | None = None,
    thumbnails: bool = False,
) -> Iterator[Detection]:
    """Judge every image of `items` with `bundle`, in order, as a stream.

    At most two batches of images are held at a time, however many there are. `workers` threads read and
    decode while the encoder works. Raises `BuildMismatchError` before the first image when `encoder` is not
    the one that the bundle was fitted on.
    """
    bundle.check_build(encoder.build)
    prepared = _prepared(
        items,
        encoder,
        ahead=2 * batch_size,
        workers=workers,
        limits=limits or Limits(),
        thumbnails=thumbnails,
    )
    batch: list[_Ready] = []
    waiting = 0
    for ready in prepared:
        batch.append(ready)
        waiting += ready.pixels is not None
        # Failures ride along without counting, up to a bound: a folder of rubbish must not pile up unseen.
        if waiting == batch_size or len(batch) >= 8 * batch_size:
            yield from _judged(batch, bundle, encoder)
            batch, waiting = [], 0
    yield from _judged(batch, bundle, encoder)


def _prepared(
    items: Iterable[ImageItem],
    encoder: Encoder,
    *,
    ahead: int,
    workers: int,
    limits: Limits,
    thumbnails: bool,
) -> Iterator[_Ready]:
    """Read, decode and transform in threads, `ahead` images at most in flight, in the order of `items`."""
    pending: deque[Future[_Ready]] = deque()
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="morelli-decode")
    try:
        for item in items:
            pending.append(pool.submit(_prepare, item, encoder, limits, thumbnails))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare(item: ImageItem, encoder: Encoder, limits: Limits, thumbnails: bool) -> _Ready:
    detection = Detection(item.uri, item.label, item.generator)
    try:
        if item.problem is not None:
            raise item.problem
        decoded = decode(item.read(), limits)
        pixels = encoder.transform(decoded.image)
        small = thumbnail(decoded.image) if thumbnails else None
        return _Ready(replace(detection, facts=decoded.facts, thumbnail=small), pixels)
    except ImageError as error:
        failure = error
    except MorelliError as error:
        failure = ImageError("unreadable", str(error))
    except OSError as error:
        failure = ImageError("unreadable", f"cannot be read: {error.strerror or error}")
    except Exception as error:
        # Image libraries raise nearly anything on crafted files; one file must not end a run of thousands.
        failure = ImageError("decoder_error", f"the decoder gave up: {type(error).__name__}: {error}")
    return _Ready(replace(detection, failure=failure), None)


def _judged(batch: list[_Ready], bundle: Bundle, encoder: Encoder) -> Iterator[Detection]:
    """Encode the good images of `batch` at once and yield all its detections in order."""
    good = [ready for ready in batch if ready.pixels is not None]
    verdicts: Iterator[Verdict] = iter(())
    if good:
        from morelli.features import Features

        pixels = np.stack([ready.pixels for ready in good if ready.pixels is not None])
        vectors = encoder.trace(pixels, kinds=bundle.kinds)
        facts = [ready.detection.facts for ready in good]
        features = Features.from_arrays(
            vectors,
            build=encoder.build,
            uri=[ready.detection.uri for ready in good],
            sha256=[fact.sha256 for fact in facts if fact is not None],
        )
        verdicts = iter(bundle.verdicts(features))
    for ready in batch:
        yield ready.detection if ready.pixels is None else replace(ready.detection, verdict=next(verdicts))
