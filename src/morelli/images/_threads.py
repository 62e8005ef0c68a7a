"""Ordered work in threads with few items in flight: what keeps memory flat over a hundred thousand images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def in_threads(
    function: Callable[[In], Out],
    items: Iterable[In],
    workers: int | None = None,
    *,
    ahead: int | None = None,
) -> Generator[Out]:
    """`function` of each item, in the items' order, from `workers` threads.

    An exception of `function` is raised at its item's turn. When the generator is closed, what runs is
    finished and the rest is dropped.

    Args:
        function: called in the threads.
        items: iterated in the caller's thread.
        workers: threads; None gives one a processor, at most 32.
        ahead: items in flight, those included whose results wait for their turn; None gives four a thread.

    >>> list(in_threads(abs, [-3, 2, -1], workers=2))
    [3, 2, 1]
    """
    count = max(1, workers or min(32, os.cpu_count() or 1))
    most = max(1, ahead or 4 * count)
    pending: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="morelli-decode")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
