"""Atlases built from folders: one at a time, in a process of its own that may be ended at any moment.

While an atlas is not finished, a note `NAME.building.json` lies beside its table and its folder and says what
it is made from. So a later server knows that a build was interrupted, and can go on with it or remove it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from morelli.artefacts import dump_json, locked, read_json, write_file
from morelli.errors import ArtifactError
from morelli.server import _build_models as b
from morelli.server._atlases import is_name
from morelli.server._build_worker import NOTE, BuildTask
from morelli.server._problems import ProblemError
from morelli.server._settings import ServerSettings

STOP_SECONDS = 20.0
log = logging.getLogger("morelli.server")


@dataclass(eq=False)
class _Building:
    """The build that runs, or the last one; its own thread writes, requests read."""

    task: BuildTask
    process: subprocess.Popen[str]
    shown: str
    state: b.BuildState = "running"
    step: str = "starting"
    done: int = 0
    total: int | None = None
    failed: int = 0
    message: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    cancelled: bool = False
    stopped: bool = False
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None

    def answer(self) -> b.BuildProgress:
        return b.BuildProgress(
            name=self.task.name,
            folder=self.shown,
            state=self.state,
            step=self.step,
            done=self.done,
            total=self.total,
            failed=self.failed,
            images=self.result.get("images"),
            reasons=self.result.get("reasons", {}),
            unlabelled=self.result.get("unlabelled", 0),
            seconds=(self.finished or time.monotonic()) - self.started,
            message=self.message,
        )


class Builds:
    """The builds of one server."""

    def __init__(self, settings: ServerSettings) -> None:
        # The worker listens nowhere, so it needs no token.
        self._settings = replace(settings, host="127.0.0.1", token=None)
        self._root = settings.collections
        self._lock = threading.Lock()
        self._building: _Building | None = None
        self._reader: threading.Thread | None = None

    @property
    def root(self) -> Path:
        """The folder of the collections.

        Raises:
            ProblemError: 409, the server was started without one.
        """
        if self._root is None:
            raise ProblemError(
                409,
                "no-collections",
                "This server builds no atlases: no folder for collections was declared.",
                next="Start it with one: morelli serve --collections FOLDER.",
            )
        return self._root.resolve()

    def start(self, folder: Path, body: b.BuildRequest) -> b.BuildProgress:
        """Build an atlas from a folder below the root.

        Raises:
            ProblemError: 409, a build runs, or something of that name is there.
        """
        task = BuildTask(self._settings, self.root, folder, body.name, body.labels, body.dimensions)
        with self._lock:
            self._refuse_second()
            for path in (task.atlas, task.table, self._note(body.name)):
                if path.exists() or path.is_symlink():
                    raise ProblemError(
                        409,
                        "name-taken",
                        f"{path.name} is there already, and nothing is written over.",
                        next="Choose another name, or go on with the build that was interrupted.",
                    )
            return self._begin(task)

    def resume(self, name: str) -> b.BuildProgress:
        """Go on with a build that was interrupted, cancelled or failed.

        Raises:
            ProblemError: 404, there is none of that name; 409, a build runs.
        """
        with self._lock:
            self._refuse_second()
            note = self._known(name)
            folder = self.root / str(note["folder"])
            from morelli.server._paths import inside

            if not inside(folder, [self.root]) or not folder.is_dir():
                raise ProblemError(
                    403,
                    "outside-roots",
                    "The folder of this build is not there any more.",
                    next="Discard the build, or put the folder back.",
                )
            with self._held(name):
                pass  # nobody works at it; the build's process takes the lock itself
            labels, dimensions = str(note["labels"]), str(note["dimensions"])
            return self._begin(
                BuildTask(self._settings, self.root, folder.resolve(), name, labels, dimensions)
            )

    def cancel(self) -> b.BuildProgress:
        """End the build that runs; what it has made stays, to go on with or to discard.

        Raises:
            ProblemError: 404, none runs.
        """
        building = self._building
        if building is None or building.state != "running":
            raise ProblemError(404, "unknown-build", "No build runs.", next="Start one.")
        building.cancelled = True
        building.process.kill()
        assert self._reader is not None
        self._reader.join(STOP_SECONDS)
        return building.answer()

    def discard(self, name: str) -> None:
        """Remove what an unfinished build has made.

        Raises:
            ProblemError: 404, there is none of that name; 409, it runs.
        """
        with self._lock:
            self._refuse_second()
            self._known(name)
            task = BuildTask(self._settings, self.root, self.root, name, "unknown", "shipped")
            with self._held(name):
                for path in (task.table, task.atlas):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                task.note.unlink(missing_ok=True)  # last: a removal that is interrupted can be repeated
            if self._building is not None and self._building.task.name == name:
                self._building = None

    def current(self) -> b.BuildProgress | None:
        """The build that runs, or the last one of this server."""
        return None if self._building is None else self._building.answer()

    def unfinished(self) -> list[b.UnfinishedBuild]:
        """Builds that can be gone on with, by name."""
        running = self._building.task.name if self._building and self._building.state == "running" else None
        return [
            b.UnfinishedBuild(
                name=name,
                folder=str(note["folder"]),
                labels=note["labels"],
                dimensions=note["dimensions"],
                state=note.get("state", "interrupted"),
                message=str(note.get("message", "")),
            )
            for name, note in sorted(self._notes())
            if name != running
        ]

    def recover(self) -> list[str]:
        """Remove notes of atlases that are finished; the names of builds that were interrupted."""
        if self._root is None:
            return []
        for name, _ in list(self._notes()):
            if (self.root / f"{name}.atlas" / "atlas.json").is_file():
                self._note(name).unlink(missing_ok=True)
        return [one.name for one in self.unfinished() if one.state == "interrupted"]

    def close(self) -> None:
        """End the build that runs; a later server finds it interrupted."""
        building = self._building
        if building is not None and building.state == "running":
            building.stopped = True
            building.process.kill()
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)

    def _refuse_second(self) -> None:
        if self._building is not None and self._building.state == "running":
            raise ProblemError(
                409,
                "build-running",
                f"The atlas {self._building.task.name} is being built, and there is one build at a time.",
                next="Wait for it, or cancel it.",
            )

    @contextlib.contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """Hold a build against the processes of other servers of the same folder."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self._note(name), wait=0))
            except ArtifactError as error:
                raise ProblemError(
                    409,
                    "build-running",
                    f"Another server is building the atlas {name}, or was ended just now.",
                    next="Wait for it, or cancel it there.",
                ) from error
            yield

    def _begin(self, task: BuildTask) -> b.BuildProgress:
        shown = task.folder.relative_to(self.root).as_posix()
        self._write_note(task, shown, {})
        process = subprocess.Popen(
            # -P: the folder in which the server was started may be anybody's, so no module is taken from it.
            [sys.executable, "-P", "-m", "morelli.server._build_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C at the terminal is for the server, which ends the build itself
        )
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once, which its reader sees
            process.stdin.write(task.to_json() + "\n")
            process.stdin.flush()
        building = _Building(task, process, shown)
        self._reader = threading.Thread(
            target=self._follow, args=(building, process.stdout), daemon=True, name="morelli-build"
        )
        self._reader.start()
        self._building = building  # last: whoever sees it may end it and wait for its reader
        return building.answer()

    def _follow(self, building: _Building, lines: IO[str]) -> None:
        """Read a build's progress until its process ends, and settle what became of it."""
        end: dict[str, Any] = {}
        with lines:
            for line in lines:
                try:
                    found = json.loads(line)
                except ValueError:
                    continue  # cut off by the end of the process
                if "end" in found:
                    end = found
                else:
                    building.step, building.done = found["step"], found["done"]
                    building.total, building.failed = found["total"], found["failed"]
        building.process.wait()
        with contextlib.suppress(OSError):
            assert building.process.stdin is not None
            building.process.stdin.close()
        building.finished = time.monotonic()
        self._settle(building, end)

    def _settle(self, building: _Building, end: dict[str, Any]) -> None:
        task = building.task
        if end.get("end") == "done":
            building.result = end
            building.failed = end["failed"]
            self._remove_note(task.name)
            building.state = "done"
            log.info("The atlas %s is built: %d images.", task.name, end["images"])
            return
        if end:
            state: b.BuildState = "failed"
            building.message = str(end["message"])[: b.LONGEST_MESSAGE]
        elif building.cancelled:
            state = "cancelled"
        else:
            state = "failed"
            building.message = "The build was ended from outside; it may have run out of memory."
        if not task.table.exists() and not task.atlas.exists():
            self._remove_note(task.name)  # there is nothing to go on with
        elif not building.stopped:  # as it stands the note says that the build was interrupted
            with contextlib.suppress(ArtifactError, OSError):
                self._write_note(task, building.shown, {"state": state, "message": building.message})
        building.state = state

    def _write_note(self, task: BuildTask, shown: str, more: dict[str, Any]) -> None:
        note = {"folder": shown, "labels": task.labels, "dimensions": task.dimensions, **more}
        write_file(self._note(task.name), dump_json(note))

    def _remove_note(self, name: str) -> None:
        """Remove the note of a build that needs none; a later server removes one that cannot be removed."""
        with contextlib.suppress(OSError):
            self._note(name).unlink(missing_ok=True)

    def _note(self, name: str) -> Path:
        return self.root / f"{name}{NOTE}"

    def _notes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Names and contents of the notes of unfinished builds; what is none is passed over."""
        for path in self.root.glob(f"*{NOTE}"):
            name = path.name.removesuffix(NOTE)
            if not is_name(name) or path.is_symlink():
                continue
            with contextlib.suppress(ArtifactError, OSError, ValueError):
                note = read_json(path, largest=1 << 16, what="note of a build")
                yield name, b.BuildNote.model_validate(note).model_dump(exclude_none=True)

    def _known(self, name: str) -> dict[str, Any]:
        found = dict(self._notes()).get(name)
        if found is None or (self.root / f"{name}.atlas" / "atlas.json").exists():
            raise ProblemError(
                404,
                "unknown-build",
                f"There is no unfinished build called {name}.",
                next="GET /api/v1/collections lists those there are.",
            )
        return found
