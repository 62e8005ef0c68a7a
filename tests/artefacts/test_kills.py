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


@pytest.mark.parametrize("name", KINDS)
def test_a_killed_writer_leaves_the_old_or_the_new(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.artefacts.killing", name, str(tmp_path), *kind.modes],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | single,
    )
    assert run.returncode == 0, run.stderr
    for mode, line in zip(kind.modes, run.stdout.splitlines(), strict=True):
        result = json.loads(line)
        found, before = result["found"], None if mode == "first" else OLD
        assert set(found) == {before, NEW}, mode
        assert found == sorted(found, key=lambda value: value == NEW), "the old one came back"
        assert found.count(before) > (10 if kind.swapped else 3), "the steps were not counted"
        assert (result["put back"] > 0) == (mode == "aside" and kind.swapped), mode
    assert "was ended" in run.stderr, "what was put right is said"
