"""Many clients on `POST /detect` against the encoder alone, by turns in one run.

    python benchmarks/server_load.py [--seconds 60] [--clients 32] [--rounds 2]

A real server with the shipped detector judges JPEG files of 512 pixels, every one another file, for
`seconds` in all. Between the rounds the same encoder, with as many passes at a time and as many images in
each as the server uses, computes the same kinds on prepared pixels: what a server could at best reach. The
clients are a process of their own. Printed are both rates and their ratio, latencies, and memory. Since other
work on the machine slows both, but hardly alike, the processor time for an image is printed as well.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import platform
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil

MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="time under load, in all")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()

    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    clients = multiprocessing.get_context("spawn").Process(
        target=run_clients, args=(theirs, arguments.clients), daemon=True
    )
    clients.start()
    with Server() as server:
        share = arguments.seconds / arguments.rounds
        ours.send((server.port, 2.0))  # everything is loaded and warm
        ours.recv()
        costs = [Cost(), Cost()]
        server.encoder_alone(2.0)
        before = server.memory()
        rounds: list[tuple[float, float]] = []
        latencies: list[float] = []
        answers: Counter[str] = Counter()
        peak = before
        for _ in range(arguments.rounds):
            with costs[1]:
                alone, done = server.encoder_alone(share / 2)
            with costs[0]:
                ours.send((server.port, share))
                found, counted, times = ours.recv()
            with costs[1]:
                again, more = server.encoder_alone(share / 2)
            latencies += found
            answers += counted
            # Between the first answers and the last ones in time: neither the start nor the end counts, when
            # there is too little to do.
            served = (len(times) - server.state.queue.batch) / (times[-1] - times[0])
            rounds.append((served, (alone + again) / 2))
            costs[0].images += counted["200"]
            costs[1].images += done + more
            peak = max(peak, server.memory())
        after = server.memory()
        held = len(server.state.cases)
        server.state.cases.clear()
        report(arguments, server, rounds, latencies, answers)
        ours_, theirs_ = (cost.seconds / cost.images for cost in costs)
        print(
            f"processor time for an image: {1000 * ours_:.0f} ms served, {1000 * theirs_:.0f} ms encoder "
            f"alone: {100 * theirs_ / ours_:.0f} %"
        )
        print(
            f"memory: {before / MIB:.0f} MiB before, {after / MIB:.0f} MiB after with {held} cases held, "
            f"{server.memory() / MIB:.0f} MiB once they are forgotten; most {peak / MIB:.0f} MiB"
        )
    ours.send(None)
    clients.join()


def report(
    arguments: argparse.Namespace,
    server: Server,
    rounds: list[tuple[float, float]],
    latencies: list[float],
    answers: Counter[str],
) -> None:
    import torch

    queue = server.state.queue
    load = os.getloadavg()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print(f"load of the machine {load[0]:.1f} {load[1]:.1f} {load[2]:.1f}, our own work included")
    print(f"{arguments.clients} clients, {arguments.seconds:g} s in {arguments.rounds} rounds")
    kinds = ", ".join(server.state.inspector.kinds)
    print(f"{queue.workers} passes at a time of up to {queue.batch} images; {kinds}")
    print("answers: " + ", ".join(f"{count} × {status}" for status, count in sorted(answers.items())))
    for index, (served, alone) in enumerate(rounds):
        ratio = 100 * served / alone
        print(f"round {index + 1}: {served:.2f} images/s served, {alone:.2f} encoder alone, {ratio:.0f} %")
    served, alone = (statistics.fmean(column) for column in zip(*rounds, strict=True))
    median = statistics.median(a / b for a, b in rounds)
    print(
        f"in all: {served:.2f} images/s served, {alone:.2f} encoder alone; median ratio {100 * median:.0f} %"
    )
    points = np.percentile(latencies, [50, 90, 95, 99, 100])
    named = zip(("50 %", "90 %", "95 %", "99 %", "slowest"), points, strict=True)
    print("latency: " + ", ".join(f"{name} {value:.2f} s" for name, value in named))


class Cost:
    """Processor time of this process while it is entered, and the images it was spent on."""

    def __init__(self) -> None:
        self.seconds, self.images = 0.0, 0

    def __enter__(self) -> None:
        self._since = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._since


class Server:
    """The application in a thread of this process, on a free port, with its encoder loaded."""

    def __enter__(self) -> Server:
        import uvicorn

        from morelli.server import ServerSettings, create_app

        self._app = create_app(ServerSettings())
        config = uvicorn.Config(self._app, host="127.0.0.1", port=0, log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started or not self.state.ready:
            if self._server.started and self.state.problem is not None:
                self.__exit__()
                raise SystemExit(str(self.state.problem))
            time.sleep(0.05)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        size = self.state.inspector.encoder.transform.size
        self._pixels = np.random.default_rng(0).normal(size=(64, 3, size, size)).astype(np.float32)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @property
    def state(self) -> Any:
        return self._app.state.morelli

    def memory(self) -> int:
        """Resident bytes of this process, which is the server."""
        return int(psutil.Process().memory_info().rss)

    def encoder_alone(self, seconds: float) -> tuple[float, int]:
        """Images a second of the encoder in passes as the server's, and how many they were."""
        queue, inspector = self.state.queue, self.state.inspector
        until = time.perf_counter() + seconds

        def work(number: int) -> int:
            done = 0
            while time.perf_counter() < until:
                at = (number + done) % (len(self._pixels) - queue.batch)
                inspector.encoder.trace(self._pixels[at : at + queue.batch], kinds=inspector.kinds)
                done += queue.batch
            return done

        started = time.perf_counter()
        with ThreadPoolExecutor(queue.workers) as pool:
            done = sum(pool.map(work, range(queue.workers)))
        return done / (time.perf_counter() - started), done


