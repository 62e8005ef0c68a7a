"""What judging a picture loads, and a sheet of verdicts: nothing that only fitting needs."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
import morelli
from morelli.detectors import Bundle, default_bundle_path
from morelli.features import Features
import morelli.inspection

bundle = Bundle.load(default_bundle_path())
widths = {"final": 512, "layer": 768, "headraw": 64}
vectors = {kind: np.ones((1, widths[kind.split(":")[0]]), np.float32) for kind in bundle.kinds}
features = Features.from_arrays(vectors, build=bundle.build)
assert bundle.verdicts(features)[0].reasons
assert not {"sklearn", "scipy", "faiss", "matplotlib", "torch"} & set(sys.modules)
from morelli.detectors import LinearProbe
assert "sklearn" in sys.modules
"""


def test_a_bundle_and_its_bank_judge_without_what_fits_them() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_contact_sheet_loads_no_other_page() -> None:
    program = (
        "import sys; from morelli.reports import contact_sheet; "
        "assert not {'sklearn', 'scipy', 'matplotlib', 'morelli.atlas'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
