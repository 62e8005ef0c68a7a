"""Ctrl-C: one line, exit code 130, nothing half-written in a result's place, and the next run works."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morelli.features import FeatureTable
from tests.cli.conftest import morelli, run_morelli

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


def interrupted(until: Callable[[str], bool], *arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of a run that gets SIGINT once `until` is true of what it has said."""
    # Not with -m: the interpreter then ends itself with the signal where it came while text was evaluated, as
    # in imports (findings/python-m-interrupt-inside-evaluated-text.sh).
    command = [Path(sys.executable).with_name("morelli"), *map(str, arguments)]
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    ) as process:

        def listen() -> None:
            assert process.stderr is not None
            said.extend(iter(process.stderr.readline, ""))

        listener = threading.Thread(target=listen)
        listener.start()
        deadline = time.monotonic() + 120
        while not until("".join(said)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        listener.join()
    return process.returncode, "".join(said)


def test_an_interrupted_extraction_goes_on(tmp_path: Path, tiny_clip_dir: Path) -> None:
    archive, out = tmp_path / "many.tar", tmp_path / "F.lance"
    noise = np.random.default_rng(0)
    with tarfile.open(archive, "w") as tar:
        for index in range(2_000):
            buffer = io.BytesIO()
            Image.fromarray(noise.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(buffer, "PNG")
            info = tarfile.TarInfo(f"{index:05}.png")
            info.size = buffer.tell()
            tar.addfile(info, io.BytesIO(buffer.getvalue()))
    command = ["extract", archive, "-o", out, "--encoder", tiny_clip_dir, "--batch-size", "4"]
    code, said = interrupted(lambda _: any(out.glob("data/*.lance")), *command)
    assert code == 130, said
    assert "Traceback" not in said, said
    assert "the same command goes on from what was finished" in said
    again = run_morelli(*command)
    assert again.code == 0, again.err
    assert len(FeatureTable.open(out)) == 2_000


def test_an_interrupted_sweep_goes_on(tmp_path: Path, tiny_clip_dir: Path) -> None:
    noise = np.random.default_rng(0)
    for index in range(1_000):
        folder = tmp_path / "many" / ("real", "fake")[index % 2] / f"group{index // 2 % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(noise.integers(0, 255, (40, 40, 3), dtype=np.uint8))
        picture.save(folder / f"{index:05}.png")
    out = tmp_path / "sweep"
    command = ["evaluate", "robustness", tmp_path / "many", "--label-from", "folders", "-o", out]
    command += ["--encoder", tiny_clip_dir, "--batch-size", "4", "--detector", "probe"]
    command += ["--perturbations", "blur:1", "--rounds", "20"]
    code, said = interrupted(lambda _: any(out.glob("robustness.lance/data/*.lance")), *command)
    assert code == 130, said
    assert "the same command goes on from what was finished" in said
    again = run_morelli(*command)
    assert again.code == 0, again.err
    assert len(FeatureTable.open(out / "robustness.lance")) == 2_000


def test_an_interrupted_atlas_is_built_by_the_same_command(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.atlas"
    # The projection alone takes a second, so that the signal never comes after the end.
    command = ["atlas", "build", table, "-o", out, "--no-maps", "--dimensions", "2", "--projection", "tsne"]
    code, said = interrupted(lambda text: "distiller" in text, *command)
    assert code == 130, said
    assert "Traceback" not in said, said
    assert morelli("atlas", "info", out).code != 0
    again = morelli(*command)
    assert again.code == 0, again.err
    assert morelli("atlas", "info", out).code == 0


def test_an_interrupted_alignment_leaves_whole_copies(tmp_path: Path, collection: Path) -> None:
    copies = tmp_path / "aligned"
    command = ["audit", collection, "--label-from", "folders", "--align", copies]
    code, said = interrupted(lambda _: any(copies.rglob("*.jpg")), *command)
    assert code == 130, said
    assert "Traceback" not in said, said
    again = morelli(*command)
    assert again.code == 0, again.err
    assert not [path for path in copies.rglob("*") if path.name.endswith(".part")]


@contextmanager
def slow_index(project: str, version: str) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A package index whose only file never ends: its address, and what is set as it begins and breaks."""
    begun, broken = threading.Event(), threading.Event()

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path.rstrip("/").endswith(f"/simple/{project}"):
                name = f"{project}-{version}-py3-none-any.whl"
                page = f'<!DOCTYPE html><html><body><a href="/{name}">{name}</a></body></html>'.encode()
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)
                return
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(100 << 20))
            self.end_headers()
            try:
                for _ in range(6_000):
                    self.wfile.write(bytes(1 << 16))
                    begun.set()
                    time.sleep(0.02)
            except OSError:
                broken.set()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple", begun, broken
        finally:
            server.shutdown()


def test_an_interrupted_download_leaves_nothing_behind(tmp_path: Path) -> None:
    sources = json.loads(morelli("encoders", "info", "clip-vit-b16", "--json").out)["sources"]
    project, version = next(one["location"] for one in sources if "==" in one["location"]).split("==")
    cache, scratch = tmp_path / "cache", tmp_path / "scratch"
    scratch.mkdir()
    own = {
        **{"MORELLI_CACHE": str(cache), "TMPDIR": str(scratch), "HF_HUB_OFFLINE": "1"},
        **{"HF_HOME": str(tmp_path / "hub"), "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull},
        **{"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_NO_INDEX": "", "PIP_RETRIES": "0"},
        **{"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
    }
    with slow_index(project, version) as (address, begun, broken):
        own |= {"PIP_INDEX_URL": address}
        code, said = interrupted(lambda _: begun.is_set(), "encoders", "pull", "clip-vit-b16", **own)
        assert code == 130, said
        assert "Traceback" not in said
        assert "interrupted" in said
        assert broken.wait(30)  # pip has ended, too
    assert not list(scratch.iterdir())
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [".lock"]
    again = run_morelli("encoders", "pull", "clip-vit-b16", **own)  # nobody serves any more
    assert again.code == 4
    assert "Traceback" not in again.err
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [".lock"]


def test_an_interrupt_inside_a_callback_of_a_library_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lance asks Python for the rows that it writes, and says in an error of its own what happened there."""
    import lance
    import pyarrow as pa

    def rows() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"x": [1]})
        raise KeyboardInterrupt

    def write(*_: object, **__: object) -> None:
        reader = pa.RecordBatchReader.from_batches(pa.schema({"x": pa.int64()}), rows())
        lance.write_dataset(reader, tmp_path / "x.lance")

    monkeypatch.setattr("morelli.features.extract", write)
    found = morelli("extract", tmp_path, "-o", tmp_path / "F.lance")
    assert found.code == 130, found.err
    assert "interrupted" in found.err and "Traceback" not in found.err


@pytest.mark.parametrize("command", ["run", "robustness"])
def test_only_a_command_that_keeps_what_it_finished_says_so(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("morelli.reports.report_folder", interrupt)
    found = morelli("evaluate", command, tmp_path / "F.lance", "-o", tmp_path / "r")
    assert found.code == 130, found.err
    assert ("goes on" in found.err) == (command == "robustness")
    assert ("begins again" in found.err) == (command == "run")
