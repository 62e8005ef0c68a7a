"""A server, a Chromium that shows its page, and what both cost."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

FRAMES = """() => {
  window.frames = [];
  let last = performance.now();
  window.stopped = false;
  const tick = (now) => {
    window.frames.push(now - last);
    last = now;
    if (!window.stopped) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""


def serve(atlas: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    """Start `morelli serve` and wait until it listens; its address."""
    command = [
        sys.executable,
        "-m",
        "morelli",
        "serve",
        "--offline",
        "--port",
        "0",
        "--atlas",
        str(atlas),
        *more,
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    for line in server.stdout:
        address = re.search(r"http://[\d.]+:\d+/", line)
        if address:
            break
    else:
        raise RuntimeError("the server did not start")
    return server, address.group()


def wait_until_warm(home: str, name: str) -> float:
    """Seconds until the server has opened the atlas and answered for its first view."""
    start = time.perf_counter()
    with LOCAL.open(f"{home}api/v1/atlases/{name}", timeout=120):
        return time.perf_counter() - start


def chromium_path() -> str:
    """The browser that the tests use too."""
    sys.path.insert(0, str(ROOT))
    from tests.browser import find_chromium

    found = find_chromium()
    if found is None:
        raise SystemExit("needs Chromium: run `python -m tests.browser`, or name one in MORELLI_CHROMIUM")
    return found


def recorded_frames(page: Any) -> list[float]:
    """Stop the recording that `FRAMES` began; milliseconds between frames."""
    page.evaluate("() => { window.stopped = true; }")
    return [float(one) for one in page.evaluate("() => window.frames.slice(2)")]


def memory_of(pid: int) -> float:
    """Peak resident memory of a process in GB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 2**20
