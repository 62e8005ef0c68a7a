"""The parts of an extraction on many machines that need no cluster: shards, identities, ledger, patience."""

from __future__ import annotations

import doctest
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lance
import numpy as np
import pytest
from lance.fragment import write_fragments

from morelli.encoders import Encoder
from morelli.encoders._cluster import _stream
from morelli.encoders._cluster._connect import pool_of
from morelli.encoders._cluster._shards import shards_of
from morelli.encoders._cluster._stream import ShardWorker
from morelli.encoders.cluster import Cluster, EncoderRecipe, Shard
from morelli.errors import ImageError, MorelliError, UsageError
from morelli.features import FeatureTable, extract
from morelli.features._distributed import _coordinator, _identities
from morelli.features._distributed._identities import ABSENT, UNKNOWN, Identities, Keys
from morelli.features._distributed._ledger import Ledger, ShardCounts
from morelli.features._failures import Failure
from morelli.features._rows import arrow_rows
from morelli.images import ImageItem, iter_source
from morelli.images.layouts import SourceReport
from tests.features.test_table import KINDS, some_rows
from tests.images.hostile import encoded


def named(count: int, label: int | None = None) -> list[ImageItem]:
    return [ImageItem(f"{number:03}.jpg", bytes, label) for number in range(count)]


def until_an_error(items: list[ImageItem]) -> Iterator[ImageItem]:
    yield from items
    raise UsageError("row 7 is wrong")


def test_shards_are_the_listing_in_pieces_and_know_what_is_finished() -> None:
    whole = list(shards_of(lambda: named(10), 4))
    assert [len(shard.items) for shard in whole] == [4, 4, 2]
    assert [item.uri for shard in whole for item in shard.items] == [item.uri for item in named(10)]
    finished = b"".join(shard.digest for shard in whole[:2])
    assert [shard.number for shard in shards_of(lambda: named(10), 4, finished)] == [2]
    # What the listing says of an image counts: under another label it is not finished.
    assert [shard.number for shard in shards_of(lambda: named(10, label=1), 4, finished)] == [0, 1, 2]
    moved = named(11)[1:]
    assert len(list(shards_of(lambda: moved, 4, finished))) == 3


def test_images_before_an_error_of_the_source_are_not_lost() -> None:
    shards = list(shards_of(partial(until_an_error, named(5)), 4))
    assert [len(shard.items) for shard in shards] == [4, 1, 0]
    assert isinstance(shards[-1].problem, UsageError)


def test_what_a_listing_passed_over_comes_behind_its_images(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded("PNG"))
    listing = partial(iter_source, tmp_path)
    assert [len(shard.items) for shard in shards_of(listing, 4)] == [2]
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "more.csv").write_text("path\n")
    whole = list(shards_of(listing, 1))
    assert [len(shard.items) for shard in whole] == [1, 1, 0]
    passed = ShardWorker(lambda shared, cpus: lambda shard: 0, None, NoRay, 1)(whole[-1])
    local = SourceReport()
    list(iter_source(tmp_path, report=local))
    assert isinstance(passed, SourceReport)
    assert passed.passed_over() == local.passed_over() != ""
    finished = b"".join(shard.digest for shard in whole)
    assert [shard.items for shard in shards_of(listing, 1, finished)] == [()], "counted where all is done"


def test_identities_are_a_set_with_labels() -> None:
    rng = np.random.default_rng(3)
    digests = [rng.bytes(32) for _ in range(3000)]
    # Images whose hashes agree in the first 64 bits, as nobody will meet them.
    digests += [digests[0][:8] + rng.bytes(24) for _ in range(3)]
    labels = rng.integers(UNKNOWN, 2, len(digests)).astype(np.int8)
    seen = Identities()
    for first in range(0, 2900, 100):
        seen.add(Keys.of(digests[first : first + 100]), labels[first : first + 100])
    seen.add(Keys.of(digests[3000:]), labels[3000:])
    expected = labels.copy()
    expected[2900:3000] = ABSENT
    order = rng.permutation(len(digests))
    found = seen.find(Keys.of([digests[at] for at in order]))
    assert found.tolist() == expected[order].tolist()
    assert seen.whole().find(Keys.of(digests)).tolist() == expected.tolist() and len(seen) == 2903


def test_the_examples_of_identities_run() -> None:
    assert doctest.testmod(_identities).failed == 0


def shard(number: int, done: int = 500) -> ShardCounts:
    return ShardCounts(number, bytes([number]) * 16, done=done, skipped=2, copies=1)