def run_clients(pipe: Connection, count: int) -> None:
    """For every (port, seconds) that comes, `count` clients ask one after the other; None ends it."""
    # Plain connections and bodies: what the clients cost the machine is taken from the server.
    between = "7d4a8f0c"
    head = (
        f'--{between}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    tail = f"\r\n--{between}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={between}"}
    pictures = photographs()
    numbers = iter(range(10**9))
    lock = threading.Lock()
    while (asked := pipe.recv()) is not None:
        port, seconds = asked
        until = time.perf_counter() + seconds

        def client(
            _: int, port: int = port, until: float = until
        ) -> tuple[list[tuple[float, float]], Counter[str]]:
            latencies, answers = [], Counter[str]()
            own = HTTPConnection("127.0.0.1", port, timeout=120)
            while time.perf_counter() < until:
                with lock:
                    number = next(numbers)
                # Bytes behind a JPEG's end make another file of it.
                body = b"".join([head, pictures[number % len(pictures)], str(number).encode(), tail])
                began = time.perf_counter()
                try:
                    own.request("POST", "/api/v1/detect", body, kind)
                    answer = own.getresponse()
                    found = json.load(answer)
                    answers[str(answer.status)] += len(found.get("cases", [0]))
                except (OSError, HTTPException) as error:
                    answers[type(error).__name__] += 1
                    own.close()  # the next request connects again
                latencies.append((time.perf_counter() - began, time.perf_counter()))
            own.close()
            return latencies, answers

        with ThreadPoolExecutor(count) as pool:
            found = list(pool.map(client, range(count)))
        taken = [one for some, _ in found for one in some]
        times = sorted(ended for _, ended in taken if ended <= until)
        pipe.send(([one for one, _ in taken], sum((some for _, some in found), Counter[str]()), times))


def photographs() -> list[bytes]:
    """Crops of scikit-image's photographs, as JPEG files of 512 × 512 pixels."""
    from PIL import Image
    from skimage import data

    rng = np.random.default_rng(0)
    files = []
    for picture in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket()):
        image = Image.fromarray(picture)
        for _ in range(6):
            left, top = (int(rng.integers(0, side - 280)) for side in image.size)
            stored = io.BytesIO()
            crop = image.crop((left, top, left + 280, top + 280)).resize((512, 512))
            crop.save(stored, "JPEG", quality=90)
            files.append(stored.getvalue())
    return files


if __name__ == "__main__":
    main()
