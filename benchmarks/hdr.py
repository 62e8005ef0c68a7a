"""What PQ does to verdicts: pictures of standard range, the same in PQ, and the samples of PQ as stored.

    python benchmarks/hdr.py FOLDER [--images 60] [--seed 3]

FOLDER holds pictures below folders named real and fake. Each is written as it is, as PQ of BT.2020 with its
white at 203 cd/m² and the chunk `cICP` (which is tone-mapped), and the same without the chunk (which is
judged as it is stored). The shipped detector judges all three.
"""

from __future__ import annotations

import argparse
import io
import random
import struct
import zlib
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

import morelli
from morelli.errors import ImageError
from morelli.images import ImageItem, iter_source, read_image

SIDE = 1024
# Linear light of BT.709 as light of BT.2020 (ITU-R BT.2087).
TO_BT2020 = np.array(
    [[0.627404, 0.329283, 0.043313], [0.069097, 0.919540, 0.011362], [0.016391, 0.088013, 0.895595]]
)
WAYS = ("standard range", "PQ, tone-mapped", "PQ, as stored")


def pq_samples(image: Image.Image) -> Image.Image:
    """The picture in PQ of BT.2020, eight bits, its white at 203 cd/m²."""
    samples = np.asarray(image) / 255
    light = np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    root = (light @ TO_BT2020.T * 203 / 10_000) ** (2610 / 16384)
    coded = ((3424 / 4096 + 2413 / 128 * root) / (1 + 2392 / 128 * root)) ** (2523 / 32)
    return Image.fromarray(np.rint(coded * 255).astype(np.uint8))


def files_of(image: Image.Image) -> tuple[bytes, ...]:
    """The picture in the three `WAYS`."""
    plain, stored = io.BytesIO(), io.BytesIO()
    image.save(plain, "PNG", compress_level=1)
    pq_samples(image).save(stored, "PNG", compress_level=1)
    body, chunk = stored.getvalue(), b"cICP" + bytes([9, 16, 0, 1])
    marked = body[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + body[33:]
    return plain.getvalue(), marked, body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    listed = [item for item in iter_source(given.folder, label_from="folders") if item.label is not None]
    random.Random(given.seed).shuffle(listed)
    items: list[ImageItem] = []
    labels: list[int] = []
    for item in listed:
        if len(labels) == given.images:
            break
        try:
            image = read_image(item).image
        except ImageError:
            continue
        image.thumbnail((SIDE, SIDE))
        labels.append(int(item.label or 0))
        for way, data in zip(WAYS, files_of(image), strict=True):
            items.append(ImageItem(f"{way}:{item.uri}", partial(bytes, data)))
    verdicts = [one.verdict for one in morelli.load().detect(items)]
    by_way = {way: [v for v in verdicts[at :: len(WAYS)] if v is not None] for at, way in enumerate(WAYS)}
    first = by_way[WAYS[0]]
    print(f"{len(labels)} pictures, {sum(labels)} of them generated")
    for way, found in by_way.items():
        moved = np.median([abs(one.logit - other.logit) for one, other in zip(found, first, strict=True)])
        changed = Counter(
            f"{other.verdict} → {one.verdict}"
            for one, other in zip(found, first, strict=True)
            if one.verdict != other.verdict
        )
        called = [
            sum(v.verdict == "ai" and y == label for v, y in zip(found, labels, strict=True))
            for label in (0, 1)
        ]
        print(
            f"{way:<16} called AI-generated: {called[1]} generated, {called[0]} real; median change of the "
            f"logit {moved:.2f}; verdicts changed {sum(changed.values())} {dict(changed) or ''}"
        )


if __name__ == "__main__":
    main()
