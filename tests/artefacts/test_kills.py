"""SIGKILL at every step of a writer leaves the old artefact or the new one, whole; and nothing for long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.artefacts.kinds import KINDS, NEW, OLD

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize(
    ("name", "mode"), [(kind.name, mode) for kind in KINDS.values() for mode in kind.modes]
)
def test_a_killed_writer_leaves_the_old_or_the_new(name: str, mode: str, tmp_path: Path) -> None:
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.artefacts.killing", name, mode, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | single,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout.splitlines()[-1])
    found, before = result["found"], None if mode == "first" else OLD
    assert set(found) == {before, NEW}
    assert found == sorted(found, key=lambda value: value == NEW), "the old one came back after the new one"
    swapped = KINDS[name].swapped
    assert found.count(before) > (10 if swapped else 3), "the steps were not counted"
    assert (result["put back"] > 0) == (mode == "aside" and swapped)
    if mode != "first":
        assert "was ended" in run.stderr, "what was put right is said"
