"""Extraction beside the loop that people write: open, process, forward, with transformers.

    python benchmarks/extraction.py --rounds 5 --images 48 [--source FOLDER_OR_MANIFEST]

The contestants run by turns in one process on the same files, with the same float32 weights: a loop
over single images, a loop over batches, and `extract`, table on disk included. Printed are the
medians of the paired ratios with their range, and how far the embeddings are apart. Without --source
the images are crops of the photographs that the scikit-image and scikit-learn wheels bring.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from morelli.encoders import Encoder, load_encoder
from morelli.features import FeatureTable, extract
from morelli.images import ImageItem, iter_source

PHOTOS = {
    "skimage.data": [
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "hubble_deep_field.jpg",
        "motorcycle_left.png",
    ],
    "sklearn.datasets.images": ["china.jpg", "flower.jpg"],
}


def write_photos(folder: Path, count: int) -> Path:
    """Random crops, nine tenths of each photograph's sides, as JPEG Q90 and PNG by turns."""
    rng = np.random.default_rng(0)
    sources = [Path(str(files(package))) / name for package, names in PHOTOS.items() for name in names]
    folder.mkdir()
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as photo:
            width, height = int(0.9 * photo.width), int(0.9 * photo.height)
            left, top = (int(rng.integers(0, n)) for n in (photo.width - width, photo.height - height))
            crop = photo.convert("RGB").crop((left, top, left + width, top + height))
        crop.save(
            folder / f"{number:04d}.{'png' if number % 2 else 'jpg'}",
            **({} if number % 2 else {"quality": 90}),
        )
    return folder


class PlainLoop:
    """`CLIPVisionModelWithProjection` of transformers, as its documentation uses it."""

    def __init__(self, encoder: Encoder) -> None:
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        folder = encoder.checkpoint.folder
        self.model = CLIPVisionModelWithProjection.from_pretrained(folder, dtype=torch.float32).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says that it falls back to Pillow
            self.processor = CLIPImageProcessor()

    @torch.inference_mode()
    def __call__(self, paths: list[Path], batch_size: int) -> np.ndarray:
        parts = []
        for start in range(0, len(paths), batch_size):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + batch_size]]
            pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
            parts.append(self.model(pixel_values=pixels).image_embeds.numpy())
        return np.concatenate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="clip-vit-b16")
    parser.add_argument("--source", help="folder or manifest; by default photographs out of wheels")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="batch size of the batched loop")
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.encoder, dtype="float32", device="cpu")
    plain = PlainLoop(encoder)
    folder = Path(tempfile.mkdtemp(prefix="morelli-benchmark-"))
    try:
        source = arguments.source or str(write_photos(folder / "photos", arguments.images))
        items = choose(source, arguments.images)
        compare(encoder, plain, items, folder / "F.lance", arguments)
    finally:
        shutil.rmtree(folder)


def choose(source: str, count: int) -> list[ImageItem]:
    """A spread of distinct images over the source, since folders sort alike images together."""
    seen: dict[bytes, ImageItem] = {}
    for item in iter_source(source):
        if item.problem is None:
            seen.setdefault(item.read(), item)
    items = list(seen.values())
    return [items[i] for i in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def compare(
    encoder: Encoder,
    plain: PlainLoop,
    items: list[ImageItem],
    out: Path,
    arguments: argparse.Namespace,
) -> None:
    paths = [Path(item.uri) for item in items]

    def run_extract() -> np.ndarray:
        shutil.rmtree(out, ignore_errors=True)
        report = extract(items, out, encoder=encoder)
        assert report.done == len(items), report.failed
        return FeatureTable.open(out).vectors("final")

    contestants: dict[str, Callable[[], np.ndarray]] = {
        "plain loop, one by one": lambda: plain(paths, 1),
        f"plain loop, batches of {arguments.batch}": lambda: plain(paths, arguments.batch),
        "morelli extract": run_extract,
    }
    ours = list(contestants)[-1]
    vectors = {name: run() for name, run in contestants.items()}  # also warms caches and imports
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    load = [os.getloadavg()[0]]
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
        load.append(os.getloadavg()[0])

    print(f"{date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(
        f"torch {torch.__version__} ({torch.get_num_threads()} threads), {encoder!r}, {len(items)} images, ",
        end="",
    )
    print(f"{arguments.rounds} rounds, load average {min(load):.1f} to {max(load):.1f}")
    for name, spent in seconds.items():
        print(f"{name:28s} {len(items) / statistics.median(spent):6.2f} images/s", end="")
        ratios = sorted(theirs / mine for theirs, mine in zip(spent, seconds[ours], strict=True))
        if name != ours:
            a, b = vectors[name], vectors[ours]
            cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
            low, middle, high = ratios[0], statistics.median(ratios), ratios[-1]
            print(f"   morelli is {middle:.2f}x as fast ({low:.2f} to {high:.2f});", end="")
            print(f" smallest cosine {cosine.min():.7f}", end="")
        print()


if __name__ == "__main__":
    main()
