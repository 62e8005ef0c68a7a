"""The latest answers to questions that are asked again, and asked by several threads at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlightCache(Generic[K, V]):
    """Answers by key, at most `most`; what one thread works out already, others wait for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[K, Future[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, work: Callable[[], V]) -> V:
        """The answer to `key`: the one kept, or what `work` gives. What it raises, all who wait get."""
        with self._lock:
            answer = self._known.get(key)
            first = answer is None
            if answer is None:
                answer = self._known[key] = Future()
            self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        if first:
            try:
                answer.set_result(work())
            except BaseException as error:
                with self._lock:
                    if self._known.get(key) is answer:
                        del self._known[key]
                answer.set_exception(error)
                raise
        return answer.result()

    def clear(self) -> None:
        """Forget all answers, also those being worked out: who asks from now on gets a new one."""
        with self._lock:
            self._known.clear()
