"""A small Ray cluster on this machine for the tests of many machines, where Ray is installed."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

MARKS = [
    pytest.mark.ray,
    # Ray's own: files that its process leaves open, and calls that a newer Ray will not have.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]
"""For `pytestmark` of files whose tests run on the cluster."""


def start_cluster() -> Iterator[str]:
    """Start it, yield its address, and end it."""
    if find_spec("ray") is None:
        pytest.skip("needs Ray, which is an extra: pip install 'morelli[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets lie below it: their paths must be short
    context = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = _started(folder)
        yield context.address_info["address"]
    finally:
        ray.shutdown()
        with warnings.catch_warnings():  # Ray does not wait for the processes that it ends
            warnings.simplefilter("ignore")
            del context
            gc.collect()
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: str) -> Any:
    """What `ray.init` gives. Ray waits fifteen seconds for processes of its own; on a busy machine they may
    take longer, and it is tried again."""
    import ray

    for attempt in range(3):
        try:
            return ray.init(
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=200_000_000,
                _temp_dir=folder,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception:
            ray.shutdown()
            if attempt == 2:
                raise
    raise AssertionError
