"""Public collections in miniature, in the formats in which they are published."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.labelled_collection import gridded

SIDE = 64
GENERATORS = {
    **{f"old-{letter}": f"2022-0{number}-01" for number, letter in enumerate("abcdef", start=1)},
    **{f"new-{letter}": f"2024-0{number}-01" for number, letter in enumerate("abcdef", start=1)},
}
SOURCES = ("laion", "coco", "pexels", "raise")


def pictures(
    photos: list[tuple[str, Image.Image]], count: int, *, seed: int = 0
) -> list[tuple[bytes, bytes]]:
    """Pairs of files: a crop of a photograph as JPEG, and one with an upsampler's trace as PNG."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        image = photos[index % 6][1]
        left, top = (int(rng.integers(0, extent - SIDE)) for extent in image.size)
        crop = image.crop((left, top, left + SIDE, top + SIDE))
        found.append((_file(crop, "JPEG"), _file(gridded(crop), "PNG")))
    return found


def _file(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def write_openfake(
    folder: Path, photos: list[tuple[str, Image.Image]], *, shards: int = 4, pairs: int = 16
) -> Path:
    """``core/train-0000N-of-….parquet``: images inside, small row groups, the year of each generator."""
    (folder / "core").mkdir(parents=True)
    names = list(GENERATORS)
    for shard in range(shards):
        rows = []
        for index, (real, fake) in enumerate(pictures(photos, pairs, seed=shard)):
            name = names[index % len(names)]
            rows += [
                {"image": real, "label": "real", "model": SOURCES[index % 4], "release_date": ""},
                {"image": fake, "label": "fake", "model": name, "release_date": GENERATORS[name]},
            ]
        table = pa.table(
            {
                "image": [{"bytes": row["image"], "path": None} for row in rows],
                "prompt": ["a prompt"] * len(rows),
                **{name: [row[name] for row in rows] for name in ("label", "model", "release_date")},
            },
            schema=pa.schema(
                [
                    ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
                    *((name, pa.string()) for name in ("prompt", "label", "model", "release_date")),
                ]
            ),
        )
        pq.write_table(table, folder / "core" / f"train-{shard:05}-of-{shards:05}.parquet", row_group_size=8)
    return folder


def write_community_forensics(folder: Path, photos: list[tuple[str, Image.Image]]) -> Path:
    """``data/N.parquet`` with the published columns; one shard holds real images alone."""
    (folder / "data").mkdir(parents=True)
    pairs = pictures(photos, 24, seed=9)
    for shard in range(3):
        part = pairs[8 * shard : 8 * shard + 8]
        rows = [(f"{shard}-{i}r.jpg", real, "", SOURCES[i % 4], 0) for i, (real, _) in enumerate(part)]
        if shard:
            rows += [
                (f"{shard}-{i}f.png", fake, f"user/model-{i % 4}", "", 1) for i, (_, fake) in enumerate(part)
            ]
        columns = list(zip(*rows, strict=True))
        table = pa.table(
            {
                "image_name": columns[0],
                "image_data": columns[1],
                "model_name": columns[2],
                "real_source": columns[3],
                "label": columns[4],
            }
        )
        pq.write_table(table, folder / "data" / f"{shard}.parquet", row_group_size=6)
    return folder


def write_webdataset(folder: Path, photos: list[tuple[str, Image.Image]]) -> Path:
    """``part-N.tar`` with an image and a JSON sidecar for every sample."""
    folder.mkdir(parents=True)
    for shard in range(2):
        with tarfile.open(folder / f"part-{shard}.tar", "w") as tar:
            for index, (real, fake) in enumerate(pictures(photos, 12, seed=20 + shard)):
                for name, data, facts in (
                    (f"{index:04}r.jpg", real, {"label": "real", "source": SOURCES[index % 4]}),
                    (f"{index:04}f.png", fake, {"label": "fake", "generator": f"gen-{index % 3}"}),
                ):
                    sidecar = json.dumps(facts).encode()
                    for member, content in ((name, data), (f"{name[:5]}.json", sidecar)):
                        entry = tarfile.TarInfo(member)
                        entry.size = len(content)
                        tar.addfile(entry, io.BytesIO(content))
    return folder


def write_genimage(folder: Path, photos: list[tuple[str, Image.Image]]) -> Path:
    """``GEN/imagenet_…/{train,val}/{ai,nature}``."""
    for number, name in enumerate(("Midjourney", "ADM", "BigGAN")):
        for index, (real, fake) in enumerate(pictures(photos, 6, seed=30 + number)):
            for kind, data, ending in (("nature", real, "JPEG"), ("ai", fake, "png")):
                place = folder / name / f"imagenet_{name.lower()}" / ("val" if index > 3 else "train") / kind
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{index}.{ending}").write_bytes(data)
    return folder


def write_drct(folder: Path, photos: list[tuple[str, Image.Image]]) -> Path:
    """``MSCOCO/train2017`` real, ``DRCT-2M/GEN/train2017`` generated."""
    for number, name in enumerate(("ldm-text2im-large-256", "stable-diffusion-v1-4", "sdxl-turbo")):
        for index, (real, fake) in enumerate(pictures(photos, 6, seed=40 + number)):
            for place, data, ending in (
                (folder / "MSCOCO" / "train2017", real, f"{number}{index}.jpg"),
                (folder / "DRCT-2M" / name / "train2017", fake, f"{index}.png"),
            ):
                place.mkdir(parents=True, exist_ok=True)
                (place / ending).write_bytes(data)
    return folder
