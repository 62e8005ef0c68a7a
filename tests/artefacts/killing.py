"""Kill a writer at every one of its steps: `python -m tests.artefacts.killing KIND FOLDER MODE…`.

Each step (a file opened for writing, half of a write, a sync, a rename, a link, a removal …) of a write
over an older artefact is the last one of a forked process, which then ends by SIGKILL. What a reader, itself
killed at every step of putting things right, finds afterwards is printed as JSON. A process of its own,
because forks of a process with threads may hang.

MODE: `exchange`, `aside` (as where the system cannot exchange), or `first` (nothing was there).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from morelli.errors import ArtifactError
from tests.artefacts.kinds import KINDS, NEW, OLD, Kind

NOTE = "of the user.txt"
STEPS = {
    "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
}  # fmt: skip


def killed_before(step: int, act: Callable[[], object]) -> bool:
    """Whether `act`, in a process of its own, had not ended when it came to this step."""
    process = os.fork()
    if process == 0:
        try:
            _arm(step)
            act()
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return True
    assert os.WEXITSTATUS(status) == 0, f"step {step} failed"
    return False


def _arm(step: int) -> None:
    left = step

    def tick() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS:
            tick()
        elif event == "open":
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                tick()

    def write(descriptor: int, data: Any) -> int:
        tick()
        return real_write(descriptor, data[: max(len(data) // 2, 1 << 14)])

    def sync(descriptor: int) -> None:
        tick()

    def exchanged(one: Path, other: Path) -> bool:
        tick()
        return real_exchange(one, other)

    import morelli.artefacts._replace as replacing

    real_write, real_exchange = os.write, replacing.exchange
    os.write, os.fsync, replacing.exchange = write, sync, exchanged  # type: ignore[assignment]
    sys.addaudithook(audit)


def main(kind: Kind, mode: str, folder: Path) -> dict[str, Any]:
    import morelli.artefacts._replace as replacing

    # A kill loses nothing that was not synced, only a power failure does; so nothing is waited for here.
    os.fsync = lambda descriptor: None
    swap = replacing.exchange
    if mode == "aside":
        replacing.exchange = lambda one, other: False
    try:
        return _every_step(kind, mode, folder)
    finally:
        replacing.exchange = swap


def _every_step(kind: Kind, mode: str, folder: Path) -> dict[str, Any]:
    kind.write(folder / "warm", OLD)  # everything is imported before the first fork
    kind.load(folder / "warm")
    found: list[float | None] = []
    put_back = 0
    for step in count():
        place = folder / str(step) / kind.name
        if mode != "first":
            copied = shutil.copytree if (folder / "warm").is_dir() else shutil.copyfile
            place.parent.mkdir()
            copied(folder / "warm", place)
            if place.is_dir():
                (place / NOTE).write_text("mine")
        killed = killed_before(step, lambda place=place: kind.write(place, NEW))
        if mode != "first" and not place.exists():
            put_back += 1
            for reading in count():
                if not killed_before(reading, lambda place=place: kind.load(place)):
                    break
        try:
            found.append(kind.load(place))
        except ArtifactError:
            found.append(None)
        kind.write(place, NEW)
        assert kind.load(place) == NEW
        assert list(place.parent.iterdir()) == [place], "something was left behind"
        assert not list(place.rglob(".*")), "something was left behind inside"
        if mode != "first" and place.is_dir():
            assert (place / NOTE).read_text() == "mine"
        if not killed:
            return {"found": found, "put back": put_back}
    raise AssertionError


if __name__ == "__main__":
    for mode in sys.argv[3:]:
        print(json.dumps(main(KINDS[sys.argv[1]], mode, Path(sys.argv[2]) / mode)))
