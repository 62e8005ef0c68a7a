"""The Python that README and the first pages show, run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from morelli.encoders import Encoder

ROOT = Path(__file__).resolve().parents[2]


def python_of(page: str) -> str:
    """The Python blocks under the page's words "From Python", up to the next heading of that level."""
    text = (ROOT / page).read_text(encoding="utf-8").split("From Python", 1)[1].split("\n## ", 1)[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


@pytest.mark.encoder
@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md"])
def test_the_example_runs(page: str, photo_dir: Path, tmp_path: Path, real_encoder: Encoder) -> None:
    photos = sorted(photo_dir.glob("*.jpg"))[:3]
    (tmp_path / "photo.jpg").write_bytes(photos[0].read_bytes())
    with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
        for photo in photos:
            archive.write(photo, photo.name)
        archive.writestr("zz-cut.jpg", photos[0].read_bytes()[:4000])
    code = python_of(page)
    assert "morelli.load()" in code and "inspect" in code
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    for line, photo in zip(lines, photos, strict=False):
        assert re.fullmatch(rf"holiday\.zip::{photo.name}: .+, .+ % \(\d+-\d+ %\)", line), line
    assert re.match(r"holiday\.zip::zz-cut\.jpg: truncated: ", lines[len(photos)]), lines[len(photos)]
    assert any(line.startswith("Morelli ") and "photo.jpg" in line for line in lines[len(photos) :])


def test_importing_the_package_loads_nothing_for_it() -> None:
    script = (
        "import sys, morelli; assert 'load' in morelli.__all__; "
        "assert not {'numpy', 'PIL', 'torch', 'morelli.inspection'} & set(sys.modules); "
        "assert morelli.load.__name__ == 'load' and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
