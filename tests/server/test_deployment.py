"""The deployment on Ray Serve answers as `morelli serve` does, and says whether it is well."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image
from starlette.testclient import TestClient

from morelli.errors import MorelliError, UsageError
from morelli.server import ServerSettings
from morelli.server.deployment import Replica, application, deployed_settings
from tests.server.conftest import png
from tests.server.running import API, Running

TOKEN = "a-token-for-tests-0123"
GONE = "urn:morelli:problem:not-in-a-deployment"


def test_arguments_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MORELLI_TOKEN", TOKEN)
    found = deployed_settings({"bundle": "b", "hosts": ["a.example", "b.example"], "offline": "true"})
    assert found == ServerSettings(
        host="0.0.0.0", token=TOKEN, bundle=Path("b"), hosts=("a.example", "b.example"), offline=True
    )
    assert ServerSettings.from_json(found.to_json()) == found
    with pytest.raises(UsageError, match="no argument roots"):
        deployed_settings({"roots": "/"})
    monkeypatch.delenv("MORELLI_TOKEN")
    with pytest.raises(UsageError, match="token"):
        deployed_settings({})


def test_without_ray_the_message_names_the_extra() -> None:
    if find_spec("ray") is not None:
        pytest.skip("Ray is installed here")
    with pytest.raises(UsageError, match=r"morelli\[ray\]"):
        application({"token": TOKEN})


def test_a_replica_judges_and_remembers_nothing(settings: ServerSettings, picture: bytes) -> None:
    judge = Replica(replace(settings, token=TOKEN, roots=(), feedback=None).to_json())
    app = judge.__serve_build_asgi_app__()
    with TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        asyncio.run(judge.check_health())
        assert client.get("/api/v1/ready").status_code == 200  # nobody meets a replica that still loads
        answer = client.post("/api/v1/detect", files={"file": ("a.png", picture)})
        assert answer.status_code == 200
        (case,) = answer.json()["cases"]
        for path in (f"/api/v1/cases/{case['id']}", "/api/v1/jobs", "/", "/api/v1/detect/"):
            refused = client.get(path)
            assert (refused.status_code, refused.json()["type"]) == (404, GONE)
    assert httpx.Headers(answer.headers)["x-frame-options"] == "DENY"


def test_a_replica_without_its_encoder_is_not_healthy(settings: ServerSettings, tmp_path: Path) -> None:
    judge = Replica(replace(settings, weights=tmp_path / "none").to_json())
    with TestClient(judge.__serve_build_asgi_app__()), pytest.raises(MorelliError, match="none"):
        asyncio.run(judge.check_health())


@pytest.fixture(scope="module")
def deployment(ray_address: str, settings: ServerSettings) -> Iterator[httpx.Client]:
    """The deployment with one replica, on a free port of this machine."""
    if find_spec("grpc") is None:
        pytest.skip("needs Ray Serve, which is an extra: pip install 'morelli[ray]'")
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {name: getattr(settings, name) for name in ("bundle", "distilled", "weights", "device")}
    given |= {"token": TOKEN}
    serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config={"log_level": "ERROR"})
    bound = application({name: str(value) for name, value in given.items()} | {"offline": True})
    try:
        serve.run(bound, name="judging")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        base = f"http://127.0.0.1:{port}{API}"
        with httpx.Client(base_url=base, timeout=600, trust_env=False, headers=headers) as client:
            yield client
    finally:
        serve.shutdown()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
class TestDeployed:
    """With Ray."""

    def test_answers_are_those_of_one_server(
        self, deployment: httpx.Client, server: Running, photos: list[tuple[str, Image.Image]]
    ) -> None:
        pictures = [png(image.resize((96, 80))) for _, image in photos[:8]]
        requests: list[dict[str, Any]] = [
            {"files": [("file", (f"{number}.png", data))]} for number, data in enumerate(pictures)
        ]
        several = [("file", (f"{number}.png", data)) for number, data in enumerate(pictures[:3])]
        requests += [
            {"files": [*several, ("file", ("cut.png", pictures[0][:500]))], "params": {"base_rate": 0.2}},
            {"files": [("file", ("cut.png", pictures[0][:500]))]},
            {"files": [("file", ("text.txt", b"no picture"))]},
            {"files": several, "params": {"base_rate": 7}},
            {"content": b"{}", "headers": {"content-type": "application/json"}},
        ]
        with ThreadPoolExecutor(len(requests)) as threads:
            found = list(threads.map(lambda one: deployment.post("/detect", **one), requests))
        for request, there in zip(requests, found, strict=True):
            here = server.client.post(f"{API}/detect", **request)
            assert (there.status_code, there.json()) == (here.status_code, here.json())
            names = ("content-type", "cache-control", "x-content-type-options", "content-security-policy")
            assert [there.headers.get(name) for name in names] == [here.headers.get(name) for name in names]
        assert {one.status_code for one in found} == {200, 415, 422}
        assert deployment.get("/openapi.json").json() == server.get("/openapi.json").json()
        assert deployment.post("/detect", **requests[0], headers={"Authorization": "x"}).status_code == 401
        assert deployment.get("/health", headers={"Authorization": "x"}).status_code == 200

    @pytest.mark.slow
    def test_a_killed_replica_is_replaced(self, deployment: httpx.Client, picture: bytes) -> None:
        first = replica()
        os.kill(first, signal.SIGKILL)
        codes = [deployment.get("/ready").status_code]
        while codes[-1] != 200 or replica() == first:
            time.sleep(0.2)
            codes.append(deployment.get("/ready").status_code)
        assert set(codes) <= {200, 500, 503}
        assert deployment.post("/detect", files={"file": ("a.png", picture)}).status_code == 200


def replica() -> int:
    """The process of the only replica; 0 where none runs."""
    found = [one.pid for one in psutil.process_iter() if one.name().startswith("ray::ServeReplica")]
    return found[0] if found else 0
