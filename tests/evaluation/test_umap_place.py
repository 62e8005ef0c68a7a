"""Layouts for a user who may write nowhere: a container with an arbitrary user id."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from morelli.evaluation.projection import tsne_places

SCRIPT = """
import numba, os
from morelli.evaluation.projection import umap_module
umap_module()
folder = numba.config.CACHE_DIR
print(folder, os.stat(folder).st_mode & 0o777)
"""


class _NoCache:
    """What a library whose functions numba keeps does at its import where there is no place for them."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == "pynndescent":
            raise RuntimeError("cannot cache function 'seed': no locator available")


def test_t_sne_needs_no_place_for_what_umap_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra of UMAP brings the library that openTSNE imports where neighbours may be approximate."""
    monkeypatch.delitem(sys.modules, "pynndescent", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_NoCache(), *sys.meta_path])
    assert np.isfinite(tsne_places(np.random.default_rng(0).normal(size=(6, 3)))).all()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None or os.name != "posix", reason="needs setpriv")
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="needs root to become another user")
def test_a_user_without_a_home_folder_gets_umap(tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[2] / "src"
    environment = {
        **{"PATH": os.environ["PATH"], "HOME": "/", "PYTHONPATH": str(source), "LANG": "C.UTF-8"},
        "NUMBA_OPT": "0",  # it compiles all of UMAP, which nobody runs here
    }
    who = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    command = [*who, sys.executable, "-W", "error", "-c", SCRIPT]
    run = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    if "Permission denied" in run.stderr:
        pytest.skip("other users may not read this checkout or its Python")
    assert run.returncode == 0, run.stderr
    folder, mode = run.stdout.split()
    assert int(mode) == 0o700  # nobody else can put code there
    assert not Path(folder).exists()


@pytest.mark.slow
def test_what_umap_compiles_is_kept_for_the_next_process() -> None:
    from morelli.evaluation.projection import umap_module

    functions = umap_module().umap_
    for name in ("smooth_knn_dist", "compute_membership_strengths"):
        assert getattr(functions, name).stats.cache_path is not None, name
