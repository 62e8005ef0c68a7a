"""The sheet of wrong verdicts shows the worst of each source, and only what may be shown."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts.collect_images import COLUMNS, place

from morelli.detectors import Bundle, default_bundle_path
from morelli.features import Features

SCORES = {
    # source: (label, content, licence, logit beyond the threshold)
    "worst": ("real", "render", "MIT", 3.0),
    "second": ("real", "food", "CC0-1.0", 1.0),
    "right": ("real", "food", "MIT", -1.0),
    "person": ("real", "portrait", "MIT", 4.0),
    "actor": ("real", "film", "MIT", 4.0),
    "not free": ("real", "food", "none stated", 5.0),
    "not commercial": ("real", "food", "CC BY-NC 4.0", 5.0),
    "missed": ("fake", "portrait", "Apache-2.0", -2.0),
    "found": ("fake", "portrait", "MIT", 2.0),
    "unnamed": ("fake", "portrait", "MIT", -4.0),
    "politician": ("fake", "press", "MIT", -4.0),
}


def test_the_worst_that_may_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("scripts")
    from failure_sheet import draw, worst  # its own import is of the folder of scripts

    bundle = Bundle.load(default_bundle_path())
    rows, paths, logits = [], [], []
    for number, (source, (label, content, licence, beyond)) in enumerate(SCORES.items()):
        for copy, less in enumerate((0.0, 0.5)):  # a source's lesser failure is left out
            row = dict.fromkeys(COLUMNS, "") | {"label": label, "source": source, "content": content}
            row |= {"licence": licence, "repository": f"someone/{source}"}
            row["generator"] = "unknown-2025" if source == "unnamed" else "model"
            row["original_sha1"] = f"{10 * number + copy:040d}"[::-1]
            path = tmp_path / place(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 48), (40 * copy, 20 * number, 90)).save(path)
            threshold = bundle.ai.logit if label == "real" else bundle.real.logit
            rows.append(row), paths.append(str(path))
            logits.append(threshold + beyond - np.sign(beyond) * less)
    with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    features = Features.from_arrays(
        np.eye(len(rows)), labels=[int(row["label"] == "fake") for row in rows], uri=paths
    )

    failures = worst(features, np.array(logits), bundle, tmp_path / "list.csv")
    assert [[one.row["source"] for one in side] for side in failures] == [["worst", "second"], ["missed"]]
    assert failures[0][0].logit == pytest.approx(bundle.ai.logit + 3)
    text = draw(failures, bundle, tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG" and min(sheet.size) > 400
    assert "- render: [someone/worst](https://github.com/someone/worst), MIT" in text
    assert text.index("someone/second") < text.index("- model: [someone/missed]")
