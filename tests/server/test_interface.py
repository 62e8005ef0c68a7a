"""The description of the interface is true: checked by examples that are made from it."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from PIL import Image
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from morelli.server import ServerSettings, create_app
from tests.server.conftest import DIMENSIONS, png
from tests.server.running import API, Running
from tests.server.test_archives import zipped

THING = r"\{"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
DESCRIPTION = create_app(ServerSettings()).openapi()
# Made when a test runs, each route as a subtest. Made while tests are collected, every worker of xdist would
# pay for all examples; and as tests of one name, it would run those of a single route.
schema = schemathesis.pytest.from_fixture("described")
of_things = schemathesis.pytest.from_fixture("described_things").include(path_regex=THING)
MADE = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
SAVED = "/api/v1/atlases/small/saved-selections/mine"
SELECTIONS = [
    json.dumps(one)
    for one in (
        {"and": []},
        {"and": [{"column": "label", "in": ["fake"]}, {"not": {"dimension": 1, "range": [0.0, None]}}]},
        {"or": [{"rect": [-1e9, -1e9, 0, 1e9]}, {"polygon": [[0, 0], [9, 0], [9, 9]]}]},
        {"cells": {"level": 2, "ids": [0, 5, 77]}},
        {"prototype": 0},
        {"text": "coffee"},
        {"rows": []},
        {"rows": [0, 119, 7_000_000]},
        {"column": "probability", "range": [0.2, 0.8]},
    )
]
# Without a bank of concepts the server can only say so.
UNANSWERABLE = {"GET /api/v1/cases/{id}/concepts"}


@pytest.mark.parametrize("path", sorted(DESCRIPTION["paths"]))
def test_every_route_is_documented(path: str) -> None:
    text = DOCS.read_text()
    short = path.removeprefix("/api/v1").removeprefix("/atlases/{atlas}") or "/"
    assert f"{short}`" in text or f"{short}," in text or f"`{short}" in text or f" {short}" in text, path


def test_head_gives_the_headers_of_get_and_no_body(whole: Running, picture: bytes) -> None:
    id = whole.upload(("a.png", picture)).json()["cases"][0]["id"]
    for path in ("/health", "/info", f"/cases/{id}/image", "/atlases/small/points", "/cases/nothing"):
        head, get = whole.client.head(API + path), whole.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        for name in ("content-type", "content-length", "etag"):
            assert path == "/info" or head.headers.get(name) == get.headers.get(name), (path, name)
    assert whole.client.head(f"{API}/detect").status_code == 405
    assert "POST" in whole.client.head(f"{API}/detect").headers["allow"]


@pytest.mark.parametrize("path", ["/detect", "/cases/{id}", "/cases/{id}/report", "/atlases/small/rows"])
def test_a_parameter_that_nobody_reads_is_refused(path: str, whole: Running, picture: bytes) -> None:
    case = whole.upload(("a.png", picture)).json()["cases"][0]
    method = "POST" if path == "/detect" else "GET"
    files = [("file", ("a.png", picture))] if path == "/detect" else None
    path = API + path.format(id=case["id"])
    answer = whole.client.request(method, path, params={"base-rate": 0.05, "limit": 5}, files=files)
    assert answer.status_code == 422
    assert "'base-rate'" in answer.json()["detail"]
    known = answer.json()["next"]
    assert ("limit" if "rows" in path else "base_rate") in known
    assert "fpr" in known or "rows" in path


def test_every_error_is_a_problem_document() -> None:
    for path in DESCRIPTION["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]


@pytest.fixture(scope="module")
def known(
    whole: Running, picture: bytes, photos: list[tuple[str, Image.Image]]
) -> Callable[[schemathesis.Case], None]:
    """Put names of things that exist into a case made from the description."""
    selection = whole.post("/atlases/small/selections", json={"rect": [0, 0, 1, 1]}).json()["key"]
    job = whole.post("/jobs", json={"path": "real"}).json()["id"]
    about = whole.upload(("a.png", picture)).json()["cases"][0]["id"]
    packed = zipped({"a.png": picture})
    specs, other = itertools.cycle(SELECTIONS), png(photos[1][1].crop((0, 0, 80, 80)))

    def name(case: schemathesis.Case) -> None:
        path, given = case.path, case.path_parameters
        if "{atlas}" in path:
            given["atlas"] = "small"
        if "/cases/{id}" in path:
            given["id"] = about
            if case.method == "DELETE":
                given["id"] = whole.upload(("b.png", other)).json()["cases"][0]["id"]
        if "/archives/{id}" in path:
            given["id"] = whole.post("/archives", files=[("file", ("a.zip", packed))]).json()["id"]
        given |= {"index": 0} if "index" in given else {}
        if "/jobs/{id}" in path:
            delete = case.method == "DELETE"
            given["id"] = whole.post("/jobs", json={"path": "fake"}).json()["id"] if delete else job
        if "/prototypes/{id}" in path:
            given["id"] = 0
        if "/reports/{name}" in path:
            given["name"] = "study"
        if "/saved-selections/{name}" in path:
            given["name"] = "mine"
            assert whole.client.put(SAVED, json={"and": []}).status_code == 200
        given |= {"key": selection} if "key" in given else {}
        for number, most in (("row", 120), ("k", DIMENSIONS), ("level", 4)):
            if number in given:
                given[number] = int(given[number]) % most
        if case.query and "selection" in case.query:
            case.query["selection"] = next(specs)
        if case.method in ("POST", "PUT") and "selections" in path:
            case.body = json.loads(next(specs))
        if path.endswith("/tags") and case.method == "POST":
            case.body = {"selection": json.loads(next(specs)), "add": ["seen"], "remove": ["new"]}
        if path == "/api/v1/jobs" and case.method == "POST":
            case.body = {**case.body, "path": "real/../fake"}

    return name


def test_a_list_of_rows_is_no_longer_than_it_says(whole: Running) -> None:
    """What examples are not made of, see `description`."""
    rows = _of_rows(DESCRIPTION)
    for length in (rows["maxLength"] - 1, rows["maxLength"], rows["maxLength"] + 1):
        given = "1," * (length // 2 - 1) + "0" * (length % 2) + "01"
        answer = whole.get("/atlases/small/thumbnails", params={"rows": given})
        assert (len(given), answer.status_code) == (length, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        wanted = "at most 512 thumbnails" if length <= rows["maxLength"] else "at most 8192 characters"
        assert wanted in answer.json()["detail"]


def _of_rows(description: dict[str, Any]) -> dict[str, Any]:
    """The schema of the list of rows."""
    (found,) = (
        parameter["schema"]
        for parameter in description["paths"]["/api/v1/atlases/{atlas}/thumbnails"]["get"]["parameters"]
        if parameter["name"] == "rows"
    )
    return found


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    """Without the longest list of rows: to draw one of thousands of numbers takes six seconds each time."""
    made = copy.deepcopy(DESCRIPTION)
    del _of_rows(made)["maxLength"]
    return made


@pytest.fixture(scope="module")
def described(description: dict[str, Any]) -> BaseSchema:
    return schemathesis.openapi.from_dict(description)


@pytest.fixture(scope="module")
def described_things(description: dict[str, Any]) -> BaseSchema:
    """The description, for requests that fit it."""
    made = schemathesis.openapi.from_dict(description)
    made.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE])
    return made


@pytest.fixture(autouse=True)
def _named(request: pytest.FixtureRequest) -> None:
    """Schemathesis reads the name of a test where pytest 9.2 no longer keeps it."""
    request.node._nodeid = request.node.nodeid


@schema.parametrize()
@MADE
def test_requests_made_from_the_description_are_answered_as_described(
    case: schemathesis.Case, whole: Running
) -> None:
    # Not every file is a picture, nor every object a selection: what fits the description may be refused.
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{whole.port}", excluded_checks=[positive_data_acceptance], timeout=60
    )


@pytest.fixture
def answered() -> Iterator[dict[str, set[int]]]:
    """Status codes by route that a test collects; at its end, each route must have been answered."""
    found: dict[str, set[int]] = {}
    yield found
    assert set(found) == {
        f"{method.upper()} {path}"
        for path, operations in DESCRIPTION["paths"].items()
        for method in operations
        if re.search(THING, path)
    }
    never = {route for route, codes in found.items() if not codes & {200, 204, 304}}
    assert never == UNANSWERABLE, f"only said that there is nothing: {found}"


@of_things.parametrize()
@MADE
def test_those_about_things_that_exist_are_answered(
    case: schemathesis.Case,
    whole: Running,
    known: Callable[[schemathesis.Case], None],
    answered: dict[str, set[int]],
) -> None:
    """A name made up is nearly always a 404: here it is one of an atlas, a case, a job, a report."""
    known(case)
    answer = case.call_and_validate(
        base_url=f"http://127.0.0.1:{whole.port}", excluded_checks=[positive_data_acceptance], timeout=60
    )
    answered.setdefault(f"{case.method} {case.path}", set()).add(answer.status_code)