def test_a_ledger_goes_on_where_it_ended(tmp_path: Path) -> None:
    failure = Failure("a.jpg", "truncated", "the JPEG ends before its first scan")
    ledger = Ledger(tmp_path, "job", rows=0)
    ledger.add([shard(0)], [failure], ["b.jpg"], rows=500)
    ledger.add([shard(1)], [], [], rows=1000)
    ledger.close()
    again = Ledger(tmp_path, "job", rows=1000)
    assert again.finished == bytes(16) + b"\1" * 16
    assert (again.skipped, again.copies, again.failures, again.conflicts) == (1004, 2, [failure], ["b.jpg"])
    again.add([shard(2)], [failure], [], rows=1500)
    again.close()
    # A kill in the middle of a line, and notes behind the last line: both as if they were not there.
    text = (tmp_path / "job.jsonl").read_bytes()
    (tmp_path / "job.jsonl").write_bytes(text[:-20])
    third = Ledger(tmp_path, "job", rows=1500)
    assert (third.shards, third.failures) == (2, [failure])
    third.add([shard(2)], [], [], rows=1500)
    third.close()
    assert (tmp_path / "job.jsonl").read_bytes().count(b"\n") == 4
    with closing(Ledger(tmp_path, "job", rows=1500)) as fourth:
        assert fourth.shards == 3


def test_ctrl_c_behind_a_commit_commits_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some_rows(10)
    table = FeatureTable.create(tmp_path / "F.lance", rows.build, KINDS)
    written = arrow_rows(rows.meta, rows.vectors, table.kinds, table.spec.dtype, table.arrow_schema)
    ledger = Ledger(tmp_path, "job", rows=0)
    run = _coordinator._Run(table, ledger, Identities())
    run._fragments = list(write_fragments(written, table.path, schema=table.arrow_schema))
    run._shards, run.failed = [shard(0, done=10)], [Failure("a.jpg", "truncated", "cut")]
    commit = lance.LanceDataset.commit

    def interrupted(*arguments: object, **options: object) -> object:
        done = commit(*arguments, **options)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(lance.LanceDataset, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.commit()
    run.commit()
    ledger.close()
    assert len(FeatureTable.open(table.path)) == 10
    with closing(Ledger(tmp_path, "job", rows=10)) as again:
        assert (again.shards, len(again.failures)) == (1, 1)


@pytest.mark.parametrize(
    ("job", "rows", "damage"),
    [("other", 500, b""), ("job", 499, b""), ("job", 500, b"["), ("job", 500, b"\xff\n")],
    ids=["another job", "rows are lost", "no JSON", "no text"],
)
def test_a_ledger_that_does_not_fit_is_dropped(tmp_path: Path, job: str, rows: int, damage: bytes) -> None:
    ledger = Ledger(tmp_path, "job", rows=0)
    ledger.add([shard(0)], [], [], rows=500)
    ledger.close()
    path = tmp_path / "job.jsonl"
    if damage:
        path.write_bytes(damage + path.read_bytes())
    with closing(Ledger(tmp_path, job, rows=rows)) as dropped:
        assert (dropped.finished, dropped.skipped) == (b"", 0)


def test_a_shard_takes_less_than_200_bytes_of_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "j" * 64, rows=0)
    before = (tmp_path / "job.jsonl").stat().st_size
    most = ShardCounts(10**9 // 512, b"\xff" * 16, done=512, skipped=512, copies=512)
    with closing(ledger):
        ledger.add([most], [], [], rows=10**9)
    assert (tmp_path / "job.jsonl").stat().st_size - before <= 200


class Store:
    """A store that refuses every picture `refusals` times, then cuts it off once, then gives it."""

    def __init__(self, refusals: int) -> None:
        picture = encoded("JPEG")
        asked: dict[str, int] = {}
        self.asked = asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked[self.path] = asked.get(self.path, 0) + 1
                if self.path == "/none.jpg":
                    self.send_error(404)
                elif asked[self.path] <= refusals:
                    self.send_error(503, "Slow Down")
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(picture)))
                    self.end_headers()
                    self.wfile.write(picture[: 50 if asked[self.path] == refusals + 1 else None])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


def reasons(shard: Shard) -> list[str]:
    found = []
    for item in shard.items:
        try:
            found.append(str(len(item.read())))
        except ImageError as error:
            found.append(error.reason)
    return found


class NoRay:
    """As much of Ray as a worker asks for."""

    @staticmethod
    def get(reference: object) -> object:
        return reference


