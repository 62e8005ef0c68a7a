"""The description of the interface is true: checked by examples that are made from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from morelli.server import ServerSettings, create_app
from tests.server.running import Running

DOCS = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
DESCRIPTION = create_app(ServerSettings()).openapi()
schema = schemathesis.openapi.from_dict(DESCRIPTION)


@pytest.mark.parametrize("path", sorted(DESCRIPTION["paths"]))
def test_every_route_is_documented(path: str) -> None:
    text = DOCS.read_text()
    short = path.removeprefix("/api/v1").removeprefix("/atlases/{atlas}") or "/"
    assert f"{short}`" in text or f"{short}," in text or f"`{short}" in text or f" {short}" in text, path


def test_every_problem_type_is_documented() -> None:
    text = DOCS.read_text()
    source = Path(__file__).resolve().parents[2] / "src" / "morelli" / "server"
    kinds = {
        kind
        for path in source.glob("*.py")
        for kind in re.findall(r'ProblemError\(\s*\d+,\s*"([a-z-]+)"', path.read_text())
    }
    assert len(kinds) > 20
    assert not [kind for kind in kinds - {"client-gone", "internal-error"} if f"`{kind}`" not in text]


def test_every_error_is_a_problem_document() -> None:
    for path in DESCRIPTION["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_requests_made_from_the_description_are_answered_as_described(
    case: schemathesis.Case, server: Running
) -> None:
    # Not every file is a picture, nor every object a selection: what fits the description may be refused.
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{server.port}", excluded_checks=[positive_data_acceptance], timeout=60
    )
