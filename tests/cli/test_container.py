"""A container with an arbitrary user id: no home folder, code, weights and cache that can only be read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ME = "12345"
# The system's own Python may lie in a folder that only root may read: reading is allowed, writing is not.
READS = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")

SCRIPT = """
import os, sys
from dataclasses import replace
from pathlib import Path
from tests.cli.conftest import morelli
from tests.server.running import running
from morelli.server import ServerSettings

pictures, model = sys.argv[1:]
assert not os.access(os.environ["MORELLI_CACHE"], os.W_OK) and not os.access(model, os.W_OK)

def done(*arguments):
    run = morelli(*arguments)
    assert run.code == 0, (arguments, run.out, run.err)
    return run

done("extract", pictures, "-o", "F.lance", "--encoder", model, "--label-from", "folders")
done("fit", "F.lance", "-o", "own", "--kinds", "final")
judged = done("detect", f"{pictures}/real", "--bundle", "own", "--weights", model, "--offline", "--json")
assert '"verdict"' in judged.out
done("evaluate", "run", "F.lance", "-o", "report", "--detector", "knn:3", "--protocol", "lineage",
     "--rounds", "5", "--maps", "none")
done("atlas", "build", "F.lance", "-o", "a.atlas", "--projection", "pca", "--offline", "--weights", model)
own = ServerSettings(bundle=Path("own"), weights=Path(model), device="cpu", offline=True)
with running(replace(own, atlases=(Path("a.atlas"),))) as server:
    picture = next(Path(pictures).rglob("*.png"))
    assert len(server.upload((picture.name, picture.read_bytes())).json()["cases"]) == 1
    assert [one["name"] for one in server.get("/atlases").json()["atlases"]] == ["a"]
print(*sorted(path.name for path in Path().iterdir()))
"""


@pytest.fixture
def box() -> Iterator[Path]:
    """A folder that everybody may read; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="needs root to become another user")
def test_every_step_works_for_a_user_who_may_write_one_folder_only(
    collection: Path, tiny_clip_dir: Path, box: Path
) -> None:
    pictures, cache, mine = box / "pictures", box / "cache", box / "mine"
    model = shutil.copytree(tiny_clip_dir, box / "model")
    for path in sorted(collection.rglob("0[0-2].png")):
        place = pictures / path.relative_to(collection)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    cache.mkdir()
    mine.mkdir()
    os.chown(mine, int(ME), int(ME))
    who = ["setpriv", "--reuid", ME, "--regid", ME, "--clear-groups", *READS]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "TMPDIR": str(mine),
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "MORELLI_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
    }
    command = [*who, sys.executable, "-c", SCRIPT, str(pictures), str(model)]
    run = subprocess.run(
        command, env=environment, cwd=mine, capture_output=True, text=True, check=False, timeout=600
    )
    if "setpriv:" in run.stderr:
        pytest.skip(f"this machine lets nobody become another user: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["F.lance", "a.atlas", "own", "report"], "nothing else is left behind"
    assert not list(cache.iterdir())
