"""One queue in front of the encoder: single requests go in, full batches reach it.

Each request asks the inference workers (see `morelli.encoders`) for one pass; a worker that gets free takes
what waits, up to a batch. A lone request waits a few milliseconds for others, a loaded queue never.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from morelli.encoders import InferenceWorkers

if TYPE_CHECKING:
    from morelli.encoders import Encoder, EncoderSet
    from morelli.inspection import Vectors

Floats = npt.NDArray[np.float32]

BATCH_WAIT_SECONDS = 0.004
"""How long an image that would be a batch alone waits for others."""
BACKGROUND_EVERY = 4
"""Every so many batches a job's images go first, so that a busy day does not stop jobs for good."""


class QueueFullError(Exception):
    """Too many images wait; `seconds` is how long they will about take."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the encoder is busy for about {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class _Waiting:
    pixels: Floats
    result: Future[Vectors]
    since: float = field(default_factory=time.monotonic)


class EncodingQueue:
    """Pixels in, features out, many callers at once.

    Attributes:
        workers: passes that run at the same time.
        batch: most images of one pass.
    """

    def __init__(
        self,
        encoder: Encoder | EncoderSet,
        kinds: Sequence[str],
        *,
        most: int = 128,
        batch: int | None = None,
        processes: int = 1,
    ) -> None:
        """Start the inference workers.

        Args:
            encoder: what computes.
            kinds: the features of every answer.
            most: images that may wait; a job's images are not counted, jobs wait for each of theirs.
            batch: images of one pass at most; by default 4 on a CPU, 64 on a GPU.
            processes: processes that share the machine's cores.
        """
        self._kinds, self._most = tuple(kinds), most
        self._inference = InferenceWorkers(encoder, processes=processes)
        self.workers = self._inference.count
        self.batch = batch or (4 if encoder.device == "cpu" else 64)
        self._front: deque[_Waiting] = deque()
        self._back: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._batches = 0
        self._rate = 4.0 * self.workers  # images a second, a guess until measured

    @property
    def waiting(self) -> int:
        """Requests' images that no worker has taken yet."""
        return len(self._front)

    @property
    def oldest(self) -> float:
        """Seconds that the first request's image has waited; 0 where none waits."""
        with self._changed:
            return time.monotonic() - self._front[0].since if self._front else 0.0

    @property
    def rate(self) -> float:
        """Images a second, a running estimate."""
        return self._rate

    def submit(self, pixels: Floats, *, background: bool = False) -> Future[Vectors]:
        """Features of one image, (3, s, s) transformed pixels. Cancelling the future takes it from the queue.

        Raises:
            QueueFullError: too many wait.
        """
        waiting = _Waiting(pixels, Future())
        with self._changed:
            if self._closed:
                raise QueueFullError(1.0)
            if not background and len(self._front) >= self._most:
                self._front = deque(one for one in self._front if not one.result.cancelled())
                if len(self._front) >= self._most:
                    raise QueueFullError(len(self._front) / self._rate)
            (self._back if background else self._front).append(waiting)
            self._changed.notify_all()  # whoever waits for a full batch
            self._inference.call(self._encode_next)
        return waiting.result

    def close(self) -> None:
        """Finish the batches that run, cancel what waits, and give torch its threads back."""
        with self._changed:
            self._closed = True
            for one in (*self._front, *self._back):
                one.result.cancel()
            self._front.clear()
            self._back.clear()
            self._changed.notify_all()
        self._inference.close()

    def _encode_next(self) -> None:
        """One pass over what waits. There is a call for each image, so that every image gets its pass."""
        batch = self._take()
        if batch:
            self._encode(batch)

    def _take(self) -> list[_Waiting]:
        """The next batch; empty where an earlier call took its image along, or its callers left."""
        with self._changed:
            if not self._front and not self._back:
                return []
            if len(self._front) + len(self._back) < self.batch:
                first = min(side[0].since for side in (self._front, self._back) if side)
                self._changed.wait_for(
                    lambda: self._closed or len(self._front) + len(self._back) >= self.batch,
                    timeout=max(0.0, first + BATCH_WAIT_SECONDS - time.monotonic()),
                )
            if not self._front and not self._back:
                return []
            self._batches += 1
            sides = [self._front, self._back]
            if self._batches % BACKGROUND_EVERY == 0:
                sides.reverse()
            taken: list[_Waiting] = []
            for side in sides:
                while side and len(taken) < self.batch:
                    one = side.popleft()
                    if one.result.set_running_or_notify_cancel():
                        taken.append(one)
            return taken

    def _encode(self, batch: list[_Waiting]) -> None:
        started = time.monotonic()
        try:
            pixels = np.stack([one.pixels for one in batch])
            found = self._inference.encoder.trace(pixels, kinds=self._kinds)
        except Exception as error:  # each caller gets it
            for one in batch:
                one.result.set_exception(error)
            return
        seconds = max(time.monotonic() - started, 1e-6)
        self._rate += 0.1 * (self.workers * len(batch) / seconds - self._rate)
        for row, one in enumerate(batch):
            # Copies: a view would keep the whole batch's tokens alive as long as one case lives.
            one.result.set_result({kind: array[row].copy() for kind, array in found.items()})
