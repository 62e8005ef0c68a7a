"""One queue in front of the encoder: single requests go in, full batches reach it.

A vision transformer on a CPU is quickest as one single-threaded pass per core (see `morelli.features`), so
the queue has as many lanes as torch has threads, and each lane takes what waits, up to a batch. A lone
request waits a few milliseconds for others, a loaded queue never.
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

if TYPE_CHECKING:
    from morelli.encoders import Encoder
    from morelli.inspection import Vectors

Floats = npt.NDArray[np.float32]

MOST_LANES = 8
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
        lanes: passes that run at the same time.
        batch: most images of one pass.
    """

    def __init__(
        self,
        encoder: Encoder,
        kinds: Sequence[str],
        *,
        most: int = 128,
        batch: int | None = None,
        workers: int = 1,
    ) -> None:
        """Start the lanes.

        Args:
            encoder: what computes.
            kinds: the features of every answer.
            most: images that may wait; a job's images are not counted, jobs wait for each of theirs.
            batch: images of one pass at most; by default 4 on a CPU, 64 on a GPU.
            workers: processes that share the machine's cores.
        """
        import torch

        self._encoder, self._kinds, self._most = encoder, tuple(kinds), most
        cpu = encoder.device == "cpu"
        self._threads_before = torch.get_num_threads()
        # One per thread of torch; a GPU is kept busy by one.
        self.lanes = max(1, min(self._threads_before // workers, MOST_LANES)) if cpu else 1
        self.batch = batch or (4 if cpu else 64)
        if cpu:
            torch.set_num_threads(max(1, self._threads_before // (self.lanes * workers)))
        self._front: deque[_Waiting] = deque()
        self._back: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._batches = 0
        self._rate = 4.0 * self.lanes  # images a second, a guess until measured
        self._threads = [
            threading.Thread(target=self._lane, name=f"morelli-lane-{number}", daemon=True)
            for number in range(self.lanes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Requests' images that no lane has taken yet."""
        return len(self._front)

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
            self._changed.notify()
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
        for thread in self._threads:
            thread.join()
        if self._encoder.device == "cpu":
            import torch

            torch.set_num_threads(self._threads_before)

    def _lane(self) -> None:
        while True:
            batch = self._take()
            if batch is None:
                return
            if batch:
                self._encode(batch)

    def _take(self) -> list[_Waiting] | None:
        """The next batch, possibly empty when its callers left; None when the queue is closed."""
        with self._changed:
            while not self._front and not self._back:
                if self._closed:
                    return None
                self._changed.wait()
            if len(self._front) + len(self._back) < self.batch:
                first = min(side[0].since for side in (self._front, self._back) if side)
                self._changed.wait_for(
                    lambda: self._closed or len(self._front) + len(self._back) >= self.batch,
                    timeout=max(0.0, first + BATCH_WAIT_SECONDS - time.monotonic()),
                )
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
            found = self._encoder.trace(pixels, kinds=self._kinds)
        except Exception as error:  # the callers are told; the lane must live on
            for one in batch:
                one.result.set_exception(error)
            return
        seconds = max(time.monotonic() - started, 1e-6)
        self._rate += 0.1 * (self.lanes * len(batch) / seconds - self._rate)
        for row, one in enumerate(batch):
            # Copies: a view would keep the whole batch's tokens alive as long as one case lives.
            one.result.set_result({kind: array[row].copy() for kind, array in found.items()})
