"""The heavy part of an atlas: relevance maps, features of patterns, and a thumbnail for every image.

Written piece by piece in the order of the images, so that an interrupted build takes up where it was; read
one image at a time. What a row holds: `maps` ((K + 1)·P float16, the dimensions' then the logit's, each
scaled to a largest value of 1 with the scale in `scale`), `pooled` (K·R float16), `thumbnail` (JPEG of what
the encoder saw); null where the image could not be read.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import parse_json
from morelli.artefacts.text import written_names
from morelli.atlas._integrity import GuardedTable
from morelli.errors import ArtifactError, ImageError, UsageError
from morelli.features import open_dataset

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from morelli.atlas._held_out import HeldOut
    from morelli.atlas.distiller import DistilledMap
    from morelli.encoders import Encoder, PreparedImage
    from morelli.features import Features, FeatureTable
    from morelli.images import ImageItem
    from morelli.images.transforms import Transform

Floats = NDArray[np.float32]
THUMBNAIL = 128
"""Side of a thumbnail in pixels."""
REDUCED = 64
"""Dimensions R that patch features are reduced to; prototypes are found among these."""
BASIS_ROWS = 512
CHUNK = 256

Progress = Callable[[str, int, int], None]
"""Called after every piece of work: the step under way, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Pictures:
    """Where the images themselves are found: at their uri, or under `folders` by their uri's last parts."""

    folders: tuple[Path, ...] = ()

    def path(self, uri: str) -> Path | None:
        """The file of an image, None where it cannot be found."""
        if "::" in uri:
            return None
        for name in written_names(uri):
            found = self._named(name)
            if found is not None:
                return found
        return None

    def _named(self, name: str) -> Path | None:
        candidate = Path(name)
        if candidate.is_file():
            return candidate
        parts = candidate.parts
        for folder in self.folders:
            for start in range(len(parts)):
                found = folder.joinpath(*[p for p in parts[start:] if p not in ("/", "..")])
                if found.is_file():
                    return found
        return None

    def read(self, uri: str, sha256: str) -> bytes:
        """The bytes of an image, if they are still the ones that were encoded.

        Raises:
            ImageError: the file is missing or cannot be read, or its content has changed.
        """
        import hashlib

        from morelli.images import image_errors, read_bytes

        with image_errors():
            data = read_bytes(self._item(uri))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ImageError("changed", f"{uri} has changed since its features were extracted")
        return data

    def _item(self, uri: str) -> ImageItem:
        from morelli.images import Limits, file_item, iter_source

        archive, inside, _ = uri.partition("::")
        if inside:
            items = iter_source(archive) if Path(archive).is_file() else iter(())
            found = next((item for item in items if item.uri == uri), None)
        else:
            path = self.path(uri)
            if path is None and os.path.lexists(uri):
                path = Path(uri)  # a folder or a broken link, which the reading reports as such
            found = None if path is None else file_item(str(path), uri, Limits())
        if found is None:
            raise ImageError("missing", f"{uri} is not there any more; name its folder with --images")
        return found


@dataclass(frozen=True)
class PixelSpec:
    """What the table holds: K dimensions, P patches, R reduced features; digest of the distilled map."""

    dimensions: int
    patches: int
    reduced: int
    digest: str

    def schema(self) -> pa.Schema:
        """Arrow schema, the spec itself in its metadata."""
        import pyarrow as pa

        def halves(length: int) -> Any:
            return pa.list_(pa.field("item", pa.float16(), nullable=False), length)

        return pa.schema(
            [
                pa.field("maps", halves((self.dimensions + 1) * self.patches)),
                pa.field(
                    "scale", pa.list_(pa.field("item", pa.float32(), nullable=False), self.dimensions + 1)
                ),
                pa.field("pooled", halves(self.dimensions * self.reduced)),
                pa.field("thumbnail", pa.binary()),
            ],
            metadata={"morelli.pixels": json.dumps(self.__dict__, sort_keys=True)},
        )


