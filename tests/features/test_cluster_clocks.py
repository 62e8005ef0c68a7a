"""Machines of a cluster whose clocks differ, or are set back meanwhile: the table is that of one machine.

A small library, compiled here and preloaded, moves the wall clock of a whole node or driver; where the system
allows it, the node's monotonic clock is another one, too, in a time namespace.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lance
import pytest

from morelli.encoders import Encoder
from morelli.encoders.cluster import Cluster
from morelli.features import FeatureTable, extract
from tests.features.test_cluster import KINDS, SCRIPT, wait_for_rows
from tests.features.test_kill import check_no_orphans, rows_at, whole_table
from tests.ray_cluster import MARKS
from tests.s3_server import bucket_of, s3_server
from tests.small_disk import fill, mounted

pytestmark = MARKS


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What moves the wall clock of a process by the seconds in the file `CLOCK_SHIFT`."""
    compiler = shutil.which("cc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("moving a process's clock needs Linux and a C compiler (cc)")
    out = tmp_path_factory.mktemp("clock") / "clock_shift.so"
    source = Path(__file__).with_name("clock_shift.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", out, source, "-ldl"], check=True)
    return out


def shifted(library: Path, clock: Path, seconds: int) -> dict[str, str]:
    """The environment of programs whose wall clock is `seconds` ahead, until `clock` says another figure."""
    clock.write_text(str(seconds))
    return os.environ | {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(clock)}


def monotonic_of_its_own() -> list[str]:
    """Words before a command that give it another monotonic clock; none where that is not allowed."""
    words = ["unshare", "--time", "--fork", "--kill-child", "--monotonic", "86400", "--boottime", "86400"]
    if (
        shutil.which("unshare")
        and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode
    ):
        return words
    return []


