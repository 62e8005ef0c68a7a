"""Shards through a pool of Ray Data's actors, and their results in order."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from morelli.encoders._cluster._clock import refuses_the_clock, wrong_clock
from morelli.encoders._cluster._connect import Cluster, connected, first_line, pool_of
from morelli.encoders._cluster._room import disk_is_full, no_room
from morelli.encoders._cluster._shards import Listing, Shard, shards_of
from morelli.encoders._runtime import processor_threads
from morelli.errors import ImageError, MorelliError
from morelli.images.layouts import SourceReport

if TYPE_CHECKING:
    from morelli.images import ImageItem

Result = TypeVar("Result")
Work = Callable[[Shard], Result]

REMOTE_TRIES = 4
FIRST_PAUSE = 0.5
"""Seconds before a remote image is asked for again; each further pause is twice as long."""
ROOM_PAUSES = (5.0, 15.0, 40.0)
"""Seconds in which a full disk may be cleared. They also keep a worker that fails at once from taking all
shards away from those that can do them."""


@dataclass(frozen=True)
class ShardResult(Generic[Result]):
    """What a worker made of one shard.

    Attributes:
        number: of the shard.
        digest: of the shard.
        value: what the work returned.
        understood: counts of what the listing said of its images.
        seconds: that the worker took.
    """

    number: int
    digest: bytes
    value: Result
    understood: SourceReport
    seconds: float


def shard_stream(
    listing: Listing,
    make: Callable[[Any, int], Work[Result]],
    *,
    cluster: Cluster,
    shard_size: int,
    shared: object = None,
    gpu: bool = False,
    finished: bytes = b"",
    understood: SourceReport | None = None,
) -> Generator[ShardResult[Result]]:
    """Work on a source in shards, on all machines of a cluster; the results come in the source's order.

    The source is listed once, by a task on the coordinator's machine that stays a few shards ahead of the
    workers. Every worker calls `make` once. A worker, or its machine, may die: what it had begun is done by
    another one, so `make` and its work must bear being repeated. Close the generator where it may be left
    early.

    Args:
        listing: lists the source.
        make: gets `shared` and the worker's number of cores, and returns the work on one shard. It is sent to
            the workers, so it must be a function of a module, or a `functools.partial` of one.
        cluster: where to run.
        shard_size: images in a shard.
        shared: sent to every machine once; arrays in it are read-only.
        gpu: give each worker a GPU.
        finished: digests of shards that are not listed again, 16 bytes each by number.
        understood: told at the end what the listing met and did not read, where `iter_source` lists.

    Raises:
        UsageError: Ray is not installed, or the source or the work refuses.
        MorelliError: the cluster has no room or was lost, or a worker failed.
    """
    with connected(cluster) as ray:
        pool = pool_of(ray, cluster, gpu=gpu)
        kept = ray.put(shared)
        from morelli.encoders._cluster._pipeline import outcomes_of

        outcomes = outcomes_of(
            partial(shards_of, listing, shard_size, finished), partial(ShardWorker, make, kept), pool
        )
        here: Work[Result] | None = None
        try:
            for outcome in outcomes:
                if isinstance(outcome, DiskFull):  # done in its turn, on the coordinator's machine
                    here = here or make(shared, processor_threads())
                    outcome = done_by(here, outcome.shard, pauses=())  # noqa: PLW2901
                    if isinstance(outcome, DiskFull):
                        raise outcome.error
                if isinstance(outcome, MorelliError):
                    raise outcome
                if isinstance(outcome, SourceReport):
                    if understood is not None:
                        understood.merge(outcome)
                    continue
                yield outcome
        except ray.exceptions.RayError as error:
            raise MorelliError(
                f"the cluster gave up: {first_line(error)}. What is finished is kept; start the same command "
                "again to go on"
            ) from error
        finally:
            del kept


class ShardWorker(Generic[Result]):
    """What a worker runs: the work on its shards, whose errors become outcomes.

    Args:
        make: see `shard_stream`.
        kept: reference to what all workers share.
        ray: the module, in the worker.
        cpus: cores of the worker.
    """

    def __init__(self, make: Callable[[Any, int], Work[Result]], kept: Any, ray: Any, cpus: int) -> None:
        self._problem: MorelliError | None = None
        try:
            self._work = make(ray.get(kept), cpus)
        except Exception as error:
            self._problem = _at(error)

    def __call__(self, shard: Shard) -> ShardResult[Result] | DiskFull | SourceReport | MorelliError:
        """The result of a shard, or why there is none: what ends the job, or leaves it to the coordinator."""
        problem = self._problem or shard.problem
        if problem is None and shard.passed is not None:
            return shard.passed
        return problem if problem is not None else done_by(self._work, shard)


@dataclass(frozen=True)
class DiskFull:
    """A shard that a worker could not do, because a disk of its machine stayed full."""

    shard: Shard
    error: MorelliError


def done_by(
    work: Work[Result], shard: Shard, *, pauses: Sequence[float] = ROOM_PAUSES
) -> ShardResult[Result] | DiskFull | MorelliError:
    """The result of a shard, or why there is none; a full disk is given time."""
    began = time.monotonic()
    understood = SourceReport()
    for item in shard.items:
        understood.count(item)
    refusals: list[str] = []
    for pause in (*pauses, None):
        try:
            value = work(replace(shard, items=tuple(patient(item, refusals.append) for item in shard.items)))
        except Exception as error:
            if not disk_is_full(error):
                return _at(error)
            if pause is None:
                return DiskFull(shard, no_room(f"a disk of {socket.gethostname()}, where shards are written"))
            time.sleep(pause)
        else:
            if refusals:
                return wrong_clock(refusals[0])
            return ShardResult(shard.number, shard.digest, value, understood, time.monotonic() - began)
    raise AssertionError("unreachable: the last turn returns")


def _at(error: Exception) -> MorelliError:
    """An error of a worker for the coordinator; one that is no word to the user names the machine."""
    if isinstance(error, MorelliError):
        return error
    return MorelliError(
        f"a worker on {socket.gethostname()} failed: {type(error).__name__}: {first_line(error)}. What is "
        "finished is kept; when the cause is removed, start the same command again to go on"
    )


def patient(item: ImageItem, refused: Callable[[str], object]) -> ImageItem:
    """`item`; one at an address is asked for again a few times where its server fails or breaks off.

    A store that many machines read from refuses some requests (503, slow down) and closes connections.
    Where it refuses because of this machine's clock, `refused` is called with what it says: that is no
    property of the image.
    """
    if item.problem is not None or "://" not in item.uri:
        return item
    return replace(item, read=partial(_read_patiently, item.read, refused))


def _read_patiently(read: Callable[[], bytes], refused: Callable[[str], object]) -> bytes:
    for attempt in range(REMOTE_TRIES):
        try:
            return read()
        except ImageError as error:
            if refuses_the_clock(error):
                refused(str(error))
                raise
            if error.reason not in ("unreadable", "truncated") or attempt == REMOTE_TRIES - 1:
                raise
        time.sleep(FIRST_PAUSE * 2**attempt)
    raise AssertionError("unreachable: the last turn returns or raises")
