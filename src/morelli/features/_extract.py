"""Filling a feature table from a source of images: in parallel, in bounded memory, safe to kill."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import numpy as np

from morelli.errors import MorelliError, UsageError
from morelli.features._append_once import AppendOnce
from morelli.features._failures import Failure
from morelli.features._features import Floats
from morelli.features._prepare import Identity, KnownImage, NewImage, Preparation, Row
from morelli.features._report import ExtractReport, Progress
from morelli.features._rows import NOT_FINITE, check_range, finite_rows
from morelli.features._schema import Dtype, LabelAndGenerator, TableSpec, metadata_schema
from morelli.features._table import FeatureTable, open_or_create
from morelli.features._table_folder import is_table, write_lock

if TYPE_CHECKING:
    from morelli.encoders import Encoder, PreparedImage
    from morelli.encoders.cluster import Cluster, Listing
    from morelli.images import ImageItem, Limits, Perturbation
    from morelli.images.layouts import SourceReport

FLUSH_BYTES = 64 * 1024 * 1024
FLUSH_SECONDS = 20.0
"""A kill costs at most this much work, however slow the encoder."""


Source: TypeAlias = "str | Path | Sequence[str | Path] | Iterable[ImageItem] | Listing"

Encoded = tuple[list[Row], dict[str, Floats]]
"""Rows of one batch and their vectors by kind, (b, …) float32."""


def extract(
    source: Source,
    out: str | Path,
    *,
    encoder: Encoder,
    kinds: Sequence[str] = ("final",),
    dtype: Dtype = "float32",
    perturbation: str | Perturbation | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    flush_rows: int = 512,
    limits: Limits | None = None,
    total: int | None = None,
    progress: Progress | None = None,
    understood: SourceReport | None = None,
    engine: Literal["local", "ray"] | Cluster = "local",
) -> ExtractReport:
    """Encode every image of `source` that the table `out` does not hold yet, and add its row.

    May be killed at any moment and called again: whole appends stay, the rest is done again, and the
    table ends up as if nothing had happened, in the order of the source. What is there is recognised by
    content (SHA-256) and perturbation, so files may move meanwhile. Bad images are listed in the report
    and in `FeatureTable.failures`; they never stop the batch.

    Args:
        source: anything that `morelli.images.iter_source` takes, image items, or a function that lists them.
        out: the table, `NAME.lance`; made where there is none.
        encoder: from `morelli.encoders.load_encoder`; its build is the table's.
        kinds: feature kinds such as ``final``, ``layer:9``, ``layers`` for all of them, or ``heads``.
        dtype: precision in which vectors are stored.
        perturbation: change each image first, for robustness tests: ``align:288,85``. One table may hold
            several perturbations of an image. Random ones are seeded by the image's content.
        workers: threads that read and decode; by default one per core, at most 16.
        batch_size: images per call of the encoder; by default 4 on a CPU, where as many calls
            run at once as there are cores, 64 on a GPU.
        flush_rows: rows per append, rounded up to whole batches; fewer where rows are large.
        limits: what one image may cost, see `morelli.images.Limits`.
        total: how many images `source` has, where the caller knows; counted otherwise where that is possible.
        progress: called after every image; with the engine ray after every shard.
        understood: counts what is understood of the images while they are taken.
        engine: ``local``; ``ray``, or a `morelli.encoders.cluster.Cluster`, extracts on many machines by Ray
            Data. Workers write shards of `flush_rows` images, which are committed in the order of the source:
            the table is the same, row for row. An encoder of a runtime whose vectors depend on the batch
            around an image (torch) gives vectors that are equal to rounding. The source is listed by another
            process, so image items must be a list, or come from a function that can be sent there, such as
            ``functools.partial(iter_source, "s3://bucket/photos", remote="given")``.

    Raises:
        BuildMismatchError: the table holds features of another build, other kinds or precision.
        ArtifactError: another process is writing to the table, or `out` is something else.
        UsageError: an unknown kind or perturbation, or values beyond the range of float16.
        SourceError: the source cannot be read.
    """
    from morelli.encoders import expand_kinds, kind_shape
    from morelli.images import Limits
    from morelli.images import perturbation as named_perturbation

    started = time.monotonic()
    out = Path(out)
    limits = limits or Limits()
    names = expand_kinds(
        kinds, layers=encoder.layers, heads=encoder.heads, pooling_head=encoder.card.pooling_head
    )
    spec = TableSpec(encoder.build, {kind: kind_shape(kind, encoder) for kind in names}, dtype)
    if isinstance(perturbation, str):
        perturbation = named_perturbation(perturbation) if perturbation else None
    if batch_size is None:
        batch_size = 4 if encoder.device == "cpu" else 64
    if min(batch_size, workers or 1, flush_rows) < 1:
        raise UsageError("workers, batch_size and flush_rows are at least 1")
    FeatureTable.check_target(out)
    if engine != "local":
        from morelli.encoders.cluster import cluster_of, listing_of, require_ray
        from morelli.features._distributed import ClusterJob, extract_on_cluster

        listing, cluster = listing_of(source, limits), cluster_of(engine)
        require_ray()
        for _ in islice(listing(), 1):
            pass  # a source that cannot be read is an error before a table is made for it
        job = ClusterJob(listing, encoder, spec, perturbation, limits, batch_size, workers, flush_rows)
        return extract_on_cluster(
            job, out, cluster=cluster, total=total, progress=progress, understood=understood
        )
    if workers is None:
        workers = min(16, os.cpu_count() or 1)
    items, total_of = _items(source, limits, total, count=progress is not None)
    if understood is not None:
        items = map(partial(_counted, understood), items)

    with write_lock(out):
        made = not is_table(out)
        table = open_or_create(out, spec)
        table.clean()
        present = table.labels_and_generators()
        run = _Run(table, flush_rows=flush_rows, present=present)

        def admit(image: PreparedImage[NewImage | KnownImage | Failure]) -> bool:
            new = run.take(image.about)
            if progress:
                progress(run.done, total_of(), run.skipped + run.duplicates, len(run.failed))
            return new

        preparation = Preparation(encoder.transform, perturbation, limits, present)
        _encode_into(
            run, items, preparation, encoder, names, batch_size=batch_size, threads=workers, admit=admit
        )
        if made and not run.done:
            shutil.rmtree(out)  # nothing could be used: no empty table is left behind
        else:
            table.record_failures(run.failed)
            table.compact()
            table.clean()
    if progress:
        progress(run.done, total_of(), run.skipped + run.duplicates, len(run.failed))
    return ExtractReport(
        out,
        run.done,
        run.skipped,
        run.duplicates,
        tuple(run.failed),
        time.monotonic() - started,
        tuple(run.conflicts),
        run.kept_unlabelled,
    )


def _counted(understood: SourceReport, item: ImageItem) -> ImageItem:
    understood.count(item)
    return item


class _Run:
    """State of one extraction in its main thread: the rows not yet flushed, the counts.

    Batches hold new images in source order and a flush holds whole batches. A resumed run thus forms the
    same batches as an uninterrupted one, and its vectors are equal to the last bit.
    """

    def __init__(
        self, table: FeatureTable, *, flush_rows: int, present: dict[Identity, LabelAndGenerator]
    ) -> None:
        self.table = table
        self.spec = table.spec
        self.appends = AppendOnce(table)
        self.flush_rows = max(1, min(flush_rows, FLUSH_BYTES // table.spec.row_bytes))
        self.present = present
        self.fresh: set[Identity] = set()
        self.encoded: list[Encoded] = []
        self.waiting_rows = 0
        self.flushed = time.monotonic()
        self.done = self.skipped = self.duplicates = 0
        self.failed: list[Failure] = []
        self.conflicts: list[str] = []
        self.kept_unlabelled = 0

    def take(self, image: NewImage | KnownImage | Failure) -> bool:
        """Account for the next image of the source; True where it is to be encoded."""
        if isinstance(image, Failure):
            self.failed.append(image)
            return False
        if isinstance(image, KnownImage):
            uri, label, generator = image.uri, image.label, image.generator
        else:
            uri, label, generator = (image.row[name] for name in ("uri", "label", "generator"))
        there = self.present.get(image.identity)
        if there is not None:
            if label is not None and there[0] is not None and label != there[0]:
                self.conflicts.append(uri)
            elif (label is not None and there[0] is None) or (generator and generator != there[1]):
                self.kept_unlabelled += 1
        if image.identity in self.fresh:
            self.duplicates += 1
        elif isinstance(image, KnownImage):
            self.skipped += 1
        else:
            self.fresh.add(image.identity)
            self.present[image.identity] = label, generator  # spares the decode threads later copies
            return True
        return False

    def collect(self, rows: list[Row], vectors: dict[str, Floats]) -> None:
        """Keep the vectors of one batch, and append to the table what has gathered."""
        kept = self._usable(rows, vectors)
        self.encoded.append(kept)
        self.waiting_rows += len(kept[0])
        self.done += len(kept[0])
        if self.waiting_rows >= self.flush_rows or time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def _usable(self, rows: list[Row], vectors: dict[str, Floats]) -> Encoded:
        """The rows whose vectors are finite; the others become failures."""
        finite = finite_rows(vectors, len(rows))
        for row, usable in zip(rows, finite, strict=True):
            if not usable:
                self.failed.append(Failure(row["uri"], "not_finite", NOT_FINITE))
        if not finite.all():
            rows = [row for row, usable in zip(rows, finite, strict=True) if usable]
            vectors = {kind: array[finite] for kind, array in vectors.items()}
        check_range(vectors, self.spec.dtype)
        return rows, vectors

    def flush(self) -> None:
        """Append the encoded rows as one version of the table."""
        import pyarrow as pa

        if self.waiting_rows:
            rows = [row for batch, _ in self.encoded for row in batch]
            parts = [vectors for _, vectors in self.encoded]
            vectors = {kind: np.concatenate([part[kind] for part in parts]) for kind in self.spec.kinds}
            meta = pa.Table.from_pylist(rows, schema=metadata_schema())
            self.appends.run(lambda: self.table.append_batch(meta, vectors))
        self.encoded, self.waiting_rows = [], 0
        self.appends.landed()
        self.flushed = time.monotonic()


def _encode_into(
    run: _Run,
    items: Iterable[ImageItem],
    preparation: Preparation,
    encoder: Encoder,
    kinds: Sequence[str],
    *,
    batch_size: int,
    threads: int,
    admit: Callable[[PreparedImage[NewImage | KnownImage | Failure]], bool],
) -> None:
    """Encode the images that `admit` lets through, and keep their rows and vectors in `run`."""
    from morelli.encoders import InferenceWorkers, encode_stream

    with InferenceWorkers(encoder) as passes:
        stream = encode_stream(
            items,
            preparation,
            encoder,
            kinds,
            batch_size=batch_size,
            threads=threads,
            ahead=batch_size * (passes.count + 1) + threads + 1,
            admit=admit,
            workers=passes,
        )
        try:
            with closing(stream):
                for batch in stream:
                    run.collect([new.row for new in batch.images if isinstance(new, NewImage)], batch.vectors)
        finally:
            run.flush()  # rows that are encoded stay, also after Ctrl-C or an error of the source


def _items(
    source: Source,
    limits: Limits,
    total: int | None,
    *,
    count: bool,
) -> tuple[Iterator[ImageItem], Callable[[], int | None]]:
    """The items of any source, and what tells how many there are once that is known."""
    from morelli.images import ImageItem, iter_source

    if callable(source):
        return iter(source()), lambda: total
    if not isinstance(source, str | Path | Sequence) or (
        isinstance(source, Sequence) and len(source) > 0 and isinstance(source[0], ImageItem)
    ):
        items = iter(cast("Iterable[ImageItem]", source))
        if total is None and isinstance(source, Sequence):
            total = len(source)
        return items, lambda: total
    spec = cast("str | Path | Sequence[str | Path]", source)
    items = iter_source(spec, limits=limits)
    # A source that cannot be read is told before a table is made for it.
    items = chain(list(islice(items, 1)), items)
    if total is not None or not count:
        return items, lambda: total
    return items, _Count(spec, limits).value


class _Count:
    """Counts a source in the background, so that the first image does not wait for the last to be listed."""

    def __init__(self, spec: str | Path | Sequence[str | Path], limits: Limits) -> None:
        self._total: int | None = None
        threading.Thread(target=self._count, args=(spec, limits), daemon=True, name="morelli-count").start()

    def _count(self, spec: str | Path | Sequence[str | Path], limits: Limits) -> None:
        from morelli.images import iter_source

        try:
            self._total = sum(1 for _ in iter_source(spec, limits=limits))
        except MorelliError:
            self._total = None  # the extraction itself meets the same error and reports it

    def value(self) -> int | None:
        """The number of images, None until all are listed."""
        return self._total
