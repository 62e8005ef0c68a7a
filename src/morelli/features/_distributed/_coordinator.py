"""The coordinator's part: take what the workers hand back in the order of the source, and commit it."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.encoders.cluster import (
    Cluster,
    EncoderRecipe,
    ShardResult,
    room_for,
    shard_stream,
)
from morelli.features._append_once import AppendOnce
from morelli.features._distributed._fragments import fragments_of
from morelli.features._distributed._identities import ABSENT, UNKNOWN, Identities, Keys
from morelli.features._distributed._ledger import Ledger, ShardCounts
from morelli.features._distributed._worker import NEW, ExtractPlan, ShardRows, extract_worker
from morelli.features._failures import Failure
from morelli.features._report import ExtractReport, Progress
from morelli.features._rows import NOT_FINITE
from morelli.features._schema import TableSpec
from morelli.features._table import FeatureTable, open_or_create
from morelli.features._table_folder import SIDE_FOLDER, write_lock

if TYPE_CHECKING:
    from morelli.encoders import Encoder
    from morelli.encoders.cluster import Listing
    from morelli.images import Limits, Perturbation
    from morelli.images.layouts import SourceReport

COMMIT_SECONDS = 20.0
"""As on one machine, a kill costs at most this much of what is done."""
COMMIT_SHARDS = 256


@dataclass(frozen=True)
class ClusterJob:
    """The arguments of `extract`, as far as they say what is extracted."""

    listing: Listing
    encoder: Encoder
    spec: TableSpec
    perturbation: Perturbation | None
    limits: Limits
    batch_size: int
    threads: int | None
    shard_size: int

    @property
    def name(self) -> str:
        """Digest of all that decides what a shard becomes; the source itself is in the ledger's digests."""
        spec = self.spec
        what = {
            "build": spec.build.to_json(),
            "kinds": {kind: list(shape) for kind, shape in spec.kinds.items()},
            "dtype": spec.dtype,
            "perturbation": self.perturbation.id if self.perturbation else "",
            "limits": asdict(self.limits),
            "shard_size": self.shard_size,
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def extract_on_cluster(
    job: ClusterJob,
    out: Path,
    *,
    cluster: Cluster,
    total: int | None,
    progress: Progress | None,
    understood: SourceReport | None,
) -> ExtractReport:
    """`extract` on the machines of a cluster; the same table, row for row."""
    started = time.monotonic()
    named, out = out, out.absolute()  # workers write there: it must be one folder for all machines
    with room_for(f"{out}, where the table is"), write_lock(out), ExitStack() as held:
        table = open_or_create(out, job.spec)
        table.clean()
        ledger = held.enter_context(closing(Ledger(out / SIDE_FOLDER, job.name, len(table))))
        before = _present(table, job.perturbation.id if job.perturbation else "")
        plan = ExtractPlan(
            EncoderRecipe.of(job.encoder, offline=cluster.offline),
            tuple(job.spec.kinds),
            job.spec.dtype,
            table.arrow_schema,
            out,
            job.perturbation,
            job.limits,
            job.batch_size,
            job.threads,
            before.whole(),
        )
        run = _Run(table, ledger, before)
        results = shard_stream(
            job.listing,
            extract_worker,
            cluster=cluster,
            shard_size=job.shard_size,
            shared=plan,
            gpu=job.encoder.device != "cpu",
            finished=ledger.finished,
            understood=understood,
        )
        try:
            with closing(results):
                for result in results:
                    run.take(result)
                    if understood is not None:
                        understood.merge(result.understood)
                    if progress:
                        progress(run.done, total, run.skipped + run.copies, len(run.failed))
        finally:
            run.commit()  # what is encoded stays, also after Ctrl-C or an error of the source
        table.record_failures(run.failed)
        table.compact()
        table.clean()
        ledger.remove()
    if progress:
        progress(run.done, total, run.skipped + run.copies, len(run.failed))
    return ExtractReport(
        named,
        run.done,
        run.skipped,
        run.copies,
        tuple(run.failed),
        time.monotonic() - started,
        tuple(run.conflicts),
        run.kept_unlabelled,
    )


def _present(table: FeatureTable, perturbation: str) -> Identities:
    """The images that the table holds under this perturbation."""
    found = Identities()
    for digests, labels in table.digests(perturbation):
        found.add(Keys.of(digests), np.array([UNKNOWN if x is None else x for x in labels], dtype=np.int8))
    return found


class _Run:
    """State of the coordinator: which images are there, what waits for its commit, the counts."""

    def __init__(self, table: FeatureTable, ledger: Ledger, before: Identities) -> None:
        self.table, self.ledger, self.before = table, ledger, before
        self.fresh = Identities()
        self.done, self.skipped, self.copies = 0, ledger.skipped, ledger.copies
        self.failed = list(ledger.failures)
        self.conflicts = list(ledger.conflicts)
        self.kept_unlabelled = 0  # of this run alone, where one is carried on
        self._noted = len(self.failed), len(self.conflicts)
        self._fragments: list[Any] = []
        self._appends = AppendOnce(table)
        self._shards: list[ShardCounts] = []
        self._committed = time.monotonic()

    def take(self, result: ShardResult[ShardRows]) -> None:
        """Account for the next shard of the source, and keep its new rows for the next commit."""
        rows = result.value
        self.failed += rows.failures
        counts = ShardCounts(result.number, result.digest)
        kept: list[int] = []  # rows of the fragment that are new here, too
        written = 0
        if rows.states:
            keys, labels = rows.keys(), rows.label_array()
            before, fresh = self.before.find(keys), self.fresh.find(keys)
            here: dict[bytes, int] = {}
            added: list[int] = []
            for at, state in enumerate(rows.states):
                digest = bytes(rows.digests[32 * at : 32 * at + 32])
                label = int(labels[at])
                first = here.get(digest, int(fresh[at]))
                there = first if first != ABSENT else int(before[at])
                if UNKNOWN not in (label, there) and there not in (ABSENT, label):
                    self.conflicts.append(rows.uris[at])
                self.kept_unlabelled += there == UNKNOWN != label
                if first != ABSENT:
                    counts = replace(counts, copies=counts.copies + 1)
                elif there != ABSENT:
                    counts = replace(counts, skipped=counts.skipped + 1)
                else:
                    here[digest] = label
                    added.append(at)
                    if state == NEW:
                        kept.append(written)
                    else:
                        self.failed.append(Failure(rows.uris[at], "not_finite", NOT_FINITE))
                written += state == NEW
            index = np.array(added, dtype=np.int64)
            self.fresh.add(keys.take(index), labels[index])
        if rows.fragment is not None:
            self._fragments += fragments_of(self.table, rows.fragment, kept, written)
        self.done += len(kept)
        self.skipped += counts.skipped
        self.copies += counts.copies
        self._shards.append(replace(counts, done=len(kept)))
        if len(self._shards) >= COMMIT_SHARDS or time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Add what waits as one version of the table, and then write it into the ledger."""
        if self._fragments:
            self._appends.run(lambda: self.table.commit(self._fragments))
            self._fragments = []  # also where the ledger cannot be written
            self._appends.landed()
        if self._shards:
            # Forgotten first: what an interrupt keeps from the ledger is read once more, and not noted twice.
            shards, self._shards = self._shards, []
            (failures, conflicts), self._noted = self._noted, (len(self.failed), len(self.conflicts))
            self.ledger.add(shards, self.failed[failures:], self.conflicts[conflicts:], len(self.table))
        self._committed = time.monotonic()
