"""Extraction on a Ray cluster gives the table of one machine, row for row, whatever is killed meanwhile."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from morelli.encoders import Encoder
from morelli.encoders.cluster import Cluster, Shard, shard_stream
from morelli.errors import UsageError
from morelli.features import FeatureTable, extract
from morelli.images import ImageItem, iter_source
from morelli.images.layouts import SourceReport
from tests.cli.conftest import morelli
from tests.features.test_kill import check_no_orphans, rows_at, whole_table
from tests.ray_cluster import MARKS
from tests.s3_server import bucket_of, s3_server

SCRIPT = Path(__file__).with_name("_cluster_script.py")
KINDS = ["final", "layer:2"]

pytestmark = MARKS


@pytest.fixture(scope="module")
def mixture(crops: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 images in folders real/ and fake/, copies of some across both, and broken ones."""
    folder = tmp_path_factory.mktemp("mixture")
    (folder / "real").mkdir()
    for number, path in enumerate(sorted(crops.iterdir())):
        part = folder / ("real" if number % 2 else "fake/gan")
        part.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, part / path.name)
        if number % 25 == 0:
            shutil.copy(path, folder / "real" / f"zz-{path.name}")
        if number % 20 == 0:
            (part / f"{path.stem}-cut.jpg").write_bytes(path.read_bytes()[:400])
    return folder


def test_the_table_is_that_of_one_machine(
    ray_address: str, mixture: Path, tiny_encoder: Encoder, tmp_path: Path
) -> None:
    listing = partial(iter_source, mixture, label_from="folders")
    local = extract(listing, tmp_path / "local.lance", encoder=tiny_encoder, kinds=KINDS)
    understood = SourceReport()
    calls: list[tuple[int, int | None, int, int]] = []
    report = extract(
        listing,
        tmp_path / "F.lance",
        encoder=tiny_encoder,
        kinds=KINDS,
        flush_rows=32,
        progress=lambda *counts: calls.append(counts),
        understood=understood,
        engine=Cluster(ray_address, cpus=1),
    )
    assert whole_table(tmp_path / "F.lance").equals(whole_table(tmp_path / "local.lance"))
    assert (report.done, report.skipped, report.duplicates) == (local.done, 0, local.duplicates)
    assert local.duplicates > 10 and len(local.conflicts) > 3 and len(local.failed) > 15
    assert report.failed == local.failed and report.conflicts == local.conflicts
    assert FeatureTable.open(tmp_path / "F.lance").failures() == list(local.failed)
    assert calls[-1] == (local.done, None, local.duplicates, len(local.failed))
    again = SourceReport()
    for item in listing():
        again.count(item)
    assert understood.sentence() == again.sentence()
    check_no_orphans(tmp_path / "F.lance")
    assert {entry.name for entry in (tmp_path / "F.lance" / "_morelli").iterdir()} == {
        "lock", "readers", "failures.jsonl",
    }  # fmt: skip

    # More of the same under other names: what is there is recognised by content, whoever extracts. An error
    # of the source is the caller's, and ends nothing that was listed before it.
    moved = tmp_path / "moved"
    shutil.copytree(mixture / "real", moved)
    (moved / "zz-new.png").write_bytes(
        next(iter((mixture / "fake" / "gan").glob("*.png"))).read_bytes() + b" "
    )
    items = list(iter_source(moved))
    with pytest.raises(UsageError, match="row 7"):
        extract(
            partial(broken_listing, items),
            tmp_path / "F.lance",
            encoder=tiny_encoder,
            kinds=KINDS,
            engine="ray",
        )
    assert len(FeatureTable.open(tmp_path / "F.lance")) == local.done + 1


@pytest.mark.slow
def test_killed_workers_and_coordinators_change_nothing(
    ray_address: str,
    crops: Path,
    tiny_clip_dir: Path,
    tiny_encoder: Encoder,
    tmp_path: Path,
) -> None:
    source, out = tmp_path / "source", tmp_path / "F.lance"
    shutil.copytree(crops, source)
    whole = extract(source, tmp_path / "whole.lance", encoder=tiny_encoder, kinds=KINDS)
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tiny_clip_dir), str(source), str(out), ray_address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_rows(out, 16, process)
        os.kill(a_worker(), signal.SIGKILL)
        wait_for_rows(out, rows_at(out) + 24, process)
        process.kill()
        assert process.stdout is not None and "end" not in process.stdout.read()
    left = rows_at(out)
    assert 40 <= left < whole.done
    # Shards that the ledger names are not read again: their files may be gone from a store's cheap tier.
    first = sorted(source.iterdir())[0]
    first.write_bytes(b"changed after it was done")
    report = extract(
        source, out, encoder=tiny_encoder, kinds=KINDS, flush_rows=8, engine=Cluster(ray_address, cpus=1)
    )
    assert whole_table(out).equals(whole_table(tmp_path / "whole.lance"))
    assert report.failed == whole.failed
    assert (report.done, report.skipped + report.duplicates) == (whole.done - left, left + whole.duplicates)
    check_no_orphans(out)