@contextmanager
def node(address: str, environment: dict[str, str], *options: str) -> Iterator[str]:
    """One more machine of the cluster, with one core; its id."""
    import ray

    before = {found["NodeID"] for found in ray.nodes()}
    process = subprocess.Popen(
        [
            *monotonic_of_its_own(),
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--address", address, "--block"),
            *("--num-cpus", "1", "--object-store-memory", "200000000", *options),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        fresh: list[str] = []
        while not fresh:
            assert process.poll() is None, "the node did not start"
            fresh = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeID"] not in before]
            time.sleep(0.1)
        yield fresh[0]
    finally:
        with suppress(ProcessLookupError):  # it did not start
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while any(n["Alive"] and n["NodeID"] not in before for n in ray.nodes()):
            time.sleep(0.1)


def test_versions_of_a_machine_whose_clock_is_ahead_are_removed(library: Path, tmp_path: Path) -> None:
    """Nothing in a table's folder is kept or removed by comparing times of two machines."""
    out = tmp_path / "F.lance"
    made = subprocess.run(
        [sys.executable, "-c", MAKE, str(out)],
        env=shifted(library, tmp_path / "clock", 3600),
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    ahead = lance.dataset(out).versions()[-1]["timestamp"]
    assert (ahead - datetime.now(ahead.tzinfo and UTC).replace(tzinfo=ahead.tzinfo)).total_seconds() > 3000
    assert len(lance.dataset(out).versions()) == 3
    with FeatureTable.open(out).writing():
        pass
    check_no_orphans(out)
    assert len(FeatureTable.open(out)) == 2


MAKE = """
import sys
from morelli.features import Features, FeatureTable
for at in range(2):
    rows = Features.from_arrays({"final": [[1.0, at]]}, labels=[at])
    out = sys.argv[1]
    table = FeatureTable.open(out) if at else FeatureTable.create(out, rows.build, {"final": 2})
    reader = FeatureTable.open(out)  # keeps the versions before
    table.append(rows)
"""


def full_folder(disk: Path | None) -> tuple[dict[str, str], list[str]]:
    """Environment and options of a node whose temporary folder is full; none without a small disk."""
    if disk is None:
        return {}, []
    fill(disk, 0)
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(b"x")
    return dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(disk)), ["--object-spilling-directory", str(disk)]


@pytest.mark.slow
def test_clocks_that_differ_and_are_set_back_change_nothing(
    ray_address: str, library: Path, crops: Path, tiny_clip_dir: Path, tiny_encoder: Encoder, tmp_path: Path
) -> None:
    """A node 20 minutes ahead is set 40 minutes back; a driver an hour ahead is killed, one now goes on.

    The node's temporary folder is full, besides.
    """
    out = tmp_path / "F.lance"
    whole = extract(crops, tmp_path / "whole.lance", encoder=tiny_encoder, kinds=KINDS)
    clock = tmp_path / "node"
    with ExitStack() as stack:
        full, options = full_folder(stack.enter_context(mounted(tmp_path / "disk")))
        there = stack.enter_context(node(ray_address, shifted(library, clock, 1200) | full, *options))
        assert abs(seconds_ahead(there) - 1200) < 60
        with subprocess.Popen(
            [sys.executable, str(SCRIPT), str(tiny_clip_dir), str(crops), str(out), ray_address],
            env=shifted(library, tmp_path / "driver", 3600),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            wait_for_rows(out, 16, process)
            clock.write_text("-1200")
            wait_for_rows(out, rows_at(out) + 24, process)
            process.kill()
        left = rows_at(out)
        assert 40 <= left < whole.done
        assert abs(seconds_ahead(there) + 1200) < 60
        report = extract(
            crops, out, encoder=tiny_encoder, kinds=KINDS, flush_rows=8, engine=Cluster(ray_address, cpus=1)
        )
    assert whole_table(out).equals(whole_table(tmp_path / "whole.lance"))
    assert (report.done, report.failed) == (whole.done - left, whole.failed)
    check_no_orphans(out)


def seconds_ahead(node: str) -> float:
    """How far the wall clock of a node is ahead of this process's."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = ray.remote(num_cpus=0)(lambda: time.time()).options(  # noqa: PLW0108 - Ray takes no builtin
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
    )
    return float(ray.get(there.remote())) - time.time()


class Strict:
    """A store in front of another that refuses requests by their time, as S3 does and moto does not."""

    def __init__(self, target: str) -> None:
        refused: list[str] = []
        self.refused = refused

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stated = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                if abs((stated - datetime.now(UTC)).total_seconds()) > 900:
                    refused.append(self.path)
                    self._answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", {})
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                request = urllib.request.Request(target + self.path, headers=headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        self._answer(answer.status, answer.read(), dict(answer.headers))
                except urllib.error.HTTPError as error:
                    self._answer(error.code, error.read(), dict(error.headers))

            do_HEAD = do_GET  # noqa: N815 - the server's name for it

            def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


READ = """
import sys
from morelli.encoders._cluster._stream import ShardWorker
from morelli.encoders.cluster import Shard
from morelli.images import Limits
from morelli.images._remote import remote_item
from tests.features.test_cluster_parts import NoRay, reasons
items = tuple(remote_item(address, Limits()) for address in sys.argv[1:])
outcome = ShardWorker(lambda shared, cpus: reasons, None, NoRay, 1)(Shard(0, b"", items))
print(getattr(outcome, "value", outcome))
"""


def test_a_machine_that_a_store_refuses_for_its_clock_ends_the_job_and_costs_no_image(
    library: Path, crops: Path, tmp_path: Path
) -> None:
    """The images that a worker cannot have are not recorded as unreadable: its outcome is an error."""
    names = sorted(crops.iterdir())[:3]
    with s3_server() as address:
        bucket_of(address).pipe({f"pictures/{name.name}": name.read_bytes() for name in names})
        store = Strict(address)
        said = {}
        for ahead in (0, 7200, -7200):
            environment = shifted(library, tmp_path / "clock", ahead) | {"FSSPEC_S3_ENDPOINT_URL": store.url}
            command = [sys.executable, "-c", READ, *(f"s3://pictures/{name.name}" for name in names)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            said[ahead] = done.stdout.strip()
            assert bool(store.refused) == (ahead != 0)
        store.server.shutdown()
        store.server.server_close()
    assert said[0] == str([str(name.stat().st_size) for name in names])
    for ahead in (7200, -7200):
        assert re.match("the clock of .* is wrong.*start the same command again", said[ahead]), said[ahead]