class PixelTable:
    """`pixels.lance` of an atlas."""

    def __init__(self, dataset: Any, spec: PixelSpec, path: Path) -> None:
        self._dataset, self.spec, self._path = dataset, spec, path

    @property
    def _rows(self) -> GuardedTable:
        """The dataset for reading."""
        return GuardedTable(self._dataset, self._path)

    @classmethod
    def open(cls, path: Path, version: int | None = None) -> PixelTable:
        """Open the table of a finished atlas, at one of its versions, or of one under way.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        dataset = open_dataset(path, version)
        try:
            spec = PixelSpec(**parse_json(dataset.schema.metadata[b"morelli.pixels"], path))
        except (ArtifactError, ValueError, OSError, KeyError, TypeError) as error:
            raise ArtifactError(f"the atlas's maps at {path} cannot be read ({error})") from error
        return cls(dataset, spec, path)

    @classmethod
    def create(cls, path: Path, spec: PixelSpec) -> PixelTable:
        """Make an empty table; one of another spec at `path` is replaced."""
        import lance

        schema = spec.schema()
        mode = "overwrite" if path.is_dir() else "create"
        return cls(lance.write_dataset(schema.empty_table(), path, schema=schema, mode=mode), spec, path)

    def __len__(self) -> int:
        return int(self._rows.count_rows())

    def append(
        self, maps: list[Floats | None], pooled: list[Floats | None], pictures: list[bytes | None]
    ) -> None:
        """Add images in order as one atomic version: maps (K + 1, P), pooled (K, R), JPEG bytes, or None."""
        import lance
        import pyarrow as pa

        schema = self.spec.schema()
        scales = [None if m is None else np.maximum(m.max(axis=1), 1e-30) for m in maps]
        scaled = [
            None if m is None or s is None else m / s[:, None] for m, s in zip(maps, scales, strict=True)
        ]
        columns = {"maps": scaled, "scale": scales, "pooled": pooled}
        arrays = [_listed(rows, schema.field(name).type) for name, rows in columns.items()]
        table = pa.Table.from_arrays([*arrays, pa.array(pictures, pa.binary())], schema=schema)
        self._dataset = lance.write_dataset(table, self._dataset, mode="append")

    def finish(self) -> None:
        """Join the fragments of many appends and drop older versions."""
        from datetime import timedelta

        self._dataset.optimize.compact_files(
            target_rows_per_fragment=64 * 1024, batch_size=512, num_threads=1
        )
        self._dataset.checkout_latest()
        self._dataset.cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)

    @property
    def version(self) -> int:
        """Number of the version that is read."""
        return int(self._dataset.version)

    def reader(self) -> Any:
        """All rows, as a reader of Arrow batches."""
        return self._dataset.scanner(batch_size=512).to_reader()

    def thumbnails(self, rows: list[int]) -> list[bytes | None]:
        """JPEG bytes of some images."""
        found = self._rows.take(rows, columns=["thumbnail"]).column("thumbnail").to_pylist()
        return [None if value is None else bytes(value) for value in found]

    def maps(self, rows: list[int]) -> Floats:
        """(m, K + 1, P) relevance of some images, zero where an image could not be read."""
        table = self._rows.take(rows, columns=["maps", "scale"])
        shape = (len(rows), self.spec.dimensions + 1, self.spec.patches)
        maps = _filled(table.column("maps"), shape[1] * shape[2]).reshape(shape)
        return maps * _filled(table.column("scale"), shape[1])[:, :, None]

    def pooled_of(self, rows: NDArray[np.integer], dimension: int) -> Floats:
        """(m, R) pattern features of one dimension of some images."""
        k, r = self.spec.dimensions, self.spec.reduced
        column = self._rows.take(np.asarray(rows).tolist(), columns=["pooled"]).column("pooled")
        return _filled(column, k * r).reshape(-1, k, r)[:, dimension]

    def maps_of(self, rows: NDArray[np.integer], dimension: int) -> Floats:
        """(m, P) maps of one dimension of some images."""
        return self.maps(np.asarray(rows).tolist())[:, dimension]

    def everything(self) -> tuple[Floats, Floats]:
        """Pattern features (n, K, R) and maps (n, K + 1, P) of all images in memory."""
        parts = [(pooled, maps) for maps, pooled, _ in self.batches()]
        pooled, maps = zip(*parts, strict=True)
        return np.concatenate(pooled), np.concatenate(maps)

    def batches(self, size: int = 4096) -> Iterator[tuple[Floats, Floats, NDArray[np.bool_]]]:
        """Maps (m, K + 1, P) and pooled features (m, K, R) in order, and which images (m,) have them."""
        k, p, r = self.spec.dimensions, self.spec.patches, self.spec.reduced
        for batch in self._rows.to_batches(columns=["maps", "scale", "pooled"], batch_size=size):
            there = ~np.asarray(batch.column("maps").is_null().to_numpy(zero_copy_only=False))
            maps = _filled(batch.column("maps"), (k + 1) * p).reshape(-1, k + 1, p)
            maps *= _filled(batch.column("scale"), k + 1)[:, :, None]
            yield maps, _filled(batch.column("pooled"), k * r).reshape(-1, k, r), there


def _listed(rows: Sequence[Floats | None], kind: Any) -> Any:
    """A fixed-size-list column of arrays, null for None; its items hold no nulls, as the type says."""
    import pyarrow as pa

    dtype = kind.value_type.to_pandas_dtype()
    values = np.zeros((len(rows), kind.list_size), dtype=dtype)
    for place, row in zip(values, rows, strict=True):
        if row is not None:
            place[:] = row.reshape(-1)
    nothing = pa.array([row is None for row in rows], pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=kind, mask=nothing)


def _filled(column: Any, length: int) -> Floats:
    """(m, length) float32 of a fixed-size-list column, zero for null."""
    column = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    out = np.zeros((len(column), length), dtype=np.float32)
    there = ~np.asarray(column.is_null().to_numpy(zero_copy_only=False))
    if there.any():
        out[there] = np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(-1, length)
    return out


@dataclass(frozen=True)
class PixelSource:
    """How the input of the last block is come by: stored in the table, or from the images once more.

    Whose maps: `distilled`'s of images that no fit saw, else those of the fold in `held`.
    """

    encoder: Encoder
    distilled: DistilledMap
    held: HeldOut
    pictures: Pictures
    inputs: tuple[str, str]
    stored: bool

    def rows(self, table: FeatureTable, where: str | None, skip: int) -> Iterator[Features]:
        """The table's rows after the first `skip`, in pieces, with the last block's input if it is stored."""
        kinds = self.inputs if self.stored else ()
        seen = 0
        for part in table.batches(kinds, CHUNK, where=where):
            start = min(max(skip - seen, 0), len(part))
            seen += len(part)
            if start < len(part):
                yield part if not start else part.take(np.arange(start, len(part)))

    def tokens(self, part: Features) -> Floats:
        """(m, P, D) patch tokens that go into the last block, of those images that can be had."""
        kind = self.inputs[1]
        if self.stored:
            return part.vectors[kind]
        shown = [shown_of(row, self) for row in _rows([part])]
        pixels = [image.pixels for image in shown if image.pixels is not None]
        return self.encoder.trace(stack(pixels, self.encoder.transform), kinds=[kind])[kind]


def fill_pixels(
    pixels: PixelTable,
    source: PixelSource,
    table: FeatureTable,
    *,
    where: str | None,
    basis: Floats,
    total: int,
    workers: int,
    progress: Progress | None = None,
) -> list[tuple[str, str]]:
    """Compute and append what is missing of the table's images; returns (uri, reason) of unreadable ones."""
    from morelli.encoders import LastBlock, encode_stream
    from morelli.explanation.relevance import relevance_maps
    from morelli.images import in_threads

    last = LastBlock(source.encoder, source.distilled.kind)
    failed: list[tuple[str, str]] = []
    stream = encode_stream(
        _rows(source.rows(table, where, len(pixels))),
        lambda row: shown_of(row, source),
        source.encoder,
        source.inputs,
        batch_size=CHUNK,
        threads=workers,
        ahead=4 * workers,
        ends_batch=lambda shown: shown.row.is_last,  # a batch is a piece of the table
    )
    with closing(stream):
        for batch in stream:
            shown = batch.images
            failed += [(one.row.uri, one.failure.reason) for one in shown if one.failure is not None]
            if source.stored:
                rows, blocks = list(range(len(shown))), shown[0].row.part.vectors
            else:
                rows, blocks = batch.rows, batch.vectors
            pieces = [
                (reader, mine[i : i + 16])
                for reader, mine in source.held.readers(source.distilled, len(pixels) + np.array(rows, int))
                for i in range(0, len(mine), 16)
            ]
            found = in_threads(
                lambda piece: relevance_maps(
                    last, blocks[source.inputs[0]][piece[1]], blocks[source.inputs[1]][piece[1]],  # noqa: B023
                    piece[0].values_and_gradients, piece[0].w.astype(np.float32), pooled=True,
                ),
                pieces,
                workers,
            )  # fmt: skip
            maps: list[Floats | None] = [None] * len(shown)
            pooled: list[Floats | None] = [None] * len(shown)
            for (_, mine), piece in zip(pieces, found, strict=True):
                for at, one, tokens in zip(mine, piece.maps, np.asarray(piece.pooled), strict=True):
                    maps[rows[at]], pooled[rows[at]] = one, tokens @ basis
            pixels.append(maps, pooled, [one.thumbnail for one in shown])
            if progress:
                progress("maps", len(pixels), total)
    pixels.finish()
    return failed


