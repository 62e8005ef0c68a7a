"""Disks that are full on a cluster: real, small file systems, where the system lets tests mount them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from morelli.encoders import Encoder
from morelli.encoders._cluster import _stream
from morelli.encoders.cluster import Cluster
from morelli.errors import MorelliError
from morelli.features import extract
from morelli.features._distributed import _coordinator
from morelli.features._distributed._worker import ExtractPlan, ExtractWorker, extract_worker
from tests.features.test_cluster import KINDS
from tests.features.test_kill import check_no_orphans, rows_at, whole_table
from tests.ray_cluster import MARKS
from tests.small_disk import fill, mounted

pytestmark = MARKS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("needs a small file system, and mounting one is not allowed here")
        yield disk


def impatient(plan: ExtractPlan, cpus: int) -> ExtractWorker:
    """The worker of an extraction that does not wait for room on a full disk."""
    _stream.done_by.__kwdefaults__["pauses"] = ()
    return extract_worker(plan, cpus)


@pytest.mark.slow
@pytest.mark.parametrize(
    "left",
    [
        pytest.param(48 << 10, id="48 KB left"),
        pytest.param(320 << 10, id="320 KB left"),
    ],
)
def test_a_full_target_stops_the_job_and_it_goes_on_when_there_is_room(
    ray_address: str,
    small_disk: Path,
    crops: Path,
    tiny_encoder: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: int,
) -> None:
    """Whatever meets the full disk, a worker, the commit or the ledger: nothing is lost or there twice."""
    monkeypatch.setattr(_coordinator, "extract_worker", impatient)
    monkeypatch.setattr(_coordinator, "COMMIT_SECONDS", 0.0)
    whole = extract(crops, tmp_path / "whole.lance", encoder=tiny_encoder, kinds=KINDS)
    out = small_disk / "F.lance"
    options: dict[str, Any] = {"encoder": tiny_encoder, "kinds": KINDS, "flush_rows": 8}
    ballast = fill(small_disk, left)
    with pytest.raises(
        MorelliError, match=r"^No space left on device: .*start the same command again to go on"
    ) as error:
        extract(crops, out, engine=Cluster(ray_address, cpus=1), **options)
    assert "\n" not in str(error.value)
    del error  # its frames hold the table open, and what a reader has open is not removed
    gc.collect()
    there = rows_at(out)
    assert there < whole.done
    ballast.unlink()
    report = extract(crops, out, engine=Cluster(ray_address, cpus=1), **options)
    assert whole_table(out).equals(whole_table(tmp_path / "whole.lance"))
    assert (report.done, report.failed) == (whole.done - there, whole.failed)
    check_no_orphans(out)
