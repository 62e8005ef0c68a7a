"""A finished atlas of any number of synthetic rows, with pictures cut out of real photographs.

Rows are forty overlapping crowds in the space of the distilled values, laid out by PCA, with labels, scores
and generators to match; prototypes are found on a sample of them. The functions that write it are those that
build real atlases.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

PHOTOS = {
    "skimage.data": ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png"),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}
K, GRID, REDUCED, CROWDS, SAMPLE = 16, 2, 4, 40, 600


@dataclass(frozen=True)
class Pictures:
    """What the rows of an atlas show.

    Attributes:
        thumbnails: JPEG bytes of the distinct pictures.
        of_row: (n,) which of them a row shows.
        uris: n paths.
    """

    thumbnails: list[bytes]
    of_row: np.ndarray
    uris: list[str]


def crops(count: int, side: int, rng: np.random.Generator) -> Iterator[Any]:
    """`count` square crops of photographs, scaled to `side` pixels."""
    from PIL import Image

    photos = [
        Image.open(str(files(p) / name)).convert("RGB") for p, names in PHOTOS.items() for name in names
    ]
    for index in range(count):
        photo = photos[index % len(photos)]
        extent = int(rng.integers(96, min(photo.size)))
        left, top = (int(rng.integers(0, whole - extent + 1)) for whole in photo.size)
        yield photo.crop((left, top, left + extent, top + extent)).resize((side, side))


def jpeg(picture: Any, quality: int = 75) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def synthetic_pictures(n: int, rng: np.random.Generator, distinct: int = 2000) -> Pictures:
    """Thumbnails of 64 pixels, repeated at random, under paths that lead nowhere."""
    return Pictures(
        [jpeg(one) for one in crops(distinct, 64, rng)],
        rng.integers(0, distinct, n),
        [f"/synthetic/{i % 1000:03}/{i:07}.jpg" for i in range(n)],
    )


def write_pixel_table(out: Path, n: int, shown: Pictures, rng: np.random.Generator) -> int:
    """Maps of four patches and repeated thumbnails for all rows; the version written."""
    import lance
    import pyarrow as pa

    from morelli.atlas._pixels import PixelSpec

    schema = PixelSpec(K, GRID**2, REDUCED, "synthetic").schema()
    pictures = pa.array(shown.thumbnails, pa.binary())

    def batches() -> Any:
        for start in range(0, n, 50_000):
            m = min(50_000, n - start)
            columns: dict[str, np.ndarray] = {
                "maps": rng.random((m, (K + 1) * GRID**2), np.float32).astype(np.float16),
                "scale": np.ones((m, K + 1), np.float32),
                "pooled": rng.standard_normal((m, K * REDUCED), np.float32).astype(np.float16),
            }
            arrays = [
                pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), type=schema.field(name).type)
                for name, v in columns.items()
            ]
            arrays.append(pictures.take(pa.array(shown.of_row[start : start + m])))
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    return int(lance.write_dataset(reader, out / "pixels.lance", schema=schema, mode="create").version)


def metadata_of(
    n: int, shown: Pictures, labels: np.ndarray, crowd: np.ndarray, rng: np.random.Generator
) -> Any:
    """The columns that a feature table holds beside the vectors."""
    import pyarrow as pa

    from morelli.features import metadata_schema

    width = 256 * rng.integers(1, 9, n)
    generators = np.array([f"generator-{i:02}" for i in range(CROWDS)], object)[crowd]
    sources = np.array([f"photographs-{i % 7}" for i in range(CROWDS)], object)[crowd]
    known = {
        "sha256": [hashlib.sha256(b"%d" % i).hexdigest() for i in range(n)],
        "perturbation": np.full(n, "", object),
        "uri": shown.uris,
        "label": labels,
        "generator": np.where(labels == 1, generators, "real"),
        "lineage": np.where(labels == 1, np.char.add("line-", (crowd // 4).astype(str)), "real"),
        "source": np.where(labels == 1, generators, sources),
        "width": width,
        "height": width,
        "bytes": width * 400,
        "format": np.where(rng.random(n) < 0.7, "JPEG", "PNG"),
        "phash": rng.integers(0, 2**63, n, dtype=np.uint64),
        "metadata": np.full(n, "{}", object),
    }
    schema = metadata_schema()
    arrays = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(n, f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def make_atlas(out: Path, n: int, shown: Pictures | None = None) -> None:
    """A finished atlas of `n` synthetic rows; its name is that of the folder."""
    from morelli.atlas._building import HASHED
    from morelli.atlas._cell_step import lay_out, write_cells
    from morelli.atlas._collection import Collection, image_rows, open_images
    from morelli.atlas._embeddings import write_embeddings
    from morelli.atlas._integrity import file_hashes, table_hashes
    from morelli.atlas._options import AtlasOptions
    from morelli.atlas._record import AtlasRecord
    from morelli.atlas._versions import write_images
    from morelli.atlas.distiller import DistilledMap
    from morelli.atlas.patterns import find_prototypes
    from morelli.detectors import Bundle, default_bundle_path

    rng = np.random.default_rng(0)
    if shown is None:
        shown = synthetic_pictures(n, rng)
    out.mkdir(parents=True)
    crowd = rng.choice(CROWDS, n, p=rng.dirichlet(np.full(CROWDS, 2)))
    centres = rng.normal(size=(CROWDS, K)).astype(np.float32)
    spreads = rng.uniform(0.3, 1.2, size=(CROWDS, 1)).astype(np.float32)
    values = rng.standard_normal((n, K), np.float32) * spreads[crowd] + centres[crowd]
    weights = rng.normal(size=K)
    impacts = (values * weights).astype(np.float32)
    labels = (impacts.sum(axis=1) + rng.normal(scale=2, size=n) > 0).astype(np.int8)
    build = Bundle.load(default_bundle_path()).build
    directions, _ = np.linalg.qr(rng.standard_normal((512, K)))
    distilled = DistilledMap(
        kind="final", unit=True, A=directions, b=np.zeros(K), activation="identity", w=weights, bias=0.0,
        build=build,
    )  # fmt: skip
    distilled.save(out / "distilled")

    some = rng.choice(n, min(n, SAMPLE), replace=False)
    found = find_prototypes(
        impacts[some],
        centres[crowd[some]][:, :, None] + 0.1 * rng.standard_normal((len(some), K, REDUCED), np.float32),
        rng.random((len(some), K + 1, GRID**2), np.float32),
        labels[some],
        random_state=0,
    )
    found.prototypes.save(out / "prototypes")
    prototypes = np.full((n, K), -1, np.int16)
    for number, k in enumerate(found.prototypes.dimension):
        prototypes[np.flatnonzero(rng.random(n) < 0.1), k] = number

    options = AtlasOptions(dimensions=K, projection="pca")
    layout, grid = lay_out(impacts, options)
    layout.save(out / "layout")
    grid.save(out / "layout" / "grid.safetensors")
    rows = image_rows(
        metadata_of(n, shown, labels, crowd, rng), values=values, held_impacts=impacts,
        held_bias=np.zeros(n, np.float32), xy=grid.spread(layout.xy).astype(np.float32),
        code=grid.codes(layout.xy).astype(np.uint64), prototypes=prototypes,
    )  # fmt: skip
    version = write_images(out, rows)
    pixels = write_pixel_table(out, n, shown, rng)
    thresholds = (0.2, 0.8)
    collection = Collection(open_images(out / "images.lance", K, version), distilled, thresholds)
    levels = write_cells(out / f"cells-{n}", collection, np.arange(n))
    write_embeddings(out, values)
    versions = {"images": version, "pixels": pixels}
    AtlasRecord(
        name=out.stem, build=build, kind="final", perturbation="", images=n, labelled=n, added=0,
        dimensions=K, patches=GRID**2, levels=levels, thresholds=thresholds, projection="pca",
        held_out="nothing was fitted: the rows are synthetic", versions=versions,
        files=file_hashes(out, HASHED) | table_hashes(out, versions),
    ).write(out)  # fmt: skip
