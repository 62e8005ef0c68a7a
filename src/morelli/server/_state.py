"""The running server's parts, and how a request waits for them without blocking the others."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request

from morelli.errors import ImageError, MorelliError
from morelli.images import Limits
from morelli.inspection import Inspector, PreparedCase, StoredCase, Vectors, load
from morelli.server._archives import ArchiveStore
from morelli.server._cases import CaseStore
from morelli.server._problems import ProblemError, busy
from morelli.server._queue import EncodingQueue, QueueFullError
from morelli.server._settings import ServerSettings
from morelli.server._uploads import UploadBudget

if TYPE_CHECKING:
    from morelli.server._atlases import Atlases
    from morelli.server._builds import Builds
    from morelli.server._jobs import JobBoard

T = TypeVar("T")
log = logging.getLogger("morelli.server")
ATLASES_FIRST_SECONDS = 5.0
"""How long the encoder waits at most for the atlases to be opened."""
DECODERS = 2
"""Threads that decode: a large picture takes hundreds of megabytes, so few at a time."""


class ServerState:
    """Settings, inspector, queue, cases, jobs and atlases of one process, from `start` to `stop`."""

    def __init__(self, settings: ServerSettings) -> None:
        from morelli.server._atlases import Atlases
        from morelli.server._builds import Builds
        from morelli.server._jobs import JobBoard

        # Every worker has its share of what the settings allow the whole server.
        limits = settings.limits.shared(settings.workers)
        self.settings = settings
        self.limits = limits
        self.image_limits = Limits(
            max_bytes=limits.file_bytes, max_pixels=limits.pixels, max_seconds=limits.decode_seconds
        )
        self.cases = CaseStore(limits.case_bytes, limits.case_seconds)
        self.budget = UploadBudget(limits.uploads_bytes)
        self.archives = ArchiveStore(limits.case_seconds)
        self.jobs: JobBoard = JobBoard(
            limits, self.image_limits, settings.roots, lambda: (self.inspector, self.queue)
        )
        self.atlases: Atlases = Atlases(settings)
        self.builds: Builds = Builds(settings)
        self.problem: MorelliError | None = None
        self._inspector: Inspector | None = None
        self._queue: EncodingQueue | None = None
        self._starting = threading.Lock()
        self._stopped = False
        self._stage = ""
        self._admitted = 0
        self._decode = ThreadPoolExecutor(DECODERS, thread_name_prefix="morelli-decode")
        self._answer = ThreadPoolExecutor(DECODERS, thread_name_prefix="morelli-answer")
        self._warmer = threading.Thread(target=self.atlases.warm, name="morelli-warm", daemon=True)
        self._loader = threading.Thread(target=self._load, name="morelli-load", daemon=True)

    def start(self) -> None:
        """Begin to open the atlases and to load the encoder; requests are answered meanwhile."""
        for name in self.builds.recover():
            log.warning("The build of %s was interrupted; Explore can go on with it or discard it.", name)
        self._warmer.start()
        self._loader.start()

    def wait(self) -> None:
        """Until the encoder is loaded, or could not be."""
        self._loader.join()

    def stop(self) -> None:
        """Cancel jobs, finish the batch that runs, forget every picture, and let go of the encoder."""
        with self._starting:
            self._stopped = True  # an encoder that is still being loaded comes too late
        self.jobs.close()
        self.builds.close()
        if self._queue is not None:
            self._queue.close()
        self._decode.shutdown(wait=True, cancel_futures=True)
        self._answer.shutdown(wait=True, cancel_futures=True)
        self.cases.clear()
        self.archives.clear()
        # Module-level routers may keep the application alive; the weights need not live with it.
        self._inspector = self._queue = None

    def _load(self) -> None:
        # Somebody who serves an atlas looks at it first, and loading torch takes all of a core for seconds.
        self._warmer.join(ATLASES_FIRST_SECONDS)
        if self._stopped:
            return
        try:
            inspector = self._loaded()
            with self._starting:
                if self._stopped:
                    return
                self._queue = EncodingQueue(
                    inspector.passes,
                    inspector.kinds,
                    most=self.limits.waiting,
                    processes=self.settings.workers,
                )
                self._inspector = inspector
            encoder = inspector.encoder
            log.info("Images can be judged: %s on %s.", encoder.build.encoder, encoder.device)
        except MorelliError as error:
            self.problem = error
            log.error("Images cannot be judged, all else works: %s", error)
        except Exception as error:
            self.problem = MorelliError(f"The encoder could not be loaded: {type(error).__name__}")
            log.exception("Images cannot be judged, all else works")

    def _loaded(self) -> Inspector:
        settings = self.settings
        inspector = load(
            settings.bundle,
            beside=settings.beside,
            distilled=settings.distilled,
            concepts=settings.concepts,
            reference=settings.reference,
            encoder=settings.encoder,
            weights=settings.weights,
            device=settings.device,
            offline=settings.offline,
            precision=settings.precision,
            on_progress=self._loading,
        )
        # Imported here, and not while the first request for a picture of relevance waits.
        from morelli import reports  # noqa: F401

        if settings.trust is None:
            return inspector
        from morelli.provenance import TrustList

        return replace(inspector, trust=TrustList.load(settings.trust))

    def _loading(self, message: str, fraction: float | None) -> None:
        """Log each stage of loading once; weights that have to be fetched take a while."""
        if message != self._stage:
            self._stage = message
            log.info("%s", message)

    @property
    def ready(self) -> bool:
        """True when images can be judged."""
        return self._inspector is not None

    @property
    def loaded(self) -> Inspector | None:
        """The inspector where it is there already."""
        return self._inspector

    @property
    def inspector(self) -> Inspector:
        """What answers about images.

        Raises:
            ProblemError: 503, it is still loading or could not be loaded.
        """
        if self._inspector is None:
            if self.problem is not None:
                raise ProblemError(
                    503,
                    "no-encoder",
                    str(self.problem),
                    next="Start the server again when that is done; atlases and reports work meanwhile.",
                    headers={"Retry-After": "60"},
                )
            raise busy(5, "The encoder is being loaded.")
        return self._inspector

    @property
    def queue(self) -> EncodingQueue:
        """The encoder's queue; raises as `inspector` does."""
        _ = self.inspector
        assert self._queue is not None
        return self._queue

    @contextmanager
    def admit(self, images: int) -> Iterator[None]:
        """Count images that requests wait for; a 503 problem when there are too many."""
        if self._admitted + images > max(self.limits.waiting, images):
            rate = self.queue.rate
            raise busy(self._admitted / rate, f"{self._admitted} images wait for the encoder already.")
        self._admitted += images
        try:
            yield
        finally:
            self._admitted -= images

    @property
    def admitted(self) -> int:
        """Images that requests wait for."""
        return self._admitted

    async def decoded(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run decoding work in its threads."""
        return await asyncio.get_running_loop().run_in_executor(self._decode, partial(work, *arguments))

    async def answered(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run the small work behind an answer (verdict, relevance) in its threads."""
        return await asyncio.get_running_loop().run_in_executor(
            self._answer, partial(work, *arguments, **named)
        )

    async def encoded(self, prepared: PreparedCase) -> StoredCase:
        """Encode one picture and remember its case. Cancelled, the picture leaves the queue."""
        stored = await self.answered(self.inspector.stored, prepared, await self.vectors(prepared))
        self.cases.put(stored)
        return stored

    async def vectors(self, prepared: PreparedCase) -> Vectors:
        """The features of one picture, from the queue."""
        try:
            future: Future[Vectors] = self.queue.submit(prepared.pixels)
        except QueueFullError as error:
            raise busy(error.seconds, "Too many images wait for the encoder.") from None
        return await asyncio.wrap_future(future)


def state_of(request: Request) -> ServerState:
    """The state that a request's app runs on."""
    state: ServerState = request.app.state.morelli
    return state


async def while_connected(request: Request, work: Awaitable[T], seconds: float) -> T:
    """Await `work` unless the client leaves or `seconds` pass; then it is cancelled.

    Raises:
        ProblemError: 503, it took too long (or, to nobody, 499: the client left).
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if gone in done:
            raise ProblemError(499, "client-gone", "The client left before the answer was there.")
        raise busy(10, f"The answer was not there after {seconds:g} s.")
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def settled(works: Sequence[Coroutine[Any, Any, T]]) -> list[T | ImageError]:
    """All of `works` in order, an unreadable image as its error; any other error cancels the rest."""

    async def one(work: Coroutine[Any, Any, T]) -> T | ImageError:
        try:
            return await work
        except ImageError as error:
            return error

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(work)) for work in works]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
