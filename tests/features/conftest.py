"""Folders of small real images, crops of the photographs that the wheels bring."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morelli.encoders import Encoder, load_encoder
from tests.small_detector import bundle_dir, features, table

__all__ = ["bundle_dir", "features", "table"]


@pytest.fixture(scope="session")
def tiny_encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir, device="cpu")


@pytest.fixture(scope="session")
def make_crops(photos: list[tuple[str, Image.Image]]) -> Callable[..., Path]:
    """Write `count` distinct crops of the photographs, PNG and JPEG by turns, into `folder`."""

    def make(folder: Path, count: int, *, side: int = 96, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            name, photo = photos[number % len(photos)]
            left = int(rng.integers(0, photo.width - side))
            top = int(rng.integers(0, photo.height - side))
            crop = photo.crop((left, top, left + side, top + side))
            if number % 2:
                crop.save(folder / f"{number:05d}-{name}.jpg", quality=90)
            else:
                crop.save(folder / f"{number:05d}-{name}.png", compress_level=1)
        return folder

    return make


@pytest.fixture(scope="session")
def crops(make_crops: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 images, two of them also under a second name, and three files that are no images."""
    folder = make_crops(tmp_path_factory.mktemp("crops"), 300, side=160)
    names = sorted(path for path in folder.iterdir())
    (folder / "00150-again.png").write_bytes(names[0].read_bytes())
    (folder / "99999-again.jpg").write_bytes(names[1].read_bytes())
    (folder / "00010-text.png").write_text("no image")
    (folder / "00100-cut.jpg").write_bytes(names[1].read_bytes()[:500])
    (folder / "99999-empty.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="session")
def manifest(make_crops: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images with labels, lineages, sources and a column of the manifest's own."""
    folder = make_crops(tmp_path_factory.mktemp("manifest"), 12, seed=1)
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "generator", "lineage", "source", "era", "camera", "empty"])
        for number, image in enumerate(sorted(folder.glob("0*"))):
            fake = number % 2
            writer.writerow(
                [
                    image.name,
                    "fake" if fake else "real",
                    f"gan-{number}" if fake else "",
                    f"lineage-{number % 4}" if fake else "",
                    "" if fake else f"source-{number % 3}",
                    "2017-2022" if fake else "",
                    f"camera-{number}",
                    "",
                ]
            )
    return path
