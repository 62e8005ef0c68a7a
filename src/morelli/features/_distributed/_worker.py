"""A worker's part: read, decode and encode one shard, and write its rows as a fragment of the table."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from morelli.encoders import InferenceWorkers, PreparedImage, encode_stream
from morelli.features._distributed._identities import ABSENT, UNKNOWN, Keys, SortedRun
from morelli.features._failures import Failure
from morelli.features._prepare import Identity, KnownImage, NewImage, Preparation, Row
from morelli.features._rows import arrow_rows, check_range, finite_rows
from morelli.features._schema import Dtype, metadata_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.encoders.cluster import EncoderRecipe, Shard
    from morelli.features._features import Floats
    from morelli.images import Limits, Perturbation

NEW, NOT_FINITE, SEEN = range(3)
"""What became of an image that could be read: a row, no usable vectors, or recognised and not encoded."""


@dataclass(frozen=True)
class ExtractPlan:
    """What every worker must know of an extraction.

    `known` are the images of the table as the job began; `threads` decode, by default one a core.
    """

    recipe: EncoderRecipe
    kinds: tuple[str, ...]
    dtype: Dtype
    schema: pa.Schema
    table: Path
    perturbation: Perturbation | None
    limits: Limits
    batch_size: int
    threads: int | None
    known: SortedRun = field(repr=False)


@dataclass
class ShardRows:
    """One shard's images that could be read, in order, and those that could not.

    Image i has `uris[i]`, the digest `digests[32 * i : 32 * (i + 1)]`, `labels[i]` (-1 unknown) and
    `states[i]`. The rows of the `NEW` ones stand in `fragment`, Lance's description of a file that lies in
    the table's folder and is part of no version yet; None where there are none.
    """

    uris: list[str] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    labels: bytearray = field(default_factory=bytearray)
    states: bytearray = field(default_factory=bytearray)
    failures: list[Failure] = field(default_factory=list)
    fragment: str | None = None

    def add(self, image: NewImage | KnownImage, state: int) -> None:
        """Add the next image that could be read."""
        uri, label = (
            (image.uri, image.label)
            if isinstance(image, KnownImage)
            else (image.row["uri"], image.row["label"])
        )
        self.uris.append(uri)
        self.digests += image.identity[0]
        self.labels.append(UNKNOWN % 256 if label is None else label)
        self.states.append(state)

    def keys(self) -> Keys:
        """The keys of the images."""
        return Keys.of([bytes(self.digests[at : at + 32]) for at in range(0, len(self.digests), 32)])

    def label_array(self) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """(n,) labels, `UNKNOWN` where nobody knows."""
        return np.frombuffer(bytes(self.labels), dtype=np.int8)


class ExtractWorker:
    """The work on shards, with the encoder loaded once."""

    def __init__(self, plan: ExtractPlan, cpus: int) -> None:
        self._plan = plan
        self._encoder = plan.recipe.load()
        self._passes = InferenceWorkers(self._encoder)
        self._threads = plan.threads or min(16, cpus)

    def __call__(self, shard: Shard) -> ShardRows:
        """Encode what is new in a shard; its rows go into the table's folder, what they are comes back."""
        plan = self._plan
        rows: list[Row] = []
        parts: list[dict[str, Floats]] = []
        done = ShardRows()
        new: set[Identity] = set()
        places: list[int] = []  # of images to be encoded, among those that could be read

        def admit(image: PreparedImage[NewImage | KnownImage | Failure]) -> bool:
            about = image.about
            if isinstance(about, Failure):
                done.failures.append(about)
                return False
            if isinstance(about, KnownImage) or about.identity in new:
                done.add(about, SEEN)
                return False
            new.add(about.identity)
            places.append(len(done.states))
            done.add(about, NEW)
            return True

        stream = encode_stream(
            shard.items,
            Preparation(self._encoder.transform, plan.perturbation, plan.limits, _TableImages(plan.known)),
            self._encoder,
            plan.kinds,
            batch_size=plan.batch_size,
            threads=self._threads,
            ahead=plan.batch_size * (self._passes.count + 1) + self._threads + 1,
            admit=admit,
            workers=self._passes,
        )
        at = 0
        with closing(stream):
            for batch in stream:
                found = [image.row for image in batch.images if isinstance(image, NewImage)]
                vectors = batch.vectors
                finite = finite_rows(vectors, len(found))
                for place, usable in zip(places[at : at + len(found)], finite, strict=True):
                    done.states[place] = NEW if usable else NOT_FINITE
                at += len(found)
                if not finite.all():
                    found = [row for row, usable in zip(found, finite, strict=True) if usable]
                    vectors = {kind: array[finite] for kind, array in vectors.items()}
                check_range(vectors, plan.dtype)
                rows += found
                parts.append(vectors)
        done.fragment = self._write(rows, parts)
        return done

    def _write(self, rows: list[Row], parts: list[dict[str, Floats]]) -> str | None:
        """Write rows into a file of their own; Lance's description of it."""
        import pyarrow as pa
        from lance.fragment import write_fragments

        if not rows:
            return None
        plan = self._plan
        vectors = {kind: np.concatenate([part[kind] for part in parts]) for kind in plan.kinds}
        meta = pa.Table.from_pylist(rows, schema=metadata_schema())
        written = write_fragments(
            arrow_rows(meta, vectors, plan.kinds, plan.dtype, plan.schema), plan.table, schema=plan.schema
        )
        (fragment,) = written
        return json.dumps(fragment.to_json())


class _TableImages:
    """The images that are in the table, as decode threads ask for them."""

    def __init__(self, known: SortedRun) -> None:
        self._known = known

    def __contains__(self, identity: object) -> bool:
        assert isinstance(identity, tuple)
        return len(self._known.keys) > 0 and int(self._known.find(Keys.of([identity[0]]))[0]) != ABSENT


def extract_worker(plan: ExtractPlan, cpus: int) -> ExtractWorker:
    """What `shard_stream` calls once in every worker."""
    return ExtractWorker(plan, cpus)
