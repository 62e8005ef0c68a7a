"""Batches: a folder or archive inside the roots, judged in the background, with progress."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.errors import ImageError, MorelliError
from morelli.images import read_bytes
from morelli.inspection import PreparedCase, Vectors
from morelli.server._models import Job, JobRow, JobState
from morelli.server._paths import items_inside
from morelli.server._problems import ProblemError, busy
from morelli.server._settings import RequestLimits

if TYPE_CHECKING:
    from morelli.images import ImageItem, Limits
    from morelli.inspection import Inspector
    from morelli.inspection.answers import Second
    from morelli.server._queue import EncodingQueue

LABELS = {0: "real", 1: "fake"}
WAITING = ("waiting", "running")


@dataclass(eq=False)
class _Running:
    """One job; its own thread writes, requests read."""

    id: str
    path: Path
    shown: str
    rates: tuple[float | None, float | None]
    reading: Mapping[str, Any]
    state: JobState = "waiting"
    message: str = ""
    total: int | None = None
    rows: list[JobRow] = field(default_factory=list)
    failed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    cancel: threading.Event = field(default_factory=threading.Event)

    def answer(self) -> Job:
        return Job(
            id=self.id,
            path=self.shown,
            state=self.state,
            done=len(self.rows),
            failed=self.failed,
            total=self.total,
            counts=dict(self.counts),
            seconds=(self.finished or time.monotonic()) - self.started,
            message=self.message,
        )


class JobBoard:
    """The jobs of this process, one running at a time, the others in order."""

    def __init__(
        self,
        limits: RequestLimits,
        image_limits: Limits,
        roots: Sequence[Path],
        parts: Callable[[], tuple[Inspector, EncodingQueue]],
    ) -> None:
        """Start with no jobs; `parts` gives what a job needs once it runs, and raises while it is loaded."""
        self._limits, self._image_limits, self._roots, self._parts = limits, image_limits, roots, parts
        self._jobs: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="morelli-job")

    def start(
        self,
        path: Path,
        shown: str,
        *,
        rates: tuple[float | None, float | None],
        reading: Mapping[str, Any],
    ) -> Job:
        """Put a job into the line.

        Args:
            path: what to judge.
            shown: what the client called it.
            rates: base rate and false alarm rate of its verdicts; None: the detector's own.
            reading: further arguments of `iter_source`.

        Raises:
            ProblemError: 503, too many wait.
        """
        with self._lock:
            self._expire()
            waiting = sum(job.state in WAITING for job in self._jobs.values())
            if waiting >= self._limits.jobs:
                raise busy(60, f"{waiting} jobs wait already.")
            job = _Running(secrets.token_hex(8), path, shown, rates, reading)
            self._jobs[job.id] = job
            self._pool.submit(self._run, job)
        return job.answer()

    def all(self) -> list[Job]:
        """Every job that is remembered, the newest first."""
        with self._lock:
            self._expire()
            return [job.answer() for job in reversed(self._jobs.values())]

    def get(self, id: str) -> _Running:
        """A job.

        Raises:
            ProblemError: 404.
        """
        with self._lock:
            self._expire()
            if id not in self._jobs:
                raise ProblemError(
                    404,
                    "unknown-job",
                    f"There is no job {id}.",
                    next="GET /api/v1/jobs lists those there are.",
                )
            return self._jobs[id]

    def remove(self, id: str) -> None:
        """Cancel a job and forget it."""
        job = self.get(id)
        job.cancel.set()
        with self._lock:
            self._jobs.pop(id, None)

    def close(self) -> None:
        """Cancel every job and wait for the image that runs."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _expire(self) -> None:
        oldest = time.monotonic() - self._limits.job_seconds
        for id in [
            one.id for one in self._jobs.values() if one.finished is not None and one.finished < oldest
        ]:
            del self._jobs[id]

    def _run(self, job: _Running) -> None:
        if job.cancel.is_set():
            job.state, job.finished = "cancelled", time.monotonic()
            return
        job.state = "running"
        counter = threading.Thread(target=self._count, args=(job,), daemon=True, name="morelli-count")
        counter.start()
        try:
            for row in self._rows(job):
                job.rows.append(row)
                job.failed += row.failure is not None
                if row.verdict is not None:
                    job.counts[row.verdict] += 1
                if job.cancel.is_set():
                    break
            job.state = "cancelled" if job.cancel.is_set() else "done"
            if len(job.rows) >= self._limits.job_images:
                job.message = f"Stopped after {len(job.rows):,} images, the most of one job."
        except (MorelliError, ProblemError) as error:
            job.state, job.message = "failed", str(error)
        except Exception as error:
            job.state, job.message = "failed", f"Something unexpected happened: {type(error).__name__}"
        finally:
            job.finished = time.monotonic()

    def _items(self, job: _Running) -> Iterator[ImageItem]:
        items = items_inside(job.path, self._roots, self._image_limits, job.reading)
        return islice(items, self._limits.job_images)

    def _count(self, job: _Running) -> None:
        total = 0
        try:
            for _ in self._items(job):
                total += 1
                if job.cancel.is_set():
                    return
        except MorelliError:
            return  # the run itself meets the same error and says it
        job.total = total

    def _rows(self, job: _Running) -> Iterator[JobRow]:
        """Rows in the order of the source; a few batches are in flight at a time."""
        inspector, queue = self._parts()
        ahead = 2 * queue.workers * queue.batch
        pending: deque[tuple[ImageItem, PreparedCase | ImageError, Future[Vectors] | None]] = deque()

        def finished() -> JobRow:
            item, prepared, future = pending.popleft()
            if isinstance(prepared, ImageError) or future is None:
                assert isinstance(prepared, ImageError)
                return _failure_row(item, prepared)
            stored = inspector.stored(prepared, future.result())
            verdict = inspector.verdict(stored, *job.rates)
            return _verdict_row(item, prepared, verdict, inspector.second_opinion(stored, *job.rates))

        try:
            for item in self._items(job):
                if job.cancel.is_set():
                    return
                prepared: PreparedCase | ImageError
                try:
                    prepared = inspector.prepare(read_bytes(item), item.uri, self._image_limits)
                    pending.append((item, prepared, queue.submit(prepared.pixels, background=True)))
                except ImageError as error:
                    pending.append((item, error, None))
                if len(pending) >= ahead:
                    yield finished()
            while pending:
                yield finished()
        finally:
            for _, _, future in pending:
                if future is not None:
                    future.cancel()


def _failure_row(item: ImageItem, error: ImageError) -> JobRow:
    return JobRow(
        uri=item.uri,
        label=LABELS.get(item.label),  # type: ignore[arg-type]
        verdict=None,
        probability=None,
        interval=None,
        logit=None,
        sha256=None,
        width=None,
        height=None,
        format=None,
        reasons=[],
        failure=error.reason,
        message=str(error),
        second=None,
    )


def _verdict_row(item: ImageItem, prepared: PreparedCase, verdict: object, second: Second | None) -> JobRow:
    from morelli.detectors import Verdict

    assert isinstance(verdict, Verdict)
    facts = prepared.facts
    return JobRow(
        uri=item.uri,
        label=LABELS.get(item.label),  # type: ignore[arg-type]
        verdict=verdict.verdict,
        probability=verdict.probability,
        interval=verdict.interval,
        logit=verdict.logit,
        sha256=facts.sha256,
        width=facts.width,
        height=facts.height,
        format=facts.format,
        reasons=list(verdict.reasons),
        failure=None,
        message=None,
        second=second,
    )
