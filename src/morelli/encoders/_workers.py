"""Inference workers: several forward passes of an encoder at once, each on one core or a few.

On a CPU, two forward passes of one thread each give more than one pass of two threads: a vision
transformer has hundreds of small operations, and after each of them the threads of one pass wait for
each other. They wait spinning, so that decoding, or any other program, which takes a core for a moment
stops the pass on all cores. Workers never wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from morelli.encoders._encoder import Encoder
    from morelli.encoders._encoder_set import EncoderSet

Floats = npt.NDArray[np.float32]
P = ParamSpec("P")
T = TypeVar("T")

MOST_WORKERS = 8
"""More passes at once would gain little and each keeps its activations in memory."""


class InferenceWorkers:
    """As many passes at once as torch has threads, at most `MOST_WORKERS`; one on a GPU.

    Whole batches go to `trace`. A queue that gathers single requests gives `call` a function for each
    request, which takes what waits by then, encodes it, and finds nothing to do where an earlier call took
    its request along.

    Torch's number of threads is shared by the process; `close` sets it back.

    Attributes:
        encoder: what computes.
        count: passes that run at the same time.
    """

    def __init__(self, encoder: Encoder | EncoderSet, *, processes: int = 1) -> None:
        """Start the workers; `processes` is how many processes share the machine's cores in the same way."""
        self.encoder = encoder
        self._passes = encoder.tower.share(most=MOST_WORKERS, processes=processes)
        self.count = self._passes.count
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="morelli-inference")

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `function` on the next worker that is free; calls start in the order in which they came.

        Raises:
            RuntimeError: the workers are closed.
        """
        return self._pool.submit(function, *args, **kwargs)

    def trace(self, pixels: Sequence[Floats], kinds: Collection[str]) -> Future[dict[str, Floats]]:
        """Features of one batch, pixels (3, s, s) each, in one pass: kind to (b, …) float32."""
        # A future holds its arguments until its result is taken; the list is emptied, pixels are the bulk.
        return self.call(self._trace, list(pixels), tuple(kinds))

    def close(self) -> None:
        """Finish what runs, cancel what waits, and give the runtime its threads back."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._passes.close()

    def __enter__(self) -> InferenceWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _trace(self, pixels: list[Floats], kinds: tuple[str, ...]) -> dict[str, Floats]:
        batch = np.stack(pixels)
        pixels.clear()
        return dict(self.encoder.trace(batch, kinds=kinds))
