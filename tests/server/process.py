"""A server in a process of its own, as `morelli serve` runs it: for signals, memory, and what it prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from morelli.server import ServerSettings
from tests.server.running import API, PLAIN

SERVE = """
import sys
from morelli.server import ServerSettings, serve
serve(ServerSettings.from_json(sys.argv[1]), on_message=lambda line: print(line, file=sys.stderr, flush=True))
"""


@dataclass
class Process:
    """A server's process, and what it has printed so far."""

    running: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    @property
    def port(self) -> int:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.text)
        assert found, self.text
        return int(found[1])

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Until it has printed `text`."""
        until = time.monotonic() + seconds
        while text not in self.text:
            if self.running.poll() is not None:
                self.read_all()
                assert text in self.text, f"it ended: {self.text}"
            assert time.monotonic() < until, f"no {text!r} in {self.text}"
            time.sleep(0.02)

    def interrupt(self) -> int:
        """Ctrl-C, and its exit status; afterwards `text` is all that it printed."""
        self.running.send_signal(signal.SIGINT)
        status = self.running.wait(timeout=60)
        self.read_all()
        return status

    def read_all(self) -> None:
        """Read to the end what a process that has ended has printed."""
        if self.reader is not None:
            self.reader.join(timeout=60)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}{API}", timeout=120, **PLAIN)

    def memory(self) -> int:
        """Resident bytes."""
        return int(self._status("VmRSS")) * 1024

    def peak(self) -> int:
        """The most it ever had resident, in bytes."""
        return int(self._status("VmHWM")) * 1024

    def files(self) -> int:
        """Open files, connections among them."""
        return len(list(Path(f"/proc/{self.running.pid}/fd").iterdir()))

    def _status(self, name: str) -> str:
        text = Path(f"/proc/{self.running.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found
        return found[1]


@contextmanager
def process(command: list[str]) -> Iterator[Process]:
    """Run a command of this Python; it is ended at the end, and whatever it started, whatever happened.

    Processes that it left behind would hold its pipe, and who closes a pipe waits for who reads it.
    """
    environment = {**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        [sys.executable, *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    )
    one = Process(running)

    def lines() -> None:
        assert running.stderr is not None
        for line in running.stderr:
            one.lines.append(line.rstrip("\n"))

    one.reader = threading.Thread(target=lines, daemon=True)
    one.reader.start()
    try:
        yield one
    finally:
        if os.name == "posix":
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
        running.kill()
        running.wait()
        one.read_all()
        assert running.stderr is not None
        running.stderr.close()


@contextmanager
def served(settings: ServerSettings) -> Iterator[Process]:
    """A server with these settings on a free port, ready to judge."""
    from dataclasses import replace

    with process(["-c", SERVE, replace(settings, port=0).to_json()]) as one:
        one.wait_for("Images can be judged")
        yield one
