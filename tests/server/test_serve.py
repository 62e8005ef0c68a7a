"""`morelli serve` as a person meets it: the first screen, what is missing, a taken port, and Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from morelli.errors import ArtifactError, UsageError
from morelli.server import ServerSettings
from morelli.server._greeting import greeting
from morelli.server._serve import bound
from tests.server.process import process, served
from tests.server.running import PLAIN

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")


def test_the_first_screen_says_what_is_there(
    settings: ServerSettings, atlas_dir: Path, tmp_path: Path
) -> None:
    report = tmp_path / "study"
    report.mkdir()
    (report / "report.json").write_text("{}")
    built = tmp_path / "static"
    built.mkdir()
    (built / "index.html").write_text("")
    everything = replace(settings, atlases=(atlas_dir,), reports=(report,))
    text = "\n".join(greeting(everything, "http://127.0.0.1:8017/", static=built))
    for said in ("http://127.0.0.1:8017/", "small (120 images)", "study", str(settings.roots[0]), "Ctrl-C"):
        assert said in text
    assert "make app" not in text and "Only this machine" in text


def test_the_first_screen_says_what_is_missing(tmp_path: Path) -> None:
    text = "\n".join(greeting(ServerSettings(), "http://127.0.0.1:8017/", static=tmp_path))
    for said in ("morelli atlas build", "make app", "--root", "the shipped detector"):
        assert said in text
    with pytest.raises(ArtifactError, match="is not there"):
        greeting(ServerSettings(atlases=(tmp_path / "no.atlas",)), "x")
    with pytest.raises(UsageError, match="morelli evaluate"):
        greeting(ServerSettings(reports=(tmp_path,)), "x")
    open_ = ServerSettings(host="0.0.0.0", token="correct-horse-battery-staple")
    assert "not encrypted" in "\n".join(greeting(open_, "x"))


@POSIX
def test_it_opens_without_atlas_and_weights_and_stops_at_ctrl_c(tmp_path: Path) -> None:
    command = ["-m", "morelli", "serve", "--port", "0", "--offline", "--weights", str(tmp_path / "none")]
    with process(command) as one:
        one.wait_for("Images cannot be judged, all else works")
        assert "no atlas" in one.text and one.text.splitlines()[0].startswith(
            "Morelli is at http://127.0.0.1:"
        )
        with one.client() as client:
            assert client.get("/health").status_code == 200
            assert client.get("/ready").status_code == 503
            assert client.get("/atlases").json() == {"atlases": []}
            page = client.get("/../../")
            assert page.status_code == 200 and "text/html" in page.headers["content-type"]
        assert one.interrupt() == 0
        assert "Stopping" in one.text and "Traceback" not in one.text


@POSIX
def test_a_taken_port_is_said_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "morelli", "serve", "--port", str(port), "--offline"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr and "--port 0" in done.stderr and "Traceback" not in done.stderr


@POSIX
def test_the_body_of_a_small_answer_does_not_wait_for_the_receipt_of_its_head() -> None:
    """They are two packets; by Nagle's algorithm the second would wait, and receipts are late by habit."""

    async def undelayed() -> int:
        taken: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        listening = bound(ServerSettings(port=0))
        async with await asyncio.start_server(lambda _, writer: taken.set_result(writer), sock=listening):
            _, ours = await asyncio.open_connection(*listening.getsockname())
            theirs = await taken
            found = theirs.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            ours.close(), theirs.close()
        return int(found)

    assert asyncio.run(undelayed())


def test_a_wrong_atlas_is_said_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "morelli", "serve", "--port", "0", "--atlas", str(tmp_path / "no.atlas")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (2, 4) and "no.atlas" in done.stderr and "Traceback" not in done.stderr


@POSIX
def test_ctrl_c_while_the_encoder_is_loaded_does_not_wait_for_it(settings: ServerSettings) -> None:
    with process(["-c", _slowly_loaded(), replace(settings, port=0).to_json()]) as one:
        one.wait_for("Ctrl-C stops it")
        time.sleep(0.3)
        assert one.interrupt() == 0
        assert "Images can be judged" not in one.text and "Traceback" not in one.text


@POSIX
def test_ctrl_c_answers_or_refuses_what_is_in_flight(settings: ServerSettings, picture: bytes) -> None:
    with served(settings) as one, ThreadPoolExecutor(16) as pool:
        address = f"http://127.0.0.1:{one.port}/api/v1/detect"

        def ask(number: int) -> int:
            try:
                file = ("a.png", picture + bytes([number]))
                return httpx.post(address, files={"file": file}, timeout=60, **PLAIN).status_code
            except httpx.TransportError:
                return 0

        with one.client() as client:
            started = client.post("/jobs", json={"path": "."}).json()
            assert started["state"] in ("waiting", "running")
        asked = [pool.submit(ask, number) for number in range(64)]
        while not any(one.done() for one in asked):
            time.sleep(0.005)
        status = one.interrupt()
        answers = [future.result(timeout=60) for future in asked]
        assert status == 0
        # Answered whole, told that the server is busy, or not let in any more; never an error of its own.
        assert set(answers) <= {200, 503, 0} and 200 in answers
        assert one.running.returncode != -signal.SIGKILL and "Traceback" not in one.text


def _slowly_loaded() -> str:
    """A server whose encoder takes a minute, like weights that come over a slow line."""
    return """
import sys, time
from morelli.server import ServerSettings, _state, serve
real = _state.load
_state.load = lambda *given, **named: (time.sleep(60), real(*given, **named))[1]
serve(ServerSettings.from_json(sys.argv[1]), on_message=lambda line: print(line, file=sys.stderr, flush=True))
"""
