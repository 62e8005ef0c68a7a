"""Two processes behind one address: what one of them knows, a client can ask the other."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from morelli.server import ServerSettings
from tests.server.process import SERVE, process
from tests.server.running import API, PLAIN

pytestmark = pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="workers need Linux")


def test_workers_answer_for_each_other_and_stop_together(
    settings: ServerSettings, atlas_dir: Path, picture: bytes
) -> None:
    both = replace(settings, port=0, workers=2, atlases=(atlas_dir,))
    with process(["-c", SERVE, both.to_json()]) as one:
        one.wait_for("Ctrl-C stops it")
        address = f"http://127.0.0.1:{one.port}{API}"

        def ask(method: str, path: str, **given: object) -> httpx.Response:
            # A connection of its own, so that either process may get it, and either may still load.
            until = time.monotonic() + 120
            while True:
                with httpx.Client(timeout=60, **PLAIN) as client:
                    answer = client.request(method, address + path, **given)  # type: ignore[arg-type]
                if answer.status_code != 503:
                    return answer
                assert time.monotonic() < until, "a server does not become ready"
                time.sleep(0.02)  # the servers want the processor

        ready = 0
        while ready < 20:  # both of them, whichever is asked
            try:
                ready = ready + 1 if ask("GET", "/ready").status_code == 200 else 0
            except httpx.TransportError:
                ready = 0
        cases = [
            ask("POST", "/detect", files={"file": ("a.png", picture + bytes([k]))}).json()["cases"][0]
            for k in range(6)
        ]
        for case in cases:
            found = [ask("GET", f"/cases/{case['id']}") for _ in range(6)]
            assert [answer.status_code for answer in found] == [200] * 6
            assert {answer.json()["probability"] for answer in found} == {case["probability"]}
        key = ask("POST", "/atlases/small/selections", json={"rect": [0, 0, 0.5, 1]}).json()["key"]
        assert {ask("GET", f"/atlases/small/selections/{key}").status_code for _ in range(8)} == {200}
        jobs = {ask("POST", "/jobs", json={"path": "fake"}).json()["id"] for _ in range(4)}
        for _ in range(4):
            assert jobs <= {job["id"] for job in ask("GET", "/jobs").json()}
        unknown = ask("GET", f"/cases/{64 * '0'}")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:morelli:problem:unknown-case")
        assert one.interrupt() in (0, -2)
        assert "Traceback" not in one.text


def test_workers_end_when_the_process_that_started_them_is_killed(settings: ServerSettings) -> None:
    with process(["-c", SERVE, replace(settings, port=0, workers=2).to_json()]) as one:
        one.wait_for("Ctrl-C stops it")
        address = ("127.0.0.1", one.port)
        with one.client() as client:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                with suppress(httpx.TransportError):
                    if client.get("/ready").status_code in (200, 503):
                        break
                time.sleep(0.02)
        one.running.kill()
        until = time.monotonic() + 60
        while _listens(address):
            assert time.monotonic() < until, "a worker still listens"
            time.sleep(0.05)


def _listens(address: tuple[str, int]) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True
