"""The development images: statements and labels must agree."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from morelli.provenance import read_provenance


@pytest.mark.shared
def test_statements_agree_with_labels(shared_data: Path) -> None:
    tools: Counter[str] = Counter()
    cameras = 0
    with (shared_data / "aigi-dev" / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            found = read_provenance((shared_data / "aigi-dev" / row["path"]).read_bytes())
            assert found.format == row["format"]
            assert not found.notes
            assert not (row["label"] == "real" and found.suspicious), row["path"]
            assert not (row["label"] == "fake" and found.claims in ("captured", "camera")), row["path"]
            if found.suspicious:
                tools[str(found.findings[0].tool)] += 1
            cameras += found.claims == "camera"
    assert tools["SD.Next"] == 140
    assert tools["SwarmUI"] == 16
    assert tools["DALL·E 2 (OpenAI Labs)"] == 10
    assert cameras == 9


@pytest.mark.shared
def test_re_delivered_images_say_nothing(shared_data: Path) -> None:
    with (shared_data / "aigi-modern" / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            found = read_provenance((shared_data / "aigi-modern" / row["path"]).read_bytes())
            assert found.findings == (), row["path"]