@pytest.mark.slow
def test_a_bucket_of_s3_becomes_the_same_table(
    mixture: Path, tiny_clip_dir: Path, tiny_encoder: Encoder, tmp_path: Path
) -> None:
    """By the command, with Ray started for the job; `benchmarks/cluster.py s3` does it with thousands."""
    if find_spec("ray") is None:
        pytest.skip("needs Ray, which is an extra: pip install 'morelli[ray]'")
    with s3_server() as address:
        system = bucket_of(address)
        names = sorted(path for path in mixture.rglob("*") if path.is_file())[::4]
        system.pipe({f"pictures/set/{n.relative_to(mixture).as_posix()}": n.read_bytes() for n in names})
        source = "s3://pictures/set"
        local = extract(
            partial(iter_source, source, remote="given"),
            tmp_path / "one.lance",
            encoder=tiny_encoder,
            kinds=KINDS,
            dtype="float16",
        )
        done = subprocess.run(
            [
                *(sys.executable, "-m", "morelli", "extract", source, "-o", tmp_path / "F.lance"),
                *("--encoder", tiny_clip_dir, "--kinds", ",".join(KINDS), "--device", "cpu"),
                *("--engine", "ray", "--ray-cpus", "1"),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        )
    assert done.returncode in (0, 3), done.stderr
    assert local.done > 40 and local.failed
    assert whole_table(tmp_path / "F.lance").equals(whole_table(tmp_path / "one.lance"))
    assert FeatureTable.open(tmp_path / "F.lance").failures() == list(local.failed)
    check_no_orphans(tmp_path / "F.lance")


def full_here(coordinator: int, cpus: int) -> Callable[[Shard], int]:
    """Work that finds the disk full in every process but the coordinator's, for every third shard."""

    def work(shard: Shard) -> int:
        if os.getpid() != coordinator and shard.number % 3 == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return shard.number

    # The worker's own constant: its process is not this one.
    from morelli.encoders._cluster import _stream

    _stream.done_by.__kwdefaults__["pauses"] = ()
    return work


def test_a_full_disk_of_a_worker_loses_nothing(ray_address: str) -> None:
    """The disk is simulated: the work raises what a full one makes it raise."""
    items = [ImageItem(f"{number}.jpg", bytes) for number in range(40)]
    results = shard_stream(
        partial(list, items),
        full_here,
        cluster=Cluster(ray_address, cpus=1),
        shard_size=4,
        shared=os.getpid(),
    )
    assert [result.value for result in results] == list(range(10))


def test_verdicts_are_those_of_one_machine(
    ray_address: str,
    mixture: Path,
    bundle_dir: Path,
    tiny_clip_dir: Path,
    tmp_path: Path,
) -> None:
    options = ["--label-from", "folders", "--bundle", bundle_dir, "--weights", tiny_clip_dir, "--jsonl"]
    far = ["--engine", "ray", "--ray-address", ray_address, "--ray-cpus", "1", "--batch-size", "4"]
    (mixture / "real" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (mixture / "zz.csv").write_text("path\n")
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.write(next((mixture / "fake" / "gan").glob("*.png")), "fake/a.png")
        archive.writestr("__MACOSX/fake/._a.png", b"\0\5\x16\7" + bytes(40))
    sources = [mixture, tmp_path / "mac.zip"]
    here = morelli("detect", *sources, *options, tmp_path / "here.jsonl")
    there = morelli("detect", *sources, *options, tmp_path / "there.jsonl", *far)
    said = [re.sub(r"judging: \d+ s so far\n", "", one.err) for one in (there, here)]  # by whoever is slow
    assert (there.code, there.out, said[0]) == (here.code, here.out, said[1])
    assert here.code == 3
    assert "not read: 2 left by systems (Thumbs.db and the like); 1 manifest or archive" in here.err
    rows, others = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("here", "there")
    )
    assert len(rows) == len(list(iter_source(sources)))
    assert [apart_from_rounding(row) for row in others] == [apart_from_rounding(row) for row in rows]


def apart_from_rounding(row: dict[str, Any]) -> dict[str, Any]:
    """A verdict's record; in batches of another size, matrix products round differently."""
    return {name: json.loads(json.dumps(value), parse_float=lambda text: round(float(text), 4))
            for name, value in row.items()}  # fmt: skip


def wait_for_rows(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until the table has so many rows."""
    while rows_at(out) < count:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(f"ended before {count} rows: {process.stderr.read()}")
        time.sleep(0.05)


def a_worker() -> int:
    """A process that encodes for the only job on the cluster."""
    found = [process.pid for process in psutil.process_iter() if process.name().startswith("ray::MapWorker")]
    assert found, "no worker runs"
    return found[0]


def broken_listing(items: list[ImageItem]) -> Iterator[ImageItem]:
    yield from items
    raise UsageError("the manifest's row 7 is wrong")
