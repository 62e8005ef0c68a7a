"""This build beside the one before OpenVINO, command by command: time, memory, answers of the server.

    python benchmarks/earlier_build.py [--rounds 3] [--images 300] [--seconds 30] [--source FOLDER]

The earlier build is checked out from this repository's history into a temporary folder and runs with the
same Python, hence with the same packages and the same weights. Both are started from the shell by turns: one
photograph from shell to verdict, a folder of files (`detect` at each precision, `extract --kinds
final,layers`), and a server under many clients. Printed are medians of the paired ratios with their range,
and the most memory that a command held. Without --source the images are crops of the photographs that the
scikit-image and scikit-learn wheels bring, as JPEG. The two builds ship different detectors, so verdicts are
not compared here: `benchmarks/precision.py` does that.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from extraction import write_photos
from server_load import run_clients

ROOT = Path(__file__).resolve().parent.parent
REVISION = "e78f240"
"""The last commit at which torch computed everything."""
EARLIER = "earlier build"
READY_SECONDS = 120.0


def main() -> None:
    """Run both builds by turns and print a table for each command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30, help="under load, a server and a round")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--source", type=Path, help="a folder of images; else crops of packaged photographs")
    parser.add_argument("--revision", default=REVISION)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, checkout(Path(name), options.revision) as earlier:
        folder = Path(name)
        command(ROOT / "src", ("encoders", "pull", "clip-vit-b16"))
        pictures = options.source or jpeg_photos(folder, options.images)
        photo = next(path for path in sorted(pictures.rglob("*")) if path.is_file())
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {options.rounds} rounds"
        )
        print(f"earlier build: {options.revision}; files: {sum(p.is_file() for p in pictures.rglob('*'))}\n")
        single = ("detect", str(photo), "--offline")
        many = ("detect", str(pictures), "--offline", "--quiet", "--json")
        table = ("extract", str(pictures), "--offline", "--quiet", "--kinds", "final,layers", "-o")
        compare("one photograph, from shell to verdict", options.rounds + 2, earlier, {"auto": single})
        kept = {level: (*many, "--precision", level) for level in ("exact", "auto", "fast", "fastest")}
        compare("detect", options.rounds, earlier, kept, many)
        compare(
            "extract",
            options.rounds,
            earlier,
            {"float32": (*table, str(folder / "ours.lance"))},
            (*table, str(folder / "earlier.lance")),
            made=folder,
        )
        serve(options, earlier)


@contextmanager
def checkout(folder: Path, revision: str) -> Iterator[Path]:
    """Check the sources of `revision` out; they are removed at the end."""
    place = folder / "earlier"
    git = ("git", "-C", str(ROOT), "worktree")
    if subprocess.run((*git, "add", "--quiet", "--detach", str(place), revision), check=False).returncode:
        raise SystemExit(
            f"{revision} is not in this clone's history; a shallow one gets it by `git fetch --unshallow`"
        )
    try:
        yield place / "src"
    finally:
        subprocess.run((*git, "remove", "--force", str(place)), check=True)


def jpeg_photos(folder: Path, count: int) -> Path:
    """`count` crops of packaged photographs as JPEG files."""
    place = write_photos(folder / "photos", count)
    for path in place.glob("*.png"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".jpg"), quality=90)
        path.unlink()
    return place


