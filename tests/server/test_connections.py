"""Many clients, slow clients, clients that leave; starting and stopping."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image

from morelli.server import ServerSettings
from morelli.server._protocol import IdleClosingProtocol
from tests.server.conftest import png
from tests.server.running import API, PLAIN, Running, running, until


def head(server: Running, length: int) -> bytes:
    return (
        f"POST {API}/detect HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


def test_thirty_two_clients_get_their_own_answers(
    server: Running, photos: list[tuple[str, Image.Image]]
) -> None:
    crops = [png(photos[k % 6][1].crop((3 * k, 3 * k, 3 * k + 64, 3 * k + 64))) for k in range(32)]
    alone = [server.upload(("a.png", crop)).json()["cases"][0] for crop in crops]
    server.state.cases.clear()

    def client(k: int) -> list[dict]:  # type: ignore[type-arg]
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60, **PLAIN) as own:
            answers = [own.post(API + "/detect", files={"file": ("a.png", crops[k])}) for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 200]
        return [one.json()["cases"][0] for one in answers]

    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(client, range(32)))
    for expected, found in zip(alone, together, strict=True):
        for case in found:
            assert case["id"] == expected["id"]
            # Batches of other sizes round differently.
            assert case["probability"] == pytest.approx(expected["probability"], abs=1e-4)
    assert server.state.admitted == 0 and server.state.budget._held == 0


def test_too_many_at_once_are_told_when_to_come_back(with_limits, picture: bytes) -> None:  # type: ignore[no-untyped-def]
    with running(with_limits(waiting=2)) as server:
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda _: server.upload(("a.png", picture)), range(48)))
        statuses = [one.status_code for one in answers]
        assert set(statuses) <= {200, 503} and 200 in statuses and 503 in statuses
        refused = next(one for one in answers if one.status_code == 503)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["type"] == "urn:morelli:problem:busy"
        assert server.upload(("a.png", picture)).status_code == 200


def test_a_body_that_stops_coming_is_given_up(with_limits) -> None:  # type: ignore[no-untyped-def]
    with running(with_limits(idle_seconds=0.3)) as server:
        answer = server.raw(head(server, 10_000) + PART + b"abc")
        assert b" 408 " in answer.split(b"\r\n")[0]
        assert b"urn:morelli:problem:too-slow" in answer
        assert server.state.budget._held == 0


def test_a_body_that_drips_is_given_up_as_well(with_limits) -> None:  # type: ignore[no-untyped-def]
    with running(with_limits(idle_seconds=5.0, body_seconds=0.6)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
            slow.sendall(head(server, 10_000) + PART)
            answer = b""
            slow.settimeout(0.1)
            for _ in range(60):
                try:
                    slow.sendall(b"a")
                    answer += slow.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    break
                if answer:
                    break
        assert b" 408 " in answer.split(b"\r\n")[0]


def test_headers_that_never_end_are_given_up(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IdleClosingProtocol, "header_seconds", 0.3)
    with running(settings, ready=False) as server:
        assert server.raw(b"GET / HTTP/1.1\r\nHost: 127") == b""
        assert server.raw(b"") == b""
        assert server.get("/health").status_code == 200


def test_a_cut_connection_leaves_nothing_behind(server: Running) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as cut:
            cut.sendall(head(server, 1_000_000) + PART + bytes(100_000))
    until(lambda: server.state.budget._held == 0)
    assert server.get("/ready").status_code == 200


def test_who_leaves_is_taken_out_of_the_queue(settings: ServerSettings, picture: bytes) -> None:
    with running(settings) as server:
        queue = server.state.queue
        # The workers are held, so that requests stay in the queue until we look.
        with queue._changed:
            body = PART + picture + b"\r\n--x--\r\n"
            clients = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(4)]
            for one in clients:
                one.sendall(head(server, len(body)) + body)
            until(lambda: server.state.admitted == 4)
            for one in clients:
                one.close()
        until(lambda: server.state.admitted == 0)
        assert server.upload(("a.png", picture)).status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9\r\n\r\n",
        b"GET /" + b"a" * 400_000,
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(server: Running, request_: bytes) -> None:
    assert server.raw(request_).startswith(b"HTTP/1.1 400")
    assert server.get("/health").status_code == 200


def test_an_early_answer_arrives_although_the_client_is_still_sending(server: Running) -> None:
    """The answer is read only after a megabyte more was sent, as a client that uploads does."""
    for opening in (b"GET /" + b"a" * 70_000, b"GET / HTTP/9\r\n\r\n"):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
                client.sendall(opening)
                for _ in range(64):
                    client.sendall(b"a" * 16_384)
                client.shutdown(socket.SHUT_WR)
                answer = b""
                while part := client.recv(65_536):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 400")


def test_a_connection_that_ends_with_an_unexpected_error_says_so(
    settings: ServerSettings, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings) as server:
        found = server.upload(("a.png", picture)).json()["cases"][0]["id"]

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("of no concern to the client")

        for _ in range(20):
            with monkeypatch.context() as patched:
                patched.setattr(server.state.cases, "get", broken)
                answer = server.get(f"/cases/{found}")
            assert (answer.status_code, answer.json()["type"]) == (500, "urn:morelli:problem:internal-error")
            assert answer.headers["connection"] == "close" and "no concern" not in answer.text
            assert server.get(f"/cases/{found}").status_code == 200


def test_stopping_finishes_what_runs_and_cancels_jobs(settings: ServerSettings, picture: bytes) -> None:
    with running(settings) as server, ThreadPoolExecutor(1) as pool:
        server.post("/jobs", json={"path": "."})
        state, address = server.state, f"http://127.0.0.1:{server.port}{API}/detect"
        with state.queue._changed:  # nothing is encoded before the server was told to stop
            asked = pool.submit(httpx.post, address, files={"file": ("a.png", picture)}, timeout=60)
            while not state.admitted:
                time.sleep(0.001)
            server.stop()
        assert asked.result(timeout=60).status_code == 200
    assert len(state.cases) == 0
    assert [job.state for job in state.jobs._jobs.values()] in (["cancelled"], ["done"])


def test_health_answers_while_the_encoder_cannot_be_had(settings: ServerSettings, picture: bytes) -> None:
    broken = replace(settings, weights=settings.feedback)
    with running(broken, ready=False) as server:
        until(lambda: server.state.problem is not None)
        assert server.get("/health").status_code == 200
        answer = server.get("/ready")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:morelli:problem:no-encoder")
        assert server.upload(("a.png", picture)).status_code == 503
        assert server.get("/info").json()["problem"]


def test_the_queue_fills_batches(tiny_clip_dir) -> None:  # type: ignore[no-untyped-def]
    from morelli.encoders import load_encoder
    from morelli.server._queue import EncodingQueue

    encoder = load_encoder(tiny_clip_dir)
    pixels = np.random.default_rng(0).normal(size=(40, 3, 64, 64)).astype(np.float32)
    queue = EncodingQueue(encoder, ["final"], most=40)
    try:
        with queue._changed:  # nothing is taken before all are there
            futures = [queue.submit(one) for one in pixels]
            background = [queue.submit(one, background=True) for one in pixels[:8]]
        found = np.stack([future.result(timeout=60)["final"] for future in futures])
        for future in background:
            future.result(timeout=60)
    finally:
        queue.close()
    np.testing.assert_allclose(found, encoder.trace(pixels, kinds=["final"])["final"], rtol=1e-3, atol=1e-4)
    assert queue._batches <= 48 / queue.batch + 2 * queue.workers
    assert queue.submit is not None and queue.waiting == 0
