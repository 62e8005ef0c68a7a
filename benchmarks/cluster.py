"""Extraction on a Ray cluster of several nodes on this machine: equality, kills, overhead, memory, speed.

    python benchmarks/cluster.py s3 --images 20000        # from a real S3 server that throttles
    python benchmarks/cluster.py kills --runs 20          # SIGKILL of a worker, a node, the driver, or all
    python benchmarks/cluster.py overhead                 # simulated service time, 1 to 32 workers
    python benchmarks/cluster.py listing --images 10000000   # synthetic listing, memory of the coordinator
    python benchmarks/cluster.py speed --images 400       # real encoder, beside extraction on one machine

Models are the tests' small CLIP, but for `speed` and `kills --real`. `overhead` and `listing` are
simulations: no image is read there, and a worker sleeps or answers at once.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import date
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import lance
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

from tests.small_models import save_tiny_clip

from morelli.encoders import Build, load_encoder
from morelli.encoders.cluster import Cluster, Shard, shard_stream
from morelli.features import FeatureTable, extract
from morelli.features._distributed._coordinator import _Run
from morelli.features._distributed._identities import Identities
from morelli.features._distributed._ledger import Ledger
from morelli.features._distributed._worker import NEW, ShardRows
from morelli.images import ImageItem, iter_source

KINDS = ["final", "layer:2"]
STORE = 200_000_000


class Nodes:
    """A Ray cluster of several raylets on this machine, started again after it was killed."""

    def __init__(self, folder: Path, nodes: int, cpus: int) -> None:
        self._folder, self.nodes, self._cpus = folder, nodes, cpus
        self._cluster: Any = None

    def start(self) -> str:
        """Start what is missing; the cluster's address."""
        from ray.cluster_utils import Cluster as RayCluster

        if self._cluster is None:
            temporary = tempfile.mkdtemp(prefix="r", dir=self._folder)
            arguments = {"num_cpus": self._cpus, "object_store_memory": STORE, "include_dashboard": False}
            # The head node, where the driver and the listing are, has one core for a worker, too.
            self._cluster = RayCluster(
                initialize_head=True, head_node_args=arguments | {"temp_dir": temporary}
            )
        while len(self._cluster.list_all_nodes()) < self.nodes:
            self._cluster.add_node(num_cpus=self._cpus, object_store_memory=STORE)
        return str(self._cluster.address)

    def kill_node(self, number: random.Random) -> None:
        """SIGKILL of a raylet that is not the head's."""
        victim = number.choice(sorted(self._cluster.worker_nodes, key=lambda node: node.unique_id))
        self._cluster.remove_node(victim, allow_graceful=False)

    def kill_all(self) -> None:
        """SIGKILL of every process of the cluster."""
        mine = psutil.Process().children(recursive=True)
        for process in mine:
            if any(word in process.name() for word in ("raylet", "gcs_server", "ray::")):
                process.send_signal(signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End it."""
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None


def head(**facts: object) -> None:
    """What the figures below were measured with."""
    import ray

    cores = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    load = os.getloadavg()[0]
    print(f"{date.today()}, {cores}, load average {load:.1f}, ray {ray.__version__}", end="")
    print("".join(f", {name} {value}" for name, value in facts.items()), flush=True)


def write_images(folder: Path, count: int, *, side: int = 96) -> list[Path]:
    """Small distinct pictures, of which one in 20 is cut off and one in 25 a copy of an earlier one."""
    from tests.wheel_photos import load_photos

    photos = load_photos()
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    paths: list[Path] = []
    for number in range(count):
        _, photo = photos[number % len(photos)]
        path = folder / f"{number // 1000:03}" / f"{number:07}.jpg"
        path.parent.mkdir(exist_ok=True)
        if number % 25 == 24:
            shutil.copy(paths[int(rng.integers(len(paths)))], path)
        else:
            left, top = (int(rng.integers(0, size - side)) for size in photo.size)
            photo.crop((left, top, left + side, top + side)).save(path, quality=85)
            if number % 20 == 10:
                path.write_bytes(path.read_bytes()[:600])
        paths.append(path)
    return paths


def same(one: Path, other: Path) -> bool:
    """Equal rows in equal order, and no file in the folder that no version names."""
    dataset = lance.dataset(other)
    named = {file.path for fragment in dataset.get_fragments() for file in fragment.data_files()}
    orphans = {file.name for file in (other / "data").iterdir()} - named
    rows = dataset.to_table(columns=["sha256"]).column("sha256").to_pylist()
    return (
        not orphans
        and len(set(rows)) == len(rows)
        and dataset.to_table().equals(lance.dataset(one).to_table())
        and FeatureTable.open(one).failures() == FeatureTable.open(other).failures()
    )


# From an S3 server


class Throttle:
    """A proxy that answers some requests with 503, some slowly, and cuts some answers off."""

    def __init__(self, target: str, *, share: float) -> None:
        rng = random.Random(0)
        counts = {"503": 0, "slow": 0, "cut": 0, "all": 0}
        self.counts = counts

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                import urllib.error
                import urllib.request

                counts["all"] += 1
                chance = rng.random()
                picture = self.path.split("?")[0].endswith(".jpg")
                if picture and chance < share:
                    counts["503"] += 1
                    self._answer(503, b"<Error><Code>SlowDown</Code></Error>", {})
                    return
                if picture and chance < 2 * share:
                    counts["slow"] += 1
                    time.sleep(0.3)
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                request = urllib.request.Request(target + self.path, headers=headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        status, data, found = answer.status, answer.read(), dict(answer.headers)
                except urllib.error.HTTPError as error:
                    status, data, found = error.code, error.read(), dict(error.headers)
                if picture and self.command == "GET" and 2 * share <= chance < 3 * share:
                    counts["cut"] += 1
                    self._answer(status, data[: len(data) // 2], found, stated=len(data))
                    self.close_connection = True
                    return
                self._answer(status, data, found)

            do_HEAD = do_GET  # noqa: N815 - the server's name for it

            def _answer(
                self, status: int, data: bytes, headers: dict[str, str], stated: int | None = None
            ) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(data) if stated is None else stated))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # the other side went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def from_s3(folder: Path, arguments: argparse.Namespace) -> None:
    """A bucket with broken files and copies, from a throttling store, into one table; one node joins late."""
    from tests.s3_server import bucket_of, s3_server

    encoder = load_encoder(save_tiny_clip(folder / "tiny-clip"), device="cpu")
    paths = write_images(folder / "images", arguments.images)
    with s3_server() as address:
        system = bucket_of(address)
        for first in range(0, len(paths), 500):
            part = paths[first : first + 500]
            system.pipe({f"pictures/set/{p.parent.name}/{p.name}": p.read_bytes() for p in part})
        head(images=len(paths), server="moto", nodes=arguments.nodes, throttled=arguments.throttle)
        listing = partial(iter_source, "s3://pictures/set", remote="given")
        began = time.monotonic()
        local = extract(listing, folder / "one.lance", encoder=encoder, kinds=KINDS)
        print(f"one machine, store not throttled: {time.monotonic() - began:.0f} s", flush=True)
        throttle = Throttle(address, share=arguments.throttle)
        os.environ["FSSPEC_S3_ENDPOINT_URL"] = throttle.url
        nodes = Nodes(folder, arguments.nodes - 1, 1)
        at = nodes.start()
        began = time.monotonic()
        process = _driver(
            folder / "many.lance", str(folder / "tiny-clip"), folder, at, source="s3://pictures/set",
            shard=128, actors=arguments.nodes,
        )  # fmt: skip
        time.sleep(arguments.late)
        nodes.nodes += 1
        nodes.start()  # the last node joins late
        process.wait()
        print(f"{arguments.nodes} nodes, throttled store: {time.monotonic() - began:.0f} s", flush=True)
        nodes.stop()
    print(f"refused, slow, cut, all requests: {throttle.counts}")
    print(f"rows {local.done:,}, copies {local.duplicates:,}, failed {len(local.failed):,}")
    print(f"equal to one machine's table, row for row: {same(folder / 'one.lance', folder / 'many.lance')}")


# Kills


def driver(arguments: argparse.Namespace) -> None:
    """One extraction, to be killed."""
    from morelli.features._distributed import _coordinator

    _coordinator.COMMIT_SECONDS = 0.2  # so that kills meet half-filled tables
    encoder = load_encoder(arguments.model, device="cpu")
    extract(
        partial(iter_source, arguments.source, remote="given"),
        arguments.out,
        encoder=encoder,
        kinds=KINDS,
        flush_rows=arguments.shard,
        engine=Cluster(arguments.address, actors=arguments.actors or None, cpus=1),
    )


def kills(folder: Path, arguments: argparse.Namespace) -> None:
    """Runs that are killed at random moments and resumed until they end."""
    model = "clip-vit-b16" if arguments.real else str(save_tiny_clip(folder / "tiny-clip"))
    encoder = load_encoder(model, device="cpu")
    write_images(folder / "images", arguments.images)
    extract(folder / "images", folder / "one.lance", encoder=encoder, kinds=KINDS)
    total = len(FeatureTable.open(folder / "one.lance"))
    chance = random.Random(arguments.seed)
    nodes = Nodes(folder, arguments.nodes, 1)
    head(images=arguments.images, runs=arguments.runs, nodes=arguments.nodes, encoder=model)
    equal = 0
    for run in range(arguments.runs):
        out = folder / f"{run}.lance"
        began = time.monotonic()
        what = ["worker", "node", "driver", "all"][run % 4]
        left = [_kill_once(what, out, model, folder, nodes, chance, 2 * total // 3)]
        while _driver(out, model, folder, nodes.start()).wait() != 0:
            left.append(_rows(out))
        good = same(folder / "one.lance", out)
        equal += good
        took = time.monotonic() - began
        print(
            f"run {run}: {what} killed with {left} of {total} rows there; equal: {good} ({took:.0f} s)",
            flush=True,
        )
        if good:
            shutil.rmtree(out)
    nodes.stop()
    print(f"{equal} of {arguments.runs} tables equal to the uninterrupted one, without orphans")


def _driver(
    out: Path, model: str, folder: Path, address: str, *, source: str = "", shard: int = 16, actors: int = 0
) -> subprocess.Popen[bytes]:
    """An extraction in a process of its own."""
    options = {"model": model, "source": source or str(folder / "images"), "out": out, "address": address}
    options |= {"shard": shard, "actors": actors}
    command = [sys.executable, __file__, "driver"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    log = (folder / "driver.log").open("ab")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)


def _kill_once(  # noqa: PLR0917
    what: str, out: Path, model: str, folder: Path, nodes: Nodes, chance: random.Random, most: int
) -> int:
    """Start a run and kill part of it once some rows are there; the rows that the table then had."""
    process = _driver(out, model, folder, nodes.start())
    wanted = chance.randint(1, most)
    while _rows(out) < wanted and process.poll() is None:
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 0.3))
    rows = _rows(out)
    if what == "worker":
        mine = psutil.Process().children(recursive=True)
        found = [one for one in mine if one.name().startswith("ray::MapWorker")]
        for victim in chance.sample(found, min(1, len(found))):
            victim.kill()
    elif what == "node":
        nodes.kill_node(chance)
    elif what == "driver":
        process.kill()
    else:
        nodes.kill_all()
        process.kill()
    process.wait()
    return rows


def _rows(out: Path) -> int:
    try:
        return int(lance.dataset(out).count_rows())
    except (ValueError, OSError):
        return 0


# Overhead and memory, simulated


def sleeper(shared: tuple[float, Path], cpus: int) -> Any:
    """Work that takes a fixed time; a file says that the worker has started."""
    seconds, started = shared
    (started / str(os.getpid())).touch()

    def work(shard: Shard) -> tuple[int, float, float]:
        began = time.monotonic()  # one clock for all processes of a machine
        time.sleep(seconds)
        return os.getpid(), began, time.monotonic()

    return work


def synthetic(count: int) -> Iterator[ImageItem]:
    """Items of pictures that do not exist."""
    for number in range(count):
        yield ImageItem(f"s3://bucket/part-{number // 10000:05}/{number:09}.jpg", bytes)


def while_starting(started: Path, workers: int, after: int) -> Iterator[ImageItem]:
    """Items until so many workers have started, and then as many as are asked for."""
    number = left = 0
    while left < after:
        left += len(list(started.iterdir())) >= workers
        yield ImageItem(f"s3://bucket/{number:09}.jpg", bytes)
        number += 1


SIZE = 64
"""Items of a simulated shard."""


def overhead(folder: Path, arguments: argparse.Namespace) -> None:
    """Shards a second by workers, where each takes a fixed time (simulated service time).

    The start of the workers, which are processes of this one machine here, stands apart: shards are listed
    until all have started, and then `rounds` for each. In the steady state, from the moment when all work to
    the moment when the first finds nothing left, a worker's rate is that of its own shards, waiting for the
    next one included; at the end, workers wait for the last shards.
    """
    import ray

    head(service_seconds=arguments.service, rounds=arguments.rounds, simulated="service time")
    # Many processes that start at once on few cores take longer than Ray waits for one.
    os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")
    single = 0.0
    for actors in arguments.actors:
        started = folder / f"started-{actors}"
        started.mkdir()
        ray.init(
            num_cpus=actors,
            include_dashboard=False,
            object_store_memory=STORE,
            _temp_dir=str(folder),
            log_to_driver=False,
        )
        cores = psutil.cpu_times_percent(interval=None)
        began = time.monotonic()
        results = shard_stream(
            partial(while_starting, started, actors, SIZE * arguments.rounds * actors),
            sleeper,
            cluster=Cluster(actors=actors, cpus=1),
            shard_size=SIZE,
            shared=(arguments.service, started),
        )
        spans: dict[int, list[tuple[float, float]]] = {}
        processor = since = 0.0
        for result in results:
            pid, *span = result.value
            spans.setdefault(pid, []).append((span[0], span[1]))
            if len(spans) == actors and not since:
                processor, since = time.process_time(), time.monotonic()
        share = (time.process_time() - processor) / (time.monotonic() - since)
        cores = psutil.cpu_times_percent(interval=None)
        ray.shutdown()
        # All of them work: from the last one's first shard to the end of the first one's last.
        start = max(found[0][0] for found in spans.values())
        stop = min(found[-1][1] for found in spans.values())
        rate = 0.0
        for found in spans.values():
            ends = [end for begin, end in found if end >= start and end <= stop + arguments.service / 2]
            if len(ends) < 2:
                raise SystemExit("a worker did fewer than two shards while all worked; give more --rounds")
            rate += (len(ends) - 1) / (ends[-1] - ends[0])
        single = single or rate
        last = max(found[-1][1] for found in spans.values())
        print(
            f"{actors:3d} workers: {rate:6.3f} shards/s in the steady state, "
            f"{rate / (actors * single):.3f} of linear, {rate * arguments.service / actors:.3f} of the time "
            f"busy; started after {start - began:.0f} s, steady for {stop - start:.0f} s, last shards "
            f"{last - stop:.1f} s; coordinator {100 * share:.0f} % of a core; all cores "
            f"{100 - cores.idle:.0f} % busy, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def answerer(shared: object, cpus: int) -> Any:
    """Work that invents what a worker would hand back."""

    def work(shard: Shard) -> ShardRows:
        rows = ShardRows()
        for item in shard.items:
            rows.uris.append(item.uri)
            rows.digests += hashlib.sha256(item.uri.encode()).digest()
            rows.labels.append(255)
            rows.states.append(NEW)
        return rows

    return work


def listing(folder: Path, arguments: argparse.Namespace) -> None:
    """Memory of the coordinator and of the listing over a synthetic source, and the ledger's size."""
    import ray

    head(images=f"{arguments.images:,}", simulated="images and workers")
    build = Build(encoder="none", weights="00", transform="none", dtype="float32")
    table = FeatureTable.create(folder / "F.lance", build, {"final": 8})
    ledger = Ledger(folder / "ledger", "job", 0)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=STORE,
        _temp_dir=str(folder),
        log_to_driver=False,
    )
    run = _Run(table, ledger, Identities())
    began = time.monotonic()
    highest = 0
    for result in shard_stream(
        partial(synthetic, arguments.images), answerer, cluster=Cluster(cpus=1), shard_size=512
    ):
        run.take(result)
        if result.number % 500 == 0:
            found = [p for p in psutil.process_iter() if p.name().startswith("ray::Read")]
            highest = max([highest, *(p.memory_info().rss for p in found)])
            rss = psutil.Process().memory_info().rss
            print(
                f"  {run.done:,} rows, {time.monotonic() - began:.0f} s, coordinator {rss / 1e6:.0f} MB",
                file=sys.stderr,
                flush=True,
            )
    run.commit()
    ledger.close()
    with Path("/proc/self/status").open() as status:
        peak = int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1e3
    size = (folder / "ledger" / "job.jsonl").stat().st_size / ledger_lines(folder)
    print(f"{run.done:,} images in {time.monotonic() - began:.0f} s")
    print(f"coordinator: peak {peak:.0f} MB; listing: peak {highest / 1e6:.0f} MB (sampled)")
    print(f"ledger: {size:.0f} bytes a shard of 512 images")
    ray.shutdown()