@dataclass(frozen=True, eq=False)
class _Row:
    """One image of a piece of the feature table."""

    part: Features = field(repr=False)
    number: int
    uri: str
    sha256: str
    perturbation: str

    @property
    def is_last(self) -> bool:
        """True for the last image of its piece."""
        return self.number == len(self.part) - 1


@dataclass(frozen=True, eq=False)
class _Shown:
    """A row with its thumbnail (JPEG bytes), or why it has none."""

    row: _Row
    thumbnail: bytes | None = field(default=None, repr=False)
    failure: ImageError | None = None


def _rows(parts: Iterable[Features]) -> Iterator[_Row]:
    for part in parts:
        columns = (part.column("uri"), part.column("sha256"), part.column("perturbation"))
        for number, (uri, sha, changed) in enumerate(zip(*columns, strict=True)):
            yield _Row(part, number, str(uri), str(sha), str(changed))


def shown_of(row: _Row, source: PixelSource) -> PreparedImage[_Shown]:
    """Thumbnail of an image, and its pixels where the table does not hold what they are needed for."""
    from morelli.encoders import PreparedImage
    from morelli.features import image_pixels
    from morelli.images import as_seen, image_errors

    transform = source.encoder.transform
    try:
        with image_errors():
            pixels = image_pixels(source.pictures.read(row.uri, row.sha256), transform, row.perturbation)
            thumbnail = jpeg(as_seen(pixels, transform))
    except ImageError as error:
        return PreparedImage(_Shown(row, failure=error))
    return PreparedImage(_Shown(row, thumbnail), None if source.stored else pixels)


