"""A server that judges with an ensemble of two small encoders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from morelli.server import ServerSettings
from tests.server.running import Running, running, until
from tests.small_ensemble import ensemble_dir, naflex_dir, naflex_features, naflex_table

__all__ = ["ensemble_dir", "naflex_dir", "naflex_features", "naflex_table"]


@pytest.fixture(scope="module")
def ensemble_settings(
    ensemble_dir: Path, naflex_dir: Path, tiny_clip_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> ServerSettings:
    return ServerSettings(
        bundle=ensemble_dir,
        weights=(tiny_clip_dir, naflex_dir),
        device="cpu",
        offline=True,
        feedback=tmp_path_factory.mktemp("feedback") / "said.jsonl",
    )


@pytest.fixture(scope="module")
def judging(ensemble_settings: ServerSettings) -> Iterator[Running]:
    with running(ensemble_settings) as one:
        until(lambda: one.state.ready)
        yield one


def test_settings_reach_workers_whole(ensemble_settings: ServerSettings) -> None:
    assert ServerSettings.from_json(ensemble_settings.to_json()) == ensemble_settings


def test_the_answer_has_every_members_opinion(judging: Running, collection: Path) -> None:
    file = sorted((collection / "fake").rglob("*.png"))[7]
    answer = judging.upload((file.name, file.read_bytes()))
    assert answer.status_code == 200, answer.text
    (case,) = answer.json()["cases"]
    moved = judging.get(f"/cases/{case['id']}", params={"stability": True}).json()["stability"]
    assert len(moved["deliveries"]) > 3
    members = case["ensemble"]["members"]
    assert [one["name"] for one in members] == ["small", "other"]
    assert sum(one["weight"] for one in members) == pytest.approx(1)
    assert {"contradict", "unusual", "withheld", "sentence", "spread", "limit"} <= set(case["ensemble"])
    assert "tiny-clip + tiny-naflex" in case["versions"]["encoder"]
    assert case["readable"] is False
    assert case["neighbors"]["fake"]


def test_other_questions_are_answered_or_missing(judging: Running, collection: Path) -> None:
    file = sorted((collection / "real").rglob("*.png"))[2]
    (case,) = judging.upload((file.name, file.read_bytes())).json()["cases"]
    near = judging.get(f"/cases/{case['id']}/neighbors", params={"k": 3})
    assert near.status_code == 200, near.text
    assert len(near.json()["fake"]) == 3
    missing = judging.get(f"/cases/{case['id']}/relevance", params={"dimension": "decision"})
    assert missing.status_code in (404, 409), missing.text
    info = judging.get("/info").json()
    assert info["bundle"]["name"] == "both"
    assert info["bundle"]["bank"] > 0
    said = judging.post("/feedback", json={"case": case["id"], "label": "real"})
    assert said.status_code == 200, said.text
    assert said.json()["difference"] is None
