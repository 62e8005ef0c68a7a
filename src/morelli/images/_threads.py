"""Ordered work in threads with few items in flight: what keeps memory flat over a hundred thousand images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def in_threads(
    function: Callable[[In], Out], items: Iterable[In], workers: int | None = None
) -> Iterator[Out]:
    """`function` of each item, in the items' order, from `workers` threads (None: one a processor).

    At most four items a thread are read ahead. An exception of `function` is raised at its item's turn.
    """
    count = workers or min(32, os.cpu_count() or 1)
    with ThreadPoolExecutor(count) as pool:
        pending: deque[Future[Out]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 4 * count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
