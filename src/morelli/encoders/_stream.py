"""The one stream from images to vectors: in order, in bounded memory, with threads that decode in front.

Every command that encodes images goes through it: extraction, detection, the pixel pass of an atlas. What
differs between them is what they make of an item, which images they leave out, and how large a batch is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from morelli.images import in_threads

if TYPE_CHECKING:
    from morelli.encoders._encoder import Encoder
    from morelli.encoders._encoder_set import EncoderSet
    from morelli.encoders._workers import InferenceWorkers

Floats = npt.NDArray[np.float32]
Vectors = dict[str, Floats]
Item = TypeVar("Item")
About = TypeVar("About")

MOST_RIDERS = 8
"""Images without pixels count for no batch; so many batch sizes of images end it nevertheless, or a folder
of rubbish would pile up unseen."""


@dataclass(frozen=True)
class PreparedImage(Generic[About]):
    """What a decode thread made of one item.

    `about` is whatever the caller wants back beside the vectors; `pixels`, (3, s, s) transformed, is None
    where there is nothing to encode, such as for a file that cannot be read.
    """

    about: About
    pixels: Floats | None = field(default=None, repr=False)


@dataclass(frozen=True)
class EncodedBatch(Generic[About]):
    """Images in the order of the source, and the vectors of those that had pixels.

    Row r of every array in `vectors`, kind to (b, …) float32, belongs to `images[rows[r]]`. Without any
    such image, `vectors` is empty.
    """

    images: list[About]
    rows: list[int]
    vectors: Vectors = field(repr=False)


def encode_stream(
    items: Iterable[Item],
    prepare: Callable[[Item], PreparedImage[About]],
    encoder: Encoder | EncoderSet,
    kinds: Sequence[str],
    *,
    batch_size: int,
    threads: int,
    ahead: int,
    admit: Callable[[PreparedImage[About]], bool] | None = None,
    ends_batch: Callable[[About], bool] | None = None,
    workers: InferenceWorkers | None = None,
) -> Generator[EncodedBatch[About]]:
    """Encode `items` as a stream of batches, in their order.

    How images fall into batches depends on the source and the arguments alone, never on timing: matrix
    products round differently in batches of other sizes, so equal runs give vectors equal to the last bit.
    Close the generator (`contextlib.closing`) where it may be left early.

    Args:
        items: iterated in the caller's thread.
        prepare: reads, decodes and transforms one item; called in the decode threads. It should give a
            prepared image without pixels for a bad file; what it raises ends the stream.
        encoder: what computes.
        kinds: features of every batch.
        batch_size: images with pixels in a batch.
        threads: decode threads.
        ahead: items in flight in front of the encoder.
        admit: asked in the caller's thread, in order, about every prepared image; False leaves it out.
        ends_batch: True where the batch ends with this image, full or not.
        workers: encode several batches at once on them; None encodes in the caller's thread, one batch at
            a time with all of torch's threads.
    """
    with closing(in_threads(prepare, items, threads, ahead=ahead)) as prepared:
        passes = _Passes[About](encoder, kinds, workers)
        batch: list[PreparedImage[About]] = []
        waiting = 0
        for image in prepared:
            if admit is not None and not admit(image):
                continue
            batch.append(image)
            waiting += image.pixels is not None
            if (
                waiting == batch_size
                or len(batch) >= MOST_RIDERS * batch_size
                or (ends_batch is not None and ends_batch(image.about))
            ):
                del image  # its pixels go with the batch
                passes.start(batch)
                batch, waiting = [], 0
                yield from passes.finished()
        if batch:
            passes.start(batch)
        yield from passes.finished(wait=True)


class _Passes(Generic[About]):
    """Batches under way, in their order."""

    def __init__(
        self, encoder: Encoder | EncoderSet, kinds: Sequence[str], workers: InferenceWorkers | None
    ) -> None:
        self._encoder, self._kinds, self._workers = encoder, tuple(kinds), workers
        self._running: deque[tuple[list[About], list[int], Future[Vectors]]] = deque()

    def start(self, batch: list[PreparedImage[About]]) -> None:
        """Begin on `batch`, which is emptied."""
        images = [image.about for image in batch]
        rows = [row for row, image in enumerate(batch) if image.pixels is not None]
        pixels = [image.pixels for image in batch if image.pixels is not None]
        batch.clear()
        if pixels and self._workers is not None:
            vectors = self._workers.trace(pixels, self._kinds)
        else:
            vectors = Future()
            vectors.set_result(self._encoder.trace(np.stack(pixels), kinds=self._kinds) if pixels else {})
        self._running.append((images, rows, vectors))

    def finished(self, *, wait: bool = False) -> Iterator[EncodedBatch[About]]:
        """Batches that are through; waits while more than one of them has no worker, with `wait` for all."""
        most = 0 if wait else 1 + (self._workers.count if self._workers is not None else 0)
        while self._running and (len(self._running) > most or self._running[0][2].done()):
            images, rows, vectors = self._running.popleft()
            yield EncodedBatch(images, rows, vectors.result())
