"""What judging a picture loads: nothing that only fitting needs."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import morelli
from morelli.detectors import Bundle, default_bundle_path
import morelli.inspection

bundle = Bundle.load(default_bundle_path())
assert bundle.bank is not None and bundle.bank.index is not None
assert not {"sklearn", "scipy.optimize", "scipy.stats", "matplotlib", "torch"} & set(sys.modules)
from morelli.detectors import LinearProbe
assert "sklearn" in sys.modules
"""


def test_a_bundle_and_its_bank_are_ready_without_what_fits_them() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
