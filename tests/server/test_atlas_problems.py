"""What is not in an atlas is the same problem, whatever asks for it; and figures keep their bounds."""

from __future__ import annotations

import pytest

from tests.server.running import API, Running
from tests.small_detector import DIMENSIONS

SMALL = "/atlases/small"


def asked(server: Running, method: str, path: str, body: object) -> tuple[int, str]:
    """The status, and the kind of problem."""
    answer = server.client.request(method, API + path, json=body)
    return answer.status_code, answer.json()["type"].removeprefix("urn:morelli:problem:")


@pytest.mark.parametrize("dimension", [str(DIMENSIONS), "999"])
@pytest.mark.parametrize("what", ["relevance", "relevance.png"])
def test_a_map_of_a_dimension_that_is_not_there(whole: Running, what: str, dimension: str) -> None:
    answer = whole.get(f"{SMALL}/images/0/{what}", params={"dimension": dimension})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:morelli:problem:unknown-dimension")
    for known in ("logit", str(DIMENSIONS - 1)):
        assert whole.get(f"{SMALL}/images/0/{what}", params={"dimension": known}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{SMALL}/images/9999", None),
        ("POST", "/feedback", {"atlas": "small", "row": 9999, "label": "real"}),
        ("POST", f"{SMALL}/search", {"image": 9999}),
    ],
)
def test_an_image_that_is_not_there(whole: Running, method: str, path: str, body: object) -> None:
    assert asked(whole, method, path, body) == (404, "unknown-row")


def test_cosines_of_a_search_are_none_above_one(whole: Running) -> None:
    """One image's embedding is in float16, and so not quite of length 1."""
    for row in range(30):
        found = whole.post(f"{SMALL}/search", json={"image": row, "top": 500}).json()
        assert max(found["similarities"]) == found["similarities"][0] <= 1
        assert found["similarities"][0] == pytest.approx(1, abs=2e-3) and min(found["similarities"]) >= -1


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"name": "sky"})])
def test_a_prototype_that_is_not_there(whole: Running, method: str, body: object) -> None:
    assert asked(whole, method, f"{SMALL}/prototypes/9999", body) == (404, "unknown-prototype")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"{SMALL}/dimensions/99", {"name": "sky"}),
        ("GET", f"{SMALL}/dimensions?off=99", None),
        ("POST", f"{SMALL}/rescore", {"off": [99]}),
    ],
)
def test_a_dimension_that_is_not_there(whole: Running, method: str, path: str, body: object) -> None:
    assert asked(whole, method, path, body) == (422, "unknown-dimension")
