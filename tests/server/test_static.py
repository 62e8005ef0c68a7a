"""The app's files, and the page that stands in for them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from morelli.server._problems import install
from morelli.server._static import mount_static


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>app</title>")
    (folder / "assets" / "index-BxQ3k9aZ.js").write_text("run()")
    (folder / "favicon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


async def get(folder: Path, path: str) -> httpx.Response:
    app = FastAPI()
    install(app)
    mount_static(app, folder)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        return await client.get(path)


def fetched(folder: Path, path: str) -> httpx.Response:
    import anyio

    return anyio.run(get, folder, path)


def test_files_have_their_types_and_hashed_ones_never_change(site: Path) -> None:
    script = fetched(site, "/assets/index-BxQ3k9aZ.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    icon = fetched(site, "/favicon.svg")
    assert icon.headers["content-type"].startswith("image/svg+xml")
    assert icon.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/", "/index.html", "/check", "/explore/faces"])
def test_the_apps_own_addresses_give_the_app(site: Path, path: str) -> None:
    answer = fetched(site, path)
    assert (answer.status_code, answer.text) == (200, "<title>app</title>")
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/%00.txt",
        "/" + "a" * 5000 + ".x",
    ],
)
def test_nothing_beside_them_is_given(site: Path, path: str) -> None:
    answer = fetched(site, path)
    assert "secret" not in answer.text or "secret.txt" in answer.json()["detail"]
    assert answer.status_code == 404


def test_links_out_of_the_folder_are_not_followed(site: Path) -> None:
    (site / "link.txt").symlink_to(site.parent / "secret.txt")
    assert fetched(site, "/link.txt").status_code == 404


def test_missing_assets_and_interfaces_are_errors_and_not_the_app(site: Path) -> None:
    for path in ("/assets/gone-12345678.js", "/api/v1/nothing", "/api"):
        answer = fetched(site, path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_without_a_build_the_page_says_how_to_get_one(tmp_path: Path) -> None:
    page = fetched(tmp_path / "nothing", "/").text
    assert "make app" in page and "Node" in page
