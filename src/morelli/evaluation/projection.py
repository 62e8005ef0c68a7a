"""Layouts of rows on the plane: t-SNE, and the library of UMAP where its extra is installed.

UMAP's library is imported so that users may write neither to its folder nor to a home folder.
"""

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

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli import extras
from morelli.errors import UsageError

_UNCACHED = (
    ("umap.umap_", "smooth_knn_dist"),
    ("umap.umap_", "compute_membership_strengths"),
    ("umap.layouts", "_nb_optimize_layout_euclidean_single_epoch"),
)
"""Functions that UMAP (0.5.12) compiles in every process: unlike its others, they are kept in no cache."""


def tsne_places(X: ArrayLike, *, perplexity: float = 30.0, seed: int = 0) -> NDArray[np.float64]:
    """Places (n, 2) of at least four rows X (n, d) by t-SNE (van der Maaten and Hinton 2008), from openTSNE.

    Forces are approximated by a tree (Barnes and Hut) below ten thousand rows, by interpolation (Linderman et
    al. 2019) from there on; exact neighbours, a start from the principal components. On one thread: sums in
    another order would move every row, and threads that wait for each other at every step are slower where
    other programs want the cores.

    Args:
        X: finite rows.
        perplexity: lowered where there are few rows.
        seed: of the layout; with one seed and one machine it comes out the same to the last bit.

    >>> rows = np.random.default_rng(0).normal(size=(20, 5))
    >>> tsne_places(rows).shape
    (20, 2)
    """
    from openTSNE import TSNE
    from openTSNE.affinity import MultiscaleMixture
    from openTSNE.nearest_neighbors import Sklearn
    from threadpoolctl import threadpool_limits

    rows = np.asarray(X, np.float64)
    few = min(perplexity, (len(rows) - 1) / 3)
    with threadpool_limits(1):
        # Asked for exact neighbours by name, openTSNE imports what would approximate them, where that is
        # installed: it compiles, and fails for users who may write neither there nor to a home folder.
        near = Sklearn(rows, k=min(len(rows) - 1, int(3 * few)), metric="euclidean", random_state=seed)
        affinities = MultiscaleMixture(knn_index=near, perplexities=few)
        model = TSNE(initialization=_start(rows, seed), n_jobs=1, random_state=seed)
        return np.array(model.fit(affinities=affinities), np.float64)


def principal_axes(X: ArrayLike) -> NDArray[np.float64]:
    """The two directions (d, 2) of most variance of rows X (n, d), the second one zero where d is 1.

    The sign makes each one's largest entry positive, so that no order of the rows flips a map.

    >>> principal_axes([[0.0, 0.0], [1.0, 3.0], [2.0, 6.0]]).round(2)[:, 0]
    array([0.32, 0.95])
    """
    rows = np.asarray(X, np.float64)
    _, vectors = np.linalg.eigh(np.cov(rows.T, bias=True).reshape(rows.shape[1], rows.shape[1]))
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))


def _start(rows: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """First places: the two principal components, 1e-4 wide, with a grain that parts copies."""
    places = (rows - rows.mean(axis=0)) @ principal_axes(rows)
    grain = np.random.default_rng(seed).normal(scale=1e-6, size=places.shape)
    return np.asarray(1e-4 * places / (places[:, 0].std() or 1.0) + grain)


def umap_module() -> Any:
    """The module `umap`, imported with a place for numba's cache, without which its import fails.

    numba keeps compiled code in its library's folder, or else in the user's cache folder. In containers with
    an arbitrary user id neither can be written: then a folder for this process alone serves, which costs
    the compilation each time. `NUMBA_CACHE_DIR` names a lasting one. It holds pickles, so a folder that other
    users could write to is never chosen here.

    Raises:
        UsageError: UMAP is not installed; the text names the command that installs it.
    """
    if not extras.installed("umap"):
        raise UsageError(extras.missing("A map by UMAP (t-SNE is installed) needs umap-learn", "umap"))
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