def test_a_store_that_throttles_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "FIRST_PAUSE", 0.01)
    store = Store(refusals=2)
    thread = threading.Thread(target=store.server.serve_forever, daemon=True)
    thread.start()
    addresses = [f"{store.url}/{name}" for name in ("a.jpg", "none.jpg", "b.jpg")]
    items = tuple(iter_source(addresses, remote="given"))
    worker = ShardWorker(lambda shared, cpus: reasons, None, NoRay, 1)
    result = worker(Shard(0, b"", items))
    assert not isinstance(result, MorelliError)
    size = str(len(encoded("JPEG")))
    assert result.value == [size, "missing", size]
    assert store.asked == {"/a.jpg": 4, "/none.jpg": 1, "/b.jpg": 4}
    store.server.shutdown()
    store.server.server_close()
    thread.join()


def test_a_disk_that_stays_full_leaves_the_shard_to_the_coordinator() -> None:
    calls: list[int] = []

    def full(shard: Shard) -> str:
        calls.append(shard.number)
        if len(calls) < 3 or shard.number:
            raise OSError("LanceError(IO): No space left on device (os error 28)")
        return "done"

    for number in (0, 1):
        found = _stream.done_by(full, Shard(number, b"", ()), pauses=(0.0, 0.0, 0.0))
        if number:
            assert isinstance(found, _stream.DiskFull) and "No space left" in str(found.error)
        else:
            assert isinstance(found, _stream.ShardResult) and found.value == "done"
    assert calls == [0, 0, 0, 1, 1, 1, 1]


def test_what_a_worker_meets_comes_back_as_an_error_for_people() -> None:
    def fail(shard: Shard) -> None:
        raise OSError(5, "Input/output error")

    outcome = ShardWorker(lambda shared, cpus: fail, None, NoRay, 1)(Shard(0, b"", ()))
    assert isinstance(outcome, MorelliError) and "Input/output error" in str(outcome)

    def refuse(shared: object, cpus: int) -> None:
        raise UsageError("torch is not installed here")

    outcome = ShardWorker(refuse, None, NoRay, 1)(Shard(0, b"", ()))  # type: ignore[arg-type]
    assert isinstance(outcome, UsageError)


def test_workers_are_as_many_as_fit() -> None:
    class Nodes:
        def __init__(self, *machines: dict[str, float]) -> None:
            self._machines = machines

        def nodes(self) -> list[dict[str, object]]:
            return [{"Alive": True, "Resources": machine} for machine in self._machines]

    small, large = {"CPU": 4.0, "memory": 8e9}, {"CPU": 64.0, "memory": 64e9}
    pool = pool_of(Nodes(small, large), Cluster(), gpu=False)
    assert (pool.cpus, pool.least, pool.most) == (4, 17, 17)
    pool = pool_of(Nodes(small, large), Cluster(actors=40, cpus=8, memory=16_000_000_000), gpu=False)
    assert (pool.cpus, pool.least, pool.most) == (8, 4, 40)
    pool = pool_of(Nodes(small, large | {"GPU": 8.0}), Cluster(), gpu=True)
    assert (pool.cpus, pool.gpus, pool.least) == (8, 1, 8)
    with pytest.raises(MorelliError, match="no machine of the cluster has room"):
        pool_of(Nodes(small), Cluster(cpus=8), gpu=False)
    with pytest.raises(MorelliError, match="GPU"):
        pool_of(Nodes(small), Cluster(), gpu=True)
    with pytest.raises(UsageError, match="at least 1"):
        Cluster(cpus=0)


def test_a_recipe_loads_the_same_build(tiny_encoder: Encoder) -> None:
    assert EncoderRecipe.of(tiny_encoder).load().build == tiny_encoder.build


def test_without_ray_the_message_names_the_extra(
    crops: Path, tiny_encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("morelli.extras.installed", lambda *names: False)
    with pytest.raises(UsageError) as error:
        extract(crops, tmp_path / "F.lance", encoder=tiny_encoder, engine="ray")
    assert "morelli[ray]" in str(error.value) and not (tmp_path / "F.lance").exists()
    with pytest.raises(UsageError, match="function that lists them"):
        extract(iter_source(crops), tmp_path / "F.lance", encoder=tiny_encoder, engine="ray")
    with pytest.raises(UsageError, match="'local', 'ray' or a Cluster"):
        extract(crops, tmp_path / "F.lance", encoder=tiny_encoder, engine="spark")  # type: ignore[arg-type]