def command(source: Path, arguments: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of one run of the program in `source`, and the MiB that it held at most."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    started = time.perf_counter()
    process = subprocess.Popen(
        (sys.executable, "-m", "morelli", *arguments), env=environment, stdout=subprocess.DEVNULL, cwd="/"
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} of {source} ended with {process.returncode}")
    return time.perf_counter() - started, used.ru_maxrss / 1024


def compare(
    title: str,
    rounds: int,
    earlier: Path,
    ours: dict[str, tuple[str, ...]],
    theirs: tuple[str, ...] = (),
    *,
    made: Path | None = None,
) -> None:
    """All ways of `ours` and the earlier build by turns; tables below `made` are removed after every run."""
    ways = {EARLIER: (earlier, theirs or next(iter(ours.values())))}
    ways |= {f"this build, {name}": (ROOT / "src", arguments) for name, arguments in ours.items()}
    for source, arguments in ways.values():  # compiled graphs and bytecode are there from now on
        command(source, arguments)
        forget(made)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    held: dict[str, float] = dict.fromkeys(ways, 0.0)
    for turn in range(rounds):
        for name in rotated(list(ways), turn):
            seconds, memory = command(*ways[name])
            forget(made)
            taken[name].append(seconds)
            held[name] = max(held[name], memory)
    print(
        f"| {title} | seconds | of the earlier time (range) | times as fast | memory, MiB | of the earlier |"
    )
    print("|---|---|---|---|---|---|")
    for name, seconds_ in taken.items():
        ratios = [own / other for own, other in zip(seconds_, taken[EARLIER], strict=True)]
        ratio = statistics.median(ratios)
        print(
            f"| {name} | {statistics.median(seconds_):.2f} | {ratio:.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}) | {1 / ratio:.2f} | {held[name]:.0f} | {held[name] / held[EARLIER]:.2f} |"
        )
    print(flush=True)


def rotated(names: list[str], turn: int) -> list[str]:
    """The names in their order, another first in every turn."""
    first = turn % len(names)
    return names[first:] + names[:first]


def forget(made: Path | None) -> None:
    """Remove the tables that a command left."""
    for table in made.glob("*.lance") if made else ():
        shutil.rmtree(table)


def serve(options: argparse.Namespace, earlier: Path) -> None:
    """Both servers by turns under the same clients."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    clients = context.Process(target=run_clients, args=(theirs, options.clients), daemon=True)
    clients.start()
    ways = {
        EARLIER: (earlier, ()),
        **{
            f"this build, {level}": (ROOT / "src", ("--precision", level))
            for level in ("exact", "auto", "fastest")
        },
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name in rotated(list(ways), turn):
            found[name].append(under_load(*ways[name], ours, options.seconds))
    ours.send(None)
    clients.join()
    print(
        f"| server, {options.clients} clients | answers/s | times as many (range) | p95, s | of the earlier |"
        " memory, MiB | of the earlier |"
    )
    print("|---|---|---|---|---|---|---|")
    first = found[EARLIER]
    for name, rows in found.items():
        times = [row[0] / base[0] for row, base in zip(rows, first, strict=True)]
        waits = [row[1] / base[1] for row, base in zip(rows, first, strict=True)]
        memory, other = (max(row[2] for row in some) for some in (rows, first))
        rate, wait = (statistics.median(row[at] for row in rows) for at in (0, 1))
        print(
            f"| {name} | {rate:.2f} | {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}) "
            f"| {wait:.2f} | {statistics.median(waits):.2f} | {memory:.0f} | {memory / other:.2f} |"
        )


def under_load(
    source: Path, more: tuple[str, ...], pipe: Connection, seconds: float
) -> tuple[float, float, float]:
    """Answers a second, 95th percentile of the waiting time in seconds, and most MiB of one server."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    port = free_port()
    arguments = (sys.executable, "-m", "morelli", "serve", "--port", str(port), "--offline", *more)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(arguments, env=environment, stdout=quiet, stderr=quiet, cwd="/")
    try:
        wait_until_ready(port)
        pipe.send((port, 5.0))  # everything is loaded and warm
        pipe.recv()
        pipe.send((port, seconds))
        waits, counted, times = pipe.recv()
    finally:
        process.terminate()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    if set(counted) != {"200"}:
        raise SystemExit(f"the server of {source} answered {dict(counted)}")
    rate = (len(times) - 1) / (times[-1] - times[0])
    return rate, float(np.percentile(waits, 95)), used.ru_maxrss / 1024


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until_ready(port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        asked = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            asked.request("GET", "/api/v1/ready")
            if asked.getresponse().status == 200:
                return
        except OSError:
            pass  # not listening yet
        finally:
            asked.close()
        time.sleep(0.2)
    raise SystemExit(f"no server was ready within {READY_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