def jpeg(image: Image.Image, side: int = THUMBNAIL) -> bytes:
    """A thumbnail: JPEG bytes, the longer side at most `side` pixels."""
    from PIL import Image

    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82, optimize=True)
    return buffer.getvalue()


def stack(pixels: list[Floats], transform: Transform) -> Floats:
    if not pixels:
        return np.empty((0, 3, transform.size, transform.size), dtype=np.float32)
    return np.stack(pixels)


def reduction_basis(tokens: Iterable[Floats], reduced: int, rng: np.random.Generator) -> Floats:
    """(D, R) principal directions of patch tokens, scaled to unit variance each, of batches (m, P, D).

    Patch tokens differ in size by orders of magnitude from one coordinate to another; without the scale a few
    coordinates would decide which patterns count as alike.
    """
    parts = []
    for batch in tokens:
        flat = batch.reshape(-1, batch.shape[-1])
        parts.append(flat[rng.choice(len(flat), min(len(flat), 4096), replace=False)])
    if not parts:
        raise UsageError("A basis of patch features needs at least one image.")
    sample = np.concatenate(parts).astype(np.float64)
    sample -= sample.mean(axis=0)
    covariance = sample.T @ sample / max(len(sample) - 1, 1)
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][: min(reduced, len(values))]
    # Signs of eigenvectors are arbitrary: the largest coordinate of each is made positive.
    directions = vectors[:, order]
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(len(order))])
    return np.asarray(directions / np.sqrt(np.maximum(values[order], 1e-9)), dtype=np.float32)
