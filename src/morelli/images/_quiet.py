"""Silence for Pillow's warnings while it reads damaged metadata; what matters becomes a note."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Pillow logs damage as errors, which Python prints where nobody has set up logging.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# `warnings.catch_warnings` swaps a global list and is not safe between threads. One filter entry,
# put in when the first decode starts and taken out when the last one ends, is.
_lock = threading.Lock()
_running = 0
_lists: list[list[Any]] = []


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings that PIL's own modules raise, in any number of threads at once."""
    global _running  # noqa: PLW0603 - the filter list is global, so is its count of users
    with _lock:
        _running += 1
        if not any(held is warnings.filters for held in _lists):
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _lists.append(warnings.filters)  # type: ignore[arg-type]
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                for held in _lists:
                    _remove(held)
                _lists.clear()


def _remove(filters: list[Any]) -> None:
    for entry in filters:
        if entry[0] == "ignore" and getattr(entry[3], "pattern", None) == r"PIL\.":
            filters.remove(entry)
            return