def ledger_lines(folder: Path) -> int:
    """Shards in the ledger."""
    with (folder / "ledger" / "job.jsonl").open("rb") as file:
        return sum(1 for _ in file) - 1


# Real speed


def speed(folder: Path, arguments: argparse.Namespace) -> None:
    """The real encoder on all cores: one machine's path, and one worker of Ray with the same cores.

    The rate is that of the images by which the long run is longer than the short one, so that what a start
    costs is in neither; a cluster tells of its progress in bursts, which say nothing of a rate.
    """
    import ray

    encoder = load_encoder("clip-vit-b16")
    few = max(arguments.shard, arguments.images // 4)
    sizes = {"few": few, "many": arguments.images}
    for name, count in sizes.items():
        write_images(folder / name, count, side=224)
    head(images=arguments.images, encoder=encoder.build.encoder, rounds=arguments.rounds)
    ray.init(
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        object_store_memory=STORE,
        _temp_dir=str(folder),
        log_to_driver=False,
    )
    ratios, whole = [], []
    for number in range(arguments.rounds):
        took: dict[tuple[str, str], float] = {}
        for size in sizes:
            for engine in ("local", "ray"):
                out = folder / f"{engine}-{size}{number}.lance"
                began = time.monotonic()
                extract(
                    folder / size,
                    out,
                    encoder=encoder,
                    flush_rows=arguments.shard,
                    engine=engine,  # type: ignore[arg-type]
                )
                took[engine, size] = time.monotonic() - began
            assert same(folder / f"local-{size}{number}.lance", folder / f"ray-{size}{number}.lance")
        rates = {
            engine: (arguments.images - few) / (took[engine, "many"] - took[engine, "few"])
            for engine in ("local", "ray")
        }
        ratios.append(rates["ray"] / rates["local"])
        whole.append(took["local", "many"] / took["ray", "many"])
        print(
            f"round {number}: one machine {rates['local']:.2f} images/s, ray {rates['ray']:.2f} images/s "
            f"(ratio {ratios[-1]:.3f}); start included, {took['local', 'many']:.1f} s and "
            f"{took['ray', 'many']:.1f} s",
            flush=True,
        )
    print(f"median ratio {float(np.median(ratios)):.3f}; start included {float(np.median(whole)):.3f}")
    ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Any, **defaults: Any) -> argparse.ArgumentParser:
        found = commands.add_parser(name)
        found.set_defaults(run=run)
        for option, value in defaults.items():
            found.add_argument(f"--{option}", type=type(value), default=value)
        return found

    command("s3", from_s3, images=20000, nodes=3, throttle=0.02, late=20.0)
    killing = command("kills", kills, images=2000, runs=20, nodes=3, seed=0)
    killing.add_argument("--real", action="store_true")
    over = command("overhead", overhead, service=8.0, rounds=6)
    over.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    command("listing", listing, images=10_000_000)
    command("speed", speed, images=400, rounds=3, shard=128)
    one = command("driver", driver, model="", source="", out="", address="", shard=16, actors=0)
    arguments = parser.parse_args()
    if arguments.run is driver:
        driver(arguments)
        return
    del one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # what it started ends, too
    # Below a short path: the names of Ray's sockets may not be long.
    folder = Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))
    try:
        arguments.run(folder, arguments)
    finally:
        for process in psutil.Process().children(recursive=True):  # also of a run that failed half-way
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
