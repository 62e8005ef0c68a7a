"""The library of UMAP, importable by users who may write neither to its folder nor to a home folder."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

_UNCACHED = (
    ("umap.umap_", "smooth_knn_dist"),
    ("umap.umap_", "compute_membership_strengths"),
    ("umap.layouts", "_nb_optimize_layout_euclidean_single_epoch"),
)
"""Functions that UMAP (0.5.12) compiles in every process: unlike its others, they are kept in no cache."""


def umap_module() -> Any:
    """The module `umap`, imported with a place for numba's cache, without which its import fails.

    numba keeps compiled code in its library's folder, or else in the user's cache folder. In containers with
    an arbitrary user id neither can be written: then a folder for this process alone serves, which costs
    the compilation each time. `NUMBA_CACHE_DIR` names a lasting one. It holds pickles, so a folder that other
    users could write to is never chosen here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba and the missing TensorFlow speak up at import
        first = "umap" not in sys.modules
        if first:
            _ensure_numba_cache()
        import umap

        if first:
            for module, name in _UNCACHED:
                getattr(importlib.import_module(module), name).enable_caching()
    return umap


def _ensure_numba_cache() -> None:
    import numba
    from numba.misc.appdirs import AppDirs

    if numba.config.CACHE_DIR:
        return
    folders = [Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)]
    libraries = [importlib.util.find_spec(name) for name in ("umap", "pynndescent")]
    beside = [Path(spec.origin).parent / "__pycache__" for spec in libraries if spec and spec.origin]
    if all(map(_writable, beside)) or any(map(_writable, folders)):
        return
    folder = tempfile.mkdtemp(prefix="morelli-numba-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = folder


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
