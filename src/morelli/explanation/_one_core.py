"""Linear algebra of small matrices on one core: a second thread costs more in waiting than it brings."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def on_one_core() -> AbstractContextManager[Any]:
    """BLAS uses one thread inside.

    The libraries are looked up once: `threadpool_limits` searches everything that the process has loaded each
    time, which takes longer than a small solve.
    """
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> ThreadpoolController:
    import numpy as np  # noqa: F401 - each of the two brings a BLAS, found only once it is loaded
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
