"""A test that hangs ends and is named, whatever it hangs in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = """
import time
import pytest

@pytest.fixture
def unclosed():
    yield
    time.sleep(600)

def test_it(unclosed):
    raise AssertionError("no timer of pytest-timeout runs from here on")
"""


def test_a_test_that_hangs_after_its_failure_is_named(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_protocol\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-o", "timeout=2", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300
    )
    assert run.returncode == 1
    assert "test_it.py::test_it hangs" in run.stderr
    assert "in unclosed" in run.stderr
