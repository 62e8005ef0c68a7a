"""What is not in an atlas is answered with the same problem, whatever asks for it."""

from __future__ import annotations

import pytest

from tests.server.running import Running
from tests.small_detector import DIMENSIONS

SMALL = "/atlases/small"


@pytest.mark.parametrize("dimension", [str(DIMENSIONS), "999"])
@pytest.mark.parametrize("what", ["relevance", "relevance.png"])
def test_a_map_of_a_dimension_that_is_not_there(whole: Running, what: str, dimension: str) -> None:
    answer = whole.get(f"{SMALL}/images/0/{what}", params={"dimension": dimension})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:morelli:problem:unknown-dimension")
    for known in ("logit", str(DIMENSIONS - 1)):
        assert whole.get(f"{SMALL}/images/0/{what}", params={"dimension": known}).status_code == 200
