"""Extraction survives SIGKILL at any moment: the table ends up as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from morelli.encoders import Encoder
from morelli.features import FeatureTable, extract

SCRIPT = Path(__file__).with_name("_extract_script.py")
EXTRACTIONS = int(os.environ.get("MORELLI_KILLS", "4"))
"""The full check is 20 (`MORELLI_KILLS=20`); each costs the start of one or two processes."""


def run_and_kill(
    arguments: list[str], rng: np.random.Generator, seconds: float, *, half_filled: bool = False
) -> bool:
    """Kill the script at a random moment; one in five during its imports. True if it was killed in time.

    With `half_filled`, at a random moment after its first rows are in the table.
    """
    out = Path(arguments[2])
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        if half_filled:
            while not rows_at(out) and process.poll() is None:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, seconds / 4))
        elif rng.random() < 0.2:
            time.sleep(rng.uniform(0, 3))
        else:
            started = process.stdout.readline()
            assert started == "start\n", process.stderr.read()
            time.sleep(rng.uniform(0, seconds))
        process.kill()
        rest = process.stdout.read()
    return "end" not in rest


def whole_table(path: Path) -> pa.Table:
    return lance.dataset(path).to_table()


def check_no_orphans(path: Path) -> None:
    """Every file in the dataset's folder belongs to its one version."""
    dataset = lance.dataset(path)
    referenced = {file.path for fragment in dataset.get_fragments() for file in fragment.data_files()}
    assert {file.name for file in (path / "data").iterdir()} == referenced
    assert len(list((path / "_versions").glob("*.manifest"))) == 1
    assert len(list((path / "_transactions").iterdir())) <= 1
    assert {entry.name for entry in path.iterdir()} <= {"data", "_versions", "_transactions", "_morelli"}


def rows_at(path: Path) -> int:
    try:
        return lance.dataset(path).count_rows()
    except ValueError:
        return 0


def check_kills(
    model: Path | str,
    source: Path,
    encoder: Encoder,
    folder: Path,
    *,
    kinds: str,
    extractions: int,
    batch: int,
    half_filled: bool = False,
) -> list[int]:
    """Kill and resume `extractions` times; the rows that each kill left behind.

    The kills of the first, with `half_filled` all of them, meet a half-filled table.
    """
    rng = np.random.default_rng(20)
    options = {"encoder": encoder, "kinds": kinds.split(","), "batch_size": batch, "flush_rows": 2 * batch}
    began = time.monotonic()
    extract(source, folder / "whole.lance", **options)
    seconds = time.monotonic() - began
    whole = whole_table(folder / "whole.lance")
    check_no_orphans(folder / "whole.lance")
    left = []
    for number in range(extractions):
        out = folder / f"{number}.lance"
        for _ in range(int(rng.integers(1, 3))):
            killed = run_and_kill(
                [str(model), str(source), str(out), kinds, str(2 * batch), str(batch)],
                rng,
                1.2 * seconds,
                half_filled=half_filled or number == 0,
            )
            left.append(rows_at(out) if killed else -1)
        extract(source, out, **options)
        assert whole_table(out).equals(whole), f"extraction {number} differs"
        check_no_orphans(out)
        shutil.rmtree(out)
    return left


def test_killed_extractions_end_up_like_an_uninterrupted_one(
    crops: Path, tiny_clip_dir: Path, tiny_encoder: Encoder, tmp_path: Path
) -> None:
    left = check_kills(
        tiny_clip_dir, crops, tiny_encoder, tmp_path,
        kinds="final,layer:2,mean:3", extractions=EXTRACTIONS, batch=8,
    )  # fmt: skip
    table = FeatureTable.open(tmp_path / "whole.lance")
    identities = table.metadata(["sha256", "perturbation"]).to_pylist()
    assert len(identities) == 300 == len({tuple(row.values()) for row in identities})
    print(f"rows left by {len(left)} kills (-1: ended before the kill): {left}")
    assert any(0 < rows < 300 for rows in left), "no kill met a half-filled table; the delays are wrong"


@pytest.mark.encoder
@pytest.mark.slow
def test_killed_extraction_with_the_real_encoder(
    make_crops: Callable[..., Path], real_encoder: Encoder, tmp_path: Path
) -> None:
    source = make_crops(tmp_path / "images", 16, side=224)
    left = check_kills(
        "clip-vit-b16", source, real_encoder, tmp_path,
        kinds="final,layers", extractions=1, batch=4, half_filled=True,
    )  # fmt: skip
    print(f"rows left by {len(left)} kills (-1: ended before the kill): {left}")
    assert any(0 < rows < 16 for rows in left)
