"""Who may ask: names, origins, tokens; what every answer carries; what is refused at start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
import uvicorn

from morelli.errors import UsageError
from morelli.server import ServerSettings, create_app, new_token
from morelli.server._serve import address_of, bound
from tests.server.running import API, PLAIN, Running, running

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def guarded(settings: ServerSettings) -> Iterator[Running]:
    """A server as it is started on an address that others reach."""
    with running(
        replace(settings, host="0.0.0.0", token=TOKEN, hosts=("lab.example.org",)), ready=False
    ) as one:
        yield one


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8017", "127.0.0.1.evil.example", "", "[::1", "localhost.evil"]
)
def test_a_foreign_host_name_is_refused(server: Running, host: str) -> None:
    answer = server.get("/info", headers={"host": host})
    assert answer.status_code in (400, 421)
    if answer.status_code == 421:
        assert answer.json()["type"] == "urn:morelli:problem:wrong-host"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:99", "[::1]:1", "127.0.0.2"])
def test_its_own_names_are_taken(server: Running, host: str) -> None:
    assert server.get("/info", headers={"host": host}).status_code == 200


def test_a_number_is_no_name_where_only_this_machine_is_meant(server: Running) -> None:
    assert server.get("/info", headers={"host": "192.168.1.5"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_pages_cannot_make_it_work(
    server: Running, picture: bytes, headers: dict[str, str]
) -> None:
    answer = server.post("/detect", files=[("file", ("a.png", picture))], headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:morelli:problem:foreign-origin")


def test_its_own_page_can(server: Running, picture: bytes) -> None:
    headers = {"origin": f"http://127.0.0.1:{server.port}", "sec-fetch-site": "same-origin"}
    answer = server.post("/detect", files=[("file", ("a.png", picture))], headers=headers)
    assert answer.status_code == 200


def test_no_other_origin_may_read_answers(server: Running) -> None:
    answer = server.get("/info", headers={"origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    preflight = server.client.options(API + "/detect", headers={"origin": "https://evil.example"})
    assert preflight.status_code == 405


@pytest.mark.parametrize("path", ["/", "/api/v1/info", "/api/v1/nothing", "/missing.js"])
def test_every_answer_carries_the_browsers_protections(server: Running, path: str) -> None:
    headers = server.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"].split("style-src")[0]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"


def test_without_the_token_nothing_but_health_is_answered(guarded: Running) -> None:
    for path in ("/info", "/openapi.json", "/atlases", "/cases/" + "0" * 64):
        answer = guarded.get(path)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:morelli:problem:token-needed")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded.client.get("/").status_code == 401
    assert guarded.get("/health").status_code == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_a_wrong_token_is_none(guarded: Running, given: str) -> None:
    assert guarded.get("/info", headers={"authorization": given.encode()}).status_code == 401


def test_the_token_opens_as_header_and_as_cookie(guarded: Running) -> None:
    assert guarded.get("/info", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    first = guarded.client.get(f"/explore?atlas=a&token={TOKEN}")
    assert first.status_code == 303
    assert first.headers["location"] == "/explore?atlas=a"
    guarded.client.cookies.clear()
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert guarded.get("/info", headers={"cookie": cookie.partition(";")[0]}).status_code == 200
    assert guarded.client.get("/?token=wrong").status_code == 401
    guarded.client.cookies.clear()


def test_the_redirect_never_leads_to_another_site(guarded: Running) -> None:
    answer = guarded.client.get(f"http://127.0.0.1:{guarded.port}//evil.example/?token={TOKEN}")
    assert answer.headers["location"].startswith("/evil.example")
    guarded.client.cookies.clear()


def test_names_are_checked_there_too_but_numbers_are_taken(guarded: Running) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host, status in (("192.168.1.5:8017", 200), ("lab.example.org", 200), ("evil.example", 421)):
        assert guarded.get("/info", headers={**bearer, "host": host}).status_code == status


def test_an_open_address_needs_a_token() -> None:
    for host in ("0.0.0.0", "192.168.1.5", "::", "lab.example.org"):
        with pytest.raises(UsageError, match="token"):
            ServerSettings(host=host)
    with pytest.raises(UsageError, match="shorter"):
        ServerSettings(host="0.0.0.0", token="abc")
    assert ServerSettings(host="::1").token is None
    assert len({new_token() for _ in range(10)}) == 10
    assert (
        address_of(ServerSettings(host="0.0.0.0", token=TOKEN), 99) == f"http://127.0.0.1:99/?token={TOKEN}"
    )


@pytest.mark.parametrize(
    "asked", [{"host": ""}, {"host": "a\0b"}, {"port": 65536}, {"port": -1}, {"host": "[::1]"}, {"host": "-"}]
)
def test_an_address_that_is_none_is_a_sentence(asked: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        bound(ServerSettings(**{"port": 0, "token": TOKEN, **asked})).close()  # type: ignore[arg-type]


def test_a_server_on_the_sixth_protocol_guards_its_name_too(settings: ServerSettings) -> None:
    try:
        listening = bound(replace(settings, host="::1", port=0))
    except UsageError:
        pytest.skip("this machine has no ::1")
    server = uvicorn.Server(uvicorn.Config(create_app(replace(settings, host="::1")), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    with httpx.Client(base_url=f"http://[::1]:{port}{API}", **PLAIN) as client:
        for host, status in ((f"[::1]:{port}", 200), ("localhost", 200), ("evil.example", 421)):
            assert client.get("/health", headers={"host": host}).status_code == status
        for host in ("0.0.0.0", "2130706433", "127.0.0.1.evil.example", "[::ffff:127.0.0.1]", "localhost."):
            assert client.get("/health", headers={"host": host}).status_code == 421
    server.should_exit = True
    thread.join(timeout=60)
    listening.close()


def test_settings_survive_the_way_to_a_worker(settings: ServerSettings) -> None:
    assert ServerSettings.from_json(settings.to_json()) == settings
