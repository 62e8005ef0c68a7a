"""The list of public images becomes a labelled collection, from real git repositories."""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripts.collect_images import COLUMNS, main


@pytest.fixture
def listed(tmp_path: Path) -> dict[str, Any]:
    """A repository with a large photograph and a sheet of two tiles, and a row for each picture."""
    repository = tmp_path / "someone" / "pictures"
    repository.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (900, 1300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(repository / "large.png")
    Image.fromarray(pixels[:256, :512]).save(repository / "sheet.png")
    (repository / "README.md").write_text("no picture")

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        run = subprocess.run(["git", "-C", repository, *who, *arguments], check=True, capture_output=True)
        return run.stdout.decode().strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Pictures")
    commit = git("rev-parse", "HEAD")

    def row(path: str, **given: str) -> dict[str, str]:
        data = (repository / path).read_bytes() if (repository / path).exists() else b""
        row = dict.fromkeys(COLUMNS, "") | {"label": "real", "source": "someone", "era": "2019"}
        row |= {"repository": "someone/pictures", "commit": commit, "repo_path": path}
        return row | {"original_sha1": hashlib.sha1(data).hexdigest()} | given

    return {"row": row, "clones": str(tmp_path / "{repository}"), "list": tmp_path / "list.csv"}


def run(listed: dict[str, Any], rows: list[dict[str, str]], folder: Path) -> int:
    with listed["list"].open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    return main([str(listed["list"]), str(folder), "--clones", listed["clones"]])


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_pictures_and_tiles_are_delivered_alike(listed: dict[str, Any], tmp_path: Path) -> None:
    row, folder = listed["row"], tmp_path / "out"
    tiles = [row("sheet.png", crop="0 0 256 256", label="fake"), row("sheet.png", crop="256 0 512 256")]
    assert run(listed, [row("large.png"), *tiles], folder) == 0
    manifest = read(folder / "manifest.csv")
    assert [one["label"] for one in manifest] == ["real", "fake", "real"]
    assert len({one["path"] for one in manifest}) == 3
    sizes = []
    for one in manifest:
        with Image.open(folder / one["path"]) as image:
            sizes.append((image.format, image.mode, image.size))
    assert sizes == [("JPEG", "RGB", (640, 443)), *[("JPEG", "RGB", (256, 256))] * 2]
    assert not (folder / "failed.csv").exists()


def test_what_cannot_be_had_is_listed_and_the_rest_is_there(listed: dict[str, Any], tmp_path: Path) -> None:
    row, folder = listed["row"], tmp_path / "out"
    rows = [
        row("large.png"),
        row("large.png", original_sha1="0" * 40),
        row("nothing.png"),
        row("README.md"),
        row("large.png", repository="someone/else", source="else"),
    ]
    assert run(listed, rows, folder) == 3
    assert [one["repo_path"] for one in read(folder / "manifest.csv")] == ["large.png"]
    reasons = [one["reason"] for one in read(folder / "failed.csv")]
    assert reasons[0] == "its bytes are not those of the list"
    assert reasons[1] == "no such file at that commit"
    assert reasons[2].startswith("not_an_image: ")
    assert reasons[3].startswith("git fetch: ")


def test_a_second_run_fetches_only_what_is_lacking(listed: dict[str, Any], tmp_path: Path) -> None:
    row, folder = listed["row"], tmp_path / "out"
    assert run(listed, [row("large.png")], folder) == 0
    before = next(folder.rglob("*.jpg")).stat().st_mtime_ns
    listed["clones"] = str(tmp_path / "gone" / "{repository}")
    assert run(listed, [row("large.png")], folder) == 0
    assert next(folder.rglob("*.jpg")).stat().st_mtime_ns == before
