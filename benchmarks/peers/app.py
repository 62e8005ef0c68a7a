"""What the benchmark asks of an app, and what its processes hold."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from app_parts.browser import LOCAL
from peers.hand import Hand

if TYPE_CHECKING:
    from playwright.sync_api import Page


class NotThereError(Exception):
    """The app has no such feature; the text says what it has instead."""


@dataclass
class Facts:
    """What is known of the collection, to check that an app shows what was asked for."""

    images: int
    generated: int
    generator: str
    of_generator: int
    wrong: int


@dataclass
class App:
    """One app that shows the collection in `folder`; those that are measured descend from it.

    `reading` is a JavaScript expression that tells how many images the app says it shows.
    """

    folder: Path
    environment: Path
    facts: Facts
    name: str = ""
    home: str = ""
    reading: str = "''"
    processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    def install(self) -> None:
        """Have the app's own environment made, and say what could not be had."""

    def prepare(self) -> None:
        """Bring the collection into the app's own form; not timed."""

    def start(self) -> None:
        """Start the server."""
        raise NotImplementedError

    def fresh(self) -> None:
        """Bring the app into the state of its start, where later pages see what others did."""

    def ready(self, page: Page) -> None:
        """Return when the first view is on the screen."""
        raise NotImplementedError

    def show_map(self, page: Page) -> None:
        """Bring the map into sight where the first view has none; not counted."""

    def settled(self, page: Page) -> None:
        """Wait until the app is at rest."""
        page.wait_for_timeout(1500)

    def map_box(self, page: Page) -> dict[str, float]:
        raise NotImplementedError

    def shown(self, page: Page) -> int:
        """How many images the app says it shows."""
        text = str(page.evaluate(f"() => String({self.reading})"))
        digits = "".join(c for c in text.split("of", maxsplit=1)[0].split("/", maxsplit=1)[0] if c.isdigit())
        return int(digits or -1)

    def expect(self, page: Page, count: int) -> None:
        for _ in range(150):
            if self.shown(page) == count:
                return
            page.wait_for_timeout(200)
        raise RuntimeError(f"{self.name} shows {self.shown(page)} images instead of {count}")

    def filter_score(self, hand: Hand) -> None:
        """Narrow the score to a range; the last action applies it."""
        raise NotImplementedError

    def tasks(self) -> dict[str, Any]:
        """The eight tasks, each a function of a `Hand` that leaves the app in the state asked for."""
        return {name: getattr(self, function) for name, function in TASKS.items()}

    def run(self, command: list[str], **more: Any) -> subprocess.Popen[Any]:
        log = (self.folder / f"{self.name.split()[0].lower()}.log").open("a")
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **more)
        self.processes.append(process)
        return process

    def memory(self) -> float:
        """Resident memory of all server processes in GB."""
        return sum(one.memory_info().rss for one in self.tree()) / 2**30

    def tree(self) -> list[psutil.Process]:
        roots = [psutil.Process(one.pid) for one in self.processes if one.poll() is None]
        return [*roots, *(child for one in roots for child in one.children(recursive=True))]

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        self.processes.clear()


# What a person wants, written down before anything was measured. Each begins with the map in sight.
TASKS = {
    "show only generated images": "only_generated",
    "show only one generator (the 20th most frequent of 40)": "one_generator",
    "colour the map by generator": "colour",
    "open an image at full size, go to the next by keyboard": "open_and_next",
    "box on the map, see its images": "select_region",
    "tag the images of the box": "tag",
    "images similar to one": "similar",
    "show the images judged wrong": "wrong",
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen[Any], seconds: float = 300) -> None:
    """Return once a server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with LOCAL.open(address, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing answers at {address}; its log is beside the collection")


def make_environment(folder: Path, *packages: str) -> Path:
    """A virtual environment with some packages, made once; its Python."""
    import sys

    python = folder / "bin" / "python"
    if not python.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return python
