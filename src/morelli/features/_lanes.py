"""Running the encoder on several batches at once, each on one core or a few.

On a CPU, two forward passes of one thread each give more than one pass of two threads: a vision
transformer has hundreds of small operations, and after each of them the threads of one pass wait for
each other. They wait spinning, so that decoding, or any other program, which takes a core for a moment
stops the pass on all cores. Lanes never wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from morelli.features._features import Floats
from morelli.features._prepare import Prepared, Row

if TYPE_CHECKING:
    from morelli.encoders import Encoder

MOST_LANES = 8
"""More passes at once would gain little and each keeps its activations in memory."""

Encoded = tuple[list[Row], dict[str, Floats]]
"""Rows of one batch and their vectors by kind, (b, …) float32."""


class Lanes:
    """Batches in, vectors out, in the order in which the batches came."""

    def __init__(self, encoder: Encoder, kinds: Sequence[str], pool: ThreadPoolExecutor, count: int) -> None:
        self.count = count
        self._encoder = encoder
        self._kinds = list(kinds)
        self._pool = pool
        self._running: deque[Future[Encoded]] = deque()

    def submit(self, batch: Sequence[Prepared]) -> None:
        """Start on a batch, at once or when a lane gets free."""
        self._running.append(self._pool.submit(self._encode, list(batch)))

    def finished(self, *, wait: bool = False) -> Iterator[Encoded]:
        """Batches that are through, in order; waits while more than one of them has no lane.

        With `wait`, all that were submitted.
        """
        while self._running and (wait or len(self._running) > self.count + 1 or self._running[0].done()):
            yield self._running.popleft().result()

    def _encode(self, batch: list[Prepared]) -> Encoded:
        pixels: npt.NDArray[np.float32] = np.stack([image.pixels for image in batch])
        rows = [image.row for image in batch]
        batch.clear()  # the future holds its arguments until the result is taken; pixels are the bulk
        return rows, dict(self._encoder.trace(pixels, kinds=self._kinds))


@contextmanager
def lanes(encoder: Encoder, kinds: Sequence[str]) -> Iterator[Lanes]:
    """As many lanes as torch has threads, at most `MOST_LANES`; one on a GPU.

    Torch's number of threads is shared by the process; it is set back at the end.
    """
    import torch

    threads = torch.get_num_threads()
    count = min(threads, MOST_LANES) if encoder.device == "cpu" else 1
    if encoder.device == "cpu":
        torch.set_num_threads(max(1, threads // count))
    pool = ThreadPoolExecutor(count, thread_name_prefix="morelli-encode")
    try:
        yield Lanes(encoder, kinds, pool, count)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
